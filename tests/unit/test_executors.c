/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of executors (platform/ascend/executors.h) over functions of CANN that only
 * count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/fault.h"
#include "platform/ascend/executors.h"

static int destroyed;                   /* executors */
static bool repeatable;

static aclnnStatus set_repeatable(aclOpExecutor *executor)
{
    (void)executor;
    return repeatable ? 0 : ACLNN_INVALID;
}

static aclnnStatus destroy_executor(aclOpExecutor *executor)
{
    (void)executor;
    destroyed++;
    return 0;
}

static const ascend_api api = {.aclSetAclOpExecutorRepeatable = set_repeatable,
                               .aclDestroyAclOpExecutor = destroy_executor};

static ascend device;

static int open_cache(void **state)
{
    (void)state;
    destroyed = 0;
    repeatable = true;
    device = (ascend){.api = &api};
    return pf_ascend_executors_open(&device.executors, NULL);
}

static int close_cache(void **state)
{
    (void)state;
    pf_ascend_executors_close(&device);
    return 0;
}

/* A call on a matrix of n rows at an address. */
static ascend_key key_of(uintptr_t address, int64_t rows)
{
    ascend_key key;
    pf_tensor x = pf_matrix((void *)address, PF_F32, rows, 4);
    pf_ascend_key_make(&(ascend_call){.op = ASCEND_Silu, .in = {x}, .out = {x}}, &key);
    return key;
}

static bool same(const ascend_key *a, const ascend_key *b)
{
    return a->words == b->words &&
           memcmp(a->word, b->word, (size_t)a->words * sizeof *a->word) == 0;
}

static bool keep(const ascend_key *key)
{
    ascend_executor *slot = pf_ascend_executors_find(device.executors, key);
    return slot && !slot->word &&
           pf_ascend_executors_keep(&device, slot, key, &(ascend_executor){.workspace = 5});
}

static bool is_kept(const ascend_key *key)
{
    const ascend_executor *slot = pf_ascend_executors_find(device.executors, key);
    return slot && slot->word;
}

static void test_addresses_are_no_part_of_a_key(void **state)
{
    (void)state;
    ascend_key a = key_of(1 << 20, 8), b = key_of(1 << 21, 8);
    ascend_key rows = key_of(1 << 20, 9), offset = key_of((1 << 20) + 4, 8);
    assert_true(same(&a, &b));
    assert_false(same(&a, &rows));
    assert_false(same(&a, &offset));    /* the descriptor begins elsewhere */
}

static void test_attributes_are_part_of_a_key(void **state)
{
    ascend_call call = {.op = ASCEND_Clamp, .scalars = 2, .scalar = {0.0f, 1.0f}};
    ascend_key a, b;
    (void)state;
    pf_ascend_key_make(&call, &a);
    call.scalar[0] = -0.0f;
    pf_ascend_key_make(&call, &b);
    assert_false(same(&a, &b));
    call.scalar[0] = 0.0f;
    call.real = 1e-6;
    pf_ascend_key_make(&call, &b);
    assert_false(same(&a, &b));
    call.real = 0.0;
    call.number[1] = 1;
    pf_ascend_key_make(&call, &b);
    assert_false(same(&a, &b));
}

static void test_what_is_kept_is_found(void **state)
{
    (void)state;
    ascend_key key = key_of(1 << 20, 8), other = key_of(1 << 20, 9);
    assert_true(keep(&key));
    assert_true(is_kept(&key) && !is_kept(&other));
    assert_int_equal(pf_ascend_executors_find(device.executors, &key)->workspace, 5);
    pf_ascend_executors_settle(&device);
    assert_true(is_kept(&key));         /* there is room for many more */
    assert_int_equal(destroyed, 0);
}

static void test_what_cannot_be_kept(void **state)
{
    (void)state;
    ascend_key key = key_of(1 << 20, 8);
    repeatable = false;
    assert_false(keep(&key));
    repeatable = true;
    pf_fault_arm(PF_FAULT_ALLOCATION, 1, false);
    assert_false(keep(&key));
    pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
    assert_false(is_kept(&key));
    assert_true(keep(&key));
}

static void test_a_full_cache_is_emptied(void **state)
{
    int kept = 0;
    (void)state;
    for (int64_t rows = 1; rows <= 3500; rows++) {
        ascend_key key = key_of(1 << 20, rows);
        kept += keep(&key);
    }
    assert_true(kept > 3072);
    pf_ascend_executors_settle(&device);
    assert_int_equal(destroyed, kept);
    ascend_key first = key_of(1 << 20, 1);
    assert_false(is_kept(&first));
    assert_true(keep(&first));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_cache, close_cache)
    const struct CMUnitTest tests[] = {
        TEST(test_addresses_are_no_part_of_a_key),
        TEST(test_attributes_are_part_of_a_key),
        TEST(test_what_is_kept_is_found),
        TEST(test_what_cannot_be_kept),
        TEST(test_a_full_cache_is_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
