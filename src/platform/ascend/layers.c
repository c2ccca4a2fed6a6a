/* Layers of several kernels: what one hands to the next stays bf16, is converted once
 * and does not pass through copies.  docs/ascend.md, "Operators: layers".
 *
 * Outside of what the fused operators take, a layer is put together from the platform's
 * own kernels, as the reference does it.
 */
#include "platform/ascend/limits.h"
#include "platform/ascend/operators.h"
#include "platform/reference/kernels.h"

/* Most memory that norms of q and k may take together, so that one operator rotates
 * both. */
static const int64_t most_pair_bytes = (int64_t)4 << 30;

enum { Q, K, V, PARTS };

typedef struct attend_run {
    ascend *a;
    const pf_attend_args *args;
    int64_t groups, queries, keys;      /* groups; rows of all groups */
    int64_t heads, dim;
    bool kept;                          /* keys and values are there */
    pf_tensor narrow;                   /* bf16: what attention reads, like work */
    bool waits[PARTS];                  /* values lie in work still */
} attend_run;

static const pf_projection *projection_of(const attend_run *r, int part)
{
    const pf_attend_args *args = r->args;
    return part == Q ? &args->q : part == K ? &args->k : &args->v;
}

/* Rows of one part, in work or in something like it. */
static pf_tensor rows_of(const attend_run *r, pf_tensor like, int part)
{
    if (part == Q)
        return pf_tensor_slice(like, 0, 0, r->queries);
    return pf_tensor_slice(like, 0, r->queries + (part - 1) * r->keys, r->keys);
}

static pf_rope_args rotation_of(const attend_run *r, int part, pf_tensor x)
{
    return (pf_rope_args){
        .numerics = r->args->numerics, .form = r->args->form, .x = x,
        .heads = (int)r->heads, .table = projection_of(r, part)->table};
}

static bool is_rotated(const attend_run *r, int part)
{
    return !pf_tensor_is_null(&projection_of(r, part)->table.cos);
}

static bool is_normed(const attend_run *r, int part)
{
    return !pf_tensor_is_null(&projection_of(r, part)->norm);
}

static bool fits(const attend_run *r)
{
    const pf_attend_args *args = r->args;
    return r->a->fused && args->numerics.math == PF_MATH_FAST &&
           !args->numerics.round_bf16 && pf_tensor_is_null(&args->bias) &&
           ascend_has(r->a, ASCEND_FusedInferAttentionScoreV2) &&
           args->q.weight->math == PF_MATH_FAST &&
           ascend_within(ASCEND_ATTENTION_BATCH, r->groups) &&
           ascend_attention_fits(r->heads, r->dim / r->heads, r->queries / r->groups,
                                 r->keys / r->groups);
}

/* --- projections -------------------------------------------------------------------------- */

/* All products as F32 in work, their inputs narrowed once. */
static pf_status project_all(attend_run *r)
{
    const pf_attend_args *args = r->args;
    pf_tensor x, condition;
    ascend_mark mark = ascend_scratch_mark(r->a);
    PF_TRY(ascend_dense(r->a, args->x, PF_BF16, &x));
    condition = x;
    if (!r->kept && !ascend_same(&args->x, &args->condition))
        PF_TRY(ascend_dense(r->a, args->condition, PF_BF16, &condition));
    for (int part = Q; part < (r->kept ? K : PARTS); part++) {
        const pf_projection *p = projection_of(r, part);
        PF_TRY(ascend_project(r->a, p->weight, p->bias, part == Q ? x : condition,
                              rows_of(r, args->work, part)));
        r->waits[part] = true;
    }
    ascend_scratch_rewind(r->a, mark);
    return PF_OK;
}

/* --- norm and rotation --------------------------------------------------------------------- */

static pf_status norm_part(const attend_run *r, int part, pf_tensor x, pf_tensor y)
{
    return ascend_rms_norm(r->a, x, projection_of(r, part)->norm, r->args->epsilon, y);
}

