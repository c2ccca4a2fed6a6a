/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of several kernels, put together from the table of the platform that runs them.
 * docs/model/towers.md#block.
 */
#include "platform/common/common.h"

/* --- norms that do not fuse their sum ------------------------------------------ */

pf_status pf_common_sum_first(pf_platform *platform, pf_norm_args *args, pf_error *error)
{
    pf_tensor x = args->x, plus = args->plus;
    if (pf_tensor_is_null(&plus))
        return PF_OK;
    args->x = args->sum;
    args->plus = args->sum = (pf_tensor){0};
    return platform->table.add(platform, &(pf_add_args){
        .numerics = args->numerics, .a = x, .b = plus,
        .y = args->x}, error);
}

/* --- project ------------------------------------------------------------------ */

static bool is_normed(const pf_projection *p)
{
    return !pf_tensor_is_null(&p->norm);
}

static bool is_rotated(const pf_projection *p)
{
    return !pf_tensor_is_null(&p->table.cos);
}

/* [M, D] where the product lies: a y that is not f32 is rounded once, at the end. */
static pf_tensor place_product(const pf_project_args *args, pf_scratch *from)
{
    bool last = !is_normed(&args->by) && !is_rotated(&args->by);
    if (args->y.dtype == PF_F32 || last)
        return args->y;
    return pf_common_cut_matrix(from, PF_F32, args->y.shape[0], args->y.shape[1]);
}

pf_status pf_common_project(pf_platform *platform, const pf_project_args *args,
                            pf_error *error)
{
    const pf_platform_table *table = &platform->table;
    const pf_projection *by = &args->by;
    pf_scratch from = pf_common_cutter(args->scratch);
    pf_tensor product = place_product(args, &from);
    pf_tensor normed = is_rotated(by) ? product : args->y;
    PF_TRY(table->linear(platform, &(pf_linear_args){
        .numerics = args->numerics, .shard = args->shard, .x = args->x,
        .weight = by->weight, .bias = by->bias, .y = product}, error));
    if (is_normed(by))
        PF_TRY(table->norm(platform, &(pf_norm_args){
            .numerics = args->numerics, .kind = PF_NORM_RMS, .epsilon = args->epsilon,
            .x = product, .weight = by->norm, .y = normed}, error));
    if (!is_rotated(by))
        return PF_OK;
    PF_TRY(table->rope(platform, &(pf_rope_args){
        .numerics = args->numerics, .form = args->form, .x = product,
        .heads = args->heads, .table = by->table}, error));
    if (args->y.dtype == PF_F32)
        return PF_OK;
    return table->copy(platform, &(pf_copy_args){
        .numerics = args->numerics, .from = product, .to = args->y}, error);
}

/* --- attend ------------------------------------------------------------------- */

typedef struct attend_places {
    pf_tensor q, k, v, attended;    /* [G*Lq, D], twice [G*Lk, D], [G*Lq, D] */
    pf_scratch rest;                /* of the projections, one after the other */
} attend_places;

/* Matrix `which` of `kept`: 0 keys, 1 values. */
static pf_tensor kept_of(const pf_attend_args *args, int which)
{
    return pf_tensor_drop_first(pf_tensor_slice(args->kept, 0, which, 1));
}

/* Keys and values are never a shard: every rank makes all that its queries attend to. */
static pf_project_args projection_of(const pf_attend_args *args, const pf_projection *by,
                                     pf_tensor x, pf_tensor y)
{
    return (pf_project_args){
        .numerics = args->numerics, .shard = args->shard && by == &args->q, .x = x,
        .by = *by, .epsilon = args->epsilon, .form = args->form, .heads = args->heads,
        .y = y};
}

static pf_tensor place_attended(const pf_attend_args *args, const pf_tensor *q,
                                pf_scratch *from)
{
    const pf_tensor *x = &args->x;
    if (args->x_is_spent && x->dtype == q->dtype && pf_tensor_same_shape(x, q) &&
        pf_tensor_is_contiguous(x))
        return *x;
    return pf_common_cut_matrix(from, q->dtype, q->shape[0], q->shape[1]);
}

