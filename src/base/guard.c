/* SPDX-License-Identifier: Apache-2.0 */
/* The handler of SIGBUS and its ranges.  See guard.h.
 *
 *     kernel thread                          thread of the job
 *
 *     reads a missing page
 *       SIGBUS -> find_range -> put_zeros    pf_guard_losses has grown
 *       (lost, losses + 1)                     -> pf_map_check -> PF_E_IO, the film ends
 *     reads zeros, goes on
 *
 * The handler takes no lock and allocates nothing: it may interrupt a thread that holds any
 * lock.  Threads that hit the same range one after another map zeros twice, which is harmless.
 */
#include "base/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_RANGES = 16384 };            /* 0.4 MB that nobody touches before they are used */

/* Read by the handler without a lock: `end` is 0 while the slot is free, and written last. */
typedef struct range {
    _Atomic uintptr_t begin, end;
    atomic_bool lost;
} range;

static range ranges[MAX_RANGES];
static atomic_int highest;              /* ranges in use lie below */
static atomic_uint losses;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool installed;
static struct sigaction before;

/* --- the handler: async-signal-safe --------------------------------------------------- */

static range *find_range(uintptr_t address)
{
    int count = atomic_load(&highest);
    for (int i = 0; i < count; i++) {
        uintptr_t end = atomic_load(&ranges[i].end);
        if (address < end && address >= atomic_load(&ranges[i].begin))
            return &ranges[i];
    }
    return NULL;
}

/* Maps zeros over the whole range: the file is lost, and one call is enough. */
static bool put_zeros(range *r)
{
    uintptr_t begin = atomic_load(&r->begin);
    size_t bytes = atomic_load(&r->end) - begin;
    atomic_store(&r->lost, true);
    atomic_fetch_add(&losses, 1);
    return mmap((void *)begin, bytes, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static bool is_missing_page(const siginfo_t *info)
{
    return info->si_code == BUS_ADRERR || info->si_code == BUS_OBJERR ||
           info->si_code == BUS_MCEERR_AR;
}

/* Passes the signal to the handler that was there before.  The default handler ends the
 * process when the instruction is repeated, or the signal of another process comes again. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    bool sent = info->si_code <= 0;
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else if (before.sa_handler == SIG_DFL || !sent) {
        struct sigaction usual = {.sa_handler = SIG_DFL};
        sigaction(number, &usual, NULL);
        if (sent)
            raise(number);
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    int kept = errno;
    range *r = is_missing_page(info) ? find_range((uintptr_t)info->si_addr) : NULL;
    if (!r || !put_zeros(r))
        pass_on(number, info, context);
    errno = kept;
}

/* --- ranges --------------------------------------------------------------------------- */

pf_status pf_guard_install(pf_error *error)
{
    struct sigaction action = {.sa_sigaction = on_bus_error,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    pf_status status = PF_OK;
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    if (!installed && sigaction(SIGBUS, NULL, &before) == 0)
        installed = sigaction(SIGBUS, &action, NULL) == 0;
    if (!installed)
        status = pf_fail_errno(error, errno, "no handler of SIGBUS can be installed");
    pthread_mutex_unlock(&lock);
    return status;
}

static uintptr_t up_to_a_page(uintptr_t address)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    return (address + page - 1) / page * page;
}

/* `end` is the last store, since it makes the slot visible to the handler. */
int pf_guard_add(const void *begin, size_t bytes)
{
    pthread_mutex_lock(&lock);
    int count = atomic_load(&highest), number = 0;
    while (number < count && atomic_load(&ranges[number].end) != 0)
        number++;
    if (number == MAX_RANGES) {
        number = -1;
    } else {
        range *r = &ranges[number];
        atomic_store(&r->lost, false);
        atomic_store(&r->begin, (uintptr_t)begin);
        atomic_store(&r->end, up_to_a_page((uintptr_t)begin + bytes));
        if (number == count)
            atomic_store(&highest, count + 1);
    }
    pthread_mutex_unlock(&lock);
    return number;
}

void pf_guard_remove(int number)
{
    pthread_mutex_lock(&lock);
    atomic_store(&ranges[number].end, 0);
    pthread_mutex_unlock(&lock);
}

bool pf_guard_is_lost(int number)
{
    return atomic_load(&ranges[number].lost);
}

void pf_guard_renew(int number)
{
    atomic_store(&ranges[number].lost, false);
}

void pf_guard_lose(int number)
{
    atomic_store(&ranges[number].lost, true);
}

unsigned pf_guard_losses(void)
{
    return atomic_load_explicit(&losses, memory_order_relaxed);
}
