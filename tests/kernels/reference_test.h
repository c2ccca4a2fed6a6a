/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the reference platform against values that are known: what the
 * group's set-up opens, and how results are compared.
 */
#ifndef PF_TESTS_KERNELS_REFERENCE_TEST_H
#define PF_TESTS_KERNELS_REFERENCE_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "platform/platform.h"

static pf_platform *platform;

static const pf_numerics plain = {PF_MULTIPLY_F32, false};
static const pf_numerics rounded = {PF_MULTIPLY_F32, true};

static int open_reference(void **state)
{
    (void)state;
    return pf_platform_open(&(pf_platform_options){.name = "reference", .threads = 2},
                            &platform, NULL);
}

static int close_reference(void **state)
{
    (void)state;
    pf_platform_close(platform);
    return 0;
}

#define RUN(slot, ...)                                                         \
    assert_int_equal(platform->table.slot(platform,                            \
                         &(const pf_##slot##_args){__VA_ARGS__}, NULL), PF_OK)

/* Each within `tolerance` of the largest expected value; 0: the same. */
static void expect_near(const float *found, const double *expected, int count,
                        double tolerance)
{
    double most = 0.0;
    for (int i = 0; i < count; i++)
        most = fmax(most, fabs(expected[i]));
    for (int i = 0; i < count; i++)
        if (!(fabs(found[i] - expected[i]) <= tolerance * most))
            fail_msg("value %d is %.9g, expected %.9g", i, (double)found[i],
                     expected[i]);
}

#define EXPECT_NEAR(found, tolerance, ...)                                     \
    expect_near(found, (const double[]){__VA_ARGS__},                          \
                (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)), \
                tolerance)

#define EXPECT_EXACT(found, ...) EXPECT_NEAR(found, 0.0, __VA_ARGS__)

#endif
