/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: the list of stages and the runner, which alone knows about time, progress,
 * residency and working memory.  DESIGN "One request, start to end". */
#include "pipeline/job.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

/* --- the stages -------------------------------------------------------------- */

static bool steps_remain(const pf_job *job)
{
    return job->plan.first_step < job->plan.steps;
}

static bool always(const pf_job *job)
{
    (void)job;
    return true;
}

static bool high_steps_remain(const pf_job *job)
{
    return job->plan.first_step < job->plan.switch_step;
}

static bool low_steps_remain(const pf_job *job)
{
    return steps_remain(job) && job->plan.switch_step < job->plan.steps;
}

static bool wants_audio(const pf_job *job)
{
    return !job->request.no_audio_output;
}

static bool wants_video(const pf_job *job)
{
    return !job->request.no_video_output;
}

static pf_component_set uses_nothing(const pf_job *job)
{
    (void)job;
    return 0;
}

static pf_component_set uses_text_encoder(const pf_job *job)
{
    (void)job;
    return 1u << PF_TEXT_ENCODER;
}

static pf_component_set uses_video_vae(const pf_job *job)
{
    (void)job;
    return 1u << PF_VIDEO_VAE;
}

static pf_component_set uses_audio_vae(const pf_job *job)
{
    (void)job;
    return 1u << PF_AUDIO_VAE;
}

static pf_component_set uses_high_expert(const pf_job *job)
{
    (void)job;
    return 1u << PF_VIDEO_DIT | 1u << PF_AUDIO_DIT | 1u << PF_DUAL_TOWER_BRIDGE;
}

static pf_component_set uses_low_expert(const pf_job *job)
{
    (void)job;
    return 1u << PF_VIDEO_DIT_2 | 1u << PF_AUDIO_DIT | 1u << PF_DUAL_TOWER_BRIDGE;
}

const pf_stage pf_stages[PF_STAGES] = {
    {"text", steps_remain, uses_text_encoder, PF_TEXT_ENCODER, pf_stage_text},
    {"image", steps_remain, uses_video_vae, PF_VIDEO_VAE, pf_stage_image},
    {"latents", always, uses_nothing, PF_VIDEO_DIT, pf_stage_latents},
    {"denoise", high_steps_remain, uses_high_expert, PF_VIDEO_DIT,
     pf_stage_denoise_high},
    {"denoise", low_steps_remain, uses_low_expert, PF_VIDEO_DIT_2,
     pf_stage_denoise_low},
    {"decode audio", wants_audio, uses_audio_vae, PF_AUDIO_VAE,
     pf_stage_decode_audio},
    {"decode video", wants_video, uses_video_vae, PF_VIDEO_VAE,
     pf_stage_decode_video},
};

/* --- what stages tell --------------------------------------------------------- */

void pf_job_see(pf_job *job, const char *name, const float *values, int64_t count)
{
    if (job->tap.see)
        job->tap.see(job->tap.user, name, values, count);
}

pf_status pf_job_check_finite(const char *what, const float *values, int64_t count,
                              pf_error *error)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return pf_fail(error, PF_E_MODEL,
                           "the %s became %g, but must stay finite: the model's "
                           "weights hold such values or lead to them", what,
                           (double)values[i]);
    return PF_OK;
}

/* A platform with memory of its own has what it needs once it is loaded. */
pf_status pf_job_check_files(const pf_job *job, pf_error *error)
{
    const pf_engine *engine = job->engine;
    return pf_residency_check(engine, pf_stages[job->stage].components(job),
                              engine->platform->capabilities.own_memory, error);
}

static pf_status check_lost(void *user, pf_error *error)
{
    const pf_job *job = user;
    return pf_residency_check(job->engine, pf_stages[job->stage].components(job), true,
                              error);
}

