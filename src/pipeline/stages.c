/* SPDX-License-Identifier: Apache-2.0 */
/* The stages before and after denoising: text, image, latents, decoding.
 * docs/model/pipeline.md.  Values between stages are host memory.
 *
 *     stage          reads (host)            computes (device)  leaves (host)
 *     -------------  ----------------------  -----------------  ------------------------
 *     text           plan.ids                umt5               job->text [512, d]
 *     image          pictures of the request video VAE, encode  job->condition
 *     latents        seed, or resume         -                  job->video, job->audio
 *     decode audio   job->audio              audio VAE, decode  samples to the sink
 *     decode video   job->video              video VAE, decode  frames to the sink
 *
 * Each runs dry, too (job->dry): no value is read, no sink called, and every branch that
 * decides shapes or kernels is the film's own. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "pipeline/denoise.h"
#include "pipeline/image.h"
#include "pipeline/progress.h"
#include "pipeline/stages.h"

/* --- text ------------------------------------------------------------------- */

/* Encodes a prompt into job->text: real rows first, then exact zeros. */
static pf_status encode_prompt(pf_job *job, pf_ops *ops, int which)
{
    const pf_plan *plan = &job->plan;
    int64_t width = pf_umt5_width(job->engine->text_encoder);
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor rows;
    PF_TRY(pf_ops_matrix(ops, plan->tokens[which], width, &rows));
    PF_TRY(pf_umt5_encode(job->engine->text_encoder, ops, plan->ids[which],
                          plan->tokens[which], &rows));
    if (!job->dry) {
        size_t bytes = (size_t)(PF_CONTEXT_ROWS * width) * sizeof(float);
        memset(job->text[which], 0, bytes);
        PF_TRY(pf_ops_download(ops, job->text[which], &rows));
    }
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

static pf_status run_text(pf_job *job, pf_ops *ops)
{
    for (int which = 0; which < PROMPTS; which++)
        if (job->plan.tokens[which] > 0)
            PF_TRY(encode_prompt(job, ops, which));
    return PF_OK;
}

/* --- image ------------------------------------------------------------------ */

/* The clip that is encoded: pictures at its ends, mid-grey (0) between. */
typedef struct clip {
    int64_t plane;                      /* values of a channel: H * W */
    int64_t frames;
    float *first, *last;                /* [3, H, W]; last may be NULL */
} clip;

/* pf_frame_source: frame 0 is the first picture, the last frame the last one. */
static pf_status clip_frames(void *user, int64_t first, int64_t count, float *out,
                             pf_error *error)
{
    const clip *c = user;
    (void)error;
    memset(out, 0, (size_t)(3 * count * c->plane) * sizeof *out);
    for (int64_t i = 0; i < count; i++) {
        const float *picture = first + i == 0               ? c->first
                               : first + i == c->frames - 1 ? c->last
                                                            : NULL;
        for (int64_t k = 0; picture && k < 3; k++)
            memcpy(out + (k * count + i) * c->plane, picture + k * c->plane,
                   (size_t)c->plane * sizeof *out);
    }
    return PF_OK;
}

/* A picture cut and scaled to the film, in -1..1; white if there is none. */
static pf_status prepare_picture(const pf_job *job, const pf_image *image,
                                 float **out, pf_error *error)
{
    int64_t h = job->plan.height, w = job->plan.width;
    float *values = pf_alloc((size_t)(3 * h * w) * sizeof *values);
    uint8_t *pixels = pf_alloc((size_t)(3 * h * w));
    pf_status status = PF_OK;
    if (!values || !pixels)
        status = pf_fail_memory(error, "picture", (unsigned long long)(15 * h * w));
    else if (!image->rgb)
        memset(pixels, 255, (size_t)(3 * h * w));
    else
        status = pf_image_fit(image, w, h, pixels, error);
    if (status == PF_OK) {
        pf_image_normalize(pixels, h, w, values);
        *out = values;
    } else {
        pf_free(values);
    }
    pf_free(pixels);
    return status;
}

/* Channels 0..3 of the condition [4 + z, T, h, w]: which of the four film frames of a latent
 * frame are given.  Latent frame 0 is one film frame, whose value stands in all four; a last
 * picture is the fourth frame of the last latent frame. */
static void fill_mask(const pf_job *job)
{
    const pf_plan *p = &job->plan;
    int64_t plane = p->latent_height * p->latent_width;
    memset(job->condition, 0,
           (size_t)(4 * p->latent_frames * plane) * sizeof(float));
    for (int64_t channel = 0; channel < 4; channel++) {
        float *first = job->condition + channel * p->latent_frames * plane;
        for (int64_t i = 0; i < plane; i++)
            first[i] = 1.0f;
    }
    if (!job->request.last_frame.rgb)
        return;
    float *last =
        job->condition + (3 * p->latent_frames + p->latent_frames - 1) * plane;
    for (int64_t i = 0; i < plane; i++)
        last[i] = 1.0f;
}

/* mean -> (mean - latents_mean) * (1 / latents_std), the reciprocal first. */
static void normalize_latents(const pf_job *job, float *latents)
{
    const pf_video_vae_info *vae = pf_video_vae_get_info(job->engine->video_vae);
    int64_t count = pf_plan_video_count(&job->plan) / vae->latent_channels;
    for (int c = 0; c < vae->latent_channels; c++) {
        float reciprocal = 1.0f / vae->deviation[c];
        for (int64_t i = 0; i < count; i++)
            latents[c * count + i] =
                (latents[c * count + i] - vae->mean[c]) * reciprocal;
    }
}

static pf_tiling tiling_of(const pf_job *job)
{
    return (pf_tiling){job->request.vae_tile, job->request.vae_tile_stride};
}

/* Encodes the clip behind the mask of the condition.  All frames between the pictures are
 * grey, which the encoder makes use of (constant_from, constant_to). */
static pf_status encode_clip(pf_job *job, pf_ops *ops, clip *c)
{
    const pf_plan *p = &job->plan;
    int64_t mask = 4 * p->latent_frames * p->latent_height * p->latent_width;
    bool ends = job->request.last_frame.rgb != NULL;
    return pf_video_vae_encode(
        job->engine->video_vae, ops,
        &(pf_video_encode){
            .frames = p->frames, .height = p->height, .width = p->width,
            .source = clip_frames, .user = c,
            .constant_from = 1,
            .constant_to = ends ? p->frames - 1 : p->frames,
            .tiling = tiling_of(job),
            .mean = job->dry ? NULL : job->condition + mask,
        });
}

/* Pictures -> clip -> mean of the posterior -> condition [4 + z, T, h, w]: the mask in front,
 * the normalised mean behind it, written in place. */
static pf_status run_image(pf_job *job, pf_ops *ops)
{
    clip c = {.plane = (int64_t)job->plan.height * job->plan.width,
              .frames = job->plan.frames};
    if (job->dry)
        return encode_clip(job, ops, &c);
    pf_status status =
        prepare_picture(job, &job->request.first_frame, &c.first, ops->error);
    if (status == PF_OK && job->request.last_frame.rgb)
        status = prepare_picture(job, &job->request.last_frame, &c.last, ops->error);
    if (status == PF_OK)
        status = encode_clip(job, ops, &c);
    pf_free(c.first);
    pf_free(c.last);
    PF_TRY(status);
    const pf_plan *p = &job->plan;
    int64_t plane = p->latent_frames * p->latent_height * p->latent_width;
    fill_mask(job);
    normalize_latents(job, job->condition + 4 * plane);
    pf_job_see(job, "condition", job->condition,
               (4 + p->latent_channels) * plane);
    return PF_OK;
}

/* --- latents ---------------------------------------------------------------- */

/* Video first, then audio, from one stream. */
static void draw_noise(pf_job *job)
{
    const pf_request *r = &job->request;
    int64_t video = pf_plan_video_count(&job->plan);
    int64_t audio = pf_plan_audio_count(&job->plan);
    if (r->rng == PF_RNG_TORCH_CPU) {
        pf_mt19937 generator;
        pf_mt19937_seed(&generator, r->seed);
        pf_mt19937_normal(&generator, video, job->video);
        pf_mt19937_normal(&generator, audio, job->audio);
    } else if (r->rng == PF_RNG_TORCH_CUDA) {
        pf_cuda_philox generator = {.seed = r->seed,
                                    .multiprocessors = r->cuda_multiprocessors};
        pf_cuda_philox_normal(&generator, video, job->video);
        pf_cuda_philox_normal(&generator, audio, job->audio);
    } else {
        pf_noise_own(r->seed, 0, 0, video, job->video);
        pf_noise_own(r->seed, 1, 0, audio, job->audio);
    }
}

/* Noise, unless the film is resumed: its latents were copied when the job was created. */
static pf_status run_latents(pf_job *job, pf_ops *ops)
{
    const pf_state *resume = job->request.resume;
    (void)ops;
    if (job->dry)
        return PF_OK;
    if (!resume)
        draw_noise(job);
    job->step = job->plan.first_step;
    job->has_latents = true;
    return PF_OK;
}

/* --- decoding --------------------------------------------------------------- */

/* The decoder makes whole latents; the sink gets the samples of the film alone. */
static pf_status deliver_audio(pf_job *job, const float *samples, pf_error *error)
{
    const pf_plan *p = &job->plan;
    int hop = pf_audio_vae_get_info(job->engine->audio_vae)->hop;
    pf_job_see(job, "audio", samples, p->audio_length * hop);
    if (!job->sinks.audio)
        return PF_OK;
    return job->sinks.audio(job->sinks.user, samples, p->audio_samples, error);
}

/* The whole sound is held, as it is small (4 bytes a sample), and judged before any of it
 * leaves. */
static pf_status run_decode_audio(pf_job *job, pf_ops *ops)
{
    pf_audio_vae *vae = job->engine->audio_vae;
    int64_t length = job->plan.audio_length;
    if (job->dry)
        return pf_audio_vae_decode(vae, ops, NULL, length, NULL);
    size_t count = (size_t)(length * pf_audio_vae_get_info(vae)->hop);
    float *samples = pf_alloc(count * sizeof *samples);
    if (!samples)
        return pf_fail_memory(ops->error, "sound", count * sizeof *samples);
    pf_status status = pf_audio_vae_decode(vae, ops, job->audio, length, samples);
    if (status == PF_OK)
        status = pf_job_check_files(job, ops->error);
    if (status == PF_OK)
        status = pf_job_check_finite("sound", samples, (int64_t)count, ops->error);
    if (status == PF_OK)
        status = deliver_audio(job, samples, ops->error);
    pf_free(samples);
    return status;
}

/* z * std + mean, in fresh memory. */
static float *denormalized_latents(const pf_job *job)
{
    const pf_video_vae_info *vae = pf_video_vae_get_info(job->engine->video_vae);
    int64_t count = pf_plan_video_count(&job->plan) / vae->latent_channels;
    float *out = pf_alloc((size_t)(count * vae->latent_channels) * sizeof *out);
    for (int c = 0; out && c < vae->latent_channels; c++)
        for (int64_t i = 0; i < count; i++)
            out[c * count + i] =
                job->video[c * count + i] * vae->deviation[c] + vae->mean[c];
    return out;
}

/* -1..1 to 0..255, halves to even, NaN to 0: [3, n, H, W] to [n, H, W, 3]. */
static void frames_to_rgb(const float *frames, int64_t count, int64_t plane,
                          uint8_t *rgb)
{
    for (int64_t n = 0; n < count; n++)
        for (int64_t i = 0; i < plane; i++)
            for (int64_t c = 0; c < 3; c++) {
                float v = frames[(c * count + n) * plane + i] * 0.5f + 0.5f;
                v = v > 0.0f ? v < 1.0f ? v : 1.0f : 0.0f;
                rgb[(n * plane + i) * 3 + c] = (uint8_t)rintf(v * 255.0f);
            }
}

/* pf_frame_sink: frames [3, count, H, W] of -1..1, judged before they leave. */
static pf_status take_frames(void *user, int64_t first, int64_t count,
                             const float *frames, pf_error *error)
{
    pf_job *job = user;
    int64_t plane = (int64_t)job->plan.height * job->plan.width;
    pf_status status = PF_OK;
    PF_TRY(pf_job_check_files(job, error));
    PF_TRY(pf_job_check_finite("film", frames, 3 * count * plane, error));
    pf_job_see(job, "video", frames, 3 * count * plane);
    if (job->sinks.frames) {
        uint8_t *rgb = pf_alloc((size_t)(3 * count * plane));
        if (!rgb)
            return pf_fail_memory(error, "frames",
                                  (unsigned long long)(3 * count * plane));
        frames_to_rgb(frames, count, plane, rgb);
        status = job->sinks.frames(job->sinks.user, first, count, rgb, error);
        pf_free(rgb);
    }
    pf_job_progress(job, (int)(first + count), job->plan.frames);
    return status;
}

/* Frames leave while later ones are decoded: a film is never held as a whole. */
static pf_status run_decode_video(pf_job *job, pf_ops *ops)
{
    const pf_plan *p = &job->plan;
    pf_video_decode args = {
        .frames = p->latent_frames, .height = p->latent_height,
        .width = p->latent_width, .tiling = tiling_of(job),
        .sink = take_frames, .user = job,
    };
    if (job->dry)
        return pf_video_vae_decode(job->engine->video_vae, ops, &args);
    float *latents = denormalized_latents(job);
    if (!latents)
        return pf_fail_memory(ops->error, "latents",
                              (unsigned long long)pf_plan_video_count(p) * 4);
    args.latents = latents;
    pf_status status = pf_video_vae_decode(job->engine->video_vae, ops, &args);
    pf_free(latents);
    return status;
}

/* --- any stage -------------------------------------------------------------- */

static pf_status run_denoise(pf_job *job, pf_ops *ops)
{
    const pf_stage_plan *steps = &job->plan.stage[job->stage];
    return pf_denoise(job, ops, steps->begin, steps->end);
}

pf_status pf_stage_run(pf_job *job, pf_ops *ops)
{
    static pf_status (*const run[PF_STAGES])(pf_job *job, pf_ops *ops) = {
        [PF_STAGE_TEXT] = run_text,
        [PF_STAGE_IMAGE] = run_image,
        [PF_STAGE_LATENTS] = run_latents,
        [PF_STAGE_DENOISE_HIGH] = run_denoise,
        [PF_STAGE_DENOISE_LOW] = run_denoise,
        [PF_STAGE_DECODE_AUDIO] = run_decode_audio,
        [PF_STAGE_DECODE_VIDEO] = run_decode_video,
    };
    return run[job->stage](job, ops);
}
