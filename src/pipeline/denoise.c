/* The denoising loop: branches, guidance, step.  docs/model/guidance.md,
 * docs/model/schedules.md.
 *
 * The high-noise and the low-noise expert are two stages, so that only one of them
 * is resident; each runs its own steps of the one loop.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "pipeline/job.h"

/* The velocities that one step may need. */
typedef enum branch {
    BRANCH_POSITIVE,                    /* prompt, bridge on */
    BRANCH_NEGATIVE,                    /* negative prompt, bridge on */
    BRANCH_BRIDGE_OFF,                  /* negative prompt, bridge off */
    BRANCHES
} branch;

/* Everything a stage keeps on the device for its steps. */
typedef struct denoiser {
    pf_job *job;
    pf_ops *ops;
    pf_dual_tower towers;
    pf_tensor input;                    /* [2z + 4, T, h, w]: latents, condition */
    pf_tensor video;                    /* [z, T, h, w]: the first z of input */
    pf_tensor audio;                    /* [C, L] */
    pf_tower_text video_text[PROMPTS], audio_text[PROMPTS];
    pf_dual_tables tables;
    pf_tensor video_v[BRANCHES], audio_v[BRANCHES];
} denoiser;

static pf_tensor flat(const pf_tensor *tensor)
{
    int64_t count = pf_tensor_count(tensor);
    return pf_tensor_reshape(*tensor, 1, &count);
}

/* --- set-up ----------------------------------------------------------------- */

static pf_status place_latents(denoiser *d)
{
    const pf_plan *p = &d->job->plan;
    int64_t z = p->latent_channels;
    int64_t shape[4] = {2 * z + 4, p->latent_frames, p->latent_height,
                        p->latent_width};
    PF_TRY(pf_ops_tensor(d->ops, 4, shape, &d->input));
    PF_TRY(pf_ops_matrix(d->ops, p->audio_channels, p->audio_length, &d->audio));
    d->video = pf_tensor_slice(d->input, 0, 0, z);
    pf_tensor condition = pf_tensor_slice(d->input, 0, z, z + 4);
    PF_TRY(pf_ops_upload(d->ops, &d->video, d->job->video));
    PF_TRY(pf_ops_upload(d->ops, &condition, d->job->condition));
    return pf_ops_upload(d->ops, &d->audio, d->job->audio);
}

/* Keys and values of both towers' cross attention for one prompt. */
static pf_status place_text(denoiser *d, int which)
{
    int64_t width = pf_umt5_width(d->job->engine->text_encoder);
    int64_t rows = d->job->plan.tokens[which];
    if (rows == 0)
        return PF_OK;
    pf_tensor text;
    PF_TRY(pf_ops_matrix(d->ops, PF_TEXT_ROWS, width, &text));
    PF_TRY(pf_ops_upload(d->ops, &text, d->job->text[which]));
    PF_TRY(pf_tower_embed_text(d->towers.video, d->ops, &text, rows,
                               &d->video_text[which]));
    return pf_tower_embed_text(d->towers.audio, d->ops, &text, rows,
                               &d->audio_text[which]);
}

static pf_status set_up(denoiser *d)
{
    const pf_job *job = d->job;
    const pf_plan *p = &job->plan;
    PF_TRY(place_latents(d));
    for (int which = 0; which < PROMPTS; which++)
        PF_TRY(place_text(d, which));
    PF_TRY(pf_dual_tower_make_tables(
        &d->towers, d->ops,
        &(pf_dual_extent){p->latent_frames, p->latent_height, p->latent_width,
                          p->audio_length},
        job->request.fps, job->engine->round_bridge_frequencies, &d->tables));
    for (int b = 0; b < BRANCHES; b++) {
        bool needed = b == BRANCH_POSITIVE || (b == BRANCH_NEGATIVE && p->needs_negative) ||
                      (b == BRANCH_BRIDGE_OFF && p->three_branches);
        if (!needed)
            continue;
        PF_TRY(pf_ops_tensor(d->ops, 4, d->video.shape, &d->video_v[b]));
        PF_TRY(pf_ops_tensor(d->ops, 2, d->audio.shape, &d->audio_v[b]));
    }
    return PF_OK;
}

/* --- one step --------------------------------------------------------------- */

typedef struct step_times {
    pf_tower_time video, audio;
} step_times;

static pf_status run_branch(denoiser *d, branch which, const step_times *times)
{
    int prompt = which == BRANCH_POSITIVE ? POSITIVE : NEGATIVE;
    return pf_dual_tower_forward(
        &d->towers, d->ops,
        &(pf_dual_inputs){
            .video = d->input,
            .audio = d->audio,
            .video_time = &times->video,
            .audio_time = &times->audio,
            .video_text = &d->video_text[prompt],
            .audio_text = &d->audio_text[prompt],
            .tables = &d->tables,
            .bridge_off = which == BRANCH_BRIDGE_OFF,
            .scales = {1.0f, NAN, NAN},
            .video_out = d->video_v[which],
            .audio_out = d->audio_v[which],
        });
}

