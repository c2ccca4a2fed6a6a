/* SPDX-License-Identifier: Apache-2.0 */
/* Mapped files that are cut, changed, replaced or cannot be read while they are mapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/guard.h"

enum { BYTES = 256 << 10, READERS = 6 };

static struct sigaction ours;           /* cmocka sets its own for every test */
static char path[] = "/tmp/pf-guard-XXXXXX";

static void write_file(const char *name, char byte)
{
    static char content[BYTES];
    memset(content, byte, sizeof content);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, content, sizeof content), sizeof content);
    close(fd);
}

static pf_map map_whole(char byte)
{
    pf_map map;
    pf_error error = {0};
    assert_int_equal(sigaction(SIGBUS, &ours, NULL), 0);
    write_file(path, byte);
    assert_int_equal(pf_map_open(path, &map, &error), PF_OK);
    assert_int_equal(map.bytes, BYTES);
    return map;
}

static long sum(const pf_map *map)
{
    long all = 0;
    for (size_t i = 0; i < map->bytes; i++)
        all += *(const volatile unsigned char *)(map->data + i);
    return all;
}

static void expect_state(const pf_map *map, pf_status status, const char *word)
{
    pf_error error = {0};
    assert_int_equal(pf_map_check(map, path, &error), status);
    if (status != PF_OK) {
        assert_non_null(strstr(error.message, path));
        assert_non_null(strstr(error.message, word));
    }
}

/* --- signals that are not ours ------------------------------------------------------- */

/* Touches a page behind the end of a file that nobody registered. */
static void touch_missing_page(void)
{
    int fd = memfd_create("missing", 0);
    volatile char *page = ftruncate(fd, 4096) == 0
                              ? mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (page == MAP_FAILED || ftruncate(fd, 0) != 0)
        _exit(99);
    (void)page[0];
}

static void send_signal(void)
{
    raise(SIGBUS);
}

/* The signal by which a process ends that does this with this handler before ours; 0: it
 * ends by itself. */
static int end_of(void (*handler)(int), void (*act)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_DUMPABLE, 0);              /* no core file */
        struct sigaction action = {.sa_handler = handler};
        sigaction(SIGBUS, &action, NULL);
        if (pf_guard_install(NULL) == PF_OK)
            act();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_the_default_stays(void **state)
{
    (void)state;
    assert_int_equal(end_of(SIG_DFL, touch_missing_page), SIGBUS);
    assert_int_equal(end_of(SIG_DFL, send_signal), SIGBUS);
    assert_int_equal(end_of(SIG_IGN, send_signal), 0);
    assert_int_equal(end_of(SIG_IGN, touch_missing_page), SIGBUS);  /* as without ours */
}

static sigjmp_buf back;
static atomic_int simple_calls, full_calls;

static void simple_handler(int number)
{
    atomic_fetch_add(&simple_calls, number == SIGBUS);
}

static void full_handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    atomic_fetch_add(&full_calls, number == SIGBUS && info->si_code != 0);
    if (info->si_code > 0)
        siglongjmp(back, 1);
}

