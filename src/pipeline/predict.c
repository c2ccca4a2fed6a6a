/* SPDX-License-Identifier: Apache-2.0 */
/* Prediction of memory and time: every stage run dry.  See predict.h. */
#include "pipeline/predict.h"

#include "pipeline/stage.h"
#include "pipeline/stages.h"

/* The cost of a kernel launch beside its arithmetic, and the share of the ceilings
 * that whole stages reach: measured on small and large models, docs/performance.md. */
static const double seconds_per_launch = 4e-6;
static const double share_of_ceiling = 0.6;

static bool anything_is_loaded(const pf_engine *engine)
{
    for (int c = 0; c < PF_COMPONENTS; c++)
        if (pf_params_loaded(engine->params[c]))
            return true;
    return false;
}

/* Memory of the process without a film.  A film that runs now will have ended before the
 * next begins, and components that stay loaded are counted among the needs of the next. */
static pf_process_memory memory_without_film(pf_engine *engine)
{
    pthread_mutex_lock(&engine->figures);
    if (pthread_mutex_trylock(&engine->busy) == 0) {
        if (!anything_is_loaded(engine))
            pf_process_memory_read(&engine->idle);
        pthread_mutex_unlock(&engine->busy);
    }
    pf_process_memory idle = engine->idle;
    pthread_mutex_unlock(&engine->figures);
    return idle;
}

/* Process bytes of the values between stages (creation.c, allocate_values), f32, and of a group
 * of 4 decoded frames, 5 bytes a value: as f32 and as the sink gets them. */
static int64_t host_bytes(const pf_job *job)
{
    const pf_plan *p = &job->plan;
    int64_t width = pf_umt5_width(job->engine->text_encoder);
    int64_t plane = p->latent_frames * p->latent_height * p->latent_width;
    int64_t values = 2 * pf_plan_video_count(p) + pf_plan_audio_count(p) +
                     (4 + p->latent_channels) * plane +
                     PROMPTS * PF_CONTEXT_ROWS * width + p->audio_samples;
    int64_t chunk = 4 * 3 * (int64_t)p->height * p->width;
    return 4 * values + 5 * chunk;
}

/* Needs of all stages, from their dry runs. */
typedef struct dry_run {
    pf_platform *counter;               /* or NULL */
    pf_component_set resident;
    pf_cost cost;
    pf_memory most;                     /* the largest needs of a stage */
    int64_t most_new;                   /* host bytes but for weight files in memory */
    int64_t most_taken;                 /* host bytes but for all pages of weight files */
} dry_run;

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Runs the current stage without its arithmetic; components may not come or go meanwhile. */
static pf_status run_stage_dry(pf_job *job, pf_ops *ops, dry_run *run)
{
    pf_engine *engine = job->engine;
    pf_tally *tally = run->counter ? &run->counter->tally : NULL;
    if (tally)
        tally->own_bytes = 0;
    ops->counter = run->counter;
    pthread_rwlock_rdlock(&engine->residency);
    pf_status status = pf_stage_run(job, ops);
    pf_memory bytes =
        pf_residency_bytes(engine, run->resident, pf_plan_tokens(&job->plan));
    pthread_rwlock_unlock(&engine->residency);
    job->stage_flops[job->stage] = ops->cost.flops;
    job->stage_arena[job->stage] = ops->peak;
    job->stage_own[job->stage] = tally ? tally->own_bytes : 0;
    const pf_capabilities *c = &engine->platform->capabilities;
    /* The runner takes the arena and what kernels need before it loads weights. */
    bytes.device += pf_block_bytes(c, ops->peak) + bytes.loading;
    bytes.device += tally ? pf_block_bytes(c, tally->own_bytes) + tally->fixed_bytes : 0;
    if (!c->own_memory)
        bytes = (pf_memory){.host = bytes.host + bytes.device, .mapped = bytes.mapped,
                            .there = bytes.there};
    run->most.host = most(run->most.host, bytes.host);
    run->most.device = most(run->most.device, bytes.device);
    run->most_new = most(run->most_new, bytes.host - bytes.there);
    run->most_taken = most(run->most_taken, bytes.host - bytes.mapped);
    return status;
}

/* Every wanted stage, with the components that would be resident then: with keep_resident all
 * that have been used so far. */
