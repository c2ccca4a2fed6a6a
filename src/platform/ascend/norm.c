/* SPDX-License-Identifier: Apache-2.0 */
/* Norms over rows and over the channels of maps.  docs/ascend.md, "Operators:
 * norms".
 */
#include <math.h>

#include "platform/ascend/operators.h"
#include "platform/common/common.h"

/* --- rows --------------------------------------------------------------------------- */

/* Norm and affine part, in one operator. */
static pf_status layer_norm(ascend *a, const pf_norm_args *args, pf_tensor weight,
                            pf_tensor bias, pf_tensor y)
{
    return pf_ascend_launch(a, &(ascend_call){
        .op = ASCEND_LayerNorm, .in = {args->x, weight, bias}, .out = {y},
        .array = {{1, {args->x.shape[1]}}}, .real = (double)args->epsilon});
}

pf_status pf_ascend_rms_norm(ascend *a, pf_tensor x, pf_tensor gamma, float epsilon,
                             pf_tensor y)
{
    pf_tensor deviations;
    PF_TRY(pf_ascend_temp(a, PF_F32, 2, (int64_t[]){x.shape[0], 1}, &deviations));
    return pf_ascend_launch(a, &(ascend_call){
        .op = ASCEND_RmsNorm, .in = {x, gamma}, .out = {y, deviations},
        .real = (double)epsilon});
}

static pf_status rms_norm(ascend *a, const pf_norm_args *args, pf_tensor y)
{
    pf_tensor gamma = args->weight;
    if (pf_tensor_is_null(&gamma)) {
        PF_TRY(pf_ascend_temp(a, PF_F32, 1, &args->x.shape[1], &gamma));
        PF_TRY(pf_ascend_set(a, gamma, 1.0f));
    }
    PF_TRY(pf_ascend_rms_norm(a, args->x, gamma, args->epsilon, y));
    if (pf_tensor_is_null(&args->bias))
        return PF_OK;
    return pf_ascend_combine(a, ASCEND_Add, y, pf_ascend_along(args->bias, 1, 2), y);
}

/* y = y factor + shift, with roundings between. */
static pf_status modulate(ascend *a, const pf_norm_args *args, pf_tensor y)
{
    bool round = args->numerics.round_bf16, one = args->factor.rank == 1;
    pf_tensor shift = one ? pf_ascend_along(args->shift, 1, 2) : args->shift;
    pf_tensor factor = one ? pf_ascend_along(args->factor, 1, 2) : args->factor;
    PF_TRY(pf_ascend_combine(a, ASCEND_Mul, y, factor, y));
    PF_TRY(pf_ascend_round_if(a, round, y));
    PF_TRY(pf_ascend_combine(a, ASCEND_Add, y, shift, y));
    return pf_ascend_round_if(a, round, y);
}

/* Does one vector of factor and shift serve all rows?  Then the norm's operator takes them as
 * its affine part. */
static bool folds(const pf_norm_args *args)
{
    return args->kind == PF_NORM_LAYER && !args->numerics.round_bf16 &&
           pf_tensor_is_null(&args->weight) && pf_tensor_is_null(&args->bias) &&
           args->factor.rank == 1;
}

static pf_status norm_into(ascend *a, const pf_norm_args *args, pf_tensor y)
{
    bool modulated = !pf_tensor_is_null(&args->factor);
    if (modulated && folds(args))
        return layer_norm(a, args, args->factor, args->shift, y);
    if (args->kind == PF_NORM_LAYER)
        PF_TRY(layer_norm(a, args, args->weight, args->bias, y));
    else
        PF_TRY(rms_norm(a, args, y));
    PF_TRY(pf_ascend_round_if(a, args->numerics.round_bf16, y));
    return modulated ? modulate(a, args, y) : PF_OK;
}

/* Sum, norm and modulation in one operator. */
static bool sums_too(const ascend *a, const pf_norm_args *args)
{
    return a->fused && pf_ascend_has(a, ASCEND_AddLayerNorm) && folds(args) &&
           pf_tensor_is_contiguous(&args->y) && !pf_ascend_same(&args->x, &args->y);
}

static pf_status sum_and_norm(ascend *a, const pf_norm_args *args)
{
    int64_t each[2] = {args->x.shape[0], 1};
    pf_tensor mean, deviation;
    PF_TRY(pf_ascend_temp(a, PF_F32, 2, each, &mean));
    PF_TRY(pf_ascend_temp(a, PF_F32, 2, each, &deviation));
    return pf_ascend_launch(a, &(ascend_call){
        .op = ASCEND_AddLayerNorm,
        .in = {args->x, args->plus, args->factor, args->shift},
        .out = {args->y, mean, deviation, args->sum}, .real = (double)args->epsilon});
}

pf_status pf_ascend_norm(pf_platform *platform, const pf_norm_args *given, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    pf_norm_args own_args = *given, *args = &own_args;
    pf_tensor y = args->y;
    if (ascend_is_empty(&y))
        return PF_OK;
    if (!pf_tensor_is_null(&args->plus) && sums_too(a, args))
        return sum_and_norm(a, args);
    PF_TRY(pf_common_sum_first(platform, args, error));
    bool own = pf_ascend_same(&args->x, &y) || !pf_tensor_is_contiguous(&y);
    if (own)
        PF_TRY(pf_ascend_temp(a, PF_F32, 2, y.shape, &y));
    PF_TRY(norm_into(a, args, y));
    return own ? pf_ascend_move(a, y, args->y) : PF_OK;
}

/* --- channels --------------------------------------------------------------------------- */

pf_status pf_ascend_channel_norm(pf_platform *platform, const pf_channel_norm_args *args,
                                 pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    const int64_t *s = args->x.shape;
    pf_tensor length, divisor, factor, y = args->y;
    if (ascend_is_empty(&y))
        return PF_OK;
    PF_TRY(pf_ascend_temp(a, PF_F32, 4, (int64_t[]){1, s[1], s[2], s[3]}, &length));
    PF_TRY(pf_ascend_like(a, length, &divisor));
    PF_TRY(pf_ascend_like(a, args->gamma, &factor));
    PF_TRY(pf_ascend_reduce(a, ASCEND_Norm, args->x, (ascend_array){1, {0}}, length));
    PF_TRY(pf_ascend_limit_to(a, length, 1e-12f, INFINITY, divisor));
    PF_TRY(pf_ascend_scale(a, args->gamma, sqrtf((float)s[0]), factor));
    PF_TRY(pf_ascend_combine(a, ASCEND_Div, args->x, divisor, y));
    PF_TRY(pf_ascend_combine(a, ASCEND_Mul, y, pf_ascend_along(factor, 0, 4), y));
    return args->silu ? pf_ascend_map(a, ASCEND_Silu, y, y) : PF_OK;
}
