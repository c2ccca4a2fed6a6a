/* SPDX-License-Identifier: Apache-2.0 */
/* A job inside: the plan made from a request, the values that stages leave for
 * each other, and the stages themselves. */
#ifndef PF_PIPELINE_JOB_H
#define PF_PIPELINE_JOB_H

#include "pipeline/engine.h"

enum { POSITIVE, NEGATIVE, PROMPTS };

/* Everything that follows from the request before any work is done. */
typedef struct pf_plan {
    int frames, height, width;          /* of the film */
    int64_t latent_channels;            /* video z */
    int64_t latent_frames, latent_height, latent_width;
    int64_t audio_channels, audio_length;
    int64_t audio_samples;              /* of the film: trunc(rate * frames / fps) */
    int first_step, switch_step, steps;
    bool needs_negative;                /* some step runs the negative prompt */
    bool three_branches;                /* dual guidance */
    int32_t ids[PROMPTS][PF_TEXT_ROWS];
    int64_t tokens[PROMPTS];
} pf_plan;

int64_t pf_plan_video_count(const pf_plan *plan);       /* values of the latents */
int64_t pf_plan_audio_count(const pf_plan *plan);

enum { PF_STAGES = 7 };

/* Tests see values between the stages; `values` is host memory. */
typedef struct pf_job_tap {
    void (*see)(void *user, const char *name, const float *values, int64_t count);
    void *user;
} pf_job_tap;

struct pf_job {
    pf_engine *engine;
    pf_request request;                 /* strings and pictures are the job's own */
    pf_sinks sinks;
    pf_plan plan;
    pf_scheduler scheduler;
    bool dry;                           /* a prediction: no values, no sinks */
    atomic_bool cancel;
    pf_job_tap tap;

    /* made by one stage, used by later ones (host, F32) */
    float *text[PROMPTS];               /* [512, text_dim] */
    float *condition;                   /* [4 + z, T, h, w] */
    float *video, *audio;               /* latents [z, T, h, w], [C, L] */
    bool has_latents;
    int step;                           /* denoising steps that are done */
    float *preview_velocity;            /* [z, T, h, w]; NULL: nobody looks */
    uint8_t *preview_rgb;               /* [T][h][w][3] */

    /* the runner's */
    bool ran;
    double started;
    double stage_flops[PF_STAGES];      /* predicted */
    int64_t stage_arena[PF_STAGES];     /* predicted */
    int64_t stage_own[PF_STAGES];       /* predicted: memory of kernels, pf_tally */
    int stage;
    pf_profile_row *profile;            /* [PF_STAGES + steps] */
    int profile_rows;
    char *owned[4];                     /* copies of strings and pictures */
};

/* The four functions of a stage, DESIGN "One request". */
typedef struct pf_stage {
    const char *name;
    /* Does the job need it at all? */
    bool (*wanted)(const pf_job *job);
    pf_component_set (*components)(const pf_job *job);
    pf_component numerics;              /* computes with this component's numerics */
    /* Runs it, or with ops->dry only counts. */
    pf_status (*run)(pf_job *job, pf_ops *ops);
} pf_stage;

extern const pf_stage pf_stages[PF_STAGES];

/* Tells the sink how far the current stage is. */
void pf_job_progress(pf_job *job, int step, int steps);
/* Adds a profile row for a denoising step. */
void pf_job_profile_step(pf_job *job, int step, double seconds, const pf_cost *cost);
void pf_job_see(pf_job *job, const char *name, const float *values, int64_t count);
/* Refuses to go on with weights that could not be read, or that are not those which the
 * film began with. */
pf_status pf_job_check_files(const pf_job *job, pf_error *error);
/* Refuses values that are not finite: weights may hold what they like, results not. */
pf_status pf_job_check_finite(const char *what, const float *values, int64_t count,
                              pf_error *error);

/* Shows the sink what the latents will become; preview_velocity is that of denoising
 * step `step`, which is done (preview.c). */
void pf_job_preview(pf_job *job, int step);

/* Checks the request and makes the plan (request.c). */
pf_status pf_request_plan(pf_engine *engine, const pf_request *request,
                          pf_plan *plan, pf_error *error);
/* Sets the run table of a planned request. */
pf_status pf_request_schedule(const pf_request *request, pf_scheduler *scheduler,
                              pf_error *error);

/* Runs every stage dry and fills stage_flops, _arena and _own; *out may be NULL
 * (predict.c). */
pf_status pf_job_predict(pf_job *job, pf_prediction *out, pf_error *error);

/* The stages that need a file of their own. */
pf_status pf_stage_text(pf_job *job, pf_ops *ops);
pf_status pf_stage_image(pf_job *job, pf_ops *ops);
pf_status pf_stage_latents(pf_job *job, pf_ops *ops);
pf_status pf_stage_denoise_high(pf_job *job, pf_ops *ops);
pf_status pf_stage_denoise_low(pf_job *job, pf_ops *ops);
pf_status pf_stage_decode_audio(pf_job *job, pf_ops *ops);
pf_status pf_stage_decode_video(pf_job *job, pf_ops *ops);

/* The negative prompt that is used, or NULL. */
const char *pf_request_negative_prompt(const pf_request *request, const pf_plan *plan);
/* Guidance scale in force at a step. */
double pf_request_scale(const pf_request *request, const pf_plan *plan, int step);

static inline bool pf_is_set(double value)
{
    return value != PF_UNSET;
}

#endif
