/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of the video VAE that both halves share.  docs/model/video-vae.md,
 * sections 2 and 4.
 *
 * Maps are [C, n, h, w]: n frames of a step at the resolution of a level, in the layout of the
 * platform.  The rule that is easy to break: a causal convolution runs at most once a step of
 * a tile, and steps go in the order of the film, or its cache holds frames of another step. */
#include <math.h>

#include "model/video_vae_parts.h"

/* --- convolutions over time ----------------------------------------------------- */

pf_status pf_vae_window_open(pf_vae_run *run, const pf_vae_causal *conv,
                             int64_t frames, pf_tensor *window, pf_tensor *fresh)
{
    const pf_tensor *cache = &run->cache[conv->slot];
    PF_TRY(pf_ops_map(run->ops, conv->in, conv->keep + frames, cache->shape[2],
                      cache->shape[3], window));
    *fresh = pf_tensor_slice(*window, 1, conv->keep, frames);
    pf_tensor past = pf_tensor_slice(*window, 1, 0, conv->keep);
    return pf_op_copy(run->ops, &(pf_copy_args){.from = *cache, .to = past});
}

/* y[o,t,h,w] = b[o] + sum W[o,i,a,p,q] window[i, t stride + a, h - 1 + p, w - 1 + q]
 * (+ residual): the causal convolution of docs/model/video-vae.md, section 2, whose frames of
 * the past lie in the window.  The last frames of the window become the cache. */
pf_status pf_vae_window_close(pf_vae_run *run, const pf_vae_causal *conv,
                              const pf_tensor *window, const pf_tensor *residual,
                              const pf_tensor *y)
{
    pf_conv_args args = {
        .x = *window, .weight = &conv->layer.weight, .bias = conv->layer.bias,
        .stride = {conv->stride, 1, 1}, .dilation = {1, 1, 1},
        .pad_front = {0, conv->pad, conv->pad}, .y = *y,
    };
    if (residual)
        args.residual = *residual;
    PF_TRY(pf_op_conv(run->ops, &args));
    pf_tensor last = pf_tensor_slice(*window, 1, window->shape[1] - conv->keep,
                                     conv->keep);
    return pf_op_copy(run->ops, &(pf_copy_args){.from = last,
                                                .to = run->cache[conv->slot]});
}

/* The norm writes into the window: y = conv(SiLU(x / max(|x|, 1e-12) sqrt(C) gamma)), with |x|
 * over the channels of a pixel.  Zeros of the cache are zeros behind norm and SiLU. */
pf_status pf_vae_normed_conv(pf_vae_run *run, const pf_tensor *gamma,
                             const pf_vae_causal *conv, const pf_tensor *x,
                             const pf_tensor *residual, const pf_tensor *y)
{
    pf_mark mark = pf_ops_mark(run->ops);
    pf_tensor window, fresh;
    PF_TRY(pf_vae_window_open(run, conv, x->shape[1], &window, &fresh));
    PF_TRY(pf_op_channel_norm(run->ops,
                              &(pf_channel_norm_args){.x = *x, .gamma = *gamma,
                                                      .y = fresh, .silu = true}));
    PF_TRY(pf_vae_window_close(run, conv, &window, residual, y));
    pf_ops_rewind(run->ops, mark);
    return PF_OK;
}

pf_status pf_vae_pointwise(pf_vae_run *run, const pf_layer *layer,
                           const pf_tensor *x, const pf_tensor *y)
{
    return pf_op_conv(run->ops, &(pf_conv_args){
        .x = *x, .weight = &layer->weight, .bias = layer->bias,
        .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .y = *y});
}

/* --- residual block -------------------------------------------------------------- */

/* With a and b channels, x [a, n, h, w], y [b, n, h, w]:
 *
 *     h = conv1(SiLU(norm1(x)))
 *     y = conv2(SiLU(norm2(h))) + (a == b ? x : conv_shortcut(x))
 *
 * The shortcut is written to y, whose last convolution adds to it in place. */
pf_status pf_vae_residual_forward(pf_vae_run *run, const pf_vae_residual *block,
                                  const pf_tensor *x, const pf_tensor *y)
{
    pf_mark mark = pf_ops_mark(run->ops);
    const pf_tensor *residual = x;
    pf_tensor h;
    PF_TRY(pf_ops_poll(run->ops));
    PF_TRY(pf_ops_map(run->ops, y->shape[0], y->shape[1], y->shape[2], y->shape[3],
                      &h));
    PF_TRY(pf_vae_normed_conv(run, &block->norm1, &block->conv1, x, NULL, &h));
    if (block->widens) {
        PF_TRY(pf_vae_pointwise(run, &block->shortcut, x, y));
        residual = y;
    }
    PF_TRY(pf_vae_normed_conv(run, &block->norm2, &block->conv2, &h, residual, y));
    pf_ops_rewind(run->ops, mark);
    return PF_OK;
}

/* --- mid block --------------------------------------------------------------------- */

/* Attention of one head over the positions of one frame, added to x [C, 1, h, w]:
 *
 *     q, k, v = to_qkv(norm(x))                              [h w, C] each
 *     x = x + proj(softmax(q k^T / sqrt(C)) v)
 *
 * Both 1x1 convolutions run as linear layers over positions as rows. */
static pf_status attend(pf_vae_run *run, const pf_vae_mid *mid, const pf_tensor *x)
{
    pf_ops *ops = run->ops;
    int64_t c = x->shape[0], height = x->shape[2], width = x->shape[3];
    pf_tensor u, tokens, qkv, out, projected;
    PF_TRY(pf_ops_map(ops, c, 1, height, width, &u));
    PF_TRY(pf_op_channel_norm(ops, &(pf_channel_norm_args){
        .x = *x, .gamma = mid->norm, .y = u}));
    PF_TRY(pf_ops_map_tokens(ops, &u, &tokens));
    PF_TRY(pf_ops_matrix(ops, height * width, 3 * c, &qkv));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = tokens, .weight = &mid->to_qkv.weight, .bias = mid->to_qkv.bias,
        .y = qkv}));
    PF_TRY(pf_ops_matrix(ops, height * width, c, &out));
    PF_TRY(pf_op_attention(ops, &(pf_attention_args){
        .q = pf_tensor_slice(qkv, 1, 0, c), .k = pf_tensor_slice(qkv, 1, c, c),
        .v = pf_tensor_slice(qkv, 1, 2 * c, c), .heads = 1,
        .scale = (float)(1.0 / sqrt((double)c)), .out = out}));
    PF_TRY(pf_ops_matrix(ops, height * width, c, &projected));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = out, .weight = &mid->proj.weight, .bias = mid->proj.bias,
        .y = projected}));
    pf_tensor added = pf_tokens_as_map(&projected, 1, height, width);
    return pf_op_add(ops, &(pf_add_args){.a = added, .b = *x, .y = *x});
}

pf_status pf_vae_mid_forward(pf_vae_run *run, const pf_tensor *x)
{
    const pf_vae_mid *mid = &run->coder->mid;
    PF_TRY(pf_vae_residual_forward(run, &mid->before, x, x));
    pf_mark mark = pf_ops_mark(run->ops);
    PF_TRY(attend(run, mid, x));
    pf_ops_rewind(run->ops, mark);
    return pf_vae_residual_forward(run, &mid->after, x, x);
}
