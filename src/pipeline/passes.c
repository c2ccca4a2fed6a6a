/* SPDX-License-Identifier: Apache-2.0 */
/* Passes of a denoising step.  See passes.h. */
#include "pipeline/passes.h"

#include <math.h>

/* --- the list --------------------------------------------------------------- */

static pf_pass pass_of(int first, int count, int prompt)
{
    return (pf_pass){.first = first, .count = count, .prompt = prompt};
}

int pf_passes_list(int velocities, bool together, pf_pass out[PF_VELOCITIES])
{
    int count = 0;
    if (velocities == 1) {
        out[count++] = pass_of(PF_VELOCITY_POSITIVE, 1, POSITIVE);
    } else if (together) {
        out[count++] = pass_of(PF_VELOCITY_POSITIVE, 2, POSITIVE);
    } else {
        out[count++] = pass_of(PF_VELOCITY_POSITIVE, 1, POSITIVE);
        out[count++] = pass_of(PF_VELOCITY_NEGATIVE, 1, NEGATIVE);
    }
    if (velocities == 3) {
        out[count] = pass_of(PF_VELOCITY_BRIDGE_OFF, 1, NEGATIVE);
        out[count++].bridge_off = true;
    }
    return count;
}

/* Two texts in one pass halve the launches and double the memory of tokens: the platform
 * says up to how many bytes that is worth it. */
static bool go_together(const pf_passes *p, const pf_plan *plan)
{
    const pf_capabilities *c = &p->ops->platform->capabilities;
    int64_t tokens = pf_tower_token_count(p->towers.video, plan->latent_frames,
                                          plan->latent_height, plan->latent_width);
    int64_t width = pf_tower_get_info(p->towers.video)->dim;
    int64_t bytes = PROMPTS * tokens * width * (int64_t)sizeof(float);
    return bytes <= c->together_bytes;
}

/* Facts of the stage from its first step: all steps of a stage are guided alike. */
static void make_list(pf_passes *p, const pf_job *job, int step)
{
    const pf_request *r = &job->request;
    const pf_step_plan *s = &job->plan.step[step];
    p->velocities = s->velocities;
    p->scale = (float)s->scale;
    p->bridge_scale = (float)r->bridge_guidance_scale;
    p->rescale = (float)r->guidance_rescale;
    p->count = pf_passes_list(p->velocities, go_together(p, &job->plan), p->list);
}

/* --- set-up ----------------------------------------------------------------- */

static bool reads(const pf_pass *pass, int prompt)
{
    return prompt >= pass->prompt && prompt < pass->prompt + pass->count;
}

static pf_tower_text *text_in(pf_pass *pass, bool of_audio)
{
    return of_audio ? &pass->audio_text : &pass->video_text;
}

/* Makes keys and values of one tower's cross attention for the texts of pass `index`, or
 * takes those of an earlier pass, which include them. */
static pf_status place_keys(pf_passes *p, int index, bool of_audio,
                            const pf_tensor texts[PROMPTS], const int64_t tokens[PROMPTS])
{
    pf_pass *pass = &p->list[index];
    pf_tower *tower = of_audio ? p->towers.audio : p->towers.video;
    pf_tower_text *out = text_in(pass, of_audio);
    for (int i = 0; i < index; i++)
        if (reads(&p->list[i], pass->prompt)) {
            *out = pf_tower_text_group(text_in(&p->list[i], of_audio),
                                       pass->prompt - p->list[i].prompt);
            return PF_OK;
        }
    int64_t most = 0;
    for (int which = pass->prompt; which < pass->prompt + pass->count; which++)
        most = tokens[which] > most ? tokens[which] : most;
    return pf_tower_embed_text(tower, p->ops, &texts[pass->prompt], pass->count, most, out);
}

/* Uploads the prompts [512, text_dim] and makes the keys of both towers for every pass. */
static pf_status place_texts(pf_passes *p, const pf_job *job)
{
    int64_t width = pf_umt5_width(job->engine->text_encoder);
    int prompts = p->velocities > 1 ? PROMPTS : 1;
    pf_tensor texts[PROMPTS];
    for (int which = 0; which < prompts; which++) {
        PF_TRY(pf_ops_matrix(p->ops, PF_CONTEXT_ROWS, width, &texts[which]));
        PF_TRY(pf_ops_upload(p->ops, &texts[which], job->text[which]));
    }
    for (int i = 0; i < p->count; i++)
        PF_TRY(place_keys(p, i, false, texts, job->plan.tokens));
    for (int i = 0; i < p->count; i++)
        PF_TRY(place_keys(p, i, true, texts, job->plan.tokens));
    return PF_OK;
}

