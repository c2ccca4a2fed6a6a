/* SPDX-License-Identifier: Apache-2.0 */
/* The Wan tower: one DiT, video or audio.  docs/model/towers.md. */
#ifndef PF_MODEL_TOWER_H
#define PF_MODEL_TOWER_H

#include <jansson.h>

#include "model/params.h"
#include "ops/ops.h"

typedef struct pf_tower pf_tower;

typedef enum pf_modality { PF_VIDEO, PF_AUDIO } pf_modality;

/* Rows of a text: towers attend to all of them, used or not. */
enum { PF_CONTEXT_ROWS = 512 };

typedef struct pf_tower_info {
    int dim, heads, layers, ffn_dim;
    int in_dim, out_dim, text_dim, freq_dim;
    int patch[3];                               /* audio: {p, 1, 1} */
    int positions;                              /* rotary positions along each axis */
    double epsilon;
} pf_tower_info;

/* Reads `config` (the component's config.json; `name` is its path, for messages) and asks
 * `params` for its parameters: block i is group i.  Keys that the code cannot honour
 * (has_image_input ...) are refused by name.  *out is to be released with pf_tower_unbind
 * also after a failure. */
pf_status pf_tower_bind(pf_params *params, pf_modality modality, const json_t *config,
                        const char *name, pf_tower **out, pf_error *error);
void pf_tower_unbind(pf_tower *tower);                  /* NULL is fine */
const pf_tower_info *pf_tower_get_info(const pf_tower *tower);

/* Tokens of latents [in_dim, frames, height, width] (audio: [in_dim, frames, 1, 1]). */
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

/* A timestep on the device: uploads into wave [1, freq_dim]. */
pf_status pf_tower_place_time(const pf_tower *tower, pf_ops *ops, float timestep,
                              const pf_tensor *wave);

/* All results live in the arena of ops. */
pf_status pf_tower_embed_time(pf_tower *tower, pf_ops *ops, const pf_tensor *wave,
                              pf_tower_time *out);

/* texts [512, text_dim] (device), one a group, of which the first `rows` may differ
 * from zero. */
pf_status pf_tower_embed_text(pf_tower *tower, pf_ops *ops, const pf_tensor *texts,
                              int groups, int64_t rows, pf_tower_text *out);

/* The keys and values of one group, for a pass of that prompt alone. */
pf_tower_text pf_tower_text_group(const pf_tower_text *text, int group);

#endif
