/* SPDX-License-Identifier: Apache-2.0 */
/* The dual tower.  See dual_tower.h; docs/model/towers.md#dual-tower.
 *
 * For each layer i of the video tower, with tokens xv and xa:
 *
 *     yv = A2V_i(xv, xa),  ya = V2A_i(xa, xv)        where the bridge interacts
 *     xv = r(xv + r(scale yv)),  xa = r(xa + r(scale ya))
 *     xv = video_i(xv)
 *     xa = audio_i(xa)                               where there is such a block
 */
#include "model/dual_tower.h"

#include <math.h>

#include "model/bridge_parts.h"
#include "model/tower_parts.h"

/* --- do the parts fit ----------------------------------------------------------------- */

typedef struct pair {
    const char *left;
    int a;
    const char *right;
    int b;
} pair;

pf_status pf_dual_tower_check(const pf_dual_tower *towers, pf_error *error)
{
    const pf_tower_info *video = pf_tower_get_info(towers->video);
    const pf_tower_info *audio = pf_tower_get_info(towers->audio);
    const pf_bridge_info *bridge = pf_bridge_get_info(towers->bridge);
    const pair pairs[] = {
        {"bridge visual_hidden_dim", bridge->video_dim, "video dim", video->dim},
        {"bridge audio_hidden_dim", bridge->audio_dim, "audio dim", audio->dim},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i].a != pairs[i].b)
            return pf_fail(error, PF_E_MODEL,
                           "the components do not fit together: %s is %d, but %s is "
                           "%d", pairs[i].left, pairs[i].a, pairs[i].right,
                           pairs[i].b);
    if (video->layers < audio->layers)
        return pf_fail(error, PF_E_MODEL,
                       "the components do not fit together: video num_layers is %d, "
                       "but must not be below audio num_layers, %d", video->layers,
                       audio->layers);
    return PF_OK;
}

pf_status pf_dual_tower_make_tables(const pf_dual_tower *towers, pf_ops *ops,
                                    const pf_dual_extent *extent, double fps,
                                    bool round_inverse_frequencies,
                                    pf_dual_tables *out)
{
    const int *patch = pf_tower_get_info(towers->video)->patch;
    const int64_t video[3] = {extent->frames, extent->height / patch[1],
                              extent->width / patch[2]};
    const int64_t audio[3] = {extent->audio_length, 1, 1};
    PF_TRY(pf_tower_rope(towers->video, ops, video, &out->video));
    PF_TRY(pf_tower_rope(towers->audio, ops, audio, &out->audio));
    pf_bridge_extent bridge = {extent->frames, video[1] * video[2],
                               extent->audio_length};
    return pf_bridge_make_tables(towers->bridge, ops, &bridge, fps,
                                 round_inverse_frequencies, &out->bridge);
}

/* --- forward ------------------------------------------------------------------------------ */

typedef struct forward_run {
    const pf_dual_tower *towers;
    const pf_dual_inputs *in;
    pf_ops *ops;
    pf_tensor xv, xa;                   /* tokens of both towers */
} forward_run;

/* The condition scale of a direction: its own, else the one for both, else the model's, which
 * the reference holds in bf16 in `ref`. */
static float effective_scale(const forward_run *r, float own)
{
    if (!isnan(own))
        return own;
    if (!isnan(r->in->scales.both))
        return r->in->scales.both;
    float scale = pf_bridge_scale(r->towers->bridge);
    return r->ops->numerics.round_bf16 ? pf_round_bf16(scale) : scale;
}

/* x <- r(x + r(y scale)), all [groups * n, dim]; y is overwritten.  A scale of 1 has no r(). */
static pf_status add_scaled(pf_ops *ops, const pf_tensor *x, const pf_tensor *y,
                            float scale)
{
    if (scale != 1.0f)
        PF_TRY(pf_op_unary(ops, &(pf_unary_args){
            .kind = PF_UNARY_AFFINE, .a = scale, .x = *y, .y = *y}));
    return pf_op_add(ops, &(pf_add_args){.a = *x, .b = *y, .y = *x});
}

/* Both directions read the old tokens: neither result may be added before the other one is
 * complete, so that both have room of their own. */
