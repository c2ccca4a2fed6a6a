/* SPDX-License-Identifier: Apache-2.0 */
/* Prediction of memory and time: every stage run dry.  DESIGN "Memory". */
#include <stdio.h>

#include "pipeline/job.h"

/* What a kernel launch costs beside its arithmetic, and how much of the ceilings
 * whole stages reach: measured on small and large models, docs/performance.md. */
static const double seconds_per_launch = 4e-6;
static const double share_of_ceiling = 0.6;

static bool anything_is_loaded(const pf_engine *engine)
{
    for (int c = 0; c < PF_COMPONENTS; c++)
        if (pf_params_loaded(engine->params[c]))
            return true;
    return false;
}

/* Memory of the process without a film: the one that runs now will have ended before the
 * next one begins, and components that stay loaded are part of what that one needs. */
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

/* Bytes in the process of what the stages leave for each other, and of decoded frames. */
static int64_t host_bytes(const pf_job *job)
{
    const pf_plan *p = &job->plan;
    int64_t width = pf_umt5_width(job->engine->text_encoder);
    int64_t plane = p->latent_frames * p->latent_height * p->latent_width;
    int64_t values = 2 * pf_plan_video_count(p) + pf_plan_audio_count(p) +
                     (4 + p->latent_channels) * plane +
                     PROMPTS * PF_TEXT_ROWS * width + p->audio_samples;
    int64_t chunk = 4 * 3 * (int64_t)p->height * p->width;
    return 4 * values + 5 * chunk;
}

/* What the stages run dry come to. */
typedef struct dry_run {
    pf_platform *counter;               /* or NULL */
    pf_component_set resident;
    pf_cost cost;
    pf_memory most;                     /* the largest needs of a stage */
    int64_t most_new;                   /* of host memory without what lies there already */
    int64_t most_taken;                 /* and without all pages of weight files */
} dry_run;

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* One stage without its arithmetic; components may not come or go meanwhile. */
static pf_status run_stage_dry(pf_job *job, int number, pf_ops *ops, dry_run *run)
{
    pf_engine *engine = job->engine;
    int64_t tokens = job->plan.tokens[POSITIVE] + job->plan.tokens[NEGATIVE];
    pf_tally *tally = run->counter ? &run->counter->tally : NULL;
    if (tally)
        tally->own_bytes = 0;
    ops->counter = run->counter;
    pthread_rwlock_rdlock(&engine->residency);
    pf_status status = pf_stages[number].run(job, ops);
    pf_memory bytes = pf_residency_bytes(engine, run->resident, tokens);
    pthread_rwlock_unlock(&engine->residency);
    job->stage_flops[number] = ops->cost.flops;
    job->stage_arena[number] = ops->peak;
    job->stage_own[number] = tally ? tally->own_bytes : 0;
    const pf_capabilities *c = &engine->platform->capabilities;
    bytes.device += pf_block_bytes(c, ops->peak);
    bytes.device += tally ? pf_block_bytes(c, tally->own_bytes) + tally->fixed_bytes : 0;
    if (!c->own_memory)
        bytes = (pf_memory){bytes.host + bytes.device, 0, bytes.mapped, bytes.there};
    run->most.host = most(run->most.host, bytes.host);
    run->most.device = most(run->most.device, bytes.device);
    run->most_new = most(run->most_new, bytes.host - bytes.there);
    run->most_taken = most(run->most_taken, bytes.host - bytes.mapped);
    return status;
}

