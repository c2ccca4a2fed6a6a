/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise kernels, copies, lookups, guidance and the step.
 * docs/ascend.md, "Operators: elementwise" and "Operators: data movement".
 */
#include "base/memory.h"
#include "platform/ascend/operators.h"

/* --- one and two operands ------------------------------------------------------------- */

static pf_status apply(ascend *a, const pf_unary_args *args)
{
    switch (args->kind) {
    case PF_UNARY_SILU: return pf_ascend_map(a, ASCEND_Silu, args->x, args->y);
    case PF_UNARY_TANH: return pf_ascend_map(a, ASCEND_Tanh, args->x, args->y);
    case PF_UNARY_AFFINE:
        if (args->a == 1.0f)
            return pf_ascend_shift(a, args->x, args->b, args->y);
        PF_TRY(pf_ascend_scale(a, args->x, args->a, args->y));
        return args->b == 0.0f ? PF_OK : pf_ascend_shift(a, args->y, args->b, args->y);
    case PF_UNARY_ROUND_BF16:
        break;
    }
    pf_tensor narrow;
    PF_TRY(pf_ascend_temp(a, PF_BF16, args->y.rank, args->y.shape, &narrow));
    PF_TRY(pf_ascend_move(a, args->x, narrow));
    return pf_ascend_move(a, narrow, args->y);
}

pf_status pf_ascend_unary(pf_platform *platform, const pf_unary_args *args,
                          pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    if (ascend_is_empty(&args->y))
        return PF_OK;
    PF_TRY(apply(a, args));
    return pf_ascend_round_if(a, args->numerics.round_bf16, args->y);
}

pf_status pf_ascend_add(pf_platform *platform, const pf_add_args *args,
                        pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    if (ascend_is_empty(&args->y))
        return PF_OK;
    PF_TRY(pf_ascend_combine(a, ASCEND_Add, args->a, args->b, args->y));
    return pf_ascend_round_if(a, args->numerics.round_bf16, args->y);
}

/* --- copies ------------------------------------------------------------------------------ */

pf_status pf_ascend_copy(pf_platform *platform, const pf_copy_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    pf_tensor from = args->from;
    if (ascend_is_empty(&args->to))
        return PF_OK;
    if (args->numerics.round_bf16) {
        PF_TRY(pf_ascend_temp(a, PF_BF16, from.rank, from.shape, &from));
        PF_TRY(pf_ascend_move(a, args->from, from));
    }
    return pf_ascend_move(a, from, args->to);
}

pf_status pf_ascend_fill(pf_platform *platform, const pf_fill_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    return ascend_is_empty(&args->y) ? PF_OK : pf_ascend_set(a, args->y, args->value);
}

/* Each pixel repeated: y as [C, T, H, 2, W, 2] takes x as [C, T, H, 1, W, 1]. */
pf_status pf_ascend_upsample(pf_platform *platform, const pf_upsample_args *args,
                             pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    if (ascend_is_empty(&args->y))
        return PF_OK;
    pf_tensor y = pf_tensor_split(args->y, 3, args->x.shape[3]);
    y = pf_tensor_split(y, 2, args->x.shape[2]);
    pf_tensor x = pf_tensor_split(args->x, 3, args->x.shape[3]);
    x = pf_tensor_split(x, 2, args->x.shape[2]);
    return pf_ascend_move(a, x, y);
}

/* Table and ids lie in host memory, so only the rows are uploaded. */
pf_status pf_ascend_embedding(pf_platform *platform, const pf_embedding_args *args,
                              pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    const pf_tensor *table = &args->table;
    int64_t width = table->shape[1];
    int64_t row = pf_dtype_bytes(table->dtype, width);
    for (int64_t i = 0; i < args->ids.shape[0]; i++) {
        int32_t id = ((const int32_t *)args->ids.data)[i * args->ids.stride[0]];
        float *y = (float *)args->y.data + i * args->y.stride[0];
        PF_TRY(pf_device_upload(&a->device, y, PF_F32, (const char *)table->data + id * row,
                             table->dtype, width));
    }
    return PF_OK;
}

/* --- snake --------------------------------------------------------------------------------- */

pf_status pf_ascend_snake(pf_platform *platform, const pf_snake_args *args,
                          pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    pf_tensor angle, sine, shifted, inverse;
    if (ascend_is_empty(&args->y))
        return PF_OK;
    PF_TRY(pf_ascend_like(a, args->x, &angle));
    PF_TRY(pf_ascend_like(a, args->x, &sine));
    PF_TRY(pf_ascend_like(a, args->alpha, &shifted));
    PF_TRY(pf_ascend_like(a, args->alpha, &inverse));
    PF_TRY(pf_ascend_combine(a, ASCEND_Mul, args->x, pf_ascend_along(args->alpha, 0, 4), angle));
    PF_TRY(pf_ascend_map(a, ASCEND_Sin, angle, sine));
    PF_TRY(pf_ascend_combine(a, ASCEND_Mul, sine, sine, angle));
    PF_TRY(pf_ascend_shift(a, args->alpha, 1e-9f, shifted));
    PF_TRY(pf_ascend_map(a, ASCEND_Reciprocal, shifted, inverse));
    return pf_ascend_multiply_add(a, args->x,
                                  (pf_tensor[]){angle, pf_ascend_along(inverse, 0, 4)}, 1.0f,
                                  args->y);
}