static pf_status interact(const forward_run *r, int layer)
{
    pf_ops *ops = r->ops;
    const pf_bridge *bridge = r->towers->bridge;
    const pf_bridge_tables *tables = &r->in->tables->bridge;
    float a2v = effective_scale(r, r->in->scales.a2v);
    float v2a = effective_scale(r, r->in->scales.v2a);
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor yv, ya;
    PF_TRY(pf_ops_matrix(ops, r->xv.shape[0], r->xv.shape[1], &yv));
    PF_TRY(pf_ops_matrix(ops, r->xa.shape[0], r->xa.shape[1], &ya));
    int groups = r->in->video_text->groups;
    pf_bridge_place to_video = {PF_A2V, layer, groups}, to_audio = {PF_V2A, layer, groups};
    PF_TRY(pf_bridge_run(bridge, ops, to_video, tables, &r->xv, &r->xa, &yv));
    PF_TRY(pf_bridge_run(bridge, ops, to_audio, tables, &r->xa, &r->xv, &ya));
    PF_TRY(add_scaled(ops, &r->xv, &yv, a2v));
    PF_TRY(add_scaled(ops, &r->xa, &ya, v2a));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

/* The bridge where it interacts, then the two blocks (the video block alone past the
 * last audio one). */
static pf_status run_layer(const forward_run *r, int layer)
{
    const pf_dual_inputs *in = r->in;
    pf_block_inputs video = {in->video_time, in->video_text, in->tables->video};
    pf_block_inputs audio = {in->audio_time, in->audio_text, in->tables->audio};
    bool paired = layer < pf_tower_get_info(r->towers->audio)->layers;
    if (!in->bridge_off && paired && pf_bridge_interacts(r->towers->bridge, layer))
        PF_TRY(interact(r, layer));
    PF_TRY(pf_tower_run_block(r->towers->video, r->ops, layer, &video, &r->xv));
    if (!paired)
        return PF_OK;
    return pf_tower_run_block(r->towers->audio, r->ops, layer, &audio, &r->xa);
}

/* [C, L] as the map [C, L, 1, 1] that towers take. */
static pf_tensor as_map(const pf_tensor *audio)
{
    return pf_tensor_reshape(*audio, 4,
                             (int64_t[]){audio->shape[0], audio->shape[1], 1, 1});
}

static int64_t token_count(const pf_tower *tower, const pf_tensor *map)
{
    return pf_tower_token_count(tower, map->shape[1], map->shape[2], map->shape[3]);
}

static pf_status run_heads(const forward_run *r)
{
    const pf_dual_inputs *in = r->in;
    int groups = in->video_text->groups;
    pf_tensor sounds[PF_MOST_GROUPS];
    for (int i = 0; i < groups; i++)
        sounds[i] = as_map(&in->audio_out[i]);
    PF_TRY(pf_tower_run_head(r->towers->video, r->ops, in->video_time, &r->xv,
                             &(pf_velocities){groups, in->video_out}));
    return pf_tower_run_head(r->towers->audio, r->ops, in->audio_time, &r->xa,
                             &(pf_velocities){groups, sounds});
}

pf_status pf_dual_tower_forward(const pf_dual_tower *towers, pf_ops *ops,
                                const pf_dual_inputs *inputs)
{
    forward_run r = {.towers = towers, .in = inputs, .ops = ops};
    pf_tensor audio_in = as_map(&inputs->audio);
    int64_t groups = inputs->video_text->groups;
    pf_mark mark = pf_ops_mark(ops);
    PF_TRY(pf_ops_matrix(ops, groups * token_count(towers->video, &inputs->video),
                         pf_tower_get_info(towers->video)->dim, &r.xv));
    PF_TRY(pf_ops_matrix(ops, groups * token_count(towers->audio, &audio_in),
                         pf_tower_get_info(towers->audio)->dim, &r.xa));
    PF_TRY(pf_tower_patchify(towers->video, ops, &inputs->video, &r.xv));
    PF_TRY(pf_tower_patchify(towers->audio, ops, &audio_in, &r.xa));
    for (int i = 0; i < pf_tower_get_info(towers->video)->layers; i++)
        PF_TRY(run_layer(&r, i));
    PF_TRY(run_heads(&r));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}