static pf_status run_stages_dry(pf_job *job, dry_run *run, pf_error *error)
{
    pf_engine *engine = job->engine;
    for (int i = 0; i < PF_STAGES; i++) {
        const pf_stage *stage = pf_stage_get((pf_stage_number)i);
        if (!job->plan.stage[i].wanted)
            continue;
        pf_ops ops;
        job->stage = (pf_stage_number)i;
        run->resident = engine->keep_resident ? run->resident | stage->set : stage->set;
        pf_ops_init(&ops, engine->platform,
                    pf_engine_numerics(engine, stage->numerics_of), true, error);
        PF_TRY(run_stage_dry(job, &ops, run));
        run->cost.flops += ops.cost.flops;
        run->cost.launches += ops.cost.launches;
    }
    return PF_OK;
}

static pf_status run_dry(pf_job *job, dry_run *run, pf_error *error)
{
    bool was_dry = job->dry;
    *run = (dry_run){0};
    PF_TRY(pf_platform_open_counter(job->engine->platform, &run->counter, error));
    job->dry = true;
    pf_status status = run_stages_dry(job, run, error);
    job->dry = was_dry;
    pf_platform_close(run->counter);
    return status;
}

/* Processors a thread, at most 1: a quota may give fewer processors than threads, and more
 * threads than processors may have been asked for. */
static double share_of_threads(int threads)
{
    pf_machine machine;
    pf_machine_read(NULL, &machine);
    return machine.processors < threads ? machine.processors / threads : 1.0;
}

/* Measures the operations a second that whole stages are expected to reach, once an engine.
 * Less than 1 GFLOP/s a thread is not believed. */
static pf_status measure_speed(pf_engine *engine, double *out, pf_error *error)
{
    pf_ceilings ceilings = {0};
    pthread_mutex_lock(&engine->figures);
    pf_status status = PF_OK;
    if (engine->flops_per_second == 0.0) {
        pf_platform *platform = engine->platform;
        const pf_capabilities *c = &platform->capabilities;
        status = platform->table.ceilings(platform, 0.005, &ceilings, error);
        double best = ceilings.f32;
        if (engine->precision == PF_PRECISION_FAST && ceilings.bf16 > best)
            best = ceilings.bf16;
        double slowest = 1.0 * c->threads;
        engine->flops_per_second =
            1e9 * (best > slowest ? share_of_ceiling * best : slowest) *
            (c->own_memory ? 1.0 : share_of_threads(c->threads));
    }
    *out = engine->flops_per_second;
    pthread_mutex_unlock(&engine->figures);
    return status;
}

/* --- the prediction ------------------------------------------------------------- */

static void fill_prediction(const pf_job *job, pf_prediction *out)
{
    const pf_plan *p = &job->plan;
    const pf_request *r = &job->request;
    const pf_scheduler_config *c = &job->engine->scheduler;
    double shift = c->exponential_shift ? PF_UNSET : c->shift;
    *out = (pf_prediction){
        .size = sizeof *out,
        .video_shape = {p->latent_channels, p->latent_frames, p->latent_height,
                        p->latent_width},
        .audio_shape = {p->audio_channels, p->audio_length},
        .audio_samples = p->audio_samples,
        .switch_step = p->switch_step,
        .negative_prompt = pf_request_negative_prompt(r, p),
        .visual_shift = pf_is_set(r->visual_shift) ? r->visual_shift : shift,
        .audio_shift = pf_is_set(r->audio_shift) ? r->audio_shift : shift,
    };
}

pf_status pf_job_predict(pf_job *job, pf_forecast *out, pf_error *error)
{
    dry_run run;
    double speed;
    pf_prediction *p = &out->prediction;
    fill_prediction(job, p);
    out->idle = memory_without_film(job->engine);
    PF_TRY(measure_speed(job->engine, &speed, error));
    PF_TRY(run_dry(job, &run, error));
    int64_t values = host_bytes(job);
    out->all = run.most_new + values;
    out->taken = run.most_taken + values;
    p->peak_bytes = out->idle.resident + run.most.host + values;
    p->device_bytes = run.most.device;
    p->flops = run.cost.flops;
    p->seconds = p->flops / speed + (double)run.cost.launches * seconds_per_launch;
    return PF_OK;
}