/* In a process of its own, for handlers are installed once. */
static void test_a_simple_handler_before(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct sigaction action = {.sa_handler = simple_handler};
        sigaction(SIGBUS, &action, NULL);
        pf_guard_install(NULL);
        raise(SIGBUS);
        _exit(atomic_load(&simple_calls) == 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* From here on the handler is there, after one that jumps. */
static void test_the_handler_before_is_called(void **state)
{
    struct sigaction action = {.sa_sigaction = full_handler, .sa_flags = SA_SIGINFO};
    (void)state;
    assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
    assert_int_equal(pf_guard_install(NULL), PF_OK);
    assert_int_equal(pf_guard_install(NULL), PF_OK);    /* not before itself */
    assert_int_equal(sigaction(SIGBUS, NULL, &ours), 0);
    unsigned losses = pf_guard_losses();
    raise(SIGBUS);
    assert_int_equal(atomic_load(&full_calls), 1);
    if (sigsetjmp(back, 1) == 0) {
        touch_missing_page();
        fail();
    }
    assert_int_equal(atomic_load(&full_calls), 2);
    assert_int_equal(pf_guard_losses(), losses);
}

/* --- files ---------------------------------------------------------------------------- */

static void test_a_cut_file_reads_as_zeros(void **state)
{
    (void)state;
    pf_map other = map_whole(1);                /* of the same content, and not cut */
    unlink(path);
    pf_map map = map_whole(1);
    assert_int_equal(sum(&map), BYTES);
    expect_state(&map, PF_OK, "");
    assert_int_equal(truncate(path, 1000), 0);
    expect_state(&map, PF_E_MODEL, "has 1000 of 262144 bytes");
    assert_false(pf_map_is_lost(&map));         /* nobody has touched it */
    unsigned losses = pf_guard_losses();
    assert_int_equal(sum(&map), 1000);          /* then zeros: first the rest of its page */
    assert_true(pf_map_is_lost(&map));
    assert_int_equal(pf_guard_losses(), losses + 1);
    assert_int_equal(sum(&map), 0);             /* the map is gone as a whole */
    expect_state(&map, PF_E_MODEL, "cut");
    assert_int_equal(sum(&other), BYTES);
    assert_false(pf_map_is_lost(&other));
    pf_map_close(&map);
    pf_map_close(&other);
}

static void *read_it(void *map)
{
    return (void *)(intptr_t)(sum(map) < BYTES);
}

static void test_any_thread_may_read(void **state)
{
    pthread_t readers[READERS];
    (void)state;
    pf_map map = map_whole(1);
    assert_int_equal(truncate(path, 0), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_it, &map), 0);
    for (int i = 0; i < READERS; i++) {
        void *less = NULL;
        pthread_join(readers[i], &less);
        assert_non_null(less);
    }
    assert_true(pf_map_is_lost(&map));
    pf_map_close(&map);
    map = map_whole(2);                         /* the number of a range is used again */
    assert_false(pf_map_is_lost(&map));
    pf_map_close(&map);
}

/* Content that went away and came back at the time it had: what a drive does that fails. */
static void test_a_page_that_cannot_be_read(void **state)
{
    struct stat info;
    (void)state;
    pf_map map = map_whole(1);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(sum(&map), 0);
    write_file(path, 1);
    const struct timespec times[2] = {info.st_atim, info.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    expect_state(&map, PF_E_IO, "could not be read");
    pf_map_close(&map);
}

static void test_a_changed_file(void **state)
{
    (void)state;
    pf_map map = map_whole(1);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    expect_state(&map, PF_E_IO, "was changed");
    pf_map_close(&map);
    map = map_whole(1);
    assert_int_equal(truncate(path, BYTES + 1), 0);
    expect_state(&map, PF_E_IO, "was changed");
    pf_map_close(&map);
}

/* Its name is another file's: what is mapped is what it was. */
static void test_a_replaced_file(void **state)
{
    char other[sizeof path + 4];
    (void)state;
    snprintf(other, sizeof other, "%s.new", path);
    pf_map map = map_whole(1);
    write_file(other, 2);
    assert_int_equal(rename(other, path), 0);
    expect_state(&map, PF_OK, "");
    assert_int_equal(sum(&map), BYTES);
    assert_int_equal(unlink(path), 0);
    expect_state(&map, PF_OK, "");
    pf_map_close(&map);
}

static void test_a_map_is_renewed_in_its_place(void **state)
{
    (void)state;
    pf_map map = map_whole(1), fresh;
    const unsigned char *place = map.data;
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(sum(&map), 0);
    write_file(path, 3);
    assert_int_equal(pf_map_open(path, &fresh, NULL), PF_OK);
    assert_int_equal(pf_map_replace(&map, &fresh, path, NULL), PF_OK);
    assert_null(fresh.data);
    assert_ptr_equal(map.data, place);
    assert_int_equal(sum(&map), 3 * BYTES);
    expect_state(&map, PF_OK, "");
    assert_int_equal(truncate(path, 0), 0);     /* and is watched as before */
    assert_int_equal(sum(&map), 0);
    assert_true(pf_map_is_lost(&map));
    pf_map_close(&map);
}

static int begin(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_default_stays),
        cmocka_unit_test(test_a_simple_handler_before),
        cmocka_unit_test(test_the_handler_before_is_called),
        cmocka_unit_test(test_a_cut_file_reads_as_zeros),
        cmocka_unit_test(test_any_thread_may_read),
        cmocka_unit_test(test_a_page_that_cannot_be_read),
        cmocka_unit_test(test_a_changed_file),
        cmocka_unit_test(test_a_replaced_file),
        cmocka_unit_test(test_a_map_is_renewed_in_its_place),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
