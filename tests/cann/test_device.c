/* SPDX-License-Identifier: Apache-2.0 */
/* A device that fails: what is said, and that the next who asks finds one that works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "emulator_test.h"
#include "platform/platform.h"

enum { COLUMNS = 8, MANY = 100 };

static pf_platform *platform;
static pf_tensor row;

static pf_status fill(float value, pf_error *error)
{
    return platform->table.fill(platform, &(pf_fill_args){.value = value, .y = row}, error);
}

static pf_status fetch(float *values, pf_error *error)
{
    return pf_platform_download(platform, values, row.data, pf_tensor_bytes(&row), error);
}

static void works(void)
{
    float values[COLUMNS];
    pf_error error = {0};
    if (fill(2.0f, &error) != PF_OK || fetch(values, &error) != PF_OK)
        fail_msg("%s", error.message);
    assert_true(values[0] == 2.0f && values[COLUMNS - 1] == 2.0f);
    assert_int_equal(counters()->violations, 0);
}

/* An operator fails on the device while others are queued behind it: they are refused
 * before anybody has waited. */
static void test_a_failure_that_nobody_waited_for(void **state)
{
    pf_error error = {0};
    int queued = 0;
    (void)state;
    fail_nth("aclnnInplaceFillScalar", 1, 507015);
    while (queued < MANY && fill(1.0f, &error) == PF_OK)
        queued++;
    assert_true(queued > 0 && queued < MANY);
    assert_non_null(strstr(error.message, "507015 (an exception on an AI core)"));
    works();
}

static void test_a_stream_that_is_not_replaced_at_once(void **state)
{
    float values[COLUMNS];
    pf_error error = {0};
    (void)state;
    fail_nth("aclnnInplaceFillScalar", 1, 507014);
    assert_int_equal(fill(1.0f, &error), PF_OK);
    fail_nth("aclrtCreateStream", 1, 507899);
    assert_int_equal(fetch(values, &error), PF_E_PLATFORM);
    assert_non_null(strstr(error.message, "507014"));
    assert_true(has_failed());
    fail_nth("aclrtCreateStream", 1, 507899);
    assert_int_equal(fill(1.0f, &error), PF_E_PLATFORM);
    assert_non_null(strstr(error.message, "aclrtCreateStream"));
    works();
}

static int open_platform(void **state)
{
    void *memory;
    (void)state;
    if (pf_platform_open(&(pf_platform_options){.name = "ascend"}, &platform, NULL) != PF_OK ||
        platform->table.allocate(platform, 4 * COLUMNS, &memory, NULL) != PF_OK)
        return 1;
    row = pf_matrix(memory, PF_F32, 1, COLUMNS);
    return 0;
}

static int close_platform(void **state)
{
    (void)state;
    platform->table.release(platform, row.data);
    pf_platform_close(platform);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failure_that_nobody_waited_for),
        cmocka_unit_test(test_a_stream_that_is_not_replaced_at_once),
    };
    return cmocka_run_group_tests(tests, open_platform, close_platform);
}
