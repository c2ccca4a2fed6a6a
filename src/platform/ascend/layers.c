/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of several kernels: what one hands to the next stays bf16, is converted once
 * and does not pass through copies.  docs/ascend.md, "Operators: layers".
 *
 * Outside of what the fused operators take, a layer is put together from the platform's
 * own kernels, as the reference does it.
 */
#include "platform/ascend/limits.h"
#include "platform/ascend/operators.h"
#include "platform/common/common.h"

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
    pf_tensor value[PARTS];             /* of the products, in work or already in: */
    pf_tensor narrow[PARTS];            /* bf16: what attention reads */
    bool waits[PARTS];                  /* the value lies in work as F32, finished */
} attend_run;

static const pf_projection *projection_of(const attend_run *r, int part)
{
    const pf_attend_args *args = r->args;
    return part == Q ? &args->q : part == K ? &args->k : &args->v;
}

/* The first row of one part, in work or in something like it. */
static int64_t begin_of(const attend_run *r, int part)
{
    return part == Q ? 0 : r->queries + (part - 1) * r->keys;
}

/* Rows of the parts [part, end). */
static pf_tensor rows_of(const attend_run *r, pf_tensor like, int part, int end)
{
    int64_t begin = begin_of(r, part);
    return pf_tensor_slice(like, 0, begin, begin_of(r, end) - begin);
}

static pf_tensor work_of(const attend_run *r, int part)
{
    return rows_of(r, r->args->work, part, part + 1);
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
    return r->a->fused && args->numerics.multiply == PF_MULTIPLY_BF16 &&
           !args->numerics.round_bf16 && pf_tensor_is_null(&args->bias) &&
           ascend_has(r->a, ASCEND_FusedInferAttentionScoreV2) &&
           args->q.weight->multiply == PF_MULTIPLY_BF16 &&
           ascend_within(ASCEND_ATTENTION_BATCH, r->groups) &&
           ascend_attention_fits(r->heads, r->dim / r->heads, r->queries / r->groups,
                                 r->keys / r->groups);
}

/* --- what is bf16, and where ---------------------------------------------------------------- */

/* `rows` rows of bf16 in the memory of wider ones, behind `skip` such rows. */
static pf_tensor narrow_rows(pf_tensor wide, int64_t rows, int64_t skip)
{
    char *data = (char *)wide.data + skip * wide.shape[1] * (int64_t)sizeof(uint16_t);
    return pf_matrix(data, PF_BF16, rows, wide.shape[1]);
}

/* Does the product of this part come out as bf16?  Rotations are F32. */
static bool comes_narrow(const attend_run *r, int part)
{
    const pf_projection *p = projection_of(r, part);
    return !is_rotated(r, part) && ascend_projects_narrow(r->a, p->weight, p->bias);
}

/* Values that come narrow leave the room that they would have had in work to q and k. */
static pf_status place_narrow(attend_run *r)
{
    const pf_tensor *work = &r->args->work;
    pf_tensor all;
    if (r->kept) {
        r->narrow[Q] = narrow_rows(r->args->attended, r->queries, 0);
        return PF_OK;
    }
    if (comes_narrow(r, V) && !is_normed(r, V) && r->queries <= r->keys) {
        PF_TRY(ascend_temp(r->a, PF_BF16, 2, (int64_t[]){r->keys, r->dim}, &r->narrow[V]));
        all = narrow_rows(work_of(r, V), r->queries + r->keys, 0);
    } else {
        PF_TRY(ascend_temp(r->a, PF_BF16, 2, work->shape, &all));
        r->narrow[V] = rows_of(r, all, V, PARTS);
    }
    r->narrow[Q] = rows_of(r, all, Q, K);
    r->narrow[K] = rows_of(r, all, K, V);
    return PF_OK;
}

/* --- projections -------------------------------------------------------------------------- */

static pf_status project_part(attend_run *r, int part, pf_tensor x)
{
    const pf_projection *p = projection_of(r, part);
    pf_tensor work = work_of(r, part);
    r->value[part] = work;
    if (comes_narrow(r, part))
        r->value[part] = is_normed(r, part) ? narrow_rows(work, work.shape[0], 0)
                                            : r->narrow[part];
    r->waits[part] = r->value[part].dtype == PF_F32;
    return ascend_project(r->a, p->weight, p->bias, x, r->value[part]);
}

/* All products, their inputs narrowed once. */
static pf_status project_all(attend_run *r)
{
    const pf_attend_args *args = r->args;
    pf_tensor x, condition;
    ascend_mark mark = ascend_scratch_mark(r->a);
    PF_TRY(ascend_dense(r->a, args->x, PF_BF16, &x));
    condition = x;
    if (!r->kept && !ascend_same(&args->x, &args->condition))
        PF_TRY(ascend_dense(r->a, args->condition, PF_BF16, &condition));
    for (int part = Q; part < (r->kept ? K : PARTS); part++)
        PF_TRY(project_part(r, part, part == Q ? x : condition));
    ascend_scratch_rewind(r->a, mark);
    return PF_OK;
}

