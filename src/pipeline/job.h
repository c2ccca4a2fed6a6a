/* SPDX-License-Identifier: Apache-2.0 */
/* A job: one film on its way, as the values that stages leave for each other.
 *
 *     text ---- text[] -----------.
 *     image --- condition ---------+--> denoise (high, low) --> video, audio --> decode
 *     latents - video, audio, step-'
 *
 * All values are host memory, so components can go while values stay.  {step, video,
 * audio} is the state of a film (pf_state): taken after any step, written to disk, and
 * continued elsewhere.
 *
 * Thread-safety: a job belongs to one thread at a time, and sinks are called on the one that
 * runs it.  pf_job_cancel may come from anywhere, as it stores one flag.
 */
#ifndef PF_PIPELINE_JOB_H
#define PF_PIPELINE_JOB_H

#include "pipeline/request.h"

/* Tests see values between the stages; `values` is host memory. */
typedef struct pf_job_tap {
    void (*see)(void *user, const char *name, const float *values, int64_t count);
    void *user;
} pf_job_tap;

/* A job owns every pointer but engine, sinks, tap and request.resume.  In a dry run the values
 * are NULL. */
struct pf_job {
    pf_engine *engine;
    pf_request request;                 /* strings and pictures are the job's own */
    pf_sinks sinks;
    pf_plan plan;
    bool dry;                           /* a prediction: no values, no sinks */
    atomic_bool cancel;
    pf_job_tap tap;

    /* Made by one stage, used by later ones (host, F32). */
    float *text[PROMPTS];               /* [512, text_dim] */
    float *condition;                   /* [4 + z, T, h, w] */
    float *video, *audio;               /* latents [z, T, h, w], [C, L] */
    bool has_latents;
    int step;                           /* denoising steps that are done */
    float *preview_velocity;            /* [z, T, h, w]; NULL: nobody looks */
    uint8_t *preview_rgb;               /* [T][h][w][3] */

    /* Of the runner, or of a dry run. */
    bool ran;
    double started;                     /* pf_seconds */
    pf_stage_number stage;              /* the one that runs */
    double stage_flops[PF_STAGES];      /* predicted */
    int64_t stage_arena[PF_STAGES];     /* predicted bytes */
    int64_t stage_own[PF_STAGES];       /* predicted bytes: memory of kernels, pf_tally */
    pf_profile_row *profile;            /* [PF_STAGES + steps] */
    int profile_rows;
    char *owned[4];                     /* copies of strings and pictures */
};

#endif
