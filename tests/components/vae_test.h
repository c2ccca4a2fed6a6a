/* SPDX-License-Identifier: Apache-2.0 */
/* Small random models for the tests of components: named tensors that are written to a
 * file and opened through the library.  Values come from a fixed sequence, so
 * the same names in the same order give the same model. */
#ifndef PF_TESTS_VAE_TEST_H
#define PF_TESTS_VAE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/memory.h"
#include "model/params.h"
#include "ops/ops.h"
#include "weights/weights.h"

enum { RECIPE_TENSORS = 1024 };

typedef struct recipe {
    pf_named_tensor tensor[RECIPE_TENSORS];
    char name[RECIPE_TENSORS][96];
    int count;
    uint32_t seed;
} recipe;

/* -1 .. 1 */
static inline float recipe_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 8388608.0f - 1.0f;
}

/* A tensor of centre + amplitude * random values. */
__attribute__((format(printf, 6, 7)))
static inline void recipe_add(recipe *r, int rank, const int64_t *shape, float centre,
                              float amplitude, const char *format, ...)
{
    va_list args;
    assert_true(r->count < RECIPE_TENSORS);
    va_start(args, format);
    vsnprintf(r->name[r->count], sizeof r->name[0], format, args);
    va_end(args);
    pf_tensor t = pf_tensor_make(NULL, PF_F32, rank, shape);
    float *values = pf_alloc((size_t)pf_tensor_bytes(&t));
    assert_non_null(values);
    for (int64_t i = 0; i < pf_tensor_count(&t); i++)
        values[i] = centre + amplitude * recipe_random(&r->seed);
    t.data = values;
    r->tensor[r->count] = (pf_named_tensor){r->name[r->count], t};
    r->count++;
}

/* STEM.weight of this shape, scaled so that activations keep their size, and
 * STEM.bias [bias]. */
static inline void recipe_layer(recipe *r, int rank, const int64_t *shape, int64_t bias,
                                const char *stem)
{
    int64_t fan = 1;
    for (int i = 1; i < rank; i++)
        fan *= shape[i];
    recipe_add(r, rank, shape, 0.0f, sqrtf(3.0f / (float)fan), "%s.weight", stem);
    recipe_add(r, 1, &bias, 0.0f, 0.1f, "%s.bias", stem);
}

static inline void recipe_free(recipe *r)
{
    for (int i = 0; i < r->count; i++)
        pf_free(r->tensor[i].tensor.data);
    free(r);
}

/* Writes the recipe to a file that is gone from its folder once it is open. */
static inline pf_weights *recipe_open(const recipe *r)
{
    char path[] = "/tmp/phonofilm-test-XXXXXX";
    pf_error error = {0};
    pf_weights *weights = NULL;
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    if (pf_safetensors_write(path, r->tensor, r->count, NULL, &error) != PF_OK ||
        pf_weights_open_file(path, "", &weights, &error) != PF_OK)
        fail_msg("%s", error.message);
    unlink(path);
    return weights;
}

/* Parameters of weights that are to be multiplied in f32. */
static inline pf_params *test_params(pf_weights *weights, bool round)
{
    pf_error error = {0};
    pf_params *params = NULL;
    if (pf_params_open(weights, (pf_numerics){PF_MULTIPLY_F32, round}, &params, &error) !=
        PF_OK)
        fail_msg("%s", error.message);
    return params;
}

static inline pf_platform *test_platform(const char *name)
{
    pf_error error = {0};
    pf_platform *platform = NULL;
    const pf_platform_options options = {.name = name};
    if (pf_platform_open(&options, &platform, &error) != PF_OK)
        fail_msg("%s", error.message);
    return platform;
}

/* Runs `body` with the first, second, ... allocation failing until none does: each time
 * it must end with PF_E_MEMORY and a message.  `body` takes over the weights. */
static inline void fail_each_allocation(const recipe *r, void *user,
                                        pf_status (*body)(void *user, pf_weights *weights,
                                                          pf_error *error))
{
    for (int64_t n = 1; n < 10000; n++) {
        pf_error error = {0};
        pf_weights *weights = recipe_open(r);
        pf_fault_arm(PF_FAULT_ALLOCATION, n, false);
        pf_status status = body(user, weights, &error);
        pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
        if (status == PF_OK && n > 1)
            return;
        assert_int_equal(status, PF_E_MEMORY);
        assert_true(error.message[0] != '\0');
    }
    fail_msg("every allocation failed");
}

static inline float *random_values(int64_t count, uint32_t seed)
{
    float *values = pf_alloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = recipe_random(&seed);
    return values;
}

#endif
