/* SPDX-License-Identifier: Apache-2.0 */
/* A tower inside: parameters and the pieces of a forward pass that the dual tower
 * puts together.  docs/model/towers.md.
 *
 *     latents --patchify--> x [groups * n, dim] --run_block, in place, L times--> x
 *                                                                             |
 *                           velocities, one a group <--------run_head---------'
 *
 * Groups are prompts that go through one pass: the rows of group g are [g n, (g + 1) n) of
 * x.  Only attention sees them; every other layer treats rows alike. */
#ifndef PF_MODEL_TOWER_PARTS_H
#define PF_MODEL_TOWER_PARTS_H

#include "model/projection.h"
#include "model/tower.h"

enum { PF_MODULATIONS = 6, PF_MAX_FREQ_DIM = 4096 };

/* Parameters of a block.  norm3 is the only norm with weights of its own; the other two are
 * modulated by the timestep instead. */
typedef struct pf_tower_block {
    pf_attention_layer self, cross;
    pf_tensor norm3_weight, norm3_bias; /* [dim] */
    pf_layer ffn_in, ffn_out;
} pf_tower_block;

struct pf_tower {
    pf_modality modality;
    pf_tower_info info;
    bool oobleck;                       /* audio rotary positions of the old VAE */
    pf_params *params;                  /* of the caller */
    pf_layer patch_embedding;
    pf_layer text_embedding[2], time_embedding[2], time_projection;
    pf_tower_block *blocks;             /* [layers] */
    pf_tensor modulation;               /* of all blocks: [layers, 1, 6, dim] */
    pf_layer head;
    pf_tensor head_modulation;          /* [2 * dim] */
};

/* The rotary table of the tokens of `extent` patches {T, h, w}, or {L, 1, 1} for
 * audio; in the arena. */
pf_status pf_tower_rope(const pf_tower *tower, pf_ops *ops, const int64_t extent[3],
                        pf_rope_table *out);

/* Input [in_dim, T, h, w] (audio: [in_dim, L, 1, 1]) to tokens [groups * n, dim], the
 * same in every group. */
pf_status pf_tower_patchify(const pf_tower *tower, pf_ops *ops,
                            const pf_tensor *input, const pf_tensor *tokens);

/* Keys and values of a context [512, dim] that is there already: pf_tower_embed_text without
 * the text embedding, for tests that compare one layer with the reference. */
pf_status pf_tower_use_context(const pf_tower *tower, pf_ops *ops,
                               const pf_tensor *context, pf_tower_text *out);

/* Fills time->blocks [layers, 6, dim], in the arena, from time->modulation [6, dim]. */
pf_status pf_tower_modulate(const pf_tower *tower, pf_ops *ops, pf_tower_time *time);

/* Inputs of a block beside its tokens. */
typedef struct pf_block_inputs {
    const pf_tower_time *time;
    const pf_tower_text *text;
    pf_rope_table table;                /* of one group of tokens */
} pf_block_inputs;

/* Block `index` on tokens x [groups * n, dim], in place.  Polls for cancelling first, so a
 * cancelled film stops within one block. */
pf_status pf_tower_run_block(const pf_tower *tower, pf_ops *ops, int index,
                             const pf_block_inputs *inputs, const pf_tensor *x);

/* Tokens to velocities [out_dim, T, h, w] (audio: [out_dim, L, 1, 1]), one a group. */
typedef struct pf_velocities {
    int groups;
    const pf_tensor *of;                /* [groups] */
} pf_velocities;

/* The head on tokens x [groups * n, dim], one map of `out` a group.  x stays. */
pf_status pf_tower_run_head(const pf_tower *tower, pf_ops *ops,
                            const pf_tower_time *time, const pf_tensor *x,
                            const pf_velocities *out);

#endif
