/* SPDX-License-Identifier: Apache-2.0 */
/* Attention.  docs/ascend.md, "Operators: attention".
 *
 * The fused operator multiplies bf16; f32, roundings and shapes outside of its
 * limits take batched products and a softmax over blocks of rows.
 */
#include <math.h>

#include "platform/ascend/limits.h"
#include "platform/ascend/operators.h"

/* Upper bounds in bytes: scores that exist at a time, and a bias that is written out. */
static const int64_t most_scores = (int64_t)16 << 20;
static const int64_t most_bias_bytes = (int64_t)256 << 20;

typedef struct attention_run {
    ascend *a;
    const pf_attention_args *args;
    int64_t heads, width, groups;
    int64_t queries, keys;              /* of a group */
    pf_tensor k, v;                     /* F32 if they are multiplied in f32 */
    pf_tensor bias;                     /* without negative strides */
} attention_run;

/* [L, H*D] as [L, H, D]. */
static pf_tensor by_heads(const attention_run *r, pf_tensor rows)
{
    pf_tensor t = rows;
    t.rank = 3;
    t.shape[1] = r->heads;
    t.shape[2] = t.stride[1] = r->width;
    t.stride[2] = 1;
    return t;
}

/* --- plain --------------------------------------------------------------------------------- */

/* Rows [first, first + rows) of a group's queries; all tensors [H, rows, ...]. */
typedef struct row_block {
    int64_t group, first, rows;
    pf_tensor scores, most, sum;
} row_block;

/* The block's first row among those of all groups. */
static int64_t query_row(const attention_run *r, const row_block *b)
{
    return b->group * r->queries + b->first;
}

/* Rows of k or v of the block's group. */
static pf_tensor keys_of(const attention_run *r, pf_tensor rows, const row_block *b)
{
    return pf_tensor_slice(by_heads(r, rows), 0, b->group * r->keys, r->keys);
}

static pf_status score(const attention_run *r, row_block *b)
{
    const pf_attention_args *args = r->args;
    pf_tensor q = pf_tensor_slice(by_heads(r, args->q), 0, query_row(r, b), b->rows);
    pf_tensor k = keys_of(r, r->k, b), none = {0};
    PF_TRY(pf_ascend_product(r->a, pf_tensor_permute(q, (int[]){1, 0, 2}),
                             pf_tensor_permute(k, (int[]){1, 2, 0}), none, b->scores));
    PF_TRY(pf_ascend_scale(r->a, b->scores, args->scale, b->scores));
    if (pf_tensor_is_null(&r->bias))
        return PF_OK;
    pf_tensor bias = pf_tensor_slice(r->bias, 1, b->first, b->rows);
    return pf_ascend_combine(r->a, ASCEND_Add, b->scores, bias, b->scores);
}

/* exp(scores - row maximum) in place, and the sum of each row. */
static pf_status exponentiate(const attention_run *r, row_block *b)
{
    ascend_array last = {1, {2}};
    PF_TRY(pf_ascend_reduce(r->a, ASCEND_Amax, b->scores, last, b->most));
    pf_tensor p;
    PF_TRY(pf_ascend_like(r->a, b->scores, &p));
    PF_TRY(pf_ascend_combine(r->a, ASCEND_Sub, b->scores, b->most, b->scores));
    PF_TRY(pf_ascend_map(r->a, ASCEND_Exp, b->scores, p));
    b->scores = p;
    PF_TRY(pf_ascend_reduce(r->a, ASCEND_ReduceSum, p, last, b->sum));
    return pf_ascend_round_if(r->a, r->args->numerics.round_bf16, p);
}

static pf_status weigh(const attention_run *r, const row_block *b)
{
    const pf_attention_args *args = r->args;
    pf_tensor v = pf_tensor_permute(keys_of(r, r->v, b), (int[]){1, 0, 2});
    pf_tensor out = pf_tensor_slice(by_heads(r, args->out), 0, query_row(r, b), b->rows);
    pf_tensor sums, none = {0};
    out = pf_tensor_permute(out, (int[]){1, 0, 2});
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 3, (int64_t[]){r->heads, b->rows, r->width}, &sums));
    PF_TRY(pf_ascend_product(r->a, b->scores, v, none, sums));
    PF_TRY(pf_ascend_combine(r->a, ASCEND_Div, sums, b->sum, out));
    return pf_ascend_round_if(r->a, args->numerics.round_bf16, out);
}

