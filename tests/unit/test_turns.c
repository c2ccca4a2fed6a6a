/* SPDX-License-Identifier: Apache-2.0 */
/* Owners that take turns in a lane of the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <string.h>

#include "server/http/turns.h"

enum { MOST = 32 };

static pf_turn waiting[MOST];

/* A turn a letter, each an owner; '-' is nobody's. */
static void put_all(pf_turns *turns, const char *letters)
{
    static const char *const owners[] = {"a", "b", "c", "d"};
    for (int i = 0; letters[i]; i++) {
        waiting[i].owner = letters[i] == '-' ? "" : owners[letters[i] - 'a'];
        pf_turns_put(turns, &waiting[i]);
    }
}

/* The owners in the order in which one thread gets to them. */
static void expect_order(const char *letters, const char *wanted)
{
    pf_turns turns = {.threads = 1};
    char got[MOST + 1] = "";
    put_all(&turns, letters);
    for (int i = 0; i < MOST; i++) {
        pf_turn *turn = pf_turns_take(&turns);
        if (!turn)
            break;
        got[i] = turn->owner[0] ? turn->owner[0] : '-';
        pf_turns_done(&turns, turn->owner);
    }
    assert_string_equal(got, wanted);
    assert_null(turns.first);
    assert_null(turns.last);
}

static void owners_take_turns(void **unused)
{
    (void)unused;
    expect_order("", "");
    expect_order("a", "a");
    expect_order("aaaa", "aaaa");
    expect_order("aaaab", "abaaa");
    expect_order("aaaabbbbc", "abcababab");
    expect_order("abcabc", "abcabc");
    expect_order("aabbccdd", "abcdabcd");
    expect_order("----", "----");
}

/* Of one owner they come in the order in which they were put, also without keys. */
static void own_ones_stay_in_order(void **unused)
{
    (void)unused;
    for (int k = 0; k < 2; k++) {
        pf_turns turns = {.threads = 2};
        put_all(&turns, k ? "aabaab" : "------");
        int64_t last[2] = {-1, -1};
        pf_turn *turn;
        while ((turn = pf_turns_take(&turns)) != NULL) {
            int who = turn->owner[0] == 'b';
            assert_true(turn - waiting > last[who]);
            last[who] = turn - waiting;
            pf_turns_done(&turns, turn->owner);
        }
        assert_int_equal(last[0], k ? 4 : 5);
    }
}

static void nobody_has_all_threads(void **unused)
{
    (void)unused;
    pf_turns turns = {.threads = 8};
    put_all(&turns, "aaaaaaaaaaaaaaaab");
    for (int i = 0; i < 5; i++)                     /* a, then b, then a three times */
        assert_string_equal(pf_turns_take(&turns)->owner, i == 1 ? "b" : "a");
    assert_null(pf_turns_take(&turns));
    waiting[MOST - 1].owner = "c";
    pf_turns_put(&turns, &waiting[MOST - 1]);       /* who comes late finds a thread */
    assert_ptr_equal(pf_turns_take(&turns), &waiting[MOST - 1]);
    pf_turns_done(&turns, "b");
    assert_null(pf_turns_take(&turns));
    pf_turns_done(&turns, "a");
    assert_string_equal(pf_turns_take(&turns)->owner, "a");
    pf_turns_done(&turns, "nobody");
    assert_null(pf_turns_take(&turns));
}

static void without_keys_all_threads_work(void **unused)
{
    (void)unused;
    pf_turns turns = {.threads = 8};
    put_all(&turns, "------------");
    for (int i = 0; i < 8; i++)
        assert_ptr_equal(pf_turns_take(&turns), &waiting[i]);
    assert_null(pf_turns_take(&turns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_take_turns),
        cmocka_unit_test(own_ones_stay_in_order),
        cmocka_unit_test(nobody_has_all_threads),
        cmocka_unit_test(without_keys_all_threads_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
