/* SPDX-License-Identifier: Apache-2.0 */
/* Reference platform: everything that goes element by element.
 * docs/model/numerics.md#elementwise.
 *
 * Tensors may have any strides; work is cut into blocks of the last axis.
 */
#include <assert.h>
#include <math.h>

#include "platform/reference/kernels.h"

enum { BLOCK = 4096 };

/* --- blocks of a tensor of any shape ---------------------------------------- */

typedef struct block {
    int64_t row;                    /* over all axes but the last */
    int64_t first, count;           /* in the last axis */
} block;

static int64_t last_extent(const pf_tensor *t)
{
    return t->rank ? t->shape[t->rank - 1] : 1;
}

static int64_t last_stride(const pf_tensor *t)
{
    return t->rank ? t->stride[t->rank - 1] : 0;
}

static int64_t blocks_in_row(const pf_tensor *t)
{
    return (last_extent(t) + BLOCK - 1) / BLOCK;
}

static int64_t blocks_in(const pf_tensor *t)
{
    int64_t count = blocks_in_row(t);
    for (int i = 0; i < t->rank - 1; i++)
        count *= t->shape[i];
    return count;
}

static block block_at(const pf_tensor *t, int64_t index)
{
    int64_t blocks = blocks_in_row(t), first = index % blocks * BLOCK;
    return (block){index / blocks, first, least(BLOCK, last_extent(t) - first)};
}

/* Where block b begins, in elements. */
static int64_t offset(const pf_tensor *t, const block *b)
{
    int64_t at = b->first * last_stride(t), row = b->row;
    for (int i = t->rank - 2; i >= 0; i--) {
        at += row % t->shape[i] * t->stride[i];
        row /= t->shape[i];
    }
    return at;
}

/* The first element of block b of an F32 tensor. */
static float *address(const pf_tensor *t, const block *b)
{
    return (float *)t->data + offset(t, b);
}

/* Blocks that one piece of work holds: short rows go together. */
static int64_t grain_of(const pf_tensor *t)
{
    int64_t extent = last_extent(t);
    return extent > 0 && extent < BLOCK ? BLOCK / extent : 1;
}

/* --- one operand ------------------------------------------------------------ */

static float unary(const pf_unary_args *a, float x)
{
    switch (a->kind) {
    case PF_UNARY_SILU: return pf_reference_silu(x);
    case PF_UNARY_TANH: return tanhf(x);
    case PF_UNARY_AFFINE: return a->a * x + a->b;
    case PF_UNARY_ROUND_BF16: return pf_round_bf16(x);
    }
    return x;
}

static void unary_blocks(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_unary_args *a = argument;
    int64_t xs = last_stride(&a->x), ys = last_stride(&a->y);
    for (int64_t i = begin; i < end; i++) {
        block b = block_at(&a->y, i);
        const float *x = address(&a->x, &b);
        float *y = address(&a->y, &b);
        for (int64_t j = 0; j < b.count; j++)
            y[j * ys] = round_if(a->numerics.round_bf16, unary(a, x[j * xs]));
    }
}

pf_status pf_reference_unary(pf_platform *platform, const pf_unary_args *args,
                             pf_error *error)
{
    (void)error;
    pf_unary_args copy = *args;
    pf_pool_for(platform->pool, blocks_in(&args->y), grain_of(&args->y),
                unary_blocks, &copy);
    return PF_OK;
}

static void copy_blocks(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_copy_args *a = argument;
    int64_t xs = last_stride(&a->from), ys = last_stride(&a->to);
    for (int64_t i = begin; i < end; i++) {
        block b = block_at(&a->to, i);
        const float *x = address(&a->from, &b);
        int64_t to = offset(&a->to, &b);
        for (int64_t j = 0; j < b.count; j++)
            write_value(&a->to, to + j * ys, round_if(a->numerics.round_bf16, x[j * xs]));
    }
}

pf_status pf_reference_copy(pf_platform *platform, const pf_copy_args *args,
                            pf_error *error)
{
    (void)error;
    pf_copy_args copy = *args;
    pf_pool_for(platform->pool, blocks_in(&args->to), grain_of(&args->to),
                copy_blocks, &copy);
    return PF_OK;
}

static void fill_blocks(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_fill_args *a = argument;
    int64_t ys = last_stride(&a->y);
    for (int64_t i = begin; i < end; i++) {
        block b = block_at(&a->y, i);
        float *y = address(&a->y, &b);
        for (int64_t j = 0; j < b.count; j++)
            y[j * ys] = a->value;
    }
}

pf_status pf_reference_fill(pf_platform *platform, const pf_fill_args *args,
                            pf_error *error)
{
    (void)error;
    pf_fill_args copy = *args;
    pf_pool_for(platform->pool, blocks_in(&args->y), grain_of(&args->y),
                fill_blocks, &copy);
    return PF_OK;
}

