/* SPDX-License-Identifier: Apache-2.0 */
/* The local carrier: rings of bytes in memory that all members share.  See local.h.
 *
 * A call describes what it has to move as flows, one for each message: a flow goes through
 * one ring, first the length, then the bytes.  All flows of a call move at once, as far as
 * rings have bytes or room, so that no order of members can block an exchange:
 *
 *     lock; until every flow is through:
 *         move each flow as far as it goes
 *         something moved:  wake everybody
 *         nothing moved:    fail where the other end has left or time is up; else wait
 *     unlock
 */
#include "platform/group/local.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/memory.h"

enum { RING_BYTES = 32 << 10, REASON_BYTES = 200, HEADER_BYTES = sizeof(int64_t) };

/* Bytes from one rank to another.  Counters only grow: written - read are in it. */
typedef struct ring {
    uint64_t written, read;
    char bytes[RING_BYTES];
} ring;

struct pf_hub {
    pthread_mutex_t mutex;          /* of everything below */
    pthread_cond_t changed;
    int size;
    double deadline;                /* s */
    size_t mapped;                  /* bytes of this mapping */
    bool joined[PF_GROUP_MAX], left[PF_GROUP_MAX];
    char reason[REASON_BYTES];      /* why the group has ended; "": it has not */
    ring rings[];                   /* [size from][size to] */
};

/* State of a pf_group.  A split group uses the rings of the hub, too: two members make
 * their calls in one order, whatever group each call is of. */
typedef struct member {
    pf_hub *hub;
    bool whole;                     /* joined, not split */
    int ranks[PF_GROUP_MAX];        /* in the hub, of each rank of the group */
} member;

/* A message on its way through a ring. */
typedef struct flow {
    ring *ring;
    int other;                      /* rank in the hub of the other end */
    bool outgoing;
    int64_t header;                 /* bytes of the message, as sent */
    char *data;                     /* only read where outgoing */
    int64_t bytes, moved;           /* of the message; of header and message */
} flow;

/* --- the group's end -------------------------------------------------------- */

/* The first reason counts.  Under the lock. */
static void end_group(pf_hub *hub, const char *reason)
{
    if (!hub->reason[0])
        snprintf(hub->reason, sizeof hub->reason, "%s", reason);
    pthread_cond_broadcast(&hub->changed);
}

static pf_status fail_ended(const pf_hub *hub, pf_error *error)
{
    return pf_fail(error, PF_E_PLATFORM, "%s", hub->reason);
}

/* A process that died under the lock may have left a ring half changed. */
static int recover(pf_hub *hub, int result)
{
    if (result != EOWNERDEAD)
        return result;
    pthread_mutex_consistent(&hub->mutex);
    end_group(hub, "a member of the group died in the middle of a message");
    return 0;
}

static void lock(pf_hub *hub)
{
    recover(hub, pthread_mutex_lock(&hub->mutex));
}

static void unlock(pf_hub *hub)
{
    pthread_mutex_unlock(&hub->mutex);
}

/* --- flows ------------------------------------------------------------------ */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The next piece of a flow's header or data: its address, *bytes that lie there. */
static char *piece_of(flow *f, int64_t *bytes)
{
    if (f->moved < HEADER_BYTES) {
        *bytes = HEADER_BYTES - f->moved;
        return (char *)&f->header + f->moved;
    }
    *bytes = HEADER_BYTES + f->bytes - f->moved;
    return *bytes > 0 ? f->data + (f->moved - HEADER_BYTES) : NULL;
}

/* Copies one piece, up to the ring's end; 0: nothing can move now. */
static int64_t move_piece(flow *f)
{
    ring *r = f->ring;
    int64_t bytes, held = (int64_t)(r->written - r->read);
    char *piece = piece_of(f, &bytes);
    int64_t at = (int64_t)((f->outgoing ? r->written : r->read) % RING_BYTES);
    bytes = least(bytes, f->outgoing ? RING_BYTES - held : held);
    bytes = least(bytes, RING_BYTES - at);
    if (bytes == 0)
        return 0;
    if (f->outgoing)
        memcpy(r->bytes + at, piece, (size_t)bytes);
    else
        memcpy(piece, r->bytes + at, (size_t)bytes);
    *(f->outgoing ? &r->written : &r->read) += (uint64_t)bytes;
    f->moved += bytes;
    return bytes;
}

static bool is_through(const flow *f)
{
    return f->moved == HEADER_BYTES + f->bytes;
}

/* Moves a flow as far as it goes; false: the lengths at both ends differ. */
static bool move_flow(flow *f, int64_t *moved)
{
    for (int64_t bytes; !is_through(f) && (bytes = move_piece(f)) > 0;) {
        *moved += bytes;
        if (f->moved == HEADER_BYTES && f->header != f->bytes)
            return false;
    }
    return true;
}