/* Share of the whole work that is done, by predicted FLOPs. */
static double fraction_done(const pf_job *job, int step, int steps)
{
    double total = 0.0, done = 0.0;
    for (int i = 0; i < PF_STAGES; i++) {
        total += job->stage_flops[i];
        if (i < job->stage)
            done += job->stage_flops[i];
    }
    if (job->stage < PF_STAGES && steps > 0) {
        /* Both denoising stages count one loop. */
        const pf_plan *p = &job->plan;
        int begin = 0, end = steps;
        if (pf_stages[job->stage].run == pf_stage_denoise_high) {
            begin = p->first_step;
            end = p->switch_step;
        } else if (pf_stages[job->stage].run == pf_stage_denoise_low) {
            begin = p->first_step > p->switch_step ? p->first_step : p->switch_step;
        }
        if (end > begin)
            done += job->stage_flops[job->stage] * (step - begin) / (end - begin);
    }
    return total > 0.0 ? done / total : 1.0;
}

void pf_job_progress(pf_job *job, int step, int steps)
{
    if (!job->sinks.progress)
        return;
    pf_progress progress = {
        .stage = pf_stages[job->stage].name,
        .step = step,
        .steps = steps,
        .fraction = fraction_done(job, step, steps),
        .seconds = pf_seconds() - job->started,
        .seconds_left = -1.0,
    };
    if (progress.fraction > 0.02)
        progress.seconds_left =
            progress.seconds / progress.fraction * (1.0 - progress.fraction);
    job->sinks.progress(job->sinks.user, &progress);
}

void pf_job_profile_step(pf_job *job, int step, double seconds, const pf_cost *cost)
{
    job->profile[job->profile_rows++] = (pf_profile_row){
        .stage = pf_stages[job->stage].name,
        .step = step,
        .seconds = seconds,
        .flops = cost->flops,
        .launches = cost->launches,
    };
}

/* --- the runner ----------------------------------------------------------------- */

static pf_status run_in(pf_job *job, const pf_stage *stage, pf_ops *ops)
{
    double started = pf_seconds();
    pf_component_set set = stage->components(job);
    /* The large blocks first: what is left for weights need not be in one piece. */
    pf_residency_evict(job->engine, set);
    PF_TRY(pf_ops_reserve(ops, job->stage_arena[job->stage],
                          job->stage_own[job->stage]));
    PF_TRY(pf_residency_use(job->engine, set, ops->error));
    PF_TRY(pf_residency_check(job->engine, set, false, ops->error));
    PF_TRY(pf_ops_poll(ops));
    PF_TRY(stage->run(job, ops));
    pf_memory weights = pf_residency_bytes(
        job->engine, set, job->plan.tokens[POSITIVE] + job->plan.tokens[NEGATIVE]);
    job->profile[job->profile_rows++] = (pf_profile_row){
        .stage = stage->name,
        .step = -1,
        .seconds = pf_seconds() - started,
        .flops = ops->cost.flops,
        .launches = ops->cost.launches,
        .arena_bytes = ops->peak,
        .weight_bytes = weights.host + weights.device,
    };
    return PF_OK;
}

static pf_status run_stage(pf_job *job, const pf_stage *stage, pf_error *error)
{
    pf_ops ops;
    pf_ops_init(&ops, job->engine->platform,
                pf_engine_numerics(job->engine, stage->numerics), false, error);
    ops.cancel = &job->cancel;
    ops.check_files = check_lost;
    ops.files_user = job;
    pf_job_progress(job, 0, 0);
    pf_status status = run_in(job, stage, &ops);
    pf_ops_release(&ops);
    if (status == PF_OK)
        return pf_job_check_files(job, error);
    /* A damaged file explains any other failure: its message takes precedence. */
    pf_status files = status == PF_E_CANCELLED
                          ? PF_OK
                          : pf_residency_check(job->engine, stage->components(job), false,
                                               error);
    return files != PF_OK ? files : status;
}

static pf_status run_stages(pf_job *job, pf_error *error)
{
    for (job->stage = 0; job->stage < PF_STAGES; job->stage++) {
        const pf_stage *stage = &pf_stages[job->stage];
        if (stage->wanted(job))
            PF_TRY(run_stage(job, stage, error));
    }
    return PF_OK;
}

