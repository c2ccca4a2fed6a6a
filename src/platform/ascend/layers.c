/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of several kernels: results between operators stay bf16 and are converted once, without
 * further copies.  docs/ascend.md, "Operators: layers".
 *
 * Scratch memory of an attend (place_attend; rows x D):
 *
 *     direct     bf16   products that attention reads as they are (v; q of the text)
 *     products   f32    products that are normed or rotated, one behind the other: all
 *                       that wait here are narrowed by one operator
 *                bf16   products that are only normed
 *     shared            x and the condition as bf16, until they are multiplied;
 *                       results of norms, until they are rotated back into products;
 *                       the result of attention
 *     narrowed   bf16   what attention reads of the products; in the memory of x where
 *                       x is spent and large enough
 *
 * Outside of what the fused operators take, a layer is put together from the platform's
 * own kernels, as the reference does it.
 */
#include "platform/ascend/limits.h"
#include "platform/ascend/operators.h"
#include "platform/common/common.h"

/* Norms of q and k of at most this many bytes share one operator for the rotation. */
static const int64_t most_pair_bytes = (int64_t)4 << 30;

enum { Q, K, V, PARTS };

typedef struct attend_run {
    ascend *a;
    const pf_attend_args *args;
    int64_t groups, queries, keys;      /* groups; rows of all groups */
    int64_t heads, dim;
    bool kept;                          /* keys and values come from the caller */
    bool pair;                          /* q and k are rotated by one operator */
    pf_tensor x, condition;             /* bf16 */
    pf_tensor product[PARTS];           /* F32, or BF16 where the operator can */
    pf_tensor normed;                   /* F32: of both of a pair, or of the longest part */
    pf_tensor narrow[PARTS];            /* BF16: what attention reads */
    pf_tensor attended;                 /* BF16 */
    bool waits[PARTS];                  /* the product is finished, but F32 */
} attend_run;

static const pf_projection *projection_of(const attend_run *r, int part)
{
    const pf_attend_args *args = r->args;
    return part == Q ? &args->q : part == K ? &args->k : &args->v;
}

static int64_t rows_of(const attend_run *r, int part)
{
    return part == Q ? r->queries : r->keys;
}

