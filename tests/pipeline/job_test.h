/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by tests of whole jobs: an engine on the tiny model, small requests, and
 * sinks that keep what they are given. */
#ifndef PF_TESTS_JOB_TEST_H
#define PF_TESTS_JOB_TEST_H

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "phonofilm.h"

/* The model folder is the program's first argument. */
extern const char *job_test_model;

typedef struct kept {
    pf_job *job;
    uint8_t *frames;                    /* all frames in order */
    int64_t frame_bytes, frame_count;
    float *audio;
    int64_t audio_count;
    float *latents;                     /* video latents of the last state */
    int64_t latent_count;
    int states, progress_calls;
    double last_fraction;
    int cancel_after;                   /* states, or 0 */
    pf_status fail_with;                /* what the frame sink returns, or PF_OK */
} kept;

static inline pf_status keep_frames(void *user, int64_t first, int64_t count,
                                    const uint8_t *rgb, pf_error *error)
{
    kept *k = user;
    (void)error;
    if (k->fail_with != PF_OK)
        return k->fail_with;
    size_t bytes = (size_t)((first + count) * k->frame_bytes);
    uint8_t *grown = realloc(k->frames, bytes);
    if (!grown)
        return PF_E_MEMORY;
    k->frames = grown;
    memcpy(k->frames + first * k->frame_bytes, rgb,
           (size_t)(count * k->frame_bytes));
    k->frame_count = first + count;
    return PF_OK;
}

static inline pf_status keep_audio(void *user, const float *samples, int64_t count,
                                   pf_error *error)
{
    kept *k = user;
    (void)error;
    k->audio = malloc((size_t)count * sizeof *samples);
    if (!k->audio)
        return PF_E_MEMORY;
    memcpy(k->audio, samples, (size_t)count * sizeof *samples);
    k->audio_count = count;
    return PF_OK;
}

static inline pf_status keep_state(void *user, const pf_state *state,
                                   pf_error *error)
{
    kept *k = user;
    const int64_t *s = state->video_shape;
    (void)error;
    k->latent_count = s[0] * s[1] * s[2] * s[3];
    free(k->latents);
    k->latents = malloc((size_t)k->latent_count * sizeof *k->latents);
    if (!k->latents)
        return PF_E_MEMORY;
    memcpy(k->latents, state->video, (size_t)k->latent_count * sizeof *k->latents);
    if (++k->states == k->cancel_after)
        pf_job_cancel(k->job);
    return PF_OK;
}

static inline void keep_progress(void *user, const pf_progress *progress)
{
    kept *k = user;
    k->progress_calls++;
    k->last_fraction = progress->fraction;
}

static inline void kept_free(kept *k)
{
    free(k->frames);
    free(k->audio);
    free(k->latents);
    *k = (kept){0};
}

static inline pf_sinks kept_sinks(kept *k)
{
    return (pf_sinks){.user = k, .frames = keep_frames, .audio = keep_audio,
                      .state = keep_state, .progress = keep_progress};
}

/* 9 frames of 48x32 in 4 steps, both experts. */
static inline pf_request small_request(const pf_engine *engine)
{
    pf_request request = PF_INIT(pf_request);
    pf_request_init(engine, &request);
    request.prompt = "A red ball bounces.";
    request.text_only = true;
    request.height = 32;
    request.width = 48;
    request.num_frames = 9;
    request.num_inference_steps = 4;
    request.guidance_scale = 3.0;
    return request;
}

/* Creates, runs and destroys a job that keeps everything in *k. */
static inline pf_status run_request(pf_engine *engine, const pf_request *request,
                                    kept *k, pf_error *error)
{
    pf_job *job = NULL;
    pf_sinks sinks = kept_sinks(k);
    k->frame_bytes = 3 * (int64_t)request->height * request->width;
    pf_status status = pf_job_create(engine, request, &sinks, &job, error);
    k->job = job;
    if (status == PF_OK)
        status = pf_job_run(job, error);
    pf_job_destroy(job);
    k->job = NULL;
    return status;
}

#endif
