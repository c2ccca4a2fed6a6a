/* SPDX-License-Identifier: Apache-2.0 */
/* The denoising loop.  See denoise.h.
 *
 * The high-noise and the low-noise expert are two stages, so that only one of them is
 * resident; each runs its own steps of the one loop.  A step is
 *
 *     times ----> passes ----> velocities ----> x <- x + delta v ----> handover
 *     (upload)    (passes.c)                    (both modalities)      (to the host)
 *                 |______________ recorder.c may replay ______|
 *
 * The rule that is easy to break: between the first and the last step of a stage nothing may
 * change an address or a shape.  A recording has both, and arenas are measured by one step.
 * So timesteps and deltas, in which steps differ, are uploaded into tensors of the stage.
 */
#include "pipeline/denoise.h"

#include "pipeline/handover.h"
#include "pipeline/passes.h"
#include "pipeline/progress.h"
#include "pipeline/recorder.h"

/* Everything a stage keeps for its steps. */
typedef struct denoiser {
    pf_job *job;
    pf_ops *ops;
    pf_tensor video;                    /* [z, T, h, w]: the first z of passes.video */
    pf_tensor deltas;                   /* [2]: video, audio */
    pf_passes passes;
    pf_recorder recorder;
    pf_handover handover;
} denoiser;

/* --- set-up ----------------------------------------------------------------- */

/* The input of the video expert is a single tensor [2z + 4, T, h, w]; its first z channels are
 * the latents, which steps change in place, so that nothing is concatenated. */
static pf_status place_latents(denoiser *d)
{
    const pf_plan *p = &d->job->plan;
    int64_t z = p->latent_channels;
    int64_t shape[4] = {2 * z + 4, p->latent_frames, p->latent_height, p->latent_width};
    pf_tensor *input = &d->passes.video, *audio = &d->passes.audio;
    PF_TRY(pf_ops_tensor(d->ops, 4, shape, input));
    PF_TRY(pf_ops_matrix(d->ops, p->audio_channels, p->audio_length, audio));
    d->video = pf_tensor_slice(*input, 0, 0, z);
    pf_tensor condition = pf_tensor_slice(*input, 0, z, z + 4);
    PF_TRY(pf_ops_upload(d->ops, &d->video, d->job->video));
    PF_TRY(pf_ops_upload(d->ops, &condition, d->job->condition));
    return pf_ops_upload(d->ops, audio, d->job->audio);
}

/* --- one step --------------------------------------------------------------- */

/* x <- x + delta v for both modalities, delta = sigma(t[i+1]) - sigma(t[i]), below 0. */
static pf_status advance(denoiser *d)
{
    const pf_passes *p = &d->passes;
    PF_TRY(pf_op_step(d->ops, &(pf_step_args){
        .x = pf_tensor_flatten(d->video),
        .v = pf_tensor_flatten(p->video_v[PF_VELOCITY_POSITIVE]),
        .delta = pf_tensor_slice(d->deltas, 0, 0, 1)}));
    return pf_op_step(d->ops, &(pf_step_args){
        .x = pf_tensor_flatten(p->audio),
        .v = pf_tensor_flatten(p->audio_v[PF_VELOCITY_POSITIVE]),
        .delta = pf_tensor_slice(d->deltas, 0, 1, 1)});
}

/* Launches every kernel of a step. */
static pf_status compute(void *user)
{
    denoiser *d = user;
    pf_mark mark = pf_ops_mark(d->ops);
    pf_status status = pf_passes_run(&d->passes);
    if (status == PF_OK)
        status = advance(d);
    pf_ops_rewind(d->ops, mark);
    return status;
}

/* Uploads the values in which steps differ. */
static pf_status place_values(denoiser *d, int step)
{
    const pf_step_plan *s = &d->job->plan.step[step];
    PF_TRY(pf_passes_place_times(&d->passes, s->timestep));
    return pf_ops_upload(d->ops, &d->deltas, s->delta);
}

/* Launches this step before the latents of the step before are waited for, so that the device
 * never idles (handover.h). */
static pf_status run_step(denoiser *d, int step)
{
    pf_cost before = d->ops->cost;
    PF_TRY(pf_ops_poll(d->ops));
    PF_TRY(place_values(d, step));
    PF_TRY(pf_recorder_run(&d->recorder, step));
    d->ops->counter = NULL;             /* all steps ask for what the first asks for */
    if (d->job->dry)
        return PF_OK;
    PF_TRY(pf_job_check_files(d->job, d->ops->error));
    pf_cost cost = pf_cost_since(&d->ops->cost, &before);
    PF_TRY(pf_handover_receive(&d->handover));
    return pf_handover_send(&d->handover, step, &cost);
}

/* --- the loop --------------------------------------------------------------- */

/* Everything that a stage makes once, for the guidance of its first step, `step`. */
static pf_status set_up(denoiser *d, int step)
{
    PF_TRY(place_latents(d));
    PF_TRY(pf_ops_tensor(d->ops, 1, (int64_t[]){2}, &d->deltas));
    PF_TRY(pf_passes_set_up(&d->passes, d->job, step));
    d->recorder = (pf_recorder){
        .ops = d->ops,
        .log = &d->job->engine->log,
        .fence = pf_tensor_slice(d->deltas, 0, 0, 1),
        .compute = compute,
        .user = d,
    };
    pf_handover_begin(&d->handover, d->job, d->ops, &d->video, &d->passes.audio,
                      &d->passes.video_v[PF_VELOCITY_POSITIVE]);
    return PF_OK;
}

pf_status pf_denoise(pf_job *job, pf_ops *ops, int begin, int end)
{
    const pf_engine *e = job->engine;
    denoiser d = {.job = job, .ops = ops};
    d.passes.ops = ops;
    d.passes.towers = (pf_dual_tower){e->expert[job->plan.step[begin].expert], e->audio_dit,
                                      e->bridge};
    PF_TRY(set_up(&d, begin));
    pf_status status = PF_OK;
    for (int step = begin; status == PF_OK && step < end; step++)
        status = run_step(&d, step);
    /* A step that was done counts, also if the next was cancelled. */
    if (status == PF_OK || status == PF_E_CANCELLED) {
        pf_status received = pf_handover_receive(&d.handover);
        status = received != PF_OK ? received : status;
    }
    pf_recorder_drop(&d.recorder);
    return status;
}
