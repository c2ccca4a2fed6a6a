/* SPDX-License-Identifier: Apache-2.0 */
/* Structs that begin with their size: older, newer and forgotten sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/sized.h"

typedef struct older {
    size_t size;
    int a;
} older;

typedef struct known {
    size_t size;
    int a;
    double b;
} known;

typedef struct newer {
    size_t size;
    int a;
    double b;
    int c;
} newer;

static const known given = {sizeof(known), 1, 2.0};

static void test_nothing_is_written_behind_an_older_struct(void **state)
{
    struct {
        older it;
        char guard[64];
    } room;
    char untouched[sizeof room.guard];
    (void)state;
    memset(&room, 0x5a, sizeof room);
    memset(untouched, 0x5a, sizeof untouched);
    room.it.size = sizeof room.it;
    pf_sized_give(&room.it, &given, sizeof given);
    assert_int_equal(room.it.size, sizeof room.it);
    assert_int_equal(room.it.a, 1);
    assert_memory_equal(room.guard, untouched, sizeof untouched);
}

static void test_a_newer_struct_keeps_the_rest(void **state)
{
    newer it = {.size = sizeof it, .c = 7};
    (void)state;
    pf_sized_give(&it, &given, sizeof given);
    assert_int_equal(it.size, sizeof it);
    assert_true(it.a == 1 && it.b == 2.0 && it.c == 7);
}

static void test_a_struct_without_size_is_left_alone(void **state)
{
    known it = {.a = 5};
    pf_error error = {0};
    (void)state;
    pf_sized_give(&it, &given, sizeof given);
    assert_true(it.size == 0 && it.a == 5);
    assert_int_equal(pf_sized_check(&it, sizeof it.size + 1, "known", &error),
                     PF_E_ARGUMENT);
    assert_non_null(strstr(error.message, "PF_INIT(known)"));
}

static void test_taking(void **state)
{
    older old = {sizeof old, 3};
    newer later = {.size = sizeof later, .a = 4, .b = 5.0};
    known own;
    pf_error error = {0};
    (void)state;
    assert_int_equal(pf_sized_take(&own, sizeof own, &old, "known", &error), PF_OK);
    assert_true(own.size == sizeof own && own.a == 3 && own.b == 0.0);
    assert_int_equal(pf_sized_take(&own, sizeof own, &later, "known", &error), PF_OK);
    assert_true(own.size == sizeof own && own.a == 4 && own.b == 5.0);
    later.c = 1;                        /* would have no effect */
    assert_int_equal(pf_sized_take(&own, sizeof own, &later, "known", &error),
                     PF_E_UNSUPPORTED);
    later.size = 0;
    assert_int_equal(pf_sized_take(&own, sizeof own, &later, "known", &error),
                     PF_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_written_behind_an_older_struct),
        cmocka_unit_test(test_a_newer_struct_keeps_the_rest),
        cmocka_unit_test(test_a_struct_without_size_is_left_alone),
        cmocka_unit_test(test_taking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