static void end_with_lengths(pf_hub *hub, const flow *f)
{
    char reason[REASON_BYTES];
    snprintf(reason, sizeof reason, "rank %d sent %lld bytes where %lld were expected",
             f->other, (long long)f->header, (long long)f->bytes);
    end_group(hub, reason);
}

/* Moves all flows once.  Gives one that is not through, or NULL. */
static const flow *move_flows(pf_hub *hub, flow *flows, int count)
{
    int64_t moved = 0;
    const flow *waits = NULL;
    for (int i = 0; i < count; i++) {
        if (!move_flow(&flows[i], &moved))
            end_with_lengths(hub, &flows[i]);
        if (!is_through(&flows[i]))
            waits = &flows[i];
    }
    if (moved > 0)
        pthread_cond_broadcast(&hub->changed);
    return waits;
}

static int64_t bytes_moved(const flow *flows, int count)
{
    int64_t moved = 0;
    for (int i = 0; i < count; i++)
        moved += flows[i].moved;
    return moved;
}

/* --- waiting ---------------------------------------------------------------- */

static struct timespec time_after(double seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t nanoseconds = now.tv_nsec + (int64_t)(seconds * 1e9);
    return (struct timespec){now.tv_sec + (time_t)(nanoseconds / 1000000000),
                             (long)(nanoseconds % 1000000000)};
}

/* Waits for a change; ends the group where none can come any more. */
static void wait_for(pf_hub *hub, const flow *waits, const struct timespec *until)
{
    char reason[REASON_BYTES];
    if (hub->left[waits->other]) {
        snprintf(reason, sizeof reason, "rank %d has left the group", waits->other);
        end_group(hub, reason);
        return;
    }
    int result = pthread_cond_timedwait(&hub->changed, &hub->mutex, until);
    if (recover(hub, result) != ETIMEDOUT)
        return;
    snprintf(reason, sizeof reason, "rank %d did not answer within %g s", waits->other,
             hub->deadline);
    end_group(hub, reason);
}

/* Until every flow is through, or the group has ended. */
static pf_status run_flows(pf_hub *hub, flow *flows, int count, pf_error *error)
{
    pf_status status = PF_OK;
    struct timespec until = time_after(hub->deadline);
    int64_t before = 0;
    lock(hub);
    while (!hub->reason[0]) {
        const flow *waits = move_flows(hub, flows, count);
        if (!waits)
            break;
        int64_t moved = bytes_moved(flows, count);
        if (moved > before)
            until = time_after(hub->deadline);
        else
            wait_for(hub, waits, &until);
        before = moved;
    }
    if (hub->reason[0])
        status = fail_ended(hub, error);
    unlock(hub);
    return status;
}

/* --- calls ------------------------------------------------------------------ */

static int hub_rank(const pf_group *group, int rank)
{
    return ((const member *)group->state)->ranks[rank];
}

/* A message between this rank and `rank`; `data` is only read where outgoing. */
static flow make_flow(const pf_group *group, int rank, bool outgoing, const void *data,
                      int64_t bytes)
{
    pf_hub *hub = ((const member *)group->state)->hub;
    int here = hub_rank(group, group->rank), there = hub_rank(group, rank);
    int from = outgoing ? here : there, to = outgoing ? there : here;
    return (flow){.ring = &hub->rings[from * hub->size + to], .other = there,
                  .outgoing = outgoing, .header = outgoing ? bytes : 0,
                  .data = (char *)(uintptr_t)data, .bytes = bytes};
}

static pf_status local_all_to_all(pf_group *group, const pf_exchange *e, pf_error *error)
{
    flow flows[2 * PF_GROUP_MAX];
    int count = 0;
    for (int rank = 0; rank < group->size; rank++) {
        const pf_span *to = &e->to[rank], *from = &e->from[rank];
        const char *out = e->out ? (const char *)e->out + to->offset : NULL;
        char *in = e->in ? (char *)e->in + from->offset : NULL;
        if (rank != group->rank) {
            flows[count++] = make_flow(group, rank, true, out, to->bytes);
            flows[count++] = make_flow(group, rank, false, in, from->bytes);
        } else if (to->bytes > 0) {
            memcpy(in, out, (size_t)to->bytes);
        }
    }
    return run_flows(((member *)group->state)->hub, flows, count, error);
}

static pf_status local_send(pf_group *group, int to, const void *data, int64_t bytes,
                            pf_error *error)
{
    flow f = make_flow(group, to, true, data, bytes);
    return run_flows(((member *)group->state)->hub, &f, 1, error);
}

