/* SPDX-License-Identifier: Apache-2.0 */
/* Reference platform: linear layers.  docs/model/numerics.md#linear. */
#include <math.h>

#include "platform/reference/kernels.h"

enum { DOT_SUMS = 8, ROWS = 16, PIECE = 1024 };

float pf_reference_dot(const float *a, const float *b, int64_t count)
{
    float sum[DOT_SUMS] = {0};
    int64_t i = 0;
    for (; i + DOT_SUMS <= count; i += DOT_SUMS)
        for (int s = 0; s < DOT_SUMS; s++)
            sum[s] += a[i + s] * b[i + s];
    for (; i < count; i++)
        sum[i % DOT_SUMS] += a[i] * b[i];
    float total = 0.0f;
    for (int s = 0; s < DOT_SUMS; s++)
        total += sum[s];
    return total;
}

float pf_reference_silu(float x)
{
    return x / (1.0f + expf(-x));
}

float pf_reference_gelu_tanh(float x)
{
    const float sqrt_2_over_pi = 0.79788456080286535588f;
    float inner = sqrt_2_over_pi * (x + 0.044715f * (x * x * x));
    return 0.5f * x * (1.0f + tanhf(inner));
}

static float activate(pf_activation activation, float x)
{
    switch (activation) {
    case PF_ACTIVATION_GELU_TANH: return pf_reference_gelu_tanh(x);
    case PF_ACTIVATION_SILU: return pf_reference_silu(x);
    default: return x;
    }
}

/* y[m, n] from the product of row m and weight row n. */
static void finish(const pf_linear_args *a, int64_t m, int64_t n, float product)
{
    bool round = a->numerics.round_bf16;
    bool mul = !pf_tensor_is_null(&a->mul), gate = !pf_tensor_is_null(&a->gate);
    float y = product;
    if (!pf_tensor_is_null(&a->bias))
        y += element_of(&a->bias, n);
    y = round_if(round, y);
    if (a->activation != PF_ACTIVATION_NONE)
        y = activate(a->activation, y);
    if (mul)
        y *= row_of(&a->mul, m)[n];
    if (mul || a->activation != PF_ACTIVATION_NONE)
        y = round_if(round, y);
    if (gate)
        y = round_if(round, y * element_of(&a->gate, n));
    if (!pf_tensor_is_null(&a->residual))
        y = round_if(round, row_of(&a->residual, m)[n] + y);
    write_value(&a->y, m * a->y.stride[0] + n, y);
}

/* Columns [begin, end) of y.  A weight row is widened in pieces, each for ROWS
 * rows of x at a time. */
static void columns_of_y(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_linear_args *a = argument;
    const pf_tensor *w = &a->weight->source.values;
    int64_t rows = a->x.shape[0], k = w->shape[1];
    float piece[PIECE], room[PIECE], sum[ROWS];
    for (int64_t n = begin; n < end; n++)
        for (int64_t m = 0; m < rows; m += ROWS) {
            int64_t here = least(ROWS, rows - m);
            for (int64_t i = 0; i < here; i++)
                sum[i] = 0.0f;
            for (int64_t at = 0; at < k; at += PIECE) {
                int64_t count = least(PIECE, k - at);
                widen(w, n * w->stride[0] + at, count, piece);
                for (int64_t i = 0; i < here; i++)
                    sum[i] += pf_reference_dot(read_row(&a->x, m + i, at, count, room), piece,
                                               count);
            }
            for (int64_t i = 0; i < here; i++)
                finish(a, m + i, n, sum[i]);
        }
}

pf_status pf_reference_linear(pf_platform *platform, const pf_linear_args *args,
                              pf_error *error)
{
    (void)error;
    pf_linear_args copy = *args;
    pf_pool_for(platform->pool, args->y.shape[1], 8, columns_of_y, &copy);
    return PF_OK;
}
