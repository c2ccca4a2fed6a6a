/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a device's blocks against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "platform/common/blocks.h"

enum { BLOCKS = 6000, STEPS = 60000, SIZES = 7, STRIDE = 1024 };

static struct {
    bool exists;
    int64_t bytes;
    pf_block_state state;
} naive[BLOCKS];

static char *const base = (char *)((uintptr_t)1 << 44);

/* Addresses in an order that is not that of the numbers. */
static char *address_of(int number)
{
    return base + (int64_t)((number * 4177) % BLOCKS) * STRIDE;
}

static int number_of(const char *address)
{
    for (int i = 0; i < BLOCKS; i++)
        if (address_of(i) == address)
            return i;
    fail_msg("an address that nobody added");
    return 0;
}

static bool naive_has_kept(int64_t bytes)
{
    for (int i = 0; i < BLOCKS; i++)
        if (naive[i].exists && naive[i].state == PF_BLOCK_KEPT && naive[i].bytes == bytes)
            return true;
    return false;
}

static void add(pf_blocks *list, int number, int64_t bytes)
{
    assert_true(pf_blocks_reserve(list));
    pf_blocks_add(list, address_of(number), bytes);
    naive[number].exists = true;
    naive[number].bytes = bytes;
    naive[number].state = PF_BLOCK_USED;
}

static void give(pf_blocks *list, int number, bool hold)
{
    pf_blocks_give(list, address_of(number), hold);
    if (naive[number].state == PF_BLOCK_USED)
        naive[number].state = hold ? PF_BLOCK_HELD : PF_BLOCK_KEPT;
}

static void take(pf_blocks *list, int64_t bytes)
{
    char *memory = pf_blocks_take(list, bytes);
    assert_true((memory != NULL) == naive_has_kept(bytes));
    if (!memory)
        return;
    int number = number_of(memory);
    assert_int_equal(naive[number].state, PF_BLOCK_KEPT);
    assert_int_equal(naive[number].bytes, bytes);
    naive[number].state = PF_BLOCK_USED;
}

static void look(const pf_blocks *list, int number)
{
    int64_t bytes = naive[number].bytes;
    const pf_block *inside = pf_blocks_find(list, address_of(number) + bytes - 1);
    assert_true((inside != NULL) == naive[number].exists);
    if (!inside)
        return;
    assert_ptr_equal(inside->memory, address_of(number));
    assert_int_equal(inside->state, naive[number].state);
    assert_null(pf_blocks_find(list, address_of(number) + bytes));
}

/* More blocks than a film of 720p has weights. */
static void test_against_a_plain_list(void **state)
{
    pf_blocks list = {0};
    int added = 0;
    (void)state;
    srand48(5);
    for (int step = 0; step < STEPS; step++) {
        int number = (int)(lrand48() % BLOCKS);
        int64_t bytes = 64 * (1 + lrand48() % SIZES);
        if (!naive[number].exists && step % 4 < 3) {
            add(&list, number, bytes);
            added++;
        } else if (naive[number].exists && step % 4 == 1) {
            give(&list, number, step % 8 == 1);
        } else if (step % 4 == 2 && step % 64 == 2) {
            take(&list, bytes);
        }
        naive[number].bytes = naive[number].exists ? naive[number].bytes : 64;
        look(&list, number);
    }
    assert_int_equal(list.count, added);
    assert_true(added > 4096);
    int kept = list.kept_count, dropped = 0;
    while (pf_blocks_drop(&list))
        dropped++;
    assert_int_equal(dropped, kept);
    assert_int_equal(list.count, added - kept);
    pf_blocks_unhold(&list);
    assert_true(list.kept_count > 0);
    pf_blocks_close(&list);
}

static void test_what_is_not_a_block(void **state)
{
    pf_blocks list = {0};
    (void)state;
    assert_null(pf_blocks_find(&list, base));
    assert_null(pf_blocks_take(&list, 64));
    assert_null(pf_blocks_drop(&list));
    assert_true(pf_blocks_reserve(&list));
    pf_blocks_add(&list, base, 64);
    pf_blocks_give(&list, base + 1, false);
    assert_null(pf_blocks_take(&list, 64));
    assert_null(pf_blocks_find(&list, base - 1));
    pf_blocks_give(&list, base, false);
    pf_blocks_give(&list, base, false);             /* twice */
    assert_int_equal(list.kept_count, 1);
    assert_ptr_equal(pf_blocks_take(&list, 64), base);
    pf_blocks_close(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_plain_list),
        cmocka_unit_test(test_what_is_not_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
