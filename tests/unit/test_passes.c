/* SPDX-License-Identifier: Apache-2.0 */
/* The list of passes: every velocity once, from the right prompt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pipeline/passes.h"

/* The prompt of each velocity. */
static const int prompts[PF_VELOCITIES] = {POSITIVE, NEGATIVE, NEGATIVE};

static void check_list(int velocities, bool together, int passes)
{
    pf_pass list[PF_VELOCITIES];
    int predicted = 0;
    int count = pf_passes_list(velocities, together, list);
    assert_int_equal(count, passes);
    for (int i = 0; i < count; i++) {
        assert_int_equal(list[i].first, predicted);
        for (int k = 0; k < list[i].count; k++) {
            int velocity = list[i].first + k;
            assert_int_equal(list[i].prompt + k, prompts[velocity]);
            assert_int_equal(list[i].bridge_off, velocity == PF_VELOCITY_BRIDGE_OFF);
        }
        predicted += list[i].count;
    }
    assert_int_equal(predicted, velocities);
}

static void test_every_velocity_is_predicted_once(void **state)
{
    (void)state;
    check_list(1, false, 1);
    check_list(2, false, 2);
    check_list(3, false, 3);
}

static void test_two_texts_share_a_pass(void **state)
{
    (void)state;
    check_list(1, true, 1);
    check_list(2, true, 1);
    check_list(3, true, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_velocity_is_predicted_once),
        cmocka_unit_test(test_two_texts_share_a_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