static pf_status attend_block(const attention_run *r, row_block *b)
{
    int64_t one[3] = {r->heads, b->rows, 1}, all[3] = {r->heads, b->rows, r->keys};
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 3, all, &b->scores));
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 3, one, &b->most));
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 3, one, &b->sum));
    PF_TRY(score(r, b));
    PF_TRY(exponentiate(r, b));
    return weigh(r, b);
}

/* Keys and values that the caller kept may be bf16. */
static pf_status widen_keys(attention_run *r)
{
    if (r->k.dtype != PF_F32)
        PF_TRY(pf_ascend_dense(r->a, r->k, PF_F32, &r->k));
    return r->v.dtype == PF_F32 ? PF_OK : pf_ascend_dense(r->a, r->v, PF_F32, &r->v);
}

static pf_status attend_plain(attention_run *r)
{
    PF_TRY(widen_keys(r));
    int64_t rows = most_scores / (r->heads * r->keys);
    rows = rows < 1 ? 1 : rows;
    pf_scratch_mark mark = pf_device_scratch_mark(&r->a->device);
    for (int64_t group = 0; group < r->groups; group++)
        for (int64_t at = 0; at < r->queries; at += rows) {
            int64_t left = r->queries - at;
            row_block b = {.group = group, .first = at, .rows = left < rows ? left : rows};
            PF_TRY(attend_block(r, &b));
            pf_device_scratch_rewind(&r->a->device, mark);
        }
    return PF_OK;
}

/* --- fused ----------------------------------------------------------------------------------- */

/* A bias that is one number a key is folded into q k^T: k gets two more columns (the bias as
 * bf16, and its rounding error), q gets ones there. */
static bool is_key_bias(const attention_run *r)
{
    const pf_tensor *bias = &r->bias;
    return !pf_tensor_is_null(bias) && bias->stride[0] == 0 && bias->stride[1] == 0;
}

enum { EXTRA = 16 };                    /* columns, so that the width stays a multiple */

static int64_t fused_width(const attention_run *r)
{
    return r->width + (is_key_bias(r) ? EXTRA : 0);
}

static bool fits(const attention_run *r)
{
    const pf_tensor *bias = &r->bias;
    int64_t written = 2 * r->heads * r->queries * r->keys;
    if (!pf_tensor_is_null(bias) && !is_key_bias(r) && written > most_bias_bytes)
        return false;
    return pf_ascend_within(ASCEND_ATTENTION_BATCH, r->groups) &&
           pf_ascend_attention_fits(r->heads, r->width, r->queries, r->keys) &&
           pf_ascend_attention_fits(r->heads, fused_width(r), r->queries, r->keys);
}

/* [G*L, H*D] as bf16 [1, G*L, H, D']; columns beyond D are 0. */
static pf_status fused_rows(const attention_run *r, pf_tensor rows, pf_tensor *out)
{
    int64_t shape[4] = {1, rows.shape[0], r->heads, fused_width(r)};
    PF_TRY(pf_ascend_temp(r->a, PF_BF16, 4, shape, out));
    if (fused_width(r) != r->width)
        PF_TRY(pf_ascend_set(r->a, pf_tensor_slice(*out, 3, r->width, EXTRA), 0.0f));
    pf_tensor to = pf_tensor_drop_first(pf_tensor_slice(*out, 3, 0, r->width));
    return pf_ascend_move(r->a, by_heads(r, rows), to);
}

/* [1, G*L, H, D'] as [G, L, H, D']. */
static pf_tensor in_groups(const attention_run *r, pf_tensor rows)
{
    int64_t shape[4] = {r->groups, rows.shape[1] / r->groups, rows.shape[2], rows.shape[3]};
    return pf_tensor_reshape(rows, 4, shape);
}

/* Column `which` behind the head's own, of every row and head. */
static pf_tensor extra_column(const attention_run *r, pf_tensor rows, int which)
{
    return pf_tensor_slice(rows, 3, r->width + which, 1);
}

