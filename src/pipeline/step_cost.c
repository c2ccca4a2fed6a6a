/* SPDX-License-Identifier: Apache-2.0 */
/* A denoising step as a device would be given it.  docs/ascend.md, "Prediction".
 *
 * The denoising stage runs on a platform that counts operators instead of computing:
 * once for one step and once for two, and the difference is a step: set-up cancels out.  The
 * engine is opened for this alone, so that nobody holds `busy`.
 */
#include <stdio.h>
#include <string.h>

#include "base/sized.h"
#include "phonofilm_tools.h"
#include "pipeline/denoise.h"
#include "pipeline/stage.h"

/* Counts what the first `steps` denoising steps, set-up included, give the device. */
static pf_status count_steps(pf_job *job, int steps, pf_tally *out, pf_error *error)
{
    pf_platform *platform = job->engine->platform;
    const pf_stage *stage = pf_stage_get(job->stage);
    pf_tally before = platform->tally;
    pf_ops ops;
    pf_ops_init(&ops, platform, pf_engine_numerics(job->engine, stage->numerics_of), false,
                error);
    pf_status status = pf_denoise(job, &ops, 0, steps);
    pf_ops_release(&ops);
    *out = (pf_tally){
        .launches = platform->tally.launches - before.launches,
        .waits = platform->tally.waits - before.waits,
        .flops = platform->tally.flops - before.flops,
        .bytes = platform->tally.bytes - before.bytes,
        .seconds = platform->tally.seconds - before.seconds,
    };
    return status;
}

static pf_status count_one(pf_job *job, pf_step_cost *out, pf_error *error)
{
    pf_tally one, two;
    const pf_plan *p = &job->plan;
    job->stage = p->step[0].expert == 0 ? PF_STAGE_DENOISE_HIGH : PF_STAGE_DENOISE_LOW;
    PF_TRY(pf_residency_use(job->engine, pf_stage_get(job->stage)->set, error));
    PF_TRY(count_steps(job, 1, &one, error));
    PF_TRY(count_steps(job, 2, &two, error));
    snprintf(out->device, sizeof out->device, "%s",
             job->engine->platform->capabilities.isa);
    out->tokens = pf_tower_token_count(job->engine->expert[0], p->latent_frames,
                                       p->latent_height, p->latent_width);
    out->flops = two.flops - one.flops;
    out->bytes = two.bytes - one.bytes;
    out->launches = two.launches - one.launches;
    out->forwards = p->step[0].velocities;
    out->waits = two.waits - one.waits;
    out->seconds = two.seconds - one.seconds;
    return PF_OK;
}

static pf_status count_in(pf_engine *engine, const pf_step_options *options,
                          pf_step_cost *out, pf_error *error)
{
    pf_job *job;
    pf_prediction prediction = PF_INIT(pf_prediction);
    pf_request request = PF_INIT(pf_request);
    pf_request_init(engine, &request);
    request.text_only = true;
    request.prompt = "A red ball bounces on a wooden floor.";
    request.height = options->height;
    request.width = options->width;
    request.num_frames = options->num_frames;
    request.num_inference_steps = 8;
    PF_TRY(pf_request_check(engine, &request, &prediction, error));
    PF_TRY(pf_job_create(engine, &request, NULL, &job, error));
    out->device_bytes = prediction.device_bytes;
    pf_status status = count_one(job, out, error);
    pf_job_destroy(job);
    return status;
}

/* The row of the platform `name`, or of the first that forecasts; NULL if there is none. */
static const pf_platform_entry *find_forecaster(const char *name)
{
    int count;
    const pf_platform_entry *entries = pf_platform_entries(&count);
    for (int i = 0; i < count; i++)
        if (name ? strcmp(entries[i].name, name) == 0 : entries[i].forecasts)
            return &entries[i];
    return NULL;
}

void pf_forecast_words(char *out, size_t bytes)
{
    const pf_platform_entry *entry = find_forecaster(NULL);
    snprintf(out, bytes, "%s", entry ? entry->kinds : "");
}

pf_status pf_predict_step(const pf_step_options *options, pf_step_cost *out,
                          pf_error *error)
{
    pf_engine *engine;
    const pf_platform_entry *entry = find_forecaster(options->platform);
    pf_engine_options how = {.model_path = options->model_path,
                             .platform = entry ? entry->name : options->platform,
                             .threads = 1,
                             .memory_limit = INT64_MAX};
    pf_step_cost cost = PF_INIT(pf_step_cost);
    PF_TRY(pf_sized_check(out, sizeof out->size + 1, "pf_step_cost", error));
    if (!options->device)
        return pf_fail(error, PF_E_ARGUMENT, "device is missing, but must be a name");
    PF_TRY(pf_engine_open_forecast(&how, options->device, &engine, error));
    pf_status status = count_in(engine, options, &cost, error);
    pf_engine_close(engine);
    if (entry && entry->assumptions)
        snprintf(cost.assumptions, sizeof cost.assumptions, "%s", entry->assumptions);
    pf_sized_give(out, &cost, sizeof cost);
    return status;
}