static pf_status place_tables(pf_passes *p, const pf_job *job)
{
    const pf_plan *plan = &job->plan;
    const pf_dual_extent extent = {plan->latent_frames, plan->latent_height,
                                   plan->latent_width, plan->audio_length};
    return pf_dual_tower_make_tables(&p->towers, p->ops, &extent, job->request.fps,
                                     job->engine->round_bridge_frequencies, &p->tables);
}

pf_status pf_passes_set_up(pf_passes *p, const pf_job *job, int step)
{
    int64_t video_width = pf_tower_get_info(p->towers.video)->freq_dim;
    int64_t audio_width = pf_tower_get_info(p->towers.audio)->freq_dim;
    pf_tensor video = pf_tensor_slice(p->video, 0, 0, job->plan.latent_channels);
    make_list(p, job, step);
    PF_TRY(pf_ops_matrix(p->ops, 1, video_width, &p->video_wave));
    PF_TRY(pf_ops_matrix(p->ops, 1, audio_width, &p->audio_wave));
    PF_TRY(place_texts(p, job));
    PF_TRY(place_tables(p, job));
    for (int v = 0; v < p->velocities; v++) {
        PF_TRY(pf_ops_tensor(p->ops, 4, video.shape, &p->video_v[v]));
        PF_TRY(pf_ops_tensor(p->ops, 2, p->audio.shape, &p->audio_v[v]));
    }
    return PF_OK;
}

/* --- one step --------------------------------------------------------------- */

pf_status pf_passes_place_times(pf_passes *p, const float timesteps[2])
{
    PF_TRY(pf_tower_place_time(p->towers.video, p->ops, timesteps[0], &p->video_wave));
    return pf_tower_place_time(p->towers.audio, p->ops, timesteps[1], &p->audio_wave);
}

/* The timesteps of a step, as both towers take them. */
typedef struct step_times {
    pf_tower_time video, audio;
} step_times;

static pf_status run_pass(const pf_passes *p, const pf_pass *pass, const step_times *times)
{
    pf_dual_inputs inputs = {
        .video = p->video,
        .audio = p->audio,
        .video_time = &times->video,
        .audio_time = &times->audio,
        .video_text = &pass->video_text,
        .audio_text = &pass->audio_text,
        .tables = &p->tables,
        .bridge_off = pass->bridge_off,
        .scales = {1.0f, NAN, NAN},
    };
    for (int i = 0; i < pass->count; i++) {
        inputs.video_out[i] = p->video_v[pass->first + i];
        inputs.audio_out[i] = p->audio_v[pass->first + i];
    }
    return pf_dual_tower_forward(&p->towers, p->ops, &inputs);
}

/* Guides the velocities of one modality into the place of the first, where a velocity that
 * is alone lies already (docs/model/guidance.md), with scale s, bridge scale b, rescale g:
 *
 *     v = n + s (p - n)                                      two velocities
 *     v = n0 + b (n - n0) + s (p - n)                        three
 *     v = g (v std(p) / std(v)) + (1 - g) v                  where g > 0
 */
static pf_status combine(const pf_passes *p, const pf_tensor velocity[PF_VELOCITIES])
{
    if (p->velocities == 1)
        return PF_OK;
    pf_guidance_args args = {
        .negative = pf_tensor_flatten(velocity[PF_VELOCITY_NEGATIVE]),
        .positive = pf_tensor_flatten(velocity[PF_VELOCITY_POSITIVE]),
        .scale = p->scale,
        .rescale = p->rescale,
        .v = pf_tensor_flatten(velocity[PF_VELOCITY_POSITIVE]),
    };
    if (p->velocities == 3) {
        args.bridge_off = pf_tensor_flatten(velocity[PF_VELOCITY_BRIDGE_OFF]);
        args.bridge_scale = p->bridge_scale;
    }
    return pf_op_guidance(p->ops, &args);
}

pf_status pf_passes_run(pf_passes *p)
{
    step_times times;
    PF_TRY(pf_tower_embed_time(p->towers.video, p->ops, &p->video_wave, &times.video));
    PF_TRY(pf_tower_embed_time(p->towers.audio, p->ops, &p->audio_wave, &times.audio));
    for (int i = 0; i < p->count; i++)
        PF_TRY(run_pass(p, &p->list[i], &times));
    PF_TRY(combine(p, p->video_v));
    return combine(p, p->audio_v);
}