/* --- lerp_rows ------------------------------------------------------------------------------ */

/* y = weights [L, T] x [T, C]; each row of the weights has two entries that are not 0. */
static void fill_weights(float *weights, int64_t rows, int64_t length)
{
    float ratio = (float)rows / (float)length;
    for (int64_t f = 0; f < length; f++) {
        float s = ((float)f + 0.5f) * ratio - 0.5f;
        s = s > 0.0f ? s : 0.0f;
        int64_t i0 = (int64_t)s < rows - 1 ? (int64_t)s : rows - 1;
        int64_t i1 = i0 + 1 < rows ? i0 + 1 : rows - 1;
        float u = s - (float)i0;
        weights[f * rows + i0] += 1.0f - u;
        weights[f * rows + i1] += u;
    }
}

pf_status pf_ascend_lerp_rows(pf_platform *platform, const pf_lerp_rows_args *args,
                              pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    int64_t rows = args->x.shape[0], length = args->y.shape[0];
    pf_tensor weights, y, none = {0};
    if (ascend_is_empty(&args->y))
        return PF_OK;
    float *values = pf_calloc((size_t)(rows * length), sizeof *values);
    if (!values)
        return pf_fail_memory(error, "interpolation", (size_t)(rows * length) * 4);
    fill_weights(values, rows, length);
    pf_status status = pf_ascend_temp(a, PF_F32, 2, (int64_t[]){length, rows}, &weights);
    if (status == PF_OK)
        status = pf_device_upload(&a->device, weights.data, PF_F32, values, PF_F32, rows * length);
    pf_free(values);
    PF_TRY(status);
    PF_TRY(pf_ascend_temp(a, PF_F32, 2, args->y.shape, &y));
    PF_TRY(pf_ascend_product(a, weights, args->x, none, y));
    PF_TRY(pf_ascend_round_if(a, args->numerics.round_bf16, y));
    return pf_ascend_move(a, y, args->y);
}

/* --- the sampler ---------------------------------------------------------------------------- */

static pf_status deviation(ascend *a, pf_tensor x, pf_tensor *out)
{
    PF_TRY(pf_ascend_temp(a, PF_F32, 1, (int64_t[]){1}, out));
    return pf_ascend_reduce(a, ASCEND_Std, x, (ascend_array){1, {0}}, *out);
}

/* base + factor * (x - y), each operation on its own. */
static pf_status lean(ascend *a, pf_tensor base, float factor, const pf_tensor ends[2],
                      pf_tensor out)
{
    pf_tensor difference;
    PF_TRY(pf_ascend_like(a, out, &difference));
    PF_TRY(pf_ascend_combine(a, ASCEND_Sub, ends[0], ends[1], difference));
    PF_TRY(pf_ascend_scale(a, difference, factor, difference));
    return pf_ascend_combine(a, ASCEND_Add, base, difference, out);
}

static pf_status rescale(ascend *a, const pf_guidance_args *args, pf_tensor v,
                         pf_tensor positive)
{
    pf_tensor combined, matched;
    PF_TRY(deviation(a, v, &combined));
    PF_TRY(pf_ascend_like(a, v, &matched));
    PF_TRY(pf_ascend_combine(a, ASCEND_Mul, v, positive, matched));
    PF_TRY(pf_ascend_combine(a, ASCEND_Div, matched, combined, matched));
    PF_TRY(pf_ascend_scale(a, matched, args->rescale, matched));
    PF_TRY(pf_ascend_scale(a, v, 1.0f - args->rescale, v));
    return pf_ascend_combine(a, ASCEND_Add, matched, v, v);
}

pf_status pf_ascend_guidance(pf_platform *platform, const pf_guidance_args *args,
                             pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    pf_tensor v, base = args->negative, positive = {0};
    bool rescaled = args->rescale > 0.0f;
    if (ascend_is_empty(&args->v))
        return PF_OK;
    PF_TRY(pf_ascend_like(a, args->v, &v));
    if (rescaled)
        PF_TRY(deviation(a, args->positive, &positive));
    if (!pf_tensor_is_null(&args->bridge_off)) {
        PF_TRY(pf_ascend_like(a, args->v, &base));
        PF_TRY(lean(a, args->bridge_off, args->bridge_scale,
                    (pf_tensor[]){args->negative, args->bridge_off}, base));
    }
    PF_TRY(lean(a, base, args->scale, (pf_tensor[]){args->positive, args->negative}, v));
    if (rescaled)
        PF_TRY(rescale(a, args, v, positive));
    return pf_ascend_move(a, v, args->v);
}

pf_status pf_ascend_step(pf_platform *platform, const pf_step_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    pf_tensor change;
    if (ascend_is_empty(&args->x))
        return PF_OK;
    PF_TRY(pf_ascend_like(a, args->v, &change));
    PF_TRY(pf_ascend_combine(a, ASCEND_Mul, args->v, args->delta, change));
    return pf_ascend_combine(a, ASCEND_Add, args->x, change, args->x);
}
