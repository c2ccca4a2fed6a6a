/* SPDX-License-Identifier: Apache-2.0 */
/* The dual tower: a video expert and the audio tower in step, with the bridge
 * between them.  docs/model/towers.md, docs/model/bridge.md.
 *
 *     video latents -> tokens -> [block 0] -> ... -> [block a-1] -> ... -> [block v-1] -> head
 *                             bridge 0 |     |   bridge a-1 |
 *     audio latents -> tokens -> [block 0] -> ... -> [block a-1] ------------------------> head
 *
 * The bridge of a layer, where there is one, runs before the two blocks of that layer.  Past
 * the last audio block the video tower goes on alone. */
#ifndef PF_MODEL_DUAL_TOWER_H
#define PF_MODEL_DUAL_TOWER_H

#include "model/bridge.h"
#include "model/tower.h"

/* Three bound components, of the engine; this struct only points at them. */
typedef struct pf_dual_tower {
    pf_tower *video, *audio;
    pf_bridge *bridge;
} pf_dual_tower;

/* Widths, layer and head counts of the three fit together; the message names the
 * two that do not. */
pf_status pf_dual_tower_check(const pf_dual_tower *towers, pf_error *error);

/* Condition scales: NaN means "not given". */
typedef struct pf_condition_scales {
    float both, a2v, v2a;
} pf_condition_scales;

/* Extents of a film in latents: the rotary tables depend on them. */
typedef struct pf_dual_extent {
    int64_t frames, height, width;  /* T, h, w of the video latents */
    int64_t audio_length;           /* La */
} pf_dual_extent;

/* The rotary tables of one job, in the arena: the towers' own and the bridge's. */
typedef struct pf_dual_tables {
    pf_rope_table video, audio;     /* of the tokens, of the La latents */
    pf_bridge_tables bridge;
} pf_dual_tables;

/* Makes all tables for a film of `fps` frames a second, once a stage: they are the same for
 * every step and pass.  `round_inverse_frequencies`: bridge.h. */
pf_status pf_dual_tower_make_tables(const pf_dual_tower *towers, pf_ops *ops,
                                    const pf_dual_extent *extent, double fps,
                                    bool round_inverse_frequencies,
                                    pf_dual_tables *out);

/* Several prompts may go through one pass: the latents are the same for all, the
 * texts have a group for each, and so have the velocities. */
enum { PF_MOST_GROUPS = 2 };

/* Inputs and outputs of a pass, all on the device.  Outputs are written once the inputs have
 * been read; they may not overlap them. */
typedef struct pf_dual_inputs {
    pf_tensor video;                /* [in_dim, T, h, w] F32 device, contiguous */
    pf_tensor audio;                /* [in_dim, La] */
    const pf_tower_time *video_time, *audio_time;
    const pf_tower_text *video_text, *audio_text;
    const pf_dual_tables *tables;   /* of this size and fps */
    bool bridge_off;                /* neither direction is computed */
    pf_condition_scales scales;
    pf_tensor video_out[PF_MOST_GROUPS];    /* [out_dim, T, h, w]: velocity */
    pf_tensor audio_out[PF_MOST_GROUPS];    /* [out_dim, La] */
} pf_dual_inputs;

/* Runs a forward pass.  The arena holds as much afterwards as before. */
pf_status pf_dual_tower_forward(const pf_dual_tower *towers, pf_ops *ops,
                                const pf_dual_inputs *inputs);

#endif
