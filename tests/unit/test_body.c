/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests: in memory, in a file, beyond their limit, on a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "server/http/body.h"

enum { LARGE = 3 * PF_BODY_SPILL + 100 };

static struct {
    int64_t room;                       /* bytes that may be promised */
    int64_t promised;
} space;

static bool promise(void *user, int64_t bytes)
{
    (void)user;
    if (space.promised + bytes > space.room)
        return false;
    space.promised += bytes;
    return true;
}

static void redeem(void *user, int64_t bytes)
{
    (void)user;
    space.promised -= bytes;
}

static const pf_body_disk disk = {"/tmp", promise, redeem, NULL};

static int begin(void **state)
{
    (void)state;
    space.room = 1 << 30;
    space.promised = 0;
    return 0;
}

static void open_body(pf_body *body, size_t limit)
{
    pf_body_open(body, &disk);
    body->limit = limit;
}

/* Takes `bytes` bytes, each its place modulo 251, in pieces of `piece`. */
static void take(pf_body *body, size_t bytes, size_t piece)
{
    char data[10000];
    for (size_t at = 0; at < bytes;) {
        size_t count = bytes - at < piece ? bytes - at : piece;
        for (size_t i = 0; i < count; i++)
            data[i] = (char)((at + i) % 251);
        pf_body_take(body, data, count);
        at += count;
    }
    pf_body_finish(body);
}

static void expect_bytes(const pf_body *body, size_t bytes)
{
    assert_int_equal(body->error, 0);
    assert_int_equal(body->bytes, bytes);
    for (size_t i = 0; i < bytes; i++)
        if (body->data[i] != (char)(i % 251))
            fail_msg("byte %zu is %d", i, body->data[i]);
}

static void close_body(pf_body *body)
{
    pf_body_free(body);
    assert_int_equal(space.promised, 0);
}

static void small_bodies_stay_in_memory(void **unused)
{
    (void)unused;
    pf_body body;
    open_body(&body, LARGE);
    take(&body, PF_BODY_SPILL, 1000);
    expect_bytes(&body, PF_BODY_SPILL);
    assert_true(body.fd < 0);
    close_body(&body);
    open_body(&body, LARGE);
    take(&body, 0, 1);
    expect_bytes(&body, 0);
    close_body(&body);
}

static void large_bodies_lie_in_a_file(void **unused)
{
    (void)unused;
    pf_body body;
    open_body(&body, LARGE);
    take(&body, LARGE, 9999);
    expect_bytes(&body, LARGE);
    assert_true(body.mapped);
    assert_int_equal(space.promised, 0);
    close_body(&body);
}

/* Space of a known length is set aside at once, and given back as it is written. */
static void space_is_set_aside(void **unused)
{
    (void)unused;
    pf_body body;
    open_body(&body, LARGE);
    pf_body_expect(&body, LARGE);
    assert_int_equal(space.promised, LARGE);
    take(&body, PF_BODY_SPILL + 1000, 1000);
    assert_int_equal(space.promised, LARGE - PF_BODY_SPILL - 1000);
    close_body(&body);
    open_body(&body, LARGE);
    pf_body_expect(&body, PF_BODY_SPILL);       /* memory needs no disk */
    assert_int_equal(space.promised, 0);
    close_body(&body);
}

static void a_full_disk_is_an_error(void **unused)
{
    (void)unused;
    pf_body body;
    space.room = LARGE - 1;
    open_body(&body, LARGE);
    pf_body_expect(&body, LARGE);
    take(&body, LARGE, 1000);
    assert_int_equal(body.error, ENOSPC);
    assert_int_equal(body.bytes, LARGE);        /* counted to its end */
    close_body(&body);
    space.room = 0;                             /* of a length that nobody told */
    open_body(&body, LARGE);
    take(&body, LARGE, 1000);
    assert_int_equal(body.error, ENOSPC);
    assert_true(body.fd < 0);
    close_body(&body);
}

static void the_limit_holds(void **unused)
{
    (void)unused;
    pf_body body;
    open_body(&body, 5000);
    take(&body, 5000, 1000);
    expect_bytes(&body, 5000);
    close_body(&body);
    open_body(&body, 5000);
    take(&body, 5001, 1000);
    assert_int_equal(body.error, EFBIG);
    close_body(&body);
}

static void ignored_bodies_are_counted(void **unused)
{
    (void)unused;
    pf_body body;
    open_body(&body, LARGE);
    body.ignored = true;
    pf_body_expect(&body, LARGE);
    take(&body, LARGE, 1000);
    assert_int_equal(body.error, 0);
    assert_int_equal(body.bytes, LARGE);
    assert_null(body.data);
    assert_true(body.fd < 0);
    close_body(&body);
}

/* Each write that fails is an error, and leaves neither file nor promise. */
static void failing_writes_are_errors(void **unused)
{
    (void)unused;
    pf_body body;
    for (int nth = 1; nth <= 3; nth++) {
        open_body(&body, LARGE);
        pf_body_expect(&body, LARGE);
        pf_fault_arm(PF_FAULT_WRITE, nth, false);
        take(&body, LARGE, 1000);
        pf_fault_arm(PF_FAULT_WRITE, 0, false);
        assert_int_equal(body.error, ENOSPC);
        assert_true(body.fd < 0);
        assert_int_equal(space.promised, 0);
        close_body(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(small_bodies_stay_in_memory, begin),
        cmocka_unit_test_setup(large_bodies_lie_in_a_file, begin),
        cmocka_unit_test_setup(space_is_set_aside, begin),
        cmocka_unit_test_setup(a_full_disk_is_an_error, begin),
        cmocka_unit_test_setup(the_limit_holds, begin),
        cmocka_unit_test_setup(ignored_bodies_are_counted, begin),
        cmocka_unit_test_setup(failing_writes_are_errors, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
