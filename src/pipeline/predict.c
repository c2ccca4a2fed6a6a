/* Prediction of memory and time: every stage run dry.  DESIGN "Memory". */
#include <stdio.h>
#include <unistd.h>

#include "pipeline/job.h"

/* What a kernel launch costs beside its arithmetic, and how much of the ceilings
 * whole stages reach: measured on small and large models, docs/performance.md. */
static const double seconds_per_launch = 4e-6;
static const double share_of_ceiling = 0.6;

/* Resident bytes of this process now. */
static int64_t resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    fclose(file);
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

/* What the process holds when no job runs: the one that runs now will have ended
 * before the next one begins. */
static int64_t resident_between_jobs(pf_engine *engine)
{
    if (pthread_mutex_trylock(&engine->busy) != 0)
        return atomic_load(&engine->idle_bytes);
    atomic_store(&engine->idle_bytes, resident_bytes());
    pthread_mutex_unlock(&engine->busy);
    return atomic_load(&engine->idle_bytes);
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
    pf_memory most;                     /* the largest need of a stage */
} dry_run;

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
        bytes = (pf_memory){bytes.host + bytes.device, 0};
    run->most.host = bytes.host > run->most.host ? bytes.host : run->most.host;
    run->most.device = bytes.device > run->most.device ? bytes.device : run->most.device;
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

/* Operations a second that whole stages may be expected to reach here. */
static pf_status measure_speed(pf_engine *engine, double *out, pf_error *error)
{
    pf_ceilings ceilings = {0};
    pthread_mutex_lock(&engine->speed);
    pf_status status = PF_OK;
    if (engine->flops_per_second == 0.0) {
        pf_platform *platform = engine->platform;
        status = platform->table.ceilings(platform, 0.005, &ceilings, error);
        double best = ceilings.f32;
        if (engine->precision == PF_PRECISION_FAST && ceilings.bf16 > best)
            best = ceilings.bf16;
        double slowest = 1.0 * platform->capabilities.threads;
        engine->flops_per_second =
            1e9 * (best > slowest ? share_of_ceiling * best : slowest);
    }
    *out = engine->flops_per_second;
    pthread_mutex_unlock(&engine->speed);
    return status;
}

/* Where kernels compute: `now` is what of it the process has already. */
static pf_status check_memory(const pf_engine *engine, const pf_prediction *p, int64_t now,
                              pf_error *error)
{
    const double gib = 1024.0 * 1024.0 * 1024.0;
    bool own = engine->platform->capabilities.own_memory;
    const char *whose = own ? "the device's memory" : "memory";
    int64_t limit = engine->memory_limit, peak = own ? p->device_bytes : p->peak_bytes;
    int64_t available = engine->platform->capabilities.memory_bytes + (own ? 0 : now);
    if (limit > 0 && peak > limit)
        return pf_fail(error, PF_E_MEMORY,
                       "the film needs %.2f GiB of %s, but memory_limit is %.2f GiB",
                       (double)peak / gib, whose, (double)limit / gib);
    if (limit == 0 && peak > available)
        return pf_fail(error, PF_E_MEMORY,
                       "the film needs %.2f GiB of %s, but only %.2f GiB are available",
                       (double)peak / gib, whose, (double)available / gib);
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
    int64_t now = resident_between_jobs(job->engine);
    double speed;
    fill_prediction(job, &prediction);
    PF_TRY(measure_speed(job->engine, &speed, error));
    PF_TRY(run_dry(job, &run, error));
    prediction.peak_bytes = now + run.most.host + host_bytes(job);
    prediction.device_bytes = run.most.device;
    prediction.flops = run.cost.flops;
    prediction.seconds = prediction.flops / speed +
                         (double)run.cost.launches * seconds_per_launch;
    if (out)
        *out = prediction;
    return check_memory(job->engine, &prediction, now, error);
}
