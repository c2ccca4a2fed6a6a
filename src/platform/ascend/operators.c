/* SPDX-License-Identifier: Apache-2.0 */
/* Operators by name.  See operators.h. */
#include "platform/ascend/operators.h"

#include <string.h>

/* --- tensors --------------------------------------------------------------------- */

pf_status pf_ascend_temp(ascend *a, pf_dtype dtype, int rank, const int64_t *shape,
                         pf_tensor *out)
{
    *out = pf_tensor_make(NULL, dtype, rank, shape);
    return pf_device_scratch(&a->device, pf_tensor_bytes(out), &out->data);
}

pf_status pf_ascend_like(ascend *a, pf_tensor shape, pf_tensor *out)
{
    return pf_ascend_temp(a, shape.dtype, shape.rank, shape.shape, out);
}

bool pf_ascend_same(const pf_tensor *a, const pf_tensor *b)
{
    size_t bytes = (size_t)a->rank * sizeof *a->shape;
    return a->data == b->data && a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->shape, b->shape, bytes) == 0 &&
           memcmp(a->stride, b->stride, bytes) == 0;
}

pf_tensor pf_ascend_along(pf_tensor vector, int axis, int rank)
{
    pf_tensor result = vector;
    result.rank = rank;
    for (int i = 0; i < rank; i++) {
        result.shape[i] = i == axis ? vector.shape[0] : 1;
        result.stride[i] = i == axis ? vector.stride[0] : 1;
    }
    return result;
}

/* Gives a tensor without axes one axis, and turns strides of 0 into extents of 1, which
 * operators broadcast as documented. */
static pf_tensor plain(pf_tensor t)
{
    if (t.rank == 0) {
        t.rank = 1;
        t.shape[0] = t.stride[0] = 1;
    }
    for (int i = 0; i < t.rank; i++)
        if (t.stride[i] == 0) {
            t.shape[i] = t.shape[i] > 0 ? 1 : 0;
            t.stride[i] = 1;
        }
    return t;
}

/* Writes broadcast axes out, for operators that do not broadcast. */
static bool repeats(const pf_tensor *t)
{
    for (int i = 0; i < t->rank; i++)
        if (t->stride[i] == 0 && t->shape[i] > 1)
            return true;
    return false;
}

/* --- one tensor -------------------------------------------------------------------- */

pf_status pf_ascend_move(ascend *a, pf_tensor from, pf_tensor to)
{
    bool same = pf_tensor_same_shape(&from, &to) && !repeats(&from);
    if (same && from.dtype != to.dtype && pf_tensor_is_contiguous(&to))
        return pf_ascend_launch(a, &(ascend_call){
            .op = ASCEND_Cast, .in = {plain(from)}, .out = {plain(to)},
            .number = {to.dtype == PF_BF16 ? ACL_BF16 : ACL_FLOAT}});
    return pf_ascend_launch(a, &(ascend_call){
        .op = ASCEND_InplaceCopy, .in = {plain(to), plain(from)}});
}

pf_status pf_ascend_dense(ascend *a, pf_tensor x, pf_dtype dtype, pf_tensor *out)
{
    *out = x;
    if (x.dtype == dtype && pf_tensor_is_contiguous(&x))
        return PF_OK;
    PF_TRY(pf_ascend_temp(a, dtype, x.rank, x.shape, out));
    return pf_ascend_move(a, x, *out);
}

pf_status pf_ascend_whole(ascend *a, pf_tensor x, pf_tensor *out)
{
    *out = x;
    if (!repeats(&x))
        return PF_OK;
    PF_TRY(pf_ascend_like(a, x, out));
    return pf_ascend_move(a, x, *out);
}

pf_status pf_ascend_upright(ascend *a, pf_tensor x, pf_tensor *out)
{
    ascend_array axes = {0};
    *out = x;
    for (int i = 0; i < x.rank; i++)
        if (x.stride[i] < 0) {
            x.data = (char *)x.data +
                     pf_dtype_bytes(x.dtype, (x.shape[i] - 1) * x.stride[i]);
            x.stride[i] = -x.stride[i];
            axes.value[axes.count++] = i;
        }
    if (axes.count == 0)
        return PF_OK;
    pf_tensor mirrored;
    PF_TRY(pf_ascend_like(a, x, &mirrored));
    PF_TRY(pf_ascend_like(a, x, out));
    PF_TRY(pf_ascend_move(a, x, mirrored));
    return pf_ascend_launch(a, &(ascend_call){
        .op = ASCEND_Flip, .in = {mirrored}, .out = {*out}, .array = {axes}});
}

pf_status pf_ascend_set(ascend *a, pf_tensor y, float value)
{
    return pf_ascend_launch(a, &(ascend_call){
        .op = ASCEND_InplaceFillScalar, .in = {plain(y)}, .scalars = 1,
        .scalar = {value}});
}

/* y = call(x), where y may be x and x may repeat. */
static pf_status launch_on(ascend *a, ascend_call *call, pf_tensor x, pf_tensor y)
{
    pf_tensor out = y;
    PF_TRY(pf_ascend_whole(a, x, &x));
    bool own = pf_ascend_same(&x, &y);
    if (own)
        PF_TRY(pf_ascend_like(a, y, &out));
    call->in[0] = plain(x);
    call->out[0] = plain(out);
    PF_TRY(pf_ascend_launch(a, call));
    return own ? pf_ascend_move(a, out, y) : PF_OK;
}

