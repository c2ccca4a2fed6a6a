/* SPDX-License-Identifier: Apache-2.0 */
/* Reference platform: norms.  docs/model/numerics.md#norms.
 * Statistics are f64 sums in two passes, results f32.
 */
#include <math.h>

#include "platform/reference/kernels.h"

/* --- over the columns of a matrix ------------------------------------------- */

typedef struct statistics {
    double mean;                    /* 0 for RMS */
    double inverse;                 /* 1 / sqrt(var + eps) */
} statistics;

static statistics measure(const pf_norm_args *a, const float *x, int64_t count)
{
    double mean = 0.0, squares = 0.0;
    if (a->kind == PF_NORM_LAYER) {
        for (int64_t i = 0; i < count; i++)
            mean += x[i];
        mean /= (double)count;
    }
    for (int64_t i = 0; i < count; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    double variance = squares / (double)count;
    return (statistics){mean, 1.0 / sqrt(variance + (double)a->epsilon)};
}

/* Row m of shift or factor, which one row may serve for all. */
static const float *modulation(const pf_tensor *t, int64_t m)
{
    return t->rank == 1 ? t->data : row_of(t, m);
}

static void normalise(const pf_norm_args *a, int64_t m)
{
    bool round = a->numerics.round_bf16;
    bool modulated = !pf_tensor_is_null(&a->factor);
    const float *x = row_of(&a->x, m);
    const float *shift = modulated ? modulation(&a->shift, m) : NULL;
    const float *factor = modulated ? modulation(&a->factor, m) : NULL;
    int64_t count = a->x.shape[1];
    statistics s = measure(a, x, count);
    for (int64_t i = 0; i < count; i++) {
        float value = (float)((x[i] - s.mean) * s.inverse);
        if (!pf_tensor_is_null(&a->weight))
            value *= element_of(&a->weight, i);
        if (!pf_tensor_is_null(&a->bias))
            value += element_of(&a->bias, i);
        value = round_if(round, value);
        if (modulated) {
            value = round_if(round, value * factor[i]);
            value = round_if(round, value + shift[i]);
        }
        write_value(&a->y, m * a->y.stride[0] + i, value);
    }
}

static void normalise_rows(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    for (int64_t m = begin; m < end; m++)
        normalise(argument, m);
}

pf_status pf_reference_norm(pf_platform *platform, const pf_norm_args *args,
                            pf_error *error)
{
    pf_norm_args copy = *args;
    PF_TRY(pf_common_sum_first(platform, &copy, error));
    pf_pool_for(platform->pool, args->x.shape[0], 4, normalise_rows, &copy);
    return PF_OK;
}

/* --- over the channels of a map --------------------------------------------- */

enum { PIXELS = 64 };

/* Pixels [w, w + count) of one image row. */
static void normalise_pixels(const pf_channel_norm_args *a, const int64_t at[3],
                             int64_t count)
{
    const int64_t *xs = a->x.stride, *ys = a->y.stride;
    const float *x = (const float *)a->x.data + at[0] * xs[1] + at[1] * xs[2] +
                     at[2] * xs[3];
    float *y = (float *)a->y.data + at[0] * ys[1] + at[1] * ys[2] + at[2] * ys[3];
    int64_t channels = a->x.shape[0];
    double squares[PIXELS] = {0};
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < count; i++) {
            double value = x[c * xs[0] + i * xs[3]];
            squares[i] += value * value;
        }
    double root = sqrt((double)channels);
    for (int64_t i = 0; i < count; i++)
        squares[i] = root / fmax(sqrt(squares[i]), 1e-12);
    for (int64_t c = 0; c < channels; c++) {
        float gamma = element_of(&a->gamma, c);
        for (int64_t i = 0; i < count; i++) {
            float value = (float)(x[c * xs[0] + i * xs[3]] * squares[i]) * gamma;
            y[c * ys[0] + i * ys[3]] = a->silu ? pf_reference_silu(value) : value;
        }
    }
}

/* Items are image rows (t, h). */
static void normalise_image_rows(void *argument, int64_t begin, int64_t end,
                                 int worker)
{
    (void)worker;
    const pf_channel_norm_args *a = argument;
    int64_t height = a->x.shape[2], width = a->x.shape[3];
    for (int64_t row = begin; row < end; row++)
        for (int64_t w = 0; w < width; w += PIXELS)
            normalise_pixels(a, (int64_t[3]){row / height, row % height, w},
                             least(PIXELS, width - w));
}

pf_status pf_reference_channel_norm(pf_platform *platform,
                                    const pf_channel_norm_args *args, pf_error *error)
{
    (void)error;
    pf_channel_norm_args copy = *args;
    pf_pool_for(platform->pool, args->x.shape[1] * args->x.shape[2], 1,
                normalise_image_rows, &copy);
    return PF_OK;
}
