/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of a platform: formats that are refused, and memory that is given or taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "platform/platform.h"

static const char *const names[] = {"reference", "cpu"};

static float data[2 * 3 * 5];

static pf_platform *open_platform(const char *name)
{
    pf_platform *platform = NULL;
    const pf_platform_options options = {.name = name, .threads = 1};
    assert_int_equal(pf_platform_open(&options, &platform, NULL), PF_OK);
    return platform;
}

/* On every platform, for a layer and for a convolution. */
static void expect_refused(pf_weight_source source, const char *word)
{
    const int64_t shape[5] = {1, 1, 1, 1, 2};
    for (int i = 0; i < 4; i++) {
        const char *name = names[i % 2];
        pf_platform *p = open_platform(name);
        pf_weight weight;
        pf_error error = {0};
        if (i >= 2) {
            source.kind = PF_WEIGHT_CONV;
            source.values = pf_tensor_make(data, source.values.dtype, 5, shape);
        }
        assert_int_equal(p->table.weight_fill(p, &source, PF_MULTIPLY_F32, NULL, &weight,
                                              &error), PF_E_UNSUPPORTED);
        assert_non_null(strstr(error.message, word));
        assert_non_null(strstr(error.message, name));
        pf_platform_close(p);
    }
}

static void test_formats_that_nobody_multiplies(void **state)
{
    (void)state;
    pf_weight_source source = {.kind = PF_WEIGHT_LINEAR,
                               .values = pf_matrix(data, PF_I8, 1, 2)};
    expect_refused(source, "I8");
    source.values.dtype = PF_F32;
    source.scale = pf_vector(data, PF_F32, 1);
    expect_refused(source, "scales");
    source.scale = (pf_tensor){0};
    source.rotation = 64;
    expect_refused(source, "rotated");
}

static void test_layers_stay_where_they_are(void **state)
{
    (void)state;
    const pf_weight_source source = {.kind = PF_WEIGHT_LINEAR,
                                     .values = pf_matrix(data, PF_F32, 2, 3)};
    for (int i = 0; i < 2; i++) {
        pf_platform *p = open_platform(names[i]);
        pf_weight weight;
        assert_int_equal(p->table.weight_bytes(p, &source, PF_MULTIPLY_BF16), 0);
        assert_int_equal(p->table.weight_fill(p, &source, PF_MULTIPLY_BF16, NULL, &weight,
                                              NULL), PF_OK);
        assert_ptr_equal(weight.source.values.data, data);
        assert_int_equal(weight.multiply, PF_MULTIPLY_BF16);
        assert_null(weight.prepared);
        p->table.weight_release(p, &weight);
        pf_platform_close(p);
    }
}

/* The panels of a convolution are equal in memory that is given and that is taken. */
static void test_memory_is_given_or_taken(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * 3 * 5; i++)
        data[i] = (float)i - 7.5f;
    const pf_weight_source source = {
        .kind = PF_WEIGHT_CONV_TRANSPOSED,
        .values = pf_tensor_make(data, PF_F32, 3, (int64_t[]){2, 3, 5})};
    pf_platform *p = open_platform("cpu");
    pf_weight given, taken;
    void *memory = NULL;
    int64_t bytes = p->table.weight_bytes(p, &source, PF_MULTIPLY_F32);
    assert_true(bytes >= pf_tensor_bytes(&source.values));
    assert_int_equal(p->table.allocate(p, bytes, &memory, NULL), PF_OK);
    assert_int_equal(p->table.weight_fill(p, &source, PF_MULTIPLY_F32, memory, &given, NULL),
                     PF_OK);
    assert_int_equal(p->table.weight_fill(p, &source, PF_MULTIPLY_F32, NULL, &taken, NULL),
                     PF_OK);
    assert_ptr_equal(given.prepared, memory);
    assert_ptr_not_equal(taken.prepared, memory);
    assert_memory_equal(given.prepared, taken.prepared, (size_t)bytes);
    p->table.weight_release(p, &given);
    p->table.weight_release(p, &taken);
    assert_null(taken.prepared);
    memset(memory, 0, (size_t)bytes);   /* weight_release left it */
    p->table.release(p, memory);
    pf_platform_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_that_nobody_multiplies),
        cmocka_unit_test(test_layers_stay_where_they_are),
        cmocka_unit_test(test_memory_is_given_or_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