pf_status pf_ascend_map(ascend *a, ascend_operator op, pf_tensor x, pf_tensor y)
{
    return launch_on(a, &(ascend_call){.op = op}, x, y);
}

pf_status pf_ascend_gelu_tanh(ascend *a, pf_tensor x, pf_tensor y)
{
    return launch_on(a, &(ascend_call){.op = ASCEND_GeluV2, .number = {1}}, x, y);
}

pf_status pf_ascend_limit_to(ascend *a, pf_tensor x, float low, float high, pf_tensor y)
{
    return launch_on(a, &(ascend_call){
        .op = ASCEND_Clamp, .scalars = 2, .scalar = {low, high}}, x, y);
}

pf_status pf_ascend_scale(ascend *a, pf_tensor x, float factor, pf_tensor y)
{
    if (pf_ascend_same(&x, &y))
        return pf_ascend_launch(a, &(ascend_call){
            .op = ASCEND_InplaceMuls, .in = {plain(x)}, .scalars = 1,
            .scalar = {factor}});
    return launch_on(a, &(ascend_call){
        .op = ASCEND_Muls, .scalars = 1, .scalar = {factor}}, x, y);
}

pf_status pf_ascend_shift(ascend *a, pf_tensor x, float summand, pf_tensor y)
{
    if (pf_ascend_same(&x, &y))
        return pf_ascend_launch(a, &(ascend_call){
            .op = ASCEND_InplaceAdds, .in = {plain(x)}, .scalars = 2,
            .scalar = {summand, 1.0f}});
    return launch_on(a, &(ascend_call){
        .op = ASCEND_Adds, .scalars = 2, .scalar = {summand, 1.0f}}, x, y);
}

pf_status pf_ascend_reduce(ascend *a, ascend_operator op, pf_tensor x, ascend_array axes,
                           pf_tensor y)
{
    return pf_ascend_launch(a, &(ascend_call){
        .op = op, .in = {x}, .out = {y}, .array = {axes},
        .scalars = op == ASCEND_Norm, .scalar = {2.0f}});
}

pf_status pf_ascend_round_if(ascend *a, bool round, pf_tensor y)
{
    pf_tensor narrow;
    if (!round)
        return PF_OK;
    PF_TRY(pf_ascend_temp(a, PF_BF16, y.rank, y.shape, &narrow));
    PF_TRY(pf_ascend_move(a, y, narrow));
    return pf_ascend_move(a, narrow, y);
}

/* --- several tensors ------------------------------------------------------------------ */

static ascend_operator inplace_of(ascend_operator op)
{
    switch (op) {
    case ASCEND_Add: return ASCEND_InplaceAdd;
    case ASCEND_Sub: return ASCEND_InplaceSub;
    case ASCEND_Mul: return ASCEND_InplaceMul;
    default: return ASCEND_InplaceDiv;
    }
}

pf_status pf_ascend_combine(ascend *a, ascend_operator op, pf_tensor x, pf_tensor z,
                            pf_tensor y)
{
    bool commutes = op == ASCEND_Add || op == ASCEND_Mul;
    PF_TRY(pf_ascend_whole(a, x, &x));
    ascend_call call = {.op = op, .in = {plain(x), plain(z)}, .scalar = {1.0f},
                        .scalars = op == ASCEND_Add || op == ASCEND_Sub};
    if (pf_ascend_same(&y, &z) && commutes && !pf_ascend_same(&y, &x)) {
        call.in[0] = plain(z);
        call.in[1] = plain(x);
        x = z;
    }
    if (pf_ascend_same(&y, &x)) {
        call.op = inplace_of(op);
        return pf_ascend_launch(a, &call);
    }
    pf_tensor out = y;
    bool own = pf_ascend_same(&y, &z);
    if (own)
        PF_TRY(pf_ascend_like(a, y, &out));
    call.out[0] = plain(out);
    PF_TRY(pf_ascend_launch(a, &call));
    return own ? pf_ascend_move(a, out, y) : PF_OK;
}

pf_status pf_ascend_multiply_add(ascend *a, pf_tensor base, const pf_tensor product[2],
                                 float factor, pf_tensor y)
{
    bool own = pf_ascend_same(&base, &y);
    ascend_call call = {
        .op = own ? ASCEND_InplaceAddcmul : ASCEND_Addcmul,
        .in = {plain(base), plain(product[0]), plain(product[1])},
        .scalars = 1, .scalar = {factor}};
    if (!own)
        call.out[0] = plain(y);
    return pf_ascend_launch(a, &call);
}

ascend_call pf_ascend_product_call(pf_tensor x, pf_tensor w, pf_tensor bias, pf_tensor y,
                                   bool blocked)
{
    if (pf_tensor_is_null(&bias))
        return (ascend_call){.op = blocked ? ASCEND_MatmulWeightNz : ASCEND_Mm,
                             .in = {x, w}, .out = {y}, .number = {ACL_KEEP_DTYPE}};
    return (ascend_call){.op = blocked ? ASCEND_AddmmWeightNz : ASCEND_Addmm,
                         .in = {bias, x, w}, .out = {y}, .scalars = 2,
                         .scalar = {1.0f, 1.0f}, .number = {ACL_KEEP_DTYPE}};
}

pf_status pf_ascend_product(ascend *a, pf_tensor x, pf_tensor w, pf_tensor bias,
                            pf_tensor y)
{
    ascend_call call = pf_ascend_product_call(x, w, bias, y, false);
    if (y.rank == 3)
        call.op = ASCEND_BatchMatMul;
    return pf_ascend_launch(a, &call);
}
