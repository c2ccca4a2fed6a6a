/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of several kernels, put together from the table of the platform that runs them.
 * docs/model/towers.md#block.
 */
#include "platform/common/common.h"

pf_status common_sum_first(pf_platform *platform, pf_norm_args *args, pf_error *error)
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

/* Keys and values are never a shard: every rank makes all that its queries attend to. */
static pf_status project(pf_platform *platform, const pf_attend_args *args,
                         const pf_projection *p, const pf_tensor *x, const pf_tensor *y,
                         pf_error *error)
{
    const pf_platform_table *table = &platform->table;
    PF_TRY(table->linear(platform, &(pf_linear_args){
        .numerics = args->numerics, .shard = args->shard && p == &args->q, .x = *x,
        .weight = p->weight, .bias = p->bias, .y = *y}, error));
    if (!pf_tensor_is_null(&p->norm))
        PF_TRY(table->norm(platform, &(pf_norm_args){
            .numerics = args->numerics, .kind = PF_NORM_RMS, .epsilon = args->epsilon,
            .x = *y, .weight = p->norm, .y = *y}, error));
    if (pf_tensor_is_null(&p->table.cos))
        return PF_OK;
    return table->rope(platform, &(pf_rope_args){
        .numerics = args->numerics, .form = args->form, .x = *y, .heads = args->heads,
        .table = p->table}, error);
}

/* One of the two matrices in `kept`. */
static pf_tensor kept_of(const pf_attend_args *args, int which)
{
    return pf_tensor_drop_first(pf_tensor_slice(args->kept, 0, which, 1));
}

static pf_status make_keys(pf_platform *platform, const pf_attend_args *args,
                           pf_tensor *k, pf_tensor *v, pf_error *error)
{
    if (pf_tensor_is_null(&args->condition)) {
        *k = kept_of(args, 0);
        *v = kept_of(args, 1);
        return PF_OK;
    }
    int64_t queries = args->x.shape[0], keys = args->condition.shape[0];
    *k = pf_tensor_slice(args->work, 0, queries, keys);
    *v = pf_tensor_slice(args->work, 0, queries + keys, keys);
    PF_TRY(project(platform, args, &args->k, &args->condition, k, error));
    return project(platform, args, &args->v, &args->condition, v, error);
}

pf_status common_attend(pf_platform *platform, const pf_attend_args *args,
                           pf_error *error)
{
    pf_tensor q = pf_tensor_slice(args->work, 0, 0, args->x.shape[0]), k, v;
    PF_TRY(project(platform, args, &args->q, &args->x, &q, error));
    PF_TRY(make_keys(platform, args, &k, &v, error));
    PF_TRY(platform->table.attention(platform, &(pf_attention_args){
        .numerics = args->numerics, .q = q, .k = k, .v = v, .heads = args->heads,
        .groups = args->groups, .scale = args->scale, .bias = args->bias,
        .out = args->attended}, error));
    return platform->table.linear(platform, &(pf_linear_args){
        .numerics = args->numerics, .shard = args->shard, .x = args->attended,
        .weight = args->out.weight, .bias = args->out.bias, .gate = args->gate,
        .residual = args->residual, .y = args->y}, error);
}

pf_status common_feed_forward(pf_platform *platform, const pf_feed_forward_args *args,
                                 pf_error *error)
{
    PF_TRY(platform->table.linear(platform, &(pf_linear_args){
        .numerics = args->numerics, .shard = args->shard, .x = args->x,
        .weight = args->in.weight, .bias = args->in.bias, .activation = args->activation,
        .y = args->hidden}, error));
    return platform->table.linear(platform, &(pf_linear_args){
        .numerics = args->numerics, .shard = args->shard, .x = args->hidden,
        .weight = args->out.weight, .bias = args->out.bias, .gate = args->gate,
        .residual = args->residual, .y = args->y}, error);
}