/* Rows (c, t, h) of a map. */
static void snake_blocks(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_snake_args *a = argument;
    int64_t xs = last_stride(&a->x), ys = last_stride(&a->y);
    int64_t rows = a->y.shape[1] * a->y.shape[2];
    for (int64_t i = begin; i < end; i++) {
        block b = block_at(&a->y, i);
        float alpha = element_of(&a->alpha, b.row / rows);
        const float *x = address(&a->x, &b);
        float *y = address(&a->y, &b);
        for (int64_t j = 0; j < b.count; j++) {
            float sine = sinf(alpha * x[j * xs]);
            y[j * ys] = x[j * xs] + sine * sine / (alpha + 1e-9f);
        }
    }
}

pf_status pf_reference_snake(pf_platform *platform, const pf_snake_args *args,
                             pf_error *error)
{
    (void)error;
    pf_snake_args copy = *args;
    pf_pool_for(platform->pool, blocks_in(&args->y), grain_of(&args->y),
                snake_blocks, &copy);
    return PF_OK;
}

/* --- two operands ----------------------------------------------------------- */

static void add_blocks(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_add_args *args = argument;
    int64_t as = last_stride(&args->a), bs = last_stride(&args->b);
    int64_t ys = last_stride(&args->y);
    for (int64_t i = begin; i < end; i++) {
        block at = block_at(&args->y, i);
        const float *a = address(&args->a, &at), *b = address(&args->b, &at);
        float *y = address(&args->y, &at);
        for (int64_t j = 0; j < at.count; j++)
            y[j * ys] = round_if(args->numerics.round_bf16, a[j * as] + b[j * bs]);
    }
}

pf_status pf_reference_add(pf_platform *platform, const pf_add_args *args,
                           pf_error *error)
{
    (void)error;
    pf_add_args copy = *args;
    pf_pool_for(platform->pool, blocks_in(&args->y), grain_of(&args->y),
                add_blocks, &copy);
    return PF_OK;
}

/* --- from one shape to another ---------------------------------------------- */

/* Items are rows (c, t, h) of x. */
static void upsample_rows(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_upsample_args *a = argument;
    const int64_t *shape = a->x.shape, *xs = a->x.stride, *ys = a->y.stride;
    for (int64_t row = begin; row < end; row++) {
        int64_t h = row % shape[2], t = row / shape[2] % shape[1];
        int64_t c = row / shape[2] / shape[1];
        const float *x = (const float *)a->x.data + c * xs[0] + t * xs[1] + h * xs[2];
        for (int copy = 0; copy < 2; copy++) {
            float *y = (float *)a->y.data + c * ys[0] + t * ys[1] +
                       (2 * h + copy) * ys[2];
            for (int64_t w = 0; w < 2 * shape[3]; w++)
                y[w * ys[3]] = x[w / 2 * xs[3]];
        }
    }
}

pf_status pf_reference_upsample(pf_platform *platform, const pf_upsample_args *args,
                                pf_error *error)
{
    (void)error;
    pf_upsample_args copy = *args;
    const int64_t *s = args->x.shape;
    pf_pool_for(platform->pool, s[0] * s[1] * s[2], 16, upsample_rows, &copy);
    return PF_OK;
}

static void embed_rows(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_embedding_args *a = argument;
    const int32_t *ids = a->ids.data;
    int64_t width = a->table.shape[1];
    for (int64_t i = begin; i < end; i++) {
        int32_t id = ids[i * a->ids.stride[0]];
        assert(id >= 0 && id < a->table.shape[0]);
        widen(&a->table, id * width, width, row_of(&a->y, i));
    }
}

pf_status pf_reference_embedding(pf_platform *platform,
                                 const pf_embedding_args *args, pf_error *error)
{
    (void)error;
    pf_embedding_args copy = *args;
    pf_pool_for(platform->pool, args->ids.shape[0], 8, embed_rows, &copy);
    return PF_OK;
}

static void lerp_rows(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_lerp_rows_args *a = argument;
    int64_t rows = a->x.shape[0];
    float ratio = (float)rows / (float)a->y.shape[0];
    for (int64_t f = begin; f < end; f++) {
        float s = fmaxf(0.0f, ((float)f + 0.5f) * ratio - 0.5f);
        int64_t i0 = least((int64_t)s, rows - 1), i1 = least(i0 + 1, rows - 1);
        float u = s - (float)i0;
        const float *x0 = row_of(&a->x, i0), *x1 = row_of(&a->x, i1);
        float *y = row_of(&a->y, f);
        for (int64_t c = 0; c < a->y.shape[1]; c++)
            y[c] = round_if(a->numerics.round_bf16,
                            (1.0f - u) * x0[c] + u * x1[c]);
    }
}

pf_status pf_reference_lerp_rows(pf_platform *platform,
                                 const pf_lerp_rows_args *args, pf_error *error)
{
    (void)error;
    pf_lerp_rows_args copy = *args;
    pf_pool_for(platform->pool, args->y.shape[0], 1, lerp_rows, &copy);
    return PF_OK;
}