static pf_status local_receive(pf_group *group, int from, void *data, int64_t bytes,
                               pf_error *error)
{
    flow f = make_flow(group, from, false, data, bytes);
    return run_flows(((member *)group->state)->hub, &f, 1, error);
}

static void local_abort(pf_group *group, const char *reason)
{
    pf_hub *hub = ((member *)group->state)->hub;
    lock(hub);
    end_group(hub, reason);
    unlock(hub);
}

static void local_close(pf_group *group)
{
    member *m = group->state;
    if (m->whole) {
        lock(m->hub);
        m->hub->left[group->rank] = true;
        pthread_cond_broadcast(&m->hub->changed);
        unlock(m->hub);
    }
    pf_free(m);
    pf_free(group);
}

/* --- members ---------------------------------------------------------------- */

static pf_status local_split(pf_group *group, int colour, pf_group **out, pf_error *error);

static pf_status make_group(const member *like, int rank, int size, pf_group **out,
                            pf_error *error)
{
    static const pf_group_table table = {
        .all_to_all = local_all_to_all,
        .send = local_send,
        .receive = local_receive,
        .split = local_split,
        .abort = local_abort,
        .close = local_close,
    };
    member *m = pf_alloc(sizeof *m);
    *out = pf_alloc(sizeof **out);
    if (!m || !*out) {
        pf_free(m);
        pf_free(*out);
        *out = NULL;
        return pf_fail_memory(error, "group", sizeof *m + sizeof **out);
    }
    *m = *like;
    **out = (pf_group){rank, size, &table, m};
    return PF_OK;
}

static pf_status local_split(pf_group *group, int colour, pf_group **out, pf_error *error)
{
    const member *m = group->state;
    int colours[PF_GROUP_MAX], size = 0, rank = 0;
    pf_span from[PF_GROUP_MAX];
    for (int i = 0; i < group->size; i++)
        from[i] = (pf_span){i * (int64_t)sizeof colour, sizeof colour};
    PF_TRY(pf_group_all_gather(group, &colour, sizeof colour, colours, from, error));
    member part = {.hub = m->hub};
    for (int i = 0; i < group->size; i++) {
        if (colours[i] != colour)
            continue;
        if (i == group->rank)
            rank = size;
        part.ranks[size++] = m->ranks[i];
    }
    return make_group(&part, rank, size, out, error);
}

pf_status pf_hub_join(pf_hub *hub, int rank, pf_group **out, pf_error *error)
{
    *out = NULL;
    if (rank < 0 || rank >= hub->size)
        return pf_fail(error, PF_E_ARGUMENT, "the rank is %d, but must be 0 to %d", rank,
                       hub->size - 1);
    member all = {.hub = hub, .whole = true};
    for (int i = 0; i < hub->size; i++)
        all.ranks[i] = i;
    lock(hub);
    bool taken = hub->joined[rank];
    hub->joined[rank] = true;
    unlock(hub);
    if (taken)
        return pf_fail(error, PF_E_ARGUMENT, "rank %d has joined the group already", rank);
    return make_group(&all, rank, hub->size, out, error);
}

/* --- the hub ---------------------------------------------------------------- */

/* Shared between processes; the lock tells when a process died with it. */
static int open_locks(pf_hub *hub)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t cond;
    int result = pthread_mutexattr_init(&mutex);
    if (result)
        return result;
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    result = pthread_mutex_init(&hub->mutex, &mutex);
    pthread_mutexattr_destroy(&mutex);
    if (result)
        return result;
    pthread_condattr_init(&cond);
    pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
    result = pthread_cond_init(&hub->changed, &cond);
    pthread_condattr_destroy(&cond);
    return result;
}

pf_status pf_hub_create(int size, double deadline, pf_hub **out, pf_error *error)
{
    *out = NULL;
    if (size < 1 || size > PF_GROUP_MAX)
        return pf_fail(error, PF_E_ARGUMENT, "a group of %d members, but it must have 1 to "
                       "%d", size, PF_GROUP_MAX);
    size_t bytes = sizeof(pf_hub) + (size_t)size * (size_t)size * sizeof(ring);
    pf_hub *hub = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                       0);
    if (hub == MAP_FAILED)
        return pf_fail_errno(error, errno, "cannot map %zu bytes that a group shares",
                             bytes);
    hub->size = size;
    hub->deadline = deadline;
    hub->mapped = bytes;
    int result = open_locks(hub);
    if (result) {
        munmap(hub, bytes);
        return pf_fail_errno(error, result, "cannot make the lock of a group");
    }
    *out = hub;
    return PF_OK;
}

/* The locks are not destroyed: other processes may still wait in them. */
void pf_hub_destroy(pf_hub *hub)
{
    if (hub)
        munmap(hub, hub->mapped);
}