static int64_t scratch_of(pf_platform *platform, const pf_attend_args *args,
                          const pf_projection *by, pf_tensor x, pf_tensor y)
{
    pf_project_args project = projection_of(args, by, x, y);
    return platform->table.scratch_bytes(platform, PF_KERNEL_project, &project);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Lays out the scratch memory; from->bytes is then what the layer needs. */
static attend_places place_attend(pf_platform *platform, const pf_attend_args *args,
                                  pf_scratch *from)
{
    bool kept = pf_tensor_is_null(&args->condition);
    int64_t columns = args->q.weight->source.values.shape[0], queries = args->x.shape[0];
    int64_t keys = kept ? 0 : args->condition.shape[0];
    pf_dtype hidden = pf_hidden_dtype(platform, args->numerics);
    pf_tensor all = pf_common_cut_matrix(from, hidden, queries + 2 * keys, columns);
    attend_places p = {.q = pf_tensor_slice(all, 0, 0, queries)};
    p.k = kept ? kept_of(args, 0) : pf_tensor_slice(all, 0, queries, keys);
    p.v = kept ? kept_of(args, 1) : pf_tensor_slice(all, 0, queries + keys, keys);
    p.attended = place_attended(args, &p.q, from);
    p.rest.bytes = scratch_of(platform, args, &args->q, args->x, p.q);
    if (!kept) {
        p.rest.bytes = larger(p.rest.bytes, scratch_of(platform, args, &args->k,
                                                       args->condition, p.k));
        p.rest.bytes = larger(p.rest.bytes, scratch_of(platform, args, &args->v,
                                                       args->condition, p.v));
    }
    p.rest.memory = pf_common_cut(from, p.rest.bytes);
    return p;
}

static pf_status project(pf_platform *platform, const pf_attend_args *args,
                         const pf_projection *by, pf_tensor x, pf_tensor y,
                         const attend_places *p, pf_error *error)
{
    pf_project_args project = projection_of(args, by, x, y);
    project.scratch = p->rest;
    return platform->table.project(platform, &project, error);
}

pf_status pf_common_attend(pf_platform *platform, const pf_attend_args *args,
                           pf_error *error)
{
    pf_scratch from = pf_common_cutter(args->scratch);
    attend_places p = place_attend(platform, args, &from);
    PF_TRY(project(platform, args, &args->q, args->x, p.q, &p, error));
    if (!pf_tensor_is_null(&args->condition)) {
        PF_TRY(project(platform, args, &args->k, args->condition, p.k, &p, error));
        PF_TRY(project(platform, args, &args->v, args->condition, p.v, &p, error));
    }
    PF_TRY(platform->table.attention(platform, &(pf_attention_args){
        .numerics = args->numerics, .q = p.q, .k = p.k, .v = p.v, .heads = args->heads,
        .groups = args->groups, .scale = args->scale, .bias = args->bias,
        .out = p.attended}, error));
    return platform->table.linear(platform, &(pf_linear_args){
        .numerics = args->numerics, .shard = args->shard, .x = p.attended,
        .weight = args->out.weight, .bias = args->out.bias, .gate = args->gate,
        .residual = args->residual, .y = args->y}, error);
}

/* --- feed_forward ------------------------------------------------------------- */

/* [M, F]: results of the first linear layer. */
static pf_tensor place_hidden(pf_platform *platform, const pf_feed_forward_args *args,
                              pf_scratch *from)
{
    return pf_common_cut_matrix(from, pf_hidden_dtype(platform, args->numerics),
                                args->x.shape[0], args->in.weight->source.values.shape[0]);
}

pf_status pf_common_feed_forward(pf_platform *platform, const pf_feed_forward_args *args,
                                 pf_error *error)
{
    pf_scratch from = pf_common_cutter(args->scratch);
    pf_tensor hidden = place_hidden(platform, args, &from);
    PF_TRY(platform->table.linear(platform, &(pf_linear_args){
        .numerics = args->numerics, .shard = args->shard, .x = args->x,
        .weight = args->in.weight, .bias = args->in.bias, .activation = args->activation,
        .y = hidden}, error));
    return platform->table.linear(platform, &(pf_linear_args){
        .numerics = args->numerics, .shard = args->shard, .x = hidden,
        .weight = args->out.weight, .bias = args->out.bias, .gate = args->gate,
        .residual = args->residual, .y = args->y}, error);
}

/* --- how much ----------------------------------------------------------------- */

int64_t pf_common_scratch_bytes(pf_platform *platform, pf_kernel which, const void *args)
{
    pf_scratch from = pf_common_counter();
    if (which == PF_KERNEL_project)
        place_product(args, &from);
    else if (which == PF_KERNEL_attend)
        place_attend(platform, args, &from);
    else if (which == PF_KERNEL_feed_forward)
        place_hidden(platform, args, &from);
    return from.bytes;
}