pf_status pf_job_run(pf_job *job, pf_error *error)
{
    pf_error own = {0};
    pf_engine *engine = job->engine;
    if (job->ran)
        return pf_fail(error, PF_E_ARGUMENT, "a job runs once; create another one");
    pthread_mutex_lock(&engine->busy);
    job->ran = true;
    job->started = pf_seconds();
    error = error ? error : &own;
    pf_status status = pf_residency_renew(engine, error);
    if (status == PF_OK)
        status = run_stages(job, error);
    if (!engine->keep_resident)
        pf_residency_use(engine, 0, NULL);
    pthread_mutex_unlock(&engine->busy);
    return status;
}

void pf_job_cancel(pf_job *job)
{
    atomic_store(&job->cancel, true);
}

bool pf_job_state(const pf_job *job, pf_state *out)
{
    const pf_plan *p = &job->plan;
    if (!job->has_latents)
        return false;
    *out = (pf_state){
        .step = job->step,
        .steps = p->steps,
        .fps = job->request.fps,
        .video = job->video,
        .video_shape = {p->latent_channels, p->latent_frames, p->latent_height,
                        p->latent_width},
        .audio = job->audio,
        .audio_shape = {p->audio_channels, p->audio_length},
    };
    return true;
}

int pf_job_profile(const pf_job *job, const pf_profile_row **rows)
{
    *rows = job->profile;
    return job->profile_rows;
}

/* --- creating ------------------------------------------------------------------- */

static pf_status copy_string(pf_job *job, int slot, const char **text,
                             pf_error *error)
{
    if (!*text)
        return PF_OK;
    *text = job->owned[slot] = pf_strdup(*text);
    return *text ? PF_OK : pf_fail_memory(error, "prompt", 1);
}

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

/* The values that outlive a stage. */
static pf_status allocate_values(pf_job *job, pf_error *error)
{
    const pf_plan *p = &job->plan;
    int64_t plane = p->latent_frames * p->latent_height * p->latent_width;
    int64_t text = PF_TEXT_ROWS * pf_umt5_width(job->engine->text_encoder);
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

/* Takes over the latents of a resumed film. */
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

/* Plans and predicts; nothing is copied or allocated for the run yet. */
static pf_status check_job(pf_job *job, pf_prediction *prediction,
                           pf_error *error)
{
    const pf_request *r = &job->request;
    PF_TRY(pf_request_plan(job->engine, r, &job->plan, error));
    PF_TRY(pf_scheduler_open(&job->engine->scheduler, &job->scheduler, error));
    PF_TRY(pf_request_schedule(r, &job->scheduler, error));
    PF_TRY(pf_residency_check_renewal(job->engine, error));
    return pf_job_predict(job, prediction, error);
}

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

static pf_job *new_job(pf_engine *engine, const pf_request *request,
                       pf_error *error)
{
    pf_job *job = pf_calloc(1, sizeof *job);
    if (!job) {
        pf_fail_memory(error, "job", sizeof *job);
        return NULL;
    }
    job->engine = engine;
    job->request = *request;
    return job;
}

pf_status pf_request_check(pf_engine *engine, const pf_request *request,
                           pf_prediction *out, pf_error *error)
{
    pf_job *job = new_job(engine, request, error);
    if (!job)
        return PF_E_MEMORY;
    pf_status status = check_job(job, out, error);
    pf_job_destroy(job);
    return status;
}

pf_status pf_job_create(pf_engine *engine, const pf_request *request,
                        const pf_sinks *sinks, pf_job **out, pf_error *error)
{
    *out = NULL;
    pf_job *job = new_job(engine, request, error);
    if (!job)
        return PF_E_MEMORY;
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

void pf_job_destroy(pf_job *job)
{
    if (!job)
        return;
    pf_scheduler_close(&job->scheduler);
    for (int i = 0; i < 4; i++)
        pf_free(job->owned[i]);
    for (int i = 0; i < PROMPTS; i++)
        pf_free(job->text[i]);
    pf_free(job->condition);
    pf_free(job->preview_velocity);
    pf_free(job->preview_rgb);
    pf_free(job->video);
    pf_free(job->audio);
    pf_free(job->profile);
    pf_free(job);
}