static pf_status run_stages_dry(pf_job *job, dry_run *run, pf_error *error)
{
    pf_engine *engine = job->engine;
    for (int i = 0; i < PF_STAGES; i++) {
        const pf_stage *stage = &pf_stages[i];
        if (!stage->wanted(job))
            continue;
        pf_ops ops;
        pf_component_set set = stage->components(job);
        run->resident = engine->keep_resident ? run->resident | set : set;
        pf_ops_init(&ops, engine->platform,
                    pf_engine_numerics(engine, stage->numerics), true, error);
        PF_TRY(run_stage_dry(job, i, &ops, run));
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

/* The share of its threads that the process has processors for: a quota may pay for
 * less, and more threads may have been asked for. */
static double share_of_threads(int threads)
{
    pf_machine machine;
    pf_machine_read(NULL, &machine);
    return machine.processors < threads ? machine.processors / threads : 1.0;
}

/* Operations a second that whole stages may be expected to reach here. */
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

/* --- is there enough? ----------------------------------------------------------- */

/* Bytes of a film in the process, beside what the process holds without one. */
typedef struct need {
    pf_process_memory idle;
    int64_t all;                        /* but for weight files that lie in memory already */
    int64_t taken;                      /* but for all pages of weight files */
} need;

/* "47.9 MiB", "36.70 GiB" */
typedef struct amount {
    char text[32];
} amount;

static amount amount_of(double bytes)
{
    const double mib = 1024.0 * 1024.0;
    amount out;
    if (bytes < 1024.0 * mib)
        snprintf(out.text, sizeof out.text, "%.1f MiB", bytes / mib);
    else
        snprintf(out.text, sizeof out.text, "%.2f GiB", bytes / (1024.0 * mib));
    return out;
}

/* `limit` is the one that binds.  A film that would fit if other programs left the limit
 * alone is PF_E_MEMORY: it may be asked for again. */
static pf_status refuse_memory(const need *n, int64_t available, const pf_limit *limit,
                               pf_error *error)
{
    double needed = (double)(n->idle.resident + n->all);
    bool never = needed > limit->whole;
    return pf_fail(error, never ? PF_E_TOO_LARGE : PF_E_MEMORY,
                   "%sthe film needs %s of memory, but only %s are available (%s)",
                   never ? "" : "memory is short now: ",
                   amount_of(needed).text,
                   amount_of((double)(n->idle.resident + available)).text, limit->source);
}

static pf_status refuse_addresses(const need *n, int64_t left, const char *limit,
                                  pf_error *error)
{
    return pf_fail(error, PF_E_TOO_LARGE,
                   "the film needs %s more of memory, but %s leaves %s",
                   amount_of((double)n->taken).text, limit, amount_of((double)left).text);
}

/* A limit of addresses with what a running film will give back; none stays none. */
static int64_t left_without_film(int64_t left, int64_t now, int64_t idle)
{
    int64_t back = most(now - idle, 0);
    return left < INT64_MAX - back ? left + back : INT64_MAX;
}

static pf_status check_host_memory(const need *n, pf_error *error)
{
    pf_machine machine;
    pf_process_memory now;
    pf_machine_read(NULL, &machine);
    pf_process_memory_read(&now);
    /* Pages of files are available, those of our weights, too. */
    int64_t back = most(now.anonymous - n->idle.anonymous, 0);
    int64_t memory = machine.memory + back;
    if (n->all > memory)
        return refuse_memory(n, memory, &machine.memory_by, error);
    int64_t addresses = left_without_film(machine.address_space, now.address_space,
                                          n->idle.address_space);
    if (n->taken > addresses)
        return refuse_addresses(n, addresses, "RLIMIT_AS", error);
    int64_t data = left_without_film(machine.data, now.data, n->idle.data);
    if (n->taken > data)
        return refuse_addresses(n, data, "RLIMIT_DATA", error);
    return PF_OK;
}

/* Where kernels compute.  memory_limit judges no film that was accepted. */
static pf_status check_memory(const pf_job *job, const pf_prediction *p, const need *n,
                              pf_error *error)
{
    const pf_engine *engine = job->engine;
    const pf_capabilities *c = &engine->platform->capabilities;
    const char *whose = c->own_memory ? "the device's memory" : "memory";
    int64_t limit = engine->memory_limit;
    int64_t peak = c->own_memory ? p->device_bytes : p->peak_bytes;
    if (limit > 0 && peak > limit && !job->request.accepted)
        return pf_fail(error, PF_E_TOO_LARGE,
                       "the film needs %s of %s, but memory_limit is %s",
                       amount_of((double)peak).text, whose, amount_of((double)limit).text);
    if (limit > 0)
        return PF_OK;
    if (!c->own_memory)
        return check_host_memory(n, error);
    if (peak > c->memory_bytes)
        return pf_fail(error, PF_E_TOO_LARGE,
                       "the film needs %s of %s, but only %s are available",
                       amount_of((double)peak).text, whose,
                       amount_of((double)c->memory_bytes).text);
    return PF_OK;
}

static void fill_prediction(const pf_job *job, pf_prediction *out)
{
    const pf_plan *p = &job->plan;
    const pf_request *r = &job->request;
    const pf_scheduler_config *c = &job->scheduler.config;
    double shift = c->exponential_shift ? PF_UNSET : c->shift;
    *out = (pf_prediction){
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

pf_status pf_job_predict(pf_job *job, pf_prediction *out, pf_error *error)
{
    pf_prediction prediction;
    dry_run run;
    need n = {.idle = memory_without_film(job->engine)};
    double speed;
    fill_prediction(job, &prediction);
    PF_TRY(measure_speed(job->engine, &speed, error));
    PF_TRY(run_dry(job, &run, error));
    n.all = run.most_new + host_bytes(job);
    n.taken = run.most_taken + host_bytes(job);
    prediction.peak_bytes = n.idle.resident + run.most.host + host_bytes(job);
    prediction.device_bytes = run.most.device;
    prediction.flops = run.cost.flops;
    prediction.seconds = prediction.flops / speed +
                         (double)run.cost.launches * seconds_per_launch;
    if (out)
        *out = prediction;
    return check_memory(job, &prediction, &n, error);
}