/* --- norm and rotation --------------------------------------------------------------------- */

static pf_status norm_part(const attend_run *r, int part, pf_tensor y)
{
    return ascend_rms_norm(r->a, r->value[part], projection_of(r, part)->norm,
                           r->args->epsilon, y);
}

/* Room for one part: where the result of attention will be, which nothing needs now. */
static pf_status take_room(const attend_run *r, pf_tensor part, pf_tensor *out)
{
    if (part.shape[0] > r->queries || r->kept)
        return ascend_like(r->a, part, out);
    *out = pf_tensor_slice(r->args->attended, 0, 0, part.shape[0]);
    return PF_OK;
}

/* Rotates what lies in `there`: back to where it waits to be narrowed with the others,
 * or, without the fused operator, in place. */
static pf_status rotate_back(attend_run *r, int part, pf_tensor there)
{
    pf_rope_args args = rotation_of(r, part, there);
    r->waits[part] = ascend_can_rotate(r->a, &args);
    if (r->waits[part])
        return ascend_rotate(r->a, &args, r->value[part]);
    PF_TRY(ascend_rotate_in_place(r->a, &args));
    return ascend_move(r->a, there, r->narrow[part]);
}

static pf_status finish_wide(attend_run *r, int part)
{
    pf_tensor there;
    ascend_mark mark = ascend_scratch_mark(r->a);
    PF_TRY(take_room(r, r->value[part], &there));
    if (is_normed(r, part))
        PF_TRY(norm_part(r, part, there));
    else
        PF_TRY(ascend_move(r->a, r->value[part], there));
    r->waits[part] = false;
    if (is_rotated(r, part))
        PF_TRY(rotate_back(r, part, there));
    else
        PF_TRY(ascend_move(r->a, there, r->narrow[part]));
    ascend_scratch_rewind(r->a, mark);
    return PF_OK;
}

static pf_status finish_part(attend_run *r, int part)
{
    if (!is_normed(r, part) && !is_rotated(r, part))
        return PF_OK;
    if (r->value[part].dtype == PF_BF16)
        return norm_part(r, part, r->narrow[part]);
    return finish_wide(r, part);
}

/* q and k have the same positions: one rotation for both. */
static bool is_pair(const attend_run *r)
{
    const pf_tensor *q = &r->args->q.table.cos, *k = &r->args->k.table.cos;
    if (r->kept || r->queries != r->keys || !is_normed(r, Q) || !is_normed(r, K) ||
        !is_rotated(r, Q) || q->data != k->data || r->queries % q->shape[0] != 0)
        return false;
    pf_tensor both = rows_of(r, r->args->work, Q, V);
    pf_rope_args rotation = rotation_of(r, Q, both);
    return pf_tensor_bytes(&both) <= most_pair_bytes && ascend_can_rotate(r->a, &rotation);
}

static pf_status finish_pair(const attend_run *r)
{
    pf_tensor both = rows_of(r, r->args->work, Q, V), there;
    ascend_mark mark = ascend_scratch_mark(r->a);
    PF_TRY(ascend_like(r->a, both, &there));
    PF_TRY(norm_part(r, Q, rows_of(r, there, Q, K)));
    PF_TRY(norm_part(r, K, rows_of(r, there, K, V)));
    pf_rope_args rotation = rotation_of(r, Q, there);
    PF_TRY(ascend_rotate(r->a, &rotation, both));
    ascend_scratch_rewind(r->a, mark);
    return PF_OK;
}

/* What lies in work still, as bf16: neighbours, which are neighbours there, too, at
 * once. */
static pf_status narrow_rest(const attend_run *r)
{
    for (int part = Q, end; part < PARTS; part = end) {
        end = part + 1;
        if (!r->waits[part])
            continue;
        while (end < PARTS && r->waits[end])
            end++;
        int64_t rows = begin_of(r, end) - begin_of(r, part);
        PF_TRY(ascend_move(r->a, rows_of(r, r->args->work, part, end),
                           narrow_rows(r->narrow[part], rows, 0)));
    }
    return PF_OK;
}

/* --- attention and the last layer ----------------------------------------------------------- */

static pf_tensor as_bsnd(const attend_run *r, pf_tensor rows)
{
    return pf_tensor_reshape(rows, 4, (int64_t[]){r->groups, rows.shape[0] / r->groups,
                                                  r->heads, r->dim / r->heads});
}

static pf_tensor kept_of(pf_tensor kept, int which)
{
    return pf_tensor_drop_first(pf_tensor_slice(kept, 0, which, 1));
}