/* Room for one part: where the result of attention will be, which nothing needs now. */
static pf_status take_room(const attend_run *r, pf_tensor part, pf_tensor *out)
{
    if (part.shape[0] > r->queries)
        return ascend_like(r->a, part, out);
    *out = pf_tensor_slice(r->args->attended, 0, 0, part.shape[0]);
    return PF_OK;
}

/* Rotates what lies in `there`: back to where it waits to be narrowed with the others,
 * or, without the fused operator, in place. */
static pf_status rotate_back(attend_run *r, int part, pf_tensor there, pf_tensor value)
{
    pf_rope_args args = rotation_of(r, part, there);
    r->waits[part] = ascend_can_rotate(r->a, &args);
    if (r->waits[part])
        return ascend_rotate(r->a, &args, value);
    PF_TRY(ascend_rotate_in_place(r->a, &args));
    return ascend_move(r->a, there, rows_of(r, r->narrow, part));
}

static pf_status finish_part(attend_run *r, int part)
{
    pf_tensor value = rows_of(r, r->args->work, part), there;
    if (!is_normed(r, part) && !is_rotated(r, part))
        return PF_OK;
    ascend_mark mark = ascend_scratch_mark(r->a);
    PF_TRY(take_room(r, value, &there));
    if (is_normed(r, part))
        PF_TRY(norm_part(r, part, value, there));
    else
        PF_TRY(ascend_move(r->a, value, there));
    r->waits[part] = false;
    if (is_rotated(r, part))
        PF_TRY(rotate_back(r, part, there, value));
    else
        PF_TRY(ascend_move(r->a, there, rows_of(r, r->narrow, part)));
    ascend_scratch_rewind(r->a, mark);
    return PF_OK;
}

/* q and k have the same positions: one rotation for both. */
static bool is_pair(const attend_run *r)
{
    const pf_tensor *q = &r->args->q.table.cos, *k = &r->args->k.table.cos;
    if (r->kept || r->queries != r->keys || !is_normed(r, Q) || !is_normed(r, K) ||
        !is_rotated(r, Q) || q->data != k->data || r->queries % q->shape[0] != 0)
        return false;
    pf_tensor both = pf_tensor_slice(r->args->work, 0, 0, 2 * r->queries);
    pf_rope_args rotation = rotation_of(r, Q, both);
    return pf_tensor_bytes(&both) <= most_pair_bytes && ascend_can_rotate(r->a, &rotation);
}

static pf_status finish_pair(const attend_run *r)
{
    pf_tensor both = pf_tensor_slice(r->args->work, 0, 0, 2 * r->queries), there;
    ascend_mark mark = ascend_scratch_mark(r->a);
    PF_TRY(ascend_like(r->a, both, &there));
    PF_TRY(norm_part(r, Q, rows_of(r, both, Q), rows_of(r, there, Q)));
    PF_TRY(norm_part(r, K, rows_of(r, both, K), rows_of(r, there, K)));
    pf_rope_args rotation = rotation_of(r, Q, there);
    PF_TRY(ascend_rotate(r->a, &rotation, both));
    ascend_scratch_rewind(r->a, mark);
    return PF_OK;
}

/* What lies in work still, as bf16: at once, if it is all of it. */
static pf_status narrow_rest(const attend_run *r)
{
    if (!r->kept && r->waits[Q] && r->waits[K] && r->waits[V])
        return ascend_move(r->a, r->args->work, r->narrow);
    for (int part = Q; part < PARTS; part++)
        if (r->waits[part])
            PF_TRY(ascend_move(r->a, rows_of(r, r->args->work, part),
                               rows_of(r, r->narrow, part)));
    return PF_OK;
}

/* --- attention and the last layer ----------------------------------------------------------- */

static pf_tensor as_bsnd(const attend_run *r, pf_tensor rows)
{
    return pf_tensor_reshape(rows, 4, (int64_t[]){r->groups, rows.shape[0] / r->groups,
                                                  r->heads, r->dim / r->heads});
}

