/* SPDX-License-Identifier: Apache-2.0 */
/* The arena where blocks are bounded: what a dry run foresees is what a run takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ops/ops.h"

enum { MOST = 4096 };

static pf_platform *platform;
static pf_status (*allocate_below)(pf_platform *platform, int64_t bytes, void **out,
                                   pf_error *error);
static int64_t blocks, largest;

/* Counts what the arena takes. */
static pf_status allocate(pf_platform *p, int64_t bytes, void **out, pf_error *error)
{
    blocks++;
    largest = bytes > largest ? bytes : largest;
    return allocate_below(p, bytes, out, error);
}

static int open_platform(void **state)
{
    (void)state;
    const pf_platform_options options = {.name = "reference", .threads = 1};
    if (pf_platform_open(&options, &platform, NULL) != PF_OK)
        return -1;
    platform->capabilities.most_block_bytes = MOST;
    allocate_below = platform->table.allocate;
    platform->table.allocate = allocate;
    return 0;
}

static int close_platform(void **state)
{
    (void)state;
    pf_platform_close(platform);
    return 0;
}

/* Tensors of many sizes, some of which are given back on the way; notes where they lie. */
static void run(pf_ops *ops, int64_t *offsets)
{
    static const int64_t floats[] = {100, 900, 60, 1024, 1, 700, 700, 30};
    pf_mark mark = pf_ops_mark(ops);
    for (int round = 0, n = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
            pf_tensor t;
            assert_int_equal(pf_ops_tensor(ops, 1, &floats[i], &t), PF_OK);
            offsets[n++] = ops->in_use;
            if (!ops->dry)              /* that the memory is there */
                ((float *)t.data)[floats[i] - 1] = 1.0f;
            if (i == 2)
                mark = pf_ops_mark(ops);
        }
        pf_ops_rewind(ops, mark);
    }
}

static void test_a_reserved_peak_is_several_blocks(void **state)
{
    (void)state;
    pf_ops dry, ops;
    int64_t foreseen[16], found[16];
    pf_ops_init(&dry, platform, (pf_numerics){0}, true, NULL);
    run(&dry, foreseen);
    assert_true(dry.peak > 2 * MOST);
    blocks = largest = 0;
    pf_ops_init(&ops, platform, (pf_numerics){0}, false, NULL);
    assert_int_equal(pf_ops_reserve(&ops, dry.peak, 0), PF_OK);
    assert_int_equal(blocks, (dry.peak + MOST - 1) / MOST);
    assert_int_equal(largest, MOST);
    int64_t reserved = blocks;
    run(&ops, found);
    assert_int_equal(blocks, reserved);
    assert_int_equal(ops.peak, dry.peak);
    assert_memory_equal(found, foreseen, sizeof found);
    pf_ops_release(&ops);
}

/* The second tensor of 3000 bytes begins behind the cut. */
static void test_no_tensor_lies_across_a_cut(void **state)
{
    (void)state;
    pf_ops dry;
    pf_tensor a, b;
    int64_t floats = 750;
    pf_ops_init(&dry, platform, (pf_numerics){0}, true, NULL);
    assert_int_equal(pf_ops_tensor(&dry, 1, &floats, &a), PF_OK);
    assert_int_equal(pf_ops_tensor(&dry, 1, &floats, &b), PF_OK);
    assert_int_equal((char *)b.data - (char *)a.data, MOST);
}

static void test_a_tensor_above_the_bound_is_refused(void **state)
{
    (void)state;
    pf_error error = {0};
    pf_ops ops;
    pf_tensor t;
    int64_t fits = MOST / 4, beyond = fits + 1;
    for (int dry = 0; dry < 2; dry++) {
        pf_ops_init(&ops, platform, (pf_numerics){0}, dry == 1, &error);
        assert_int_equal(pf_ops_tensor(&ops, 1, &beyond, &t), PF_E_MEMORY);
        assert_string_equal(error.message, "out of memory: a tensor needs 4160 bytes in one "
                            "piece, but the largest block has 4096");
        assert_int_equal(pf_ops_tensor(&ops, 1, &fits, &t), PF_OK);
        pf_ops_release(&ops);
    }
}

static void test_scratch_is_given_back(void **state)
{
    (void)state;
    pf_ops dry;
    pf_scratch scratch;
    pf_ops_init(&dry, platform, (pf_numerics){0}, true, NULL);
    assert_int_equal(pf_ops_scratch(&dry, 0, &scratch), PF_OK);
    assert_null(scratch.memory);
    assert_int_equal(dry.in_use, 0);
    assert_int_equal(pf_ops_scratch(&dry, 100, &scratch), PF_OK);
    assert_non_null(scratch.memory);
    assert_int_equal(scratch.bytes, 100);
    assert_int_equal(dry.in_use, 128);
}

/* Every block costs its own extra bytes. */
static void test_the_cost_of_blocks(void **state)
{
    (void)state;
    const pf_capabilities c = {.block_unit = 32, .block_extra = 10, .most_block_bytes = 100};
    assert_int_equal(pf_block_bytes(&c, 0), 0);
    assert_int_equal(pf_block_bytes(&c, 100), 138);
    assert_int_equal(pf_block_bytes(&c, 101), 138 + 42);
    assert_int_equal(pf_block_bytes(&(pf_capabilities){0}, 101), 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reserved_peak_is_several_blocks),
        cmocka_unit_test(test_no_tensor_lies_across_a_cut),
        cmocka_unit_test(test_a_tensor_above_the_bound_is_refused),
        cmocka_unit_test(test_scratch_is_given_back),
        cmocka_unit_test(test_the_cost_of_blocks),
    };
    return cmocka_run_group_tests(tests, open_platform, close_platform);
}
