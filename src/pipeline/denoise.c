/* SPDX-License-Identifier: Apache-2.0 */
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

/* What a step hands to the host: it may be on its way while the next is computed. */
typedef struct handover {
    bool on_way;
    int step;
    double since;                       /* when the step before was handed over */
    pf_cost cost;                       /* of this one */
} handover;

/* How a step is given to the device. */
typedef enum step_mode {
    WARM,                               /* the first: memory is taken */
    RECORD,                             /* once, then replayed */
    REPLAY,
    PLAIN                               /* nothing can be recorded, or it failed */
} step_mode;

/* Everything a stage keeps on the device for its steps. */
typedef struct denoiser {
    pf_job *job;
    pf_ops *ops;
    pf_dual_tower towers;
    pf_tensor input;                    /* [2z + 4, T, h, w]: latents, condition */
    pf_tensor video;                    /* [z, T, h, w]: the first z of input */
    pf_tensor audio;                    /* [C, L] */
    /* The last is that of both prompts, where they go through the towers together. */
    pf_tower_text video_text[PROMPTS + 1], audio_text[PROMPTS + 1];
    bool together;
    pf_dual_tables tables;
    pf_tensor video_v[BRANCHES], audio_v[BRANCHES];
    /* What a step has for itself: its times and its share of the velocities. */
    pf_tensor video_wave, audio_wave;   /* [1, freq_dim] */
    pf_tensor deltas;                   /* [2]: video, audio */
    step_mode mode;
    pf_cost recorded;                   /* of one replay */
    handover handover;
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

enum { TOGETHER = PROMPTS };

static bool is_given(const denoiser *d, int prompt)
{
    return d->job->plan.tokens[prompt] > 0;
}

/* Two prompts in one pass are half as many launches and twice as much memory for
 * tokens: where launches cost and memory is there for it. */
static bool go_together(const denoiser *d)
{
    const pf_capabilities *c = &d->ops->platform->capabilities;
    const pf_plan *p = &d->job->plan;
    const pf_tower_info *info = pf_tower_get_info(d->towers.video);
    int64_t tokens = p->latent_frames * (p->latent_height / info->patch[1]) *
                     (p->latent_width / info->patch[2]);
    int64_t bytes = PROMPTS * tokens * info->dim * (int64_t)sizeof(float);
    return c->costly_launches && is_given(d, POSITIVE) && is_given(d, NEGATIVE) &&
           bytes <= c->memory_bytes / 32;
}

/* Keys and values of one tower's cross attention for each prompt. */
static pf_status keep_keys(denoiser *d, pf_tower *tower, const pf_tensor *texts,
                           pf_tower_text *out)
{
    const int64_t *tokens = d->job->plan.tokens;
    int64_t most = tokens[tokens[NEGATIVE] > tokens[POSITIVE] ? NEGATIVE : POSITIVE];
    if (d->together)
        PF_TRY(pf_tower_embed_text(tower, d->ops, texts, PROMPTS, most, &out[TOGETHER]));
    for (int which = 0; which < PROMPTS; which++) {
        if (d->together)
            out[which] = pf_tower_text_group(&out[TOGETHER], which);
        else if (is_given(d, which))
            PF_TRY(pf_tower_embed_text(tower, d->ops, &texts[which], 1, tokens[which],
                                       &out[which]));
    }
    return PF_OK;
}

static pf_status place_text(denoiser *d)
{
    int64_t width = pf_umt5_width(d->job->engine->text_encoder);
    pf_tensor texts[PROMPTS];
    for (int which = 0; which < PROMPTS; which++) {
        if (!is_given(d, which))
            continue;
        PF_TRY(pf_ops_matrix(d->ops, PF_TEXT_ROWS, width, &texts[which]));
        PF_TRY(pf_ops_upload(d->ops, &texts[which], d->job->text[which]));
    }
    PF_TRY(keep_keys(d, d->towers.video, texts, d->video_text));
    return keep_keys(d, d->towers.audio, texts, d->audio_text);
}

static pf_status place_step(denoiser *d)
{
    PF_TRY(pf_ops_matrix(d->ops, 1, pf_tower_get_info(d->towers.video)->freq_dim,
                         &d->video_wave));
    PF_TRY(pf_ops_matrix(d->ops, 1, pf_tower_get_info(d->towers.audio)->freq_dim,
                         &d->audio_wave));
    return pf_ops_tensor(d->ops, 1, (int64_t[]){2}, &d->deltas);
}

static pf_status set_up(denoiser *d)
{
    const pf_job *job = d->job;
    const pf_plan *p = &job->plan;
    d->together = go_together(d);
    PF_TRY(place_latents(d));
    PF_TRY(place_step(d));
    PF_TRY(place_text(d));
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

/* The velocities of `first` and, with the texts of both prompts, of the one behind. */
static pf_status run_branches(denoiser *d, branch first, int text,
                              const step_times *times)
{
    pf_dual_inputs inputs = {
        .video = d->input,
        .audio = d->audio,
        .video_time = &times->video,
        .audio_time = &times->audio,
        .video_text = &d->video_text[text],
        .audio_text = &d->audio_text[text],
        .tables = &d->tables,
        .bridge_off = first == BRANCH_BRIDGE_OFF,
        .scales = {1.0f, NAN, NAN},
    };
    for (int i = 0; i < d->video_text[text].groups; i++) {
        inputs.video_out[i] = d->video_v[first + i];
        inputs.audio_out[i] = d->audio_v[first + i];
    }
    return pf_dual_tower_forward(&d->towers, d->ops, &inputs);
}

static pf_status run_both(denoiser *d, const step_times *times)
{
    if (d->together)
        return run_branches(d, BRANCH_POSITIVE, TOGETHER, times);
    PF_TRY(run_branches(d, BRANCH_POSITIVE, POSITIVE, times));
    return run_branches(d, BRANCH_NEGATIVE, NEGATIVE, times);
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
    double scale = pf_request_scale(&job->request, &job->plan, step);
    bool three = job->plan.three_branches;
    step_times times;
    PF_TRY(pf_tower_embed_time(d->towers.video, d->ops, &d->video_wave, &times.video));
    PF_TRY(pf_tower_embed_time(d->towers.audio, d->ops, &d->audio_wave, &times.audio));
    if (!three && scale == 1.0)
        return run_branches(d, BRANCH_POSITIVE, POSITIVE, &times);
    PF_TRY(run_both(d, &times));
    if (three)
        PF_TRY(run_branches(d, BRANCH_BRIDGE_OFF, NEGATIVE, &times));
    PF_TRY(combine(d, d->video_v, scale));
    return combine(d, d->audio_v, scale);
}

static pf_status advance(denoiser *d)
{
    PF_TRY(pf_op_step(d->ops, &(pf_step_args){
        .x = flat(&d->video),
        .v = flat(&d->video_v[BRANCH_POSITIVE]),
        .delta = pf_tensor_slice(d->deltas, 0, 0, 1)}));
    return pf_op_step(d->ops, &(pf_step_args){
        .x = flat(&d->audio),
        .v = flat(&d->audio_v[BRANCH_POSITIVE]),
        .delta = pf_tensor_slice(d->deltas, 0, 1, 1)});
}

/* Puts what this step alone has where its kernels find it. */
static pf_status place_values(denoiser *d, int step)
{
    const pf_scheduler *s = &d->job->scheduler;
    float deltas[2] = {pf_scheduler_delta(s, step, 0), pf_scheduler_delta(s, step, 1)};
    PF_TRY(pf_tower_place_time(d->towers.video, d->ops, s->timesteps[0][step],
                               &d->video_wave));
    PF_TRY(pf_tower_place_time(d->towers.audio, d->ops, s->timesteps[1][step],
                               &d->audio_wave));
    return pf_ops_upload(d->ops, &d->deltas, deltas);
}

/* Every kernel of a step. */
static pf_status compute(denoiser *d, int step)
{
    pf_mark mark = pf_ops_mark(d->ops);
    pf_status status = predict(d, step);
    if (status == PF_OK)
        status = advance(d);
    pf_ops_rewind(d->ops, mark);
    return status;
}

/* --- recording ---------------------------------------------------------------- */

/* Kernels of a stage's steps differ in nothing but what place_values puts: they are
 * recorded in the second step, when all memory has been taken. */
static pf_status try_recording(denoiser *d, int step)
{
    PF_TRY(pf_ops_record_begin(d->ops));
    pf_cost before = d->ops->cost;
    pf_status status = compute(d, step);
    pf_status ended = pf_ops_record_end(d->ops, status == PF_OK);
    d->recorded = (pf_cost){d->ops->cost.flops - before.flops,
                            d->ops->cost.bytes - before.bytes,
                            d->ops->cost.launches - before.launches};
    d->ops->cost = before;              /* nothing has been done yet */
    return status != PF_OK ? status : ended;
}

/* A failure is no more than a warning: the steps go on without. */
static pf_status record(denoiser *d, int step)
{
    pf_error *outer = d->ops->error, why = {0};
    float there[2];
    PF_TRY(pf_ops_download(d->ops, there, &d->deltas));     /* waits for all before */
    d->ops->error = &why;
    pf_status status = try_recording(d, step);
    d->ops->error = outer;
    d->mode = status == PF_OK ? REPLAY : PLAIN;
    if (status == PF_E_CANCELLED)
        return pf_fail(outer, status, "%s", why.message);
    if (status != PF_OK)
        pf_warn(&d->job->engine->log, "step %d was not recorded, the film goes on "
                "without: %s", step, why.message);
    return PF_OK;
}

static pf_status replay(denoiser *d, int step)
{
    pf_error *outer = d->ops->error, why = {0};
    d->ops->error = &why;
    pf_status status = pf_ops_replay(d->ops, &d->recorded);
    d->ops->error = outer;
    if (status == PF_OK)
        return PF_OK;
    d->mode = PLAIN;
    pf_warn(&d->job->engine->log, "step %d was not replayed, the film goes on without: %s",
            step, why.message);
    return compute(d, step);
}

static pf_status compute_somehow(denoiser *d, int step)
{
    if (d->mode == RECORD)
        PF_TRY(record(d, step));
    if (d->mode == REPLAY)
        return replay(d, step);
    if (d->mode == WARM)
        d->mode = pf_ops_records(d->ops) ? RECORD : PLAIN;
    return compute(d, step);
}

/* --- handing over ------------------------------------------------------------ */

/* A place on the host, and what goes there; the last is for previews alone. */
typedef struct delivery {
    float *to;
    pf_tensor from;
} delivery;

static int deliveries(const denoiser *d, delivery out[PF_TRANSFERS])
{
    pf_job *job = d->job;
    out[0] = (delivery){job->video, d->video};
    out[1] = (delivery){job->audio, d->audio};
    out[2] = (delivery){job->preview_velocity, d->video_v[BRANCH_POSITIVE]};
    return job->preview_velocity ? 3 : 2;
}

/* Shows the latents, which have arrived. */
static pf_status publish(denoiser *d)
{
    pf_job *job = d->job;
    int step = d->handover.step;
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
    if (job->preview_velocity)
        pf_job_preview(job, step);
    pf_state state;
    if (job->sinks.state && pf_job_state(job, &state))
        PF_TRY(job->sinks.state(job->sinks.user, &state, d->ops->error));
    double now = pf_seconds();
    pf_job_profile_step(job, step, now - d->handover.since, &d->handover.cost);
    d->handover.since = now;
    pf_job_progress(job, step + 1, job->plan.steps);
    return PF_OK;
}

/* Waits for what is on its way, if anything is. */
static pf_status receive(denoiser *d)
{
    delivery list[PF_TRANSFERS];
    int count = deliveries(d, list);
    if (!d->handover.on_way)
        return PF_OK;
    d->handover.on_way = false;
    for (int i = 0; i < count; i++)
        PF_TRY(pf_ops_download_end(d->ops, i, list[i].to, &list[i].from));
    return publish(d);
}

static pf_status hand_over(denoiser *d, int step, const pf_cost *cost)
{
    delivery list[PF_TRANSFERS];
    int count = deliveries(d, list);
    d->handover.step = step;
    d->handover.cost = *cost;
    for (int i = 0; i < count; i++) {
        bool there;
        PF_TRY(pf_ops_download_begin(d->ops, i, list[i].to, &list[i].from, &there));
        d->handover.on_way |= !there;
    }
    return d->handover.on_way ? PF_OK : publish(d);
}

/* The device has this step to do before the latents of the one before are waited
 * for: it is never without work. */
static pf_status run_step(denoiser *d, int step)
{
    pf_cost before = d->ops->cost;
    PF_TRY(pf_ops_poll(d->ops));
    PF_TRY(place_values(d, step));
    PF_TRY(compute_somehow(d, step));
    d->ops->counter = NULL;             /* all steps ask for what the first asks for */
    if (d->job->dry)
        return PF_OK;
    PF_TRY(pf_job_check_files(d->job, d->ops->error));
    pf_cost cost = {d->ops->cost.flops - before.flops,
                    d->ops->cost.bytes - before.bytes,
                    d->ops->cost.launches - before.launches};
    PF_TRY(receive(d));
    return hand_over(d, step, &cost);
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
    d.handover.since = pf_seconds();
    pf_status status = PF_OK;
    for (int step = begin; status == PF_OK && step < end; step++)
        status = run_step(&d, step);
    /* A step that was done counts, also if the next was cancelled. */
    if (status == PF_OK || status == PF_E_CANCELLED) {
        pf_status received = receive(&d);
        status = received != PF_OK ? received : status;
    }
    if (pf_ops_records(ops))
        pf_ops_record_drop(ops);
    return status;
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