/* Keys and values that are kept, in one conversion if they need one. */
static pf_status take_kept(attend_run *r)
{
    pf_tensor both = r->args->kept;
    if (both.dtype != PF_BF16)
        PF_TRY(ascend_dense(r->a, both, PF_BF16, &both));
    PF_TRY(ascend_dense(r->a, kept_of(both, 0), PF_BF16, &r->narrow[K]));
    return ascend_dense(r->a, kept_of(both, 1), PF_BF16, &r->narrow[V]);
}

static pf_status attend(attend_run *r, pf_tensor out)
{
    if (r->kept)
        PF_TRY(take_kept(r));
    pf_tensor in[4] = {as_bsnd(r, r->narrow[Q]), as_bsnd(r, r->narrow[K]),
                       as_bsnd(r, r->narrow[V])};
    return ascend_fused_attention(r->a, in, as_bsnd(r, out), r->args->scale);
}

static pf_status attend_fused(attend_run *r)
{
    const pf_attend_args *args = r->args;
    PF_TRY(place_narrow(r));
    PF_TRY(project_all(r));
    if (is_pair(r)) {
        PF_TRY(finish_pair(r));
    } else {
        PF_TRY(finish_part(r, Q));
        if (!r->kept)
            PF_TRY(finish_part(r, K));
    }
    PF_TRY(narrow_rest(r));
    /* The rows of q in work have been used up and take the result. */
    pf_tensor attended = narrow_rows(args->work, r->queries, 0);
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
    return fits(&r) ? attend_fused(&r) : common_attend(platform, args, error);
}

/* --- feed-forward -------------------------------------------------------------------------- */

/* A feed-forward in the memory of `hidden`, which has room for two results of its first
 * layer in bf16: one takes the product, the other what the activation makes of it. */
typedef struct feed_run {
    ascend *a;
    const pf_feed_forward_args *args;
    bool narrow;                        /* the product comes as bf16 */
    pf_tensor product, active;
    void *other;                        /* the memory that active leaves */
    int64_t room;                       /* its bytes */
} feed_run;

static feed_run feed_places(ascend *a, const pf_feed_forward_args *args)
{
    pf_tensor hidden = args->hidden;
    int64_t rows = hidden.shape[0];
    feed_run f = {.a = a, .args = args, .room = pf_tensor_bytes(&hidden) / 2,
                  .narrow = ascend_projects_narrow(a, args->in.weight, args->in.bias)};
    pf_tensor first = narrow_rows(hidden, rows, 0), second = narrow_rows(hidden, rows, rows);
    f.product = f.narrow ? first : hidden;
    f.active = f.narrow ? second : first;
    f.other = f.narrow ? first.data : second.data;
    return f;
}

/* x as bf16, before the activation needs the place. */
static pf_status narrow_x(const feed_run *f, pf_tensor *out)
{
    pf_tensor x = f->args->x;
    *out = pf_matrix(f->active.data, PF_BF16, x.shape[0], x.shape[1]);
    if (!f->narrow || pf_tensor_bytes(out) > f->room)
        return ascend_dense(f->a, x, PF_BF16, out);
    return ascend_move(f->a, x, *out);
}

static pf_status feed_fused(feed_run *f)
{
    const pf_feed_forward_args *args = f->args;
    pf_tensor x, product = f->product;
    ascend_mark mark = ascend_scratch_mark(f->a);
    PF_TRY(narrow_x(f, &x));
    PF_TRY(ascend_project(f->a, args->in.weight, args->in.bias, x, f->product));
    ascend_scratch_rewind(f->a, mark);
    if (!f->narrow)
        PF_TRY(ascend_dense(f->a, f->product, PF_BF16, &product));
    PF_TRY(ascend_gelu_tanh(f->a, product, f->active));
    pf_tensor space = pf_matrix(f->other, PF_F32, args->y.shape[0], args->y.shape[1]);
    bool fits_there = pf_tensor_bytes(&space) <= f->room &&
                      (uintptr_t)f->other % sizeof(float) == 0;
    return ascend_linear_in(f->a, &(pf_linear_args){
        .numerics = args->numerics, .x = f->active, .weight = args->out.weight,
        .bias = args->out.bias, .gate = args->gate, .residual = args->residual,
        .y = args->y}, fits_there ? space : (pf_tensor){0});
}

pf_status ascend_feed_forward(pf_platform *platform, const pf_feed_forward_args *args,
                              pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    bool fused = a->fused && args->numerics.multiply == PF_MULTIPLY_BF16 &&
                 !args->numerics.round_bf16 && args->in.weight->multiply == PF_MULTIPLY_BF16 &&
                 args->activation == PF_ACTIVATION_GELU_TANH;
    if (ascend_is_empty(&args->y))
        return PF_OK;
    feed_run f = feed_places(a, args);
    return fused ? feed_fused(&f) : common_feed_forward(platform, args, error);
}
