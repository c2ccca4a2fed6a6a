/* SPDX-License-Identifier: Apache-2.0 */
/* Passes of a denoising step: forward passes of the dual tower, and the guidance that
 * makes one velocity a modality of theirs.  docs/model/guidance.md.
 *
 * A step needs up to three velocities: p (prompt), n (negative prompt) and n0 (negative
 * prompt without the bridge).  A list made once a stage says which pass predicts which,
 * and every step runs that list:
 *
 *     guidance            texts one by one        texts of both prompts in one pass
 *     none                [p]                     [p]
 *     two branches        [p] [n]                 [p n]
 *     three branches      [p] [n] [n0]            [p n] [n0]
 *
 *     latents, times --> pass --> pass --> ... --> combine --> v, in the place of p
 *
 * All of it lies on the device.  Texts, tables and velocities are made once a stage and stay
 * at their addresses, for a recording of a step has these (recorder.h).
 */
#ifndef PF_PIPELINE_PASSES_H
#define PF_PIPELINE_PASSES_H

#include "pipeline/job.h"

typedef enum pf_velocity {
    PF_VELOCITY_POSITIVE,               /* p */
    PF_VELOCITY_NEGATIVE,               /* n */
    PF_VELOCITY_BRIDGE_OFF,             /* n0 */
    PF_VELOCITIES
} pf_velocity;

typedef struct pf_pass {
    int first, count;                   /* predicts velocities [first, first + count) */
    int prompt;                         /* of `first`; that of first + i is prompt + i */
    bool bridge_off;
    pf_tower_text video_text, audio_text;
} pf_pass;

/* Lists the passes of a step that needs `velocities` velocities: 1 (no guidance), 2 or 3
 * (dual guidance).  `together`: the texts of both prompts go through one pass.
 * @return the number of passes. */
int pf_passes_list(int velocities, bool together, pf_pass out[PF_VELOCITIES]);

/* Everything that predictions of a stage keep on the device. */
typedef struct pf_passes {
    pf_ops *ops;
    pf_dual_tower towers;
    pf_tensor video;                    /* [2z + 4, T, h, w]: latents, condition */
    pf_tensor audio;                    /* [C, L] */
    pf_dual_tables tables;
    pf_tensor video_wave, audio_wave;   /* [1, freq_dim]: the timesteps of a step */
    pf_tensor video_v[PF_VELOCITIES];   /* [z, T, h, w] */
    pf_tensor audio_v[PF_VELOCITIES];   /* [C, L] */
    float scale, bridge_scale, rescale; /* of the guidance */
    int velocities;                     /* predicted by a step: 1, 2 or 3 */
    pf_pass list[PF_VELOCITIES];
    int count;                          /* passes in `list` */
} pf_passes;

/* Makes the list for the stage that begins with step `step` of the job, and places texts,
 * rotary tables and room for velocities in the arena.  `ops`, `towers`, `video` and
 * `audio` are set by the caller. */
pf_status pf_passes_set_up(pf_passes *passes, const pf_job *job, int step);

/* Uploads the timesteps {video, audio} of the next step. */
pf_status pf_passes_place_times(pf_passes *passes, const float timesteps[2]);

/* Predicts: afterwards video_v[0] and audio_v[0] are the velocities of the step. */
pf_status pf_passes_run(pf_passes *passes);

#endif
