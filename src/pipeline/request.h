/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a film: everything that follows from a request before any work is done.
 *
 *     pf_request --checks--> pf_plan --> prediction, progress, recording, resuming, stages
 *
 * A plan holds the sizes of the latents, the token ids, a row of facts for each denoising
 * step (timesteps, expert, guidance) and, for each stage, whether the film needs it and
 * which of these steps it computes.  Nothing that comes later decides them anew.
 *
 *     step      0 ............ first_step ............ switch_step ............ steps
 *               | done before (resume) | high-noise expert | low-noise expert |
 *
 * A plan is a value without pointers; it is large (1,000 rows of steps), so that it lives in
 * a job or on the heap, not on a stack.
 */
#ifndef PF_PIPELINE_REQUEST_H
#define PF_PIPELINE_REQUEST_H

#include "pipeline/engine.h"

enum { POSITIVE, NEGATIVE, PROMPTS };

/* The stages of a film, in their order. */
typedef enum pf_stage_number {
    PF_STAGE_TEXT,
    PF_STAGE_IMAGE,
    PF_STAGE_LATENTS,
    PF_STAGE_DENOISE_HIGH,              /* steps of the high-noise expert */
    PF_STAGE_DENOISE_LOW,
    PF_STAGE_DECODE_AUDIO,
    PF_STAGE_DECODE_VIDEO,
    PF_STAGES
} pf_stage_number;

typedef struct pf_stage_plan {
    bool wanted;
    int begin, end;                     /* denoising steps [begin, end); empty elsewhere */
} pf_stage_plan;

/* A denoising step.  Pairs are {video, audio}. */
typedef struct pf_step_plan {
    float timestep[2];                  /* input of the towers */
    float delta[2];                     /* x <- x + delta v */
    double sigma_after;                 /* of the video, once the step is done */
    int expert;                         /* 0: high noise, 1: low noise */
    int velocities;                     /* to be predicted: 1 (no guidance), 2, or 3 (dual
                                         * guidance) */
    double scale;                       /* of the guidance */
} pf_step_plan;

typedef struct pf_plan {
    int frames, height, width;          /* of the film */
    int64_t latent_channels;            /* video z */
    int64_t latent_frames, latent_height, latent_width;
    int64_t audio_channels, audio_length;
    int64_t audio_samples;              /* of the film: trunc(rate * frames / fps) */
    int first_step;                     /* steps before it are done (resume) */
    int switch_step;                    /* first step of the low-noise expert */
    int steps;
    pf_step_plan step[PF_STEPS_MAX];    /* [steps] */
    pf_stage_plan stage[PF_STAGES];
    int32_t ids[PROMPTS][PF_CONTEXT_ROWS];
    int64_t tokens[PROMPTS];            /* 0: this prompt is not used */
} pf_plan;

int64_t pf_plan_video_count(const pf_plan *plan);       /* values of the latents */
int64_t pf_plan_audio_count(const pf_plan *plan);
int64_t pf_plan_tokens(const pf_plan *plan);            /* of both prompts */

/* Does a step from `first` on need the negative prompt? */
bool pf_plan_uses_negative(const pf_plan *plan, int first);

/* Checks the request, member by member, and makes the plan.  The first member that is refused
 * ends it: PF_E_ARGUMENT or PF_E_INPUT, with the member in error->field.  Takes no
 * lock. */
pf_status pf_request_plan(pf_engine *engine, const pf_request *request, pf_plan *plan,
                          pf_error *error);

/* The negative prompt that remaining steps use: the request's or the default; or NULL. */
const char *pf_request_negative_prompt(const pf_request *request, const pf_plan *plan);

static inline bool pf_is_set(double value)
{
    return value != PF_UNSET;
}

#endif