static pf_status add_key_bias(const attention_run *r, pf_tensor q, pf_tensor k)
{
    const pf_attention_args *args = r->args;
    pf_tensor bias = pf_vector(r->bias.data, PF_F32, r->keys), exact, high, rest;
    bias.stride[0] = r->bias.stride[2];
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 1, &r->keys, &exact));
    PF_TRY(pf_ascend_temp(r->a, PF_BF16, 1, &r->keys, &high));
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 1, &r->keys, &rest));
    PF_TRY(pf_ascend_scale(r->a, bias, 1.0f / args->scale, exact));
    PF_TRY(pf_ascend_move(r->a, exact, high));
    PF_TRY(pf_ascend_move(r->a, high, rest));
    PF_TRY(pf_ascend_combine(r->a, ASCEND_Sub, exact, rest, rest));
    PF_TRY(pf_ascend_set(r->a, pf_tensor_slice(q, 3, r->width, 2), 1.0f));
    k = in_groups(r, k);
    PF_TRY(pf_ascend_move(r->a, pf_ascend_along(high, 1, 4), extra_column(r, k, 0)));
    return pf_ascend_move(r->a, pf_ascend_along(rest, 1, 4), extra_column(r, k, 1));
}

/* A bias of any other form is written out: [1, H, Lq, Lk] bf16. */
static pf_status write_bias(const attention_run *r, pf_tensor *out)
{
    const pf_tensor *bias = &r->bias;
    *out = (pf_tensor){0};
    if (pf_tensor_is_null(bias) || is_key_bias(r))
        return PF_OK;
    int64_t shape[4] = {1, r->heads, r->queries, r->keys};
    PF_TRY(pf_ascend_temp(r->a, PF_BF16, 4, shape, out));
    return pf_ascend_move(r->a, *bias, pf_tensor_reshape(*out, 3, shape + 1));
}

pf_status pf_ascend_fused_attention(ascend *a, const pf_tensor in[4], pf_tensor out,
                                    float scale)
{
    return pf_ascend_launch(a, &(ascend_call){
        .op = ASCEND_FusedInferAttentionScoreV2, .in = {in[0], in[1], in[2], in[3]},
        .out = {out}, .number = {in[0].shape[2]}, .real = (double)scale});
}

static pf_status attend_fused(const attention_run *r)
{
    const pf_attention_args *args = r->args;
    pf_tensor q, k, v, bias, out;
    PF_TRY(fused_rows(r, args->q, &q));
    PF_TRY(fused_rows(r, args->k, &k));
    PF_TRY(fused_rows(r, args->v, &v));
    PF_TRY(pf_ascend_like(r->a, q, &out));
    if (is_key_bias(r))
        PF_TRY(add_key_bias(r, q, k));
    PF_TRY(write_bias(r, &bias));
    pf_tensor in[4] = {in_groups(r, q), in_groups(r, k), in_groups(r, v), bias};
    PF_TRY(pf_ascend_fused_attention(r->a, in, in_groups(r, out), args->scale));
    pf_tensor own = pf_tensor_drop_first(pf_tensor_slice(out, 3, 0, r->width));
    return pf_ascend_move(r->a, own, by_heads(r, args->out));
}

pf_status pf_ascend_attention(pf_platform *platform, const pf_attention_args *args,
                              pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    int64_t groups = args->groups > 0 ? args->groups : 1;
    attention_run r = {
        .a = a, .args = args, .heads = args->heads, .groups = groups, .k = args->k,
        .v = args->v, .width = args->q.shape[1] / args->heads, .bias = args->bias,
        .queries = args->q.shape[0] / groups, .keys = args->k.shape[0] / groups};
    if (ascend_is_empty(&args->out))
        return PF_OK;
    if (!pf_tensor_is_null(&args->bias))
        PF_TRY(pf_ascend_upright(a, args->bias, &r.bias));
    if (a->fused && args->numerics.multiply == PF_MULTIPLY_BF16 && !args->numerics.round_bf16 &&
        pf_ascend_has(a, ASCEND_FusedInferAttentionScoreV2) && fits(&r))
        return attend_fused(&r);
    return attend_plain(&r);
}
