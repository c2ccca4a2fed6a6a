/* SPDX-License-Identifier: Apache-2.0 */
/* Linear layers: one product, then the rest of the epilogue in as few operators as
 * possible.  docs/ascend.md, "Operators: products".
 */
#include "platform/ascend/operators.h"

typedef struct linear_run {
    ascend *a;
    const pf_linear_args *args;
    pf_tensor value;                    /* [M, N] F32: the result so far */
} linear_run;

/* May y hold intermediate results?  Not if mul or residual is still to be read there, and not
 * if the last operator computes y from another tensor. */
static bool y_is_free(const pf_linear_args *args)
{
    bool gated = !pf_tensor_is_null(&args->gate) && !pf_tensor_is_null(&args->residual);
    return !gated && pf_tensor_is_contiguous(&args->y) && !pf_ascend_same(&args->y, &args->mul) &&
           !pf_ascend_same(&args->y, &args->residual);
}

static pf_tensor transposed(const pf_weight *weight)
{
    const pf_tensor *w = &weight->source.values;
    pf_dtype dtype = weight->multiply == PF_MULTIPLY_BF16 ? PF_BF16 : PF_F32;
    pf_tensor matrix = pf_matrix(weight->prepared, dtype, w->shape[0], w->shape[1]);
    return pf_tensor_permute(matrix, (int[]){1, 0});
}

bool pf_ascend_projects_narrow(const ascend *a, const pf_weight *weight, pf_tensor bias)
{
    return weight->multiply == PF_MULTIPLY_BF16 &&
           (pf_tensor_is_null(&bias) || a->facts.narrow_products);
}

static pf_status multiply(ascend *a, const pf_weight *weight, pf_tensor bias, pf_tensor x,
                          pf_tensor y)
{
    ascend_call call = pf_ascend_product_call(x, transposed(weight), bias, y,
                                              pf_ascend_weight_is_blocked(a, weight));
    return pf_ascend_launch(a, &call);
}

/* With bf16 weights a product without a bias exists in bf16 only.  Rounded so at worst, it
 * gets its bias in f32. */
pf_status pf_ascend_project(ascend *a, const pf_weight *weight, pf_tensor bias, pf_tensor x,
                            pf_tensor y)
{
    pf_tensor rounded, none = {0};
    if (weight->multiply != PF_MULTIPLY_BF16) {
        PF_TRY(pf_ascend_whole(a, x, &x));
        return multiply(a, weight, bias, x, y);
    }
    PF_TRY(pf_ascend_dense(a, x, PF_BF16, &x));
    if (y.dtype == PF_BF16 || (!pf_tensor_is_null(&bias) && a->facts.mixed_products))
        return multiply(a, weight, bias, x, y);
    PF_TRY(pf_ascend_temp(a, PF_BF16, 2, y.shape, &rounded));
    PF_TRY(multiply(a, weight, none, x, rounded));
    if (pf_tensor_is_null(&bias))
        return pf_ascend_move(a, rounded, y);
    return pf_ascend_combine(a, ASCEND_Add, rounded, pf_ascend_along(bias, 1, 2), y);
}

static pf_status activate(linear_run *r)
{
    pf_tensor activated;
    if (r->args->activation == PF_ACTIVATION_NONE)
        return PF_OK;
    PF_TRY(pf_ascend_like(r->a, r->value, &activated));
    if (y_is_free(r->args))
        activated = r->args->y;
    pf_tensor before = r->value;
    r->value = activated;
    if (r->args->activation == PF_ACTIVATION_SILU)
        return pf_ascend_map(r->a, ASCEND_Silu, before, activated);
    return pf_ascend_gelu_tanh(r->a, before, activated);
}

/* residual + gate * value, with nothing to round between. */
static pf_status gate_into(linear_run *r)
{
    const pf_linear_args *args = r->args;
    pf_tensor gate = pf_ascend_along(args->gate, 1, 2);
    return pf_ascend_multiply_add(r->a, args->residual, (pf_tensor[]){r->value, gate}, 1.0f,
                                  args->y);
}

static pf_status multiply_by_gate(linear_run *r)
{
    const pf_linear_args *args = r->args;
    if (pf_tensor_is_null(&args->gate))
        return PF_OK;
    PF_TRY(pf_ascend_combine(r->a, ASCEND_Mul, r->value, pf_ascend_along(args->gate, 1, 2),
                             r->value));
    return pf_ascend_round_if(r->a, args->numerics.round_bf16, r->value);
}

static pf_status finish(linear_run *r)
{
    const pf_linear_args *args = r->args;
    bool round = args->numerics.round_bf16;
    bool mul = !pf_tensor_is_null(&args->mul);
    bool residual = !pf_tensor_is_null(&args->residual);
    PF_TRY(pf_ascend_round_if(r->a, round, r->value));
    PF_TRY(activate(r));
    if (mul)
        PF_TRY(pf_ascend_combine(r->a, ASCEND_Mul, r->value, args->mul, r->value));
    PF_TRY(pf_ascend_round_if(r->a, round && (mul || args->activation), r->value));
    if (!round && residual && !pf_tensor_is_null(&args->gate))
        return gate_into(r);
    PF_TRY(multiply_by_gate(r));
    if (residual) {
        PF_TRY(pf_ascend_combine(r->a, ASCEND_Add, args->residual, r->value, args->y));
        return pf_ascend_round_if(r->a, round, args->y);
    }
    if (pf_ascend_same(&r->value, &args->y))
        return PF_OK;
    return pf_ascend_move(r->a, r->value, args->y);
}

pf_status pf_ascend_linear_in(ascend *a, const pf_linear_args *args, pf_tensor space)
{
    linear_run r = {a, args, args->y};
    if (!y_is_free(args) || args->activation != PF_ACTIVATION_NONE) {
        if (pf_tensor_is_null(&space))
            PF_TRY(pf_ascend_temp(a, PF_F32, 2, args->y.shape, &space));
        r.value = space;
    }
    PF_TRY(pf_ascend_project(a, args->weight, args->bias, args->x, r.value));
    return finish(&r);
}

pf_status pf_ascend_linear(pf_platform *platform, const pf_linear_args *args,
                           pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    if (ascend_is_empty(&args->y))
        return PF_OK;
    return pf_ascend_linear_in(a, args, (pf_tensor){0});
}