static int parts_of(const attend_run *r)
{
    return r->kept ? K : PARTS;
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

static attend_run begin_attend(ascend *a, const pf_attend_args *args)
{
    attend_run r = {.a = a, .args = args, .groups = args->groups > 0 ? args->groups : 1,
                    .queries = args->x.shape[0], .heads = args->heads,
                    .dim = args->q.weight->source.values.shape[0],
                    .kept = pf_tensor_is_null(&args->condition)};
    r.keys = r.kept ? args->kept.shape[1] : args->condition.shape[0];
    return r;
}

static bool fits(const attend_run *r)
{
    const pf_attend_args *args = r->args;
    return r->a->fused && args->numerics.multiply == PF_MULTIPLY_BF16 &&
           !args->numerics.round_bf16 && pf_tensor_is_null(&args->bias) &&
           pf_ascend_has(r->a, ASCEND_FusedInferAttentionScoreV2) &&
           args->q.weight->multiply == PF_MULTIPLY_BF16 &&
           pf_ascend_within(ASCEND_ATTENTION_BATCH, r->groups) &&
           pf_ascend_attention_fits(r->heads, r->dim / r->heads, r->queries / r->groups,
                                    r->keys / r->groups);
}

/* --- places ---------------------------------------------------------------------------------- */

/* Does the product of this part come out as bf16?  Rotations are F32. */
static bool comes_narrow(const attend_run *r, int part)
{
    const pf_projection *p = projection_of(r, part);
    return !is_rotated(r, part) && pf_ascend_projects_narrow(r->a, p->weight, p->bias);
}

/* Is the product what attention reads? */
static bool is_direct(const attend_run *r, int part)
{
    return comes_narrow(r, part) && !is_normed(r, part);
}

/* q and k have the same positions: one rotation for both. */
static bool is_pair(const attend_run *r)
{
    const pf_tensor *q = &r->args->q.table.cos, *k = &r->args->k.table.cos;
    if (r->kept || r->queries != r->keys || !is_normed(r, Q) || !is_normed(r, K) ||
        !is_rotated(r, Q) || q->data != k->data || r->queries % q->shape[0] != 0)
        return false;
    pf_tensor both = pf_matrix(NULL, PF_F32, 2 * r->queries, r->dim);
    pf_rope_args rotation = rotation_of(r, Q, both);
    return pf_tensor_bytes(&both) <= most_pair_bytes && pf_ascend_can_rotate(r->a, &rotation);
}

/* Rows of the parts that are `narrow` or not, direct ones left out. */
static int64_t count_rows(const attend_run *r, bool narrow)
{
    int64_t rows = 0;
    for (int part = Q; part < parts_of(r); part++)
        if (!is_direct(r, part) && comes_narrow(r, part) == narrow)
            rows += rows_of(r, part);
    return rows;
}

/* Hands the rows of `products` and `narrowed` to the parts that are `narrow` or not. */
static void share_rows(attend_run *r, bool narrow, pf_tensor products, pf_tensor narrowed)
{
    int64_t at = 0;
    for (int part = Q; part < parts_of(r); part++) {
        if (is_direct(r, part) || comes_narrow(r, part) != narrow)
            continue;
        r->product[part] = pf_tensor_slice(products, 0, at, rows_of(r, part));
        r->narrow[part] = pf_tensor_slice(narrowed, 0, at, rows_of(r, part));
        at += rows_of(r, part);
    }
}

/* Rows [rows, D] of bf16, in the memory of x if that may be. */
static pf_tensor place_narrowed(const attend_run *r, int64_t rows, pf_scratch *from)
{
    pf_tensor x = r->args->x, in_x = pf_matrix(x.data, PF_BF16, rows, r->dim);
    bool may = r->args->x_is_spent && pf_tensor_is_contiguous(&x) && x.dtype == PF_F32;
    if (may && pf_tensor_bytes(&in_x) <= pf_tensor_bytes(&x))
        return in_x;
    return pf_common_cut_matrix(from, PF_BF16, rows, r->dim);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The longest part whose norm or rotation is F32. */
static int64_t normed_rows(const attend_run *r)
{
    int64_t rows = 0;
    for (int part = Q; part < parts_of(r); part++)
        if (!comes_narrow(r, part) && (is_normed(r, part) || is_rotated(r, part)))
            rows = larger(rows, rows_of(r, part));
    return r->pair ? 2 * r->queries : rows;
}

/* Places inputs, norms and the result of attention, of which only one exists at a time. */
static void place_shared(attend_run *r, pf_scratch *from)
{
    const pf_tensor *x = &r->args->x, *c = &r->args->condition;
    bool apart = !r->kept && !pf_ascend_same(x, c);
    pf_scratch inputs = pf_common_counter(), norms = inputs, attended = inputs;
    for (int pass = 0; pass < 2; pass++) {
        r->x = pf_common_cut_matrix(&inputs, PF_BF16, x->shape[0], x->shape[1]);
        r->condition = apart ? pf_common_cut_matrix(&inputs, PF_BF16, c->shape[0], c->shape[1])
                             : r->x;
        r->normed = pf_common_cut_matrix(&norms, PF_F32, normed_rows(r), r->dim);
        r->attended = pf_common_cut_matrix(&attended, PF_BF16, r->queries, r->dim);
        if (pass == 1)
            return;
        int64_t bytes = larger(larger(inputs.bytes, norms.bytes), attended.bytes);
        char *memory = pf_common_cut(from, bytes);
        inputs = norms = attended = (pf_scratch){.memory = memory};
    }
}

/* Lays out the scratch memory; from->bytes is then what the layer needs. */
static void place_attend(attend_run *r, pf_scratch *from)
{
    int64_t wide = count_rows(r, false), narrow = count_rows(r, true);
    r->pair = is_pair(r);
    for (int part = Q; part < parts_of(r); part++)
        if (is_direct(r, part))
            r->product[part] = r->narrow[part] =
                pf_common_cut_matrix(from, PF_BF16, rows_of(r, part), r->dim);
    pf_tensor products = pf_common_cut_matrix(from, PF_F32, wide, r->dim);
    pf_tensor normed_only = pf_common_cut_matrix(from, PF_BF16, narrow, r->dim);
    place_shared(r, from);
    pf_tensor narrowed = place_narrowed(r, wide + narrow, from);
    share_rows(r, false, products, pf_tensor_slice(narrowed, 0, 0, wide));
    share_rows(r, true, normed_only, pf_tensor_slice(narrowed, 0, wide, narrow));
}

/* --- projections -------------------------------------------------------------------------- */

/* All products, their inputs narrowed once. */
static pf_status project_all(attend_run *r)
{
    const pf_attend_args *args = r->args;
    PF_TRY(pf_ascend_move(r->a, args->x, r->x));
    if (r->condition.data != r->x.data)
        PF_TRY(pf_ascend_move(r->a, args->condition, r->condition));
    for (int part = Q; part < parts_of(r); part++) {
        const pf_projection *p = projection_of(r, part);
        r->waits[part] = r->product[part].dtype == PF_F32;
        PF_TRY(pf_ascend_project(r->a, p->weight, p->bias, part == Q ? r->x : r->condition,
                                 r->product[part]));
    }
    return PF_OK;
}

/* --- norm and rotation --------------------------------------------------------------------- */

static pf_status norm_part(const attend_run *r, int part, pf_tensor y)
{
    return pf_ascend_rms_norm(r->a, r->product[part], projection_of(r, part)->norm,
                              r->args->epsilon, y);
}

/* Rotates what lies in `there`: back to where it waits to be narrowed with the others,
 * or, without the fused operator, in place. */
static pf_status rotate_back(attend_run *r, int part, pf_tensor there)
{
    pf_rope_args args = rotation_of(r, part, there);
    r->waits[part] = pf_ascend_can_rotate(r->a, &args);
    if (r->waits[part])
        return pf_ascend_rotate(r->a, &args, r->product[part]);
    PF_TRY(pf_ascend_rotate_in_place(r->a, &args));
    return pf_ascend_move(r->a, there, r->narrow[part]);
}

static pf_status finish_wide(attend_run *r, int part)
{
    pf_tensor there = pf_tensor_slice(r->normed, 0, 0, rows_of(r, part));
    if (is_normed(r, part))
        PF_TRY(norm_part(r, part, there));
    else
        PF_TRY(pf_ascend_move(r->a, r->product[part], there));
    r->waits[part] = false;
    if (is_rotated(r, part))
        return rotate_back(r, part, there);
    return pf_ascend_move(r->a, there, r->narrow[part]);
}

static pf_status finish_part(attend_run *r, int part)
{
    if (!is_normed(r, part) && !is_rotated(r, part))
        return PF_OK;
    if (r->product[part].dtype == PF_BF16)
        return norm_part(r, part, r->narrow[part]);
    return finish_wide(r, part);
}

/* Are two parts adjacent in memory? */
static pf_tensor both_of(pf_tensor first, pf_tensor second)
{
    first.shape[0] += second.shape[0];
    return first;
}

static pf_status finish_pair(const attend_run *r)
{
    PF_TRY(norm_part(r, Q, pf_tensor_slice(r->normed, 0, 0, r->queries)));
    PF_TRY(norm_part(r, K, pf_tensor_slice(r->normed, 0, r->queries, r->keys)));
    pf_rope_args rotation = rotation_of(r, Q, r->normed);
    return pf_ascend_rotate(r->a, &rotation, both_of(r->product[Q], r->product[K]));
}

/* Converts the products that are still f32 to bf16, adjacent ones in one operator. */
static pf_status narrow_rest(const attend_run *r)
{
    for (int part = Q, end; part < PARTS; part = end) {
        end = part + 1;
        if (!r->waits[part])
            continue;
        pf_tensor from = r->product[part], to = r->narrow[part];
        for (; end < PARTS && r->waits[end]; end++) {
            from = both_of(from, r->product[end]);
            to = both_of(to, r->narrow[end]);
        }
        PF_TRY(pf_ascend_move(r->a, from, to));
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

/* Takes the caller's keys and values, narrowed by one conversion if they are f32. */
static pf_status take_kept(attend_run *r)
{
    pf_tensor both = r->args->kept;
    if (both.dtype != PF_BF16)
        PF_TRY(pf_ascend_dense(r->a, both, PF_BF16, &both));
    PF_TRY(pf_ascend_dense(r->a, kept_of(both, 0), PF_BF16, &r->narrow[K]));
    return pf_ascend_dense(r->a, kept_of(both, 1), PF_BF16, &r->narrow[V]);
}

static pf_status attend(attend_run *r)
{
    if (r->kept)
        PF_TRY(take_kept(r));
    pf_tensor in[4] = {as_bsnd(r, r->narrow[Q]), as_bsnd(r, r->narrow[K]),
                       as_bsnd(r, r->narrow[V])};
    return pf_ascend_fused_attention(r->a, in, as_bsnd(r, r->attended), r->args->scale);
}

static pf_status attend_fused(attend_run *r)
{
    const pf_attend_args *args = r->args;
    pf_scratch from = pf_common_cutter(args->scratch);
    place_attend(r, &from);
    PF_TRY(project_all(r));
    if (r->pair)
        PF_TRY(finish_pair(r));
    for (int part = r->pair ? V : Q; part < parts_of(r); part++)
        PF_TRY(finish_part(r, part));
    PF_TRY(narrow_rest(r));
    PF_TRY(attend(r));
    /* The memory of a spent x is free for the product. */
    bool room = args->x_is_spent && pf_tensor_same_shape(&args->x, &args->y) &&
                pf_tensor_is_contiguous(&args->x);
    return pf_ascend_linear_in(r->a, &(pf_linear_args){
        .numerics = args->numerics, .x = r->attended, .weight = args->out.weight,
        .bias = args->out.bias, .gate = args->gate, .residual = args->residual,
        .y = args->y}, room ? args->x : (pf_tensor){0});
}

pf_status pf_ascend_attend(pf_platform *platform, const pf_attend_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    attend_run r = begin_attend(a, args);
    if (ascend_is_empty(&args->y))
        return PF_OK;
    return fits(&r) ? attend_fused(&r) : pf_common_attend(platform, args, error);
}

/* --- feed-forward -------------------------------------------------------------------------- */

/* A feed-forward with results of its first layer in two places, which change roles:
 *
 *                 product is bf16          product is f32
 *     first       product                  product; then active
 *     second      x as bf16; then active   x as bf16; then the product as bf16
 */
typedef struct feed_run {
    ascend *a;
    const pf_feed_forward_args *args;
    pf_tensor x, product;               /* BF16; BF16 or F32 */
    pf_tensor narrow, active;           /* BF16: the product; the activation of it */
    pf_tensor space;                    /* F32, like y, where the product was; or null */
} feed_run;

static bool feed_fits(const ascend *a, const pf_feed_forward_args *args)
{
    return a->fused && args->numerics.multiply == PF_MULTIPLY_BF16 &&
           !args->numerics.round_bf16 && args->in.weight->multiply == PF_MULTIPLY_BF16 &&
           args->activation == PF_ACTIVATION_GELU_TANH;
}

static feed_run place_feed(ascend *a, const pf_feed_forward_args *args, pf_scratch *from)
{
    feed_run f = {.a = a, .args = args};
    int64_t rows = args->x.shape[0], columns = args->in.weight->source.values.shape[0];
    bool narrow = pf_ascend_projects_narrow(a, args->in.weight, args->in.bias);
    f.product = pf_common_cut_matrix(from, narrow ? PF_BF16 : PF_F32, rows, columns);
    f.x = pf_matrix(NULL, PF_BF16, rows, args->x.shape[1]);
    f.narrow = pf_matrix(f.product.data, PF_BF16, rows, columns);
    int64_t room = larger(pf_tensor_bytes(&f.x), pf_tensor_bytes(&f.narrow));
    f.x.data = pf_common_cut(from, room);
    f.active = f.narrow;
    if (narrow)
        f.active.data = f.x.data;
    else
        f.narrow.data = f.x.data;
    f.space = pf_matrix(f.narrow.data, PF_F32, args->y.shape[0], args->y.shape[1]);
    if (pf_tensor_bytes(&f.space) > pf_tensor_bytes(&f.narrow))
        f.space = (pf_tensor){0};
    return f;
}

static pf_status feed_fused(ascend *a, const pf_feed_forward_args *args)
{
    pf_scratch from = pf_common_cutter(args->scratch);
    feed_run f = place_feed(a, args, &from);
    PF_TRY(pf_ascend_move(a, args->x, f.x));
    PF_TRY(pf_ascend_project(a, args->in.weight, args->in.bias, f.x, f.product));
    if (f.product.dtype != PF_BF16)
        PF_TRY(pf_ascend_move(a, f.product, f.narrow));
    PF_TRY(pf_ascend_gelu_tanh(a, f.narrow, f.active));
    return pf_ascend_linear_in(a, &(pf_linear_args){
        .numerics = args->numerics, .x = f.active, .weight = args->out.weight,
        .bias = args->out.bias, .gate = args->gate, .residual = args->residual,
        .y = args->y}, f.space);
}

pf_status pf_ascend_feed_forward(pf_platform *platform, const pf_feed_forward_args *args,
                                 pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    if (ascend_is_empty(&args->y))
        return PF_OK;
    return feed_fits(a, args) ? feed_fused(a, args)
                              : pf_common_feed_forward(platform, args, error);
}

/* --- how much scratch memory ------------------------------------------------------------------ */

static int64_t attend_bytes(pf_platform *platform, const pf_attend_args *args)
{
    attend_run r = begin_attend(ascend_of(platform), args);
    pf_scratch from = pf_common_counter();
    if (ascend_is_empty(&args->y))
        return 0;
    if (!fits(&r))
        return pf_common_scratch_bytes(platform, PF_KERNEL_attend, args);
    place_attend(&r, &from);
    return from.bytes;
}

static int64_t feed_bytes(pf_platform *platform, const pf_feed_forward_args *args)
{
    ascend *a = ascend_of(platform);
    pf_scratch from = pf_common_counter();
    if (!feed_fits(a, args))
        return pf_common_scratch_bytes(platform, PF_KERNEL_feed_forward, args);
    place_feed(a, args, &from);
    return from.bytes;
}

int64_t pf_ascend_scratch_bytes(pf_platform *platform, pf_kernel which, const void *args)
{
    switch (which) {
    case PF_KERNEL_attend: return attend_bytes(platform, args);
    case PF_KERNEL_feed_forward: return feed_bytes(platform, args);
    default: return pf_common_scratch_bytes(platform, which, args);
    }
}
