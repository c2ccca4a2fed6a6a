/* SPDX-License-Identifier: Apache-2.0 */
/* The Wan tower: one DiT, video or audio.  docs/model/towers.md.
 *
 * A forward pass needs three things that change at different rates, and each has its own
 * function, so that none is made more often than it changes:
 *
 *     when             made by               result
 *     ---------------  --------------------  ------------------------------------------
 *     model opens      pf_tower_bind         sizes, and the places of the weights
 *     stage, prompt    pf_tower_embed_text   keys and values of every cross attention
 *     step, host       pf_tower_place_time   wave [1, freq_dim], uploaded
 *     step, device     pf_tower_embed_time   e, m and the modulation of every block
 *     pass             dual_tower.c          tokens -> blocks -> velocities
 *
 * Thread-safety: a bound tower is constant but for its weights, which params.h loads and
 * unloads.  All results live in the arena of the pf_ops that is given, so a dry run may use
 * the tower beside a running job. */
#ifndef PF_MODEL_TOWER_H
#define PF_MODEL_TOWER_H

#include <jansson.h>

#include "model/params.h"
#include "ops/ops.h"

typedef struct pf_tower pf_tower;

typedef enum pf_modality { PF_VIDEO, PF_AUDIO } pf_modality;

/* Rows of a text: towers attend to all of them, used or not. */
enum { PF_CONTEXT_ROWS = 512 };

/* Configuration of a tower after its checks (docs/model/towers.md, "Configuration"). */
typedef struct pf_tower_info {
    int dim, heads, layers, ffn_dim;
    int in_dim, out_dim, text_dim, freq_dim;
    int patch[3];                               /* audio: {p, 1, 1} */
    int positions;                              /* rotary positions along each axis */
    double epsilon;
} pf_tower_info;

/* Reads `config` (the component's config.json; `name` is its path, for messages) and asks
 * `params` for its parameters: block i is group i.  Keys that the code cannot honour
 * (has_image_input ...) are refused by name, with PF_E_UNSUPPORTED; sizes that do not fit,
 * with PF_E_MODEL.  No weight is loaded.  *out is to be released with pf_tower_unbind also
 * after a failure, and after `params`, whose slots point into it. */
pf_status pf_tower_bind(pf_params *params, pf_modality modality, const json_t *config,
                        const char *name, pf_tower **out, pf_error *error);
void pf_tower_unbind(pf_tower *tower);                  /* NULL is fine */
const pf_tower_info *pf_tower_get_info(const pf_tower *tower);

/* Tokens of latents [in_dim, frames, height, width] (audio: [in_dim, frames, 1, 1]): one a
 * patch.  Extents are multiples of the patch size. */
int64_t pf_tower_token_count(const pf_tower *tower, int64_t frames, int64_t height,
                             int64_t width);

/* Tensors that depend on (expert, timestep) alone. */
typedef struct pf_tower_time {
    pf_tensor embedding;                        /* e [dim] */
    pf_tensor modulation;                       /* m [6, dim] */
    pf_tensor blocks;                           /* [layers, 6, dim]: m and the block's
                                                 * own, scales being factors already */
} pf_tower_time;

/* Tensors that depend on (expert, prompts) alone: keys and values of the cross attention,
 * one group of tokens a prompt.  Rows of a text beyond the used ones are zero and all
 * alike: one of them may stand for all, with ln(how many) added to its score. */
typedef struct pf_tower_text {
    int groups;
    int64_t rows;                               /* keys of a group */
    pf_tensor key_bias;                         /* [rows], or null */
    pf_tensor kept;                             /* [layers, 2, groups * rows, dim] */
} pf_tower_text;

/* A timestep of 0 .. 1000 on the device: uploads its sinusoids into wave [1, freq_dim].
 * Runs outside of a recording, because the values differ from step to step. */
pf_status pf_tower_place_time(const pf_tower *tower, pf_ops *ops, float timestep,
                              const pf_tensor *wave);

/* e, m and blocks from wave [1, freq_dim], all in the arena.  The layers compute in f32 in
 * every precision; with numerics.round_bf16 e and m are rounded behind them. */
pf_status pf_tower_embed_time(pf_tower *tower, pf_ops *ops, const pf_tensor *wave,
                              pf_tower_time *out);

/* texts [512, text_dim] (device), one a group, of which the first `rows` may differ
 * from zero. */
pf_status pf_tower_embed_text(pf_tower *tower, pf_ops *ops, const pf_tensor *texts,
                              int groups, int64_t rows, pf_tower_text *out);

/* The keys and values of one group, for a pass of that prompt alone. */
pf_tower_text pf_tower_text_group(const pf_tower_text *text, int group);

#endif