static pf_status attend(const attend_run *r, pf_tensor out)
{
    pf_tensor q = rows_of(r, r->narrow, Q), k, v;
    if (r->kept) {
        pf_tensor both;
        PF_TRY(ascend_dense(r->a, r->args->kept, PF_BF16, &both));
        k = pf_tensor_drop_first(pf_tensor_slice(both, 0, 0, 1));
        v = pf_tensor_drop_first(pf_tensor_slice(both, 0, 1, 1));
    } else {
        k = rows_of(r, r->narrow, K);
        v = rows_of(r, r->narrow, V);
    }
    pf_tensor in[4] = {as_bsnd(r, q), as_bsnd(r, k), as_bsnd(r, v)};
    pf_tensor results[2] = {as_bsnd(r, out)};
    return ascend_fused_attention(r->a, in, results, r->args->scale);
}

/* The same memory as bf16. */
static pf_tensor narrowed(pf_tensor wide)
{
    return pf_tensor_make(wide.data, PF_BF16, wide.rank, wide.shape);
}

static pf_status attend_fused(attend_run *r)
{
    const pf_attend_args *args = r->args;
    PF_TRY(project_all(r));
    PF_TRY(ascend_temp(r->a, PF_BF16, 2, args->work.shape, &r->narrow));
    if (is_pair(r)) {
        PF_TRY(finish_pair(r));
    } else {
        PF_TRY(finish_part(r, Q));
        if (!r->kept)
            PF_TRY(finish_part(r, K));
    }
    PF_TRY(narrow_rest(r));
    /* Work has been used up and takes the result. */
    pf_tensor attended = narrowed(rows_of(r, args->work, Q));
    PF_TRY(attend(r, attended));
    bool room = pf_tensor_same_shape(&args->attended, &args->y);
    return ascend_linear_in(r->a, &(pf_linear_args){
        .numerics = args->numerics, .x = attended, .weight = args->out.weight,
        .bias = args->out.bias, .gate = args->gate, .residual = args->residual,
        .y = args->y}, room ? args->attended : (pf_tensor){0});
}

pf_status ascend_attend(pf_platform *platform, const pf_attend_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    attend_run r = {.a = a, .args = args, .groups = args->groups > 0 ? args->groups : 1,
                    .queries = args->x.shape[0], .heads = args->heads,
                    .dim = args->attended.shape[1],
                    .kept = pf_tensor_is_null(&args->condition)};
    r.keys = r.kept ? args->kept.shape[1] : args->condition.shape[0];
    if (ascend_is_empty(&args->y))
        return PF_OK;
    return fits(&r) ? attend_fused(&r) : reference_attend(platform, args, error);
}

/* --- feed-forward -------------------------------------------------------------------------- */

/* The first product fills `hidden`, which takes the activation's results, too. */
static pf_status feed_fused(ascend *a, const pf_feed_forward_args *args)
{
    pf_tensor x, narrow, active = narrowed(args->hidden);
    ascend_mark mark = ascend_scratch_mark(a);
    PF_TRY(ascend_dense(a, args->x, PF_BF16, &x));
    PF_TRY(ascend_project(a, args->in.weight, args->in.bias, x, args->hidden));
    ascend_scratch_rewind(a, mark);
    PF_TRY(ascend_dense(a, args->hidden, PF_BF16, &narrow));
    PF_TRY(ascend_gelu_tanh(a, narrow, active));
    return ascend_linear_in(a, &(pf_linear_args){
        .numerics = args->numerics, .x = active, .weight = args->out.weight,
        .bias = args->out.bias, .gate = args->gate, .residual = args->residual,
        .y = args->y}, (pf_tensor){0});
}

pf_status ascend_feed_forward(pf_platform *platform, const pf_feed_forward_args *args,
                              pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    bool fused = a->fused && args->numerics.math == PF_MATH_FAST &&
                 !args->numerics.round_bf16 && args->in.weight->math == PF_MATH_FAST &&
                 args->activation == PF_ACTIVATION_GELU_TANH;
    if (ascend_is_empty(&args->y))
        return PF_OK;
    return fused ? feed_fused(a, args) : reference_feed_forward(platform, args, error);
}
