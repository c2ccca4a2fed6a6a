/* SPDX-License-Identifier: Apache-2.0 */
/* The time of an operator on a kind of device.  tests/unit/test_device.c has the driver that
 * counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "platform/common/forecast.h"

/* 2e12 operations of bf16 and 1e12 of vectors a second, 1e10 bytes a second. */
static const pf_device_kind kind = {
    .name = "any", .matrix_cores = 2, .vector_cores = 4, .megahertz = 1000.0,
    .matrix_operations = 1000.0, .vector_operations = 250.0, .bytes_per_second = 1e10};

static double seconds_of(double flops, double bytes, pf_dtype dtype)
{
    pf_tally tally = {0};
    pf_forecast_add(&kind, &(pf_work){flops, bytes, dtype}, &tally);
    assert_int_equal(tally.launches, 1);
    assert_true(tally.flops == flops && tally.bytes == bytes);
    return tally.seconds;
}

static void test_peaks(void **state)
{
    (void)state;
    assert_true(pf_device_kind_peak(&kind, PF_BF16) == 2e12);
    assert_true(pf_device_kind_peak(&kind, PF_F32) == 5e11);
}

static void test_whichever_takes_longer(void **state)
{
    (void)state;
    assert_true(seconds_of(4e12, 1e9, PF_BF16) == 2.0);
    assert_true(seconds_of(4e12, 1e9, PF_F32) == 8.0);
    assert_true(seconds_of(4e12, 1e11, PF_BF16) == 10.0);
    assert_true(seconds_of(0.0, 1e10, PF_F32) == 1.0);
}

static void test_a_tally_grows(void **state)
{
    pf_tally tally = {0};
    (void)state;
    for (int i = 0; i < 3; i++)
        pf_forecast_add(&kind, &(pf_work){.flops = 2e12, .dtype = PF_BF16}, &tally);
    assert_int_equal(tally.launches, 3);
    assert_true(tally.seconds == 3.0 && tally.flops == 6e12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peaks),
        cmocka_unit_test(test_whichever_takes_longer),
        cmocka_unit_test(test_a_tally_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