static pf_status combine(denoiser *d, pf_tensor velocity[BRANCHES], double scale)
{
    const pf_request *r = &d->job->request;
    pf_guidance_args args = {
        .negative = flat(&velocity[BRANCH_NEGATIVE]),
        .positive = flat(&velocity[BRANCH_POSITIVE]),
        .scale = (float)scale,
        .rescale = (float)r->guidance_rescale,
        .v = flat(&velocity[BRANCH_POSITIVE]),
    };
    if (d->job->plan.three_branches) {
        args.bridge_off = flat(&velocity[BRANCH_BRIDGE_OFF]);
        args.bridge_scale = (float)r->bridge_guidance_scale;
    }
    return pf_op_guidance(d->ops, &args);
}

/* Predicts the velocities of both modalities into the positive branch's place. */
static pf_status predict(denoiser *d, int step)
{
    const pf_job *job = d->job;
    const float *t_video = job->scheduler.timesteps[0];
    const float *t_audio = job->scheduler.timesteps[1];
    double scale = pf_request_scale(&job->request, &job->plan, step);
    bool three = job->plan.three_branches;
    step_times times;
    PF_TRY(pf_tower_embed_time(d->towers.video, d->ops, t_video[step], &times.video));
    PF_TRY(pf_tower_embed_time(d->towers.audio, d->ops, t_audio[step], &times.audio));
    PF_TRY(run_branch(d, BRANCH_POSITIVE, &times));
    if (!three && scale == 1.0)
        return PF_OK;
    PF_TRY(run_branch(d, BRANCH_NEGATIVE, &times));
    if (three)
        PF_TRY(run_branch(d, BRANCH_BRIDGE_OFF, &times));
    PF_TRY(combine(d, d->video_v, scale));
    return combine(d, d->audio_v, scale);
}

static pf_status advance(denoiser *d, int step)
{
    const pf_scheduler *scheduler = &d->job->scheduler;
    PF_TRY(pf_op_step(d->ops, &(pf_step_args){
        .x = flat(&d->video),
        .v = flat(&d->video_v[BRANCH_POSITIVE]),
        .delta = pf_scheduler_delta(scheduler, step, 0)}));
    return pf_op_step(d->ops, &(pf_step_args){
        .x = flat(&d->audio),
        .v = flat(&d->audio_v[BRANCH_POSITIVE]),
        .delta = pf_scheduler_delta(scheduler, step, 1)});
}

static pf_status preview(denoiser *d, int step)
{
    if (!d->job->preview_velocity)
        return PF_OK;
    PF_TRY(pf_ops_download(d->ops, d->job->preview_velocity,
                           &d->video_v[BRANCH_POSITIVE]));
    pf_job_preview(d->job, step);
    return PF_OK;
}

/* Brings the latents to the host and shows them. */
static pf_status publish(denoiser *d, int step)
{
    pf_job *job = d->job;
    PF_TRY(pf_ops_download(d->ops, job->video, &d->video));
    PF_TRY(pf_ops_download(d->ops, job->audio, &d->audio));
    PF_TRY(pf_job_check_finite("video latents", job->video,
                               pf_plan_video_count(&job->plan), d->ops->error));
    PF_TRY(pf_job_check_finite("audio latents", job->audio,
                               pf_plan_audio_count(&job->plan), d->ops->error));
    job->step = step + 1;
    char name[32];
    snprintf(name, sizeof name, "latents.video.%d", step);
    pf_job_see(job, name, job->video, pf_plan_video_count(&job->plan));
    snprintf(name, sizeof name, "latents.audio.%d", step);
    pf_job_see(job, name, job->audio, pf_plan_audio_count(&job->plan));
    PF_TRY(preview(d, step));
    pf_state state;
    if (!job->sinks.state || !pf_job_state(job, &state))
        return PF_OK;
    return job->sinks.state(job->sinks.user, &state, d->ops->error);
}

static pf_status run_step(denoiser *d, int step)
{
    pf_job *job = d->job;
    double started = pf_seconds();
    pf_cost before = d->ops->cost;
    pf_mark mark = pf_ops_mark(d->ops);
    PF_TRY(pf_ops_poll(d->ops));
    PF_TRY(predict(d, step));
    PF_TRY(advance(d, step));
    pf_ops_rewind(d->ops, mark);
    if (job->dry)
        return PF_OK;
    PF_TRY(publish(d, step));
    pf_cost cost = {d->ops->cost.flops - before.flops,
                    d->ops->cost.bytes - before.bytes,
                    d->ops->cost.launches - before.launches};
    pf_job_profile_step(job, step, pf_seconds() - started, &cost);
    pf_job_progress(job, step + 1, job->plan.steps);
    return PF_OK;
}

static pf_status denoise(pf_job *job, pf_ops *ops, int expert, int begin, int end)
{
    denoiser d = {
        .job = job,
        .ops = ops,
        .towers = {job->engine->expert[expert], job->engine->audio_dit,
                   job->engine->bridge},
    };
    PF_TRY(set_up(&d));
    for (int step = begin; step < end; step++)
        PF_TRY(run_step(&d, step));
    return PF_OK;
}

pf_status pf_stage_denoise_high(pf_job *job, pf_ops *ops)
{
    return denoise(job, ops, 0, job->plan.first_step, job->plan.switch_step);
}

pf_status pf_stage_denoise_low(pf_job *job, pf_ops *ops)
{
    const pf_plan *p = &job->plan;
    int begin = p->first_step > p->switch_step ? p->first_step : p->switch_step;
    return denoise(job, ops, 1, begin, p->steps);
}
