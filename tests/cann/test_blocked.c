/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in the format NZ: which are, that they multiply rightly, and what the platform
 * says where it cannot have them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "emulator_test.h"
#include "platform/platform.h"

enum { ROWS = 3 };

static pf_status open_platform(pf_platform **out, pf_error *error)
{
    return pf_platform_open(&(pf_platform_options){.name = "ascend"}, out, error);
}

static void *upload(pf_platform *p, const float *values, int64_t count)
{
    void *memory;
    assert_int_equal(p->table.allocate(p, 4 * count, &memory, NULL), PF_OK);
    assert_int_equal(pf_platform_upload(p, memory, values, 4 * count, NULL), PF_OK);
    return memory;
}

static float value_at(int64_t i)
{
    return (float)(i * 7 % 5 - 2);
}

static void fill(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = value_at(i);
}

static void assert_product(const float *y, int64_t n, int64_t k, bool bias)
{
    for (int64_t i = 0; i < ROWS * n; i++) {
        float sum = bias ? value_at(i % n) : 0.0f;
        for (int64_t j = 0; j < k; j++)
            sum += value_at(i / n * k + j) * value_at(i % n * k + j);
        assert_true(y[i] == sum);
    }
}

/* Is a layer [n, k] multiplied in blocks?  The values are checked. */
static bool is_blocked(pf_platform *p, int64_t n, int64_t k, pf_multiply multiply, bool bias)
{
    int64_t before = counters()->blocked_products;
    static float host[4096], y[4096];
    pf_weight weight;
    fill(host, 4096);
    const pf_weight_source source = {.kind = PF_WEIGHT_LINEAR,
                                     .values = pf_matrix(host, PF_F32, n, k)};
    assert_int_equal(p->table.weight_fill(p, &source, multiply, NULL, &weight, NULL), PF_OK);
    void *x = upload(p, host, ROWS * k), *b = upload(p, host, n), *to = upload(p, y, ROWS * n);
    pf_linear_args args = {
        .weight = &weight, .x = pf_matrix(x, PF_F32, ROWS, k),
        .y = pf_matrix(to, PF_F32, ROWS, n)};
    if (bias)
        args.bias = pf_vector(b, PF_F32, n);
    assert_int_equal(p->table.linear(p, &args, NULL), PF_OK);
    assert_int_equal(pf_platform_download(p, y, to, 4 * ROWS * n, NULL), PF_OK);
    assert_product(y, n, k, bias);
    p->table.weight_release(p, &weight);
    p->table.release(p, x), p->table.release(p, b), p->table.release(p, to);
    return counters()->blocked_products > before;
}

static void test_blocked_inside_the_limits(void **state)
{
    pf_platform *p = *state;
    for (int bias = 0; bias < 2; bias++) {
        assert_true(is_blocked(p, 16, 16, PF_MULTIPLY_BF16, bias));
        assert_true(is_blocked(p, 48, 64, PF_MULTIPLY_BF16, bias));
        assert_false(is_blocked(p, 24, 16, PF_MULTIPLY_BF16, bias));
        assert_false(is_blocked(p, 16, 40, PF_MULTIPLY_BF16, bias));
        assert_false(is_blocked(p, 1, 16, PF_MULTIPLY_BF16, bias));
        assert_false(is_blocked(p, 16, 16, PF_MULTIPLY_F32, bias));
    }
}

/* Whatever fails while the platform asks, it says so and leaves nothing behind. */
static void test_failures_when_it_is_asked_for(void **state)
{
    static const char *const calls[] = {
        "aclnnTransMatmulWeightGetWorkspaceSize", "aclnnTransMatmulWeight",
        "aclnnMatmulWeightNzGetWorkspaceSize", "aclnnMatmulWeightNz", "aclnnAddmmWeightNz",
    };
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        pf_platform *p = NULL;
        pf_error error = {0};
        fail_nth(calls[i], 1, 161002);
        assert_int_equal(open_platform(&p, &error), PF_E_PLATFORM);
        assert_non_null(strstr(error.message, "161002"));
        fail_nth(NULL, 0, 0);
    }
}

/* A version that takes no f32 bias here adds it by another operator. */
static void test_bias_that_is_not_taken(void **state)
{
    pf_platform *p;
    (void)state;
    fail_nth("aclnnAddmmWeightNzGetWorkspaceSize", 1, 161002);
    assert_int_equal(open_platform(&p, NULL), PF_OK);
    fail_nth(NULL, 0, 0);
    int64_t before = p->tally.launches;
    assert_true(is_blocked(p, 16, 32, PF_MULTIPLY_BF16, true));
    assert_int_equal(p->tally.launches - before, 4);    /* the weight, x, product, sum */
    pf_platform_close(p);
}

static void test_refused_where_it_is_missing(void **state)
{
    pf_platform *p = NULL;
    pf_error error = {0};
    (void)state;
    assert_int_equal(open_platform(&p, &error), PF_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "PHONOFILM_ASCEND_NZ"));
}

static int open_state(void **state)
{
    return open_platform((pf_platform **)state, NULL);
}

static int close_state(void **state)
{
    pf_platform_close(*state);
    return 0;
}

int main(int count, char **words)
{
    const struct CMUnitTest there[] = {
        cmocka_unit_test_setup_teardown(test_blocked_inside_the_limits, open_state,
                                        close_state),
        cmocka_unit_test_setup_teardown(test_failures_when_it_is_asked_for, open_state,
                                        close_state),
        cmocka_unit_test_setup_teardown(test_bias_that_is_not_taken, open_state, close_state),
    };
    const struct CMUnitTest missing[] = {cmocka_unit_test(test_refused_where_it_is_missing)};
    setenv("PHONOFILM_ASCEND_NZ", "1", 1);
    if (count > 1 && strcmp(words[1], "missing") == 0)
        return cmocka_run_group_tests(missing, NULL, NULL);
    return cmocka_run_group_tests(there, NULL, NULL);
}
