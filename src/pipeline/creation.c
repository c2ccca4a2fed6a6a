/* SPDX-License-Identifier: Apache-2.0 */
/* Creating jobs: the request is planned, its memory predicted and judged, and only then copied
 * and given room for its values.
 *
 *     request --plan--> pf_plan --dry run--> pf_forecast --judge--> copies, values --> pf_job
 *             |____________________ pf_request_check ______|
 *             |____________________ pf_job_create ______________________________________|
 */
#include <string.h>

#include "base/memory.h"
#include "base/sized.h"
#include "pipeline/predict.h"

/* --- copies and values -------------------------------------------------------- */

static pf_status copy_string(pf_job *job, int slot, const char **text,
                             pf_error *error)
{
    if (!*text)
        return PF_OK;
    *text = job->owned[slot] = pf_strdup(*text);
    return *text ? PF_OK : pf_fail_memory(error, "prompt", 1);
}

/* Copies a picture without the gaps between its rows. */
static pf_status copy_image(pf_job *job, int slot, pf_image *image,
                            pf_error *error)
{
    if (!image->rgb)
        return PF_OK;
    size_t row = (size_t)(3 * image->width);
    char *copy = pf_alloc(row * (size_t)image->height);
    if (!copy)
        return pf_fail_memory(error, "picture", row * (size_t)image->height);
    for (int64_t y = 0; y < image->height; y++)
        memcpy(copy + (size_t)y * row, image->rgb + y * image->stride, row);
    job->owned[slot] = copy;
    image->rgb = (const uint8_t *)copy;
    image->stride = (int64_t)row;
    return PF_OK;
}

static pf_status allocate_floats(float **out, int64_t count, const char *what,
                                 pf_error *error)
{
    *out = pf_calloc((size_t)count, sizeof **out);
    return *out ? PF_OK : pf_fail_memory(error, what, (unsigned long long)count * 4);
}

/* Allocates the values that outlive a stage, all of them now, so that a film that has begun
 * does not end for want of them; host_bytes (predict.c) counts them. */
static pf_status allocate_values(pf_job *job, pf_error *error)
{
    const pf_plan *p = &job->plan;
    int64_t plane = p->latent_frames * p->latent_height * p->latent_width;
    int64_t text = PF_CONTEXT_ROWS * pf_umt5_width(job->engine->text_encoder);
    for (int i = 0; i < PROMPTS; i++)
        if (p->tokens[i] > 0)
            PF_TRY(allocate_floats(&job->text[i], text, "text", error));
    PF_TRY(allocate_floats(&job->condition, (4 + p->latent_channels) * plane,
                           "condition", error));
    PF_TRY(allocate_floats(&job->video, pf_plan_video_count(p), "latents", error));
    PF_TRY(allocate_floats(&job->audio, pf_plan_audio_count(p), "latents", error));
    if (job->sinks.preview && job->engine->preview.known) {
        PF_TRY(allocate_floats(&job->preview_velocity, pf_plan_video_count(p),
                               "preview", error));
        job->preview_rgb = pf_calloc((size_t)plane, 3);
        if (!job->preview_rgb)
            return pf_fail_memory(error, "preview", (unsigned long long)plane * 3);
    }
    job->profile = pf_calloc((size_t)(PF_STAGES + p->steps), sizeof *job->profile);
    if (!job->profile)
        return pf_fail_memory(error, "profile", sizeof *job->profile);
    return PF_OK;
}

/* Copies the latents of a resumed film. */
static void copy_resume(pf_job *job)
{
    const pf_state *resume = job->request.resume;
    if (!resume)
        return;
    memcpy(job->video, resume->video,
           (size_t)pf_plan_video_count(&job->plan) * sizeof(float));
    memcpy(job->audio, resume->audio,
           (size_t)pf_plan_audio_count(&job->plan) * sizeof(float));
}

/* Plans, predicts and judges; nothing is copied or allocated for the run yet.  `out`, if
 * given, is filled also when memory is short. */
static pf_status check_job(pf_job *job, pf_prediction *out, pf_error *error)
{
    pf_forecast forecast;
    PF_TRY(pf_request_plan(job->engine, &job->request, &job->plan, error));
    PF_TRY(pf_residency_check_renewal(job->engine, error));
    PF_TRY(pf_job_predict(job, &forecast, error));
    if (out)
        pf_sized_give(out, &forecast.prediction, sizeof forecast.prediction);
    return pf_forecast_check(&forecast, job, error);
}

/* Judges first: a film that is refused costs no copy of its pictures. */
static pf_status fill_job(pf_job *job, pf_error *error)
{
    pf_request *r = &job->request;
    PF_TRY(check_job(job, NULL, error));
    PF_TRY(copy_string(job, 0, &r->prompt, error));
    PF_TRY(copy_string(job, 1, &r->negative_prompt, error));
    PF_TRY(copy_image(job, 2, &r->first_frame, error));
    PF_TRY(copy_image(job, 3, &r->last_frame, error));
    PF_TRY(allocate_values(job, error));
    copy_resume(job);
    return PF_OK;
}

/* A job with the caller's request, whose pointers are still the caller's. */
static pf_status new_job(pf_engine *engine, const pf_request *request, pf_job **out,
                         pf_error *error)
{
    pf_request own;
    PF_TRY(pf_sized_take(&own, sizeof own, request, "pf_request", error));
    pf_job *job = *out = pf_calloc(1, sizeof *job);
    if (!job)
        return pf_fail_memory(error, "job", sizeof *job);
    job->engine = engine;
    job->request = own;
    return PF_OK;
}

/* --- public ------------------------------------------------------------------- */

pf_status pf_request_check(pf_engine *engine, const pf_request *request,
                           pf_prediction *out, pf_error *error)
{
    pf_job *job = NULL;
    if (out)
        PF_TRY(pf_sized_check(out, sizeof out->size + 1, "pf_prediction", error));
    PF_TRY(new_job(engine, request, &job, error));
    pf_status status = check_job(job, out, error);
    pf_job_destroy(job);
    return status;
}

pf_status pf_job_create(pf_engine *engine, const pf_request *request,
                        const pf_sinks *sinks, pf_job **out, pf_error *error)
{
    pf_job *job = NULL;
    *out = NULL;
    PF_TRY(new_job(engine, request, &job, error));
    if (sinks)
        job->sinks = *sinks;
    pf_status status = fill_job(job, error);
    if (status != PF_OK) {
        pf_job_destroy(job);
        return status;
    }
    *out = job;
    return PF_OK;
}
