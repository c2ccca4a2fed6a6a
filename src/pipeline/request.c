/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: defaults, checks, and the plan.  See phonofilm.h and request.h.
 *
 * Members are checked in the order of the structure.  A member that would have no
 * effect is refused, not ignored.
 */
#include "pipeline/request.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/sized.h"
#include "pipeline/setting.h"
#include "text/clean.h"

enum {
    MAX_SIDE = 16384,           /* of a picture */
    MIN_SIDE = 16
};

/* The negative prompt of the official scripts. */
static const char default_negative_prompt[] =
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，"
    "整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指";

void pf_request_init(const pf_engine *engine, pf_request *request)
{
    const pf_defaults *d = &engine->defaults;
    const pf_request defaults = {
        .height = d->height,
        .width = d->width,
        .num_frames = d->num_frames,
        .fps = d->fps,
        .num_inference_steps = d->num_inference_steps,
        .guidance_scale = d->guidance_scale,
        .guidance_scale_2 = d->guidance_scale_2,
        .bridge_guidance_scale = PF_UNSET,
        .visual_shift = PF_UNSET,
        .audio_shift = PF_UNSET,
        .seed = PF_DEFAULT_SEED,
    };
    pf_sized_give(request, &defaults, sizeof defaults);
}

int64_t pf_plan_video_count(const pf_plan *plan)
{
    return plan->latent_channels * plan->latent_frames * plan->latent_height *
           plan->latent_width;
}

int64_t pf_plan_audio_count(const pf_plan *plan)
{
    return plan->audio_channels * plan->audio_length;
}

int64_t pf_plan_tokens(const pf_plan *plan)
{
    return plan->tokens[POSITIVE] + plan->tokens[NEGATIVE];
}

bool pf_plan_uses_negative(const pf_plan *plan, int first)
{
    for (int i = first; i < plan->steps; i++)
        if (plan->step[i].velocities > 1)
            return true;
    return false;
}

const char *pf_request_negative_prompt(const pf_request *request, const pf_plan *plan)
{
    if (!pf_plan_uses_negative(plan, plan->first_step))
        return NULL;
    return request->negative_prompt ? request->negative_prompt : default_negative_prompt;
}

/* --- pictures --------------------------------------------------------------- */

static pf_status check_image(const pf_image *image, const char *name,
                             pf_error *error)
{
    if (image->width < MIN_SIDE || image->width > MAX_SIDE ||
        image->height < MIN_SIDE || image->height > MAX_SIDE)
        return pf_fail_field(error, PF_E_INPUT, name,
                             "%s is %lldx%lld, but each side must be %d to %d pixels",
                             name, (long long)image->width, (long long)image->height,
                             MIN_SIDE, MAX_SIDE);
    if (image->stride < 3 * image->width)
        return pf_fail_field(error, PF_E_ARGUMENT, name,
                             "%s has a stride of %lld bytes, but a row needs %lld", name,
                             (long long)image->stride, (long long)(3 * image->width));
    return PF_OK;
}

/* A film from text alone has to be asked for (text_only), so that a forgotten picture is an
 * error and not another film.  Finished latents take no picture. */
static pf_status check_pictures(const pf_request *r, pf_error *error)
{
    if (r->resume && r->resume->step >= r->resume->steps) {
        if (r->first_frame.rgb || r->last_frame.rgb || r->text_only)
            return pf_fail(error, PF_E_ARGUMENT,
                           "a picture has no effect on finished latents; leave it "
                           "out");
        return PF_OK;
    }
    if (r->text_only && r->first_frame.rgb)
        return pf_fail_field(error, PF_E_ARGUMENT, "text_only",
                             "text_only makes a film without a picture, but first_frame "
                             "is given; choose one");
    if (!r->text_only && !r->first_frame.rgb)
        return pf_fail_field(error, PF_E_ARGUMENT, "first_frame",
                             "first_frame is missing: give a picture, or text_only");
    if (r->first_frame.rgb)
        PF_TRY(check_image(&r->first_frame, "first_frame", error));
    if (!r->last_frame.rgb)
        return PF_OK;
    if (r->num_frames == 1)
        return pf_fail_field(error, PF_E_ARGUMENT, "last_frame",
                             "last_frame needs a film of at least 5 frames, but num_frames "
                             "is 1");
    return check_image(&r->last_frame, "last_frame", error);
}

/* --- sizes ------------------------------------------------------------------ */

static pf_status check_side(const pf_engine *engine, const char *name, int value,
                            pf_error *error)
{
    int multiple = engine->info.size_multiple;
    int most = pf_tower_get_info(engine->expert[0])->positions * multiple;
    if (value < multiple || value > most || value % multiple != 0)
        return pf_fail_field(error, PF_E_ARGUMENT, name,
                             "%s is %d, but must be a multiple of %d from %d to %d", name,
                             value, multiple, multiple, most);
    return PF_OK;
}

static pf_status check_sizes(const pf_engine *engine, const pf_request *r,
                             pf_error *error)
{
    int group = engine->info.frame_multiple;
    int most = group * (pf_tower_get_info(engine->expert[0])->positions - 1) + 1;
    PF_TRY(check_side(engine, "height", r->height, error));
    PF_TRY(check_side(engine, "width", r->width, error));
    if (r->num_frames < 1 || r->num_frames > most ||
        (r->num_frames - 1) % group != 0) {
        int below = (r->num_frames - 1) / group * group + 1;
        if (r->num_frames < 1 || r->num_frames > most)
            return pf_fail_field(error, PF_E_ARGUMENT, "num_frames",
                                 "num_frames is %d, but must be %dk + 1 from 1 to %d",
                                 r->num_frames, group, most);
        return pf_fail_field(error, PF_E_ARGUMENT, "num_frames",
                             "num_frames is %d, but must be %dk + 1, such as %d or %d",
                             r->num_frames, group, below, below + group);
    }
    PF_TRY(pf_setting_check("fps", r->fps, error));
    return pf_setting_check("num_inference_steps", r->num_inference_steps, error);
}

/* With F frames at r a second, sample rate R and hop p (docs/model/pipeline.md, "Sizes"):
 *
 *     T = (F - 1) / 4 + 1,  h = H / 8,  w = W / 8
 *     samples = trunc(R F / r),  L = (samples - 1) / p + 1
 */
static void plan_sizes(const pf_engine *engine, const pf_request *r, pf_plan *plan)
{
    const pf_video_vae_info *video = pf_video_vae_get_info(engine->video_vae);
    const pf_audio_vae_info *audio = pf_audio_vae_get_info(engine->audio_vae);
    plan->frames = r->num_frames;
    plan->height = r->height;
    plan->width = r->width;
    plan->latent_channels = video->latent_channels;
    plan->latent_frames = (r->num_frames - 1) / video->time + 1;
    plan->latent_height = r->height / video->space;
    plan->latent_width = r->width / video->space;
    plan->audio_channels = audio->latent_channels;
    plan->audio_samples =
        (int64_t)((double)audio->sample_rate * r->num_frames / r->fps);
    plan->audio_length = (plan->audio_samples - 1) / audio->hop + 1;
}

static pf_status check_audio_length(const pf_engine *engine, const pf_plan *plan,
                                    const pf_request *r, pf_error *error)
{
    int most = pf_tower_get_info(engine->audio_dit)->positions;
    if (plan->audio_samples >= 1 && plan->audio_length <= most)
        return PF_OK;
    return pf_fail_field(error, PF_E_ARGUMENT, "num_frames",
                         "num_frames %d at fps %g is a sound of %lld latents, but the "
                         "audio tower takes 1 to %d", r->num_frames, r->fps,
                         (long long)plan->audio_length, most);
}

/* --- guidance and schedule --------------------------------------------------- */

/* Checks a scale that may be left out. */
static pf_status check_scale(const char *name, double value, pf_error *error)
{
    return pf_is_set(value) ? pf_setting_check(name, value, error) : PF_OK;
}

static pf_status check_guidance(const pf_request *r, pf_error *error)
{
    if (!pf_is_set(r->guidance_scale))
        return pf_fail_field(error, PF_E_ARGUMENT, "guidance_scale",
                             "guidance_scale is not given, but must be 0 to 100");
    PF_TRY(check_scale("guidance_scale", r->guidance_scale, error));
    PF_TRY(check_scale("guidance_scale_2", r->guidance_scale_2, error));
    PF_TRY(check_scale("bridge_guidance_scale", r->bridge_guidance_scale, error));
    PF_TRY(check_scale("guidance_rescale", r->guidance_rescale, error));
    if (pf_is_set(r->visual_shift) != pf_is_set(r->audio_shift))
        return pf_fail_field(error, PF_E_ARGUMENT, "visual_shift",
                             "visual_shift and audio_shift must be given together");
    return PF_OK;
}

static pf_status check_shifts(const pf_engine *engine, const pf_request *r,
                              pf_error *error)
{
    if (pf_is_set(r->visual_shift) && engine->scheduler.exponential_shift && !r->accepted)
        return pf_fail_field(error, PF_E_ARGUMENT, "visual_shift",
                             "visual_shift has no effect with this model: its scheduler "
                             "uses exponential_shift; leave it out");
    return PF_OK;
}

/* Makes the run table of the scheduler.  Shifts without effect were accepted before. */
static pf_status set_steps(const pf_request *r, pf_scheduler *scheduler, pf_error *error)
{
    const double shifts[2] = {r->visual_shift, r->audio_shift};
    bool shifted = pf_is_set(r->visual_shift) && !scheduler->config.exponential_shift;
    return pf_scheduler_set_steps(scheduler, r->num_inference_steps,
                                  shifted ? shifts : NULL, error);
}

/* Row `step` of the plan.  Dual guidance takes three velocities whatever the scale is; plain
 * guidance of exactly 1 takes one, as the negative prompt would cancel out. */
static pf_step_plan plan_step(const pf_scheduler *s, const pf_request *r, int step,
                              int switch_step)
{
    bool low = step >= switch_step;
    bool dual = pf_is_set(r->bridge_guidance_scale) && r->bridge_guidance_scale != 1.0;
    double scale = low && pf_is_set(r->guidance_scale_2) ? r->guidance_scale_2
                                                         : r->guidance_scale;
    pf_step_plan out = {
        .expert = low,
        .scale = scale,
        .velocities = dual ? 3 : scale != 1.0 ? 2 : 1,
    };
    for (int column = 0; column < 2; column++) {
        out.timestep[column] = s->timesteps[column][step];
        out.delta[column] = pf_scheduler_delta(s, step, column);
    }
    out.sigma_after =
        (double)pf_scheduler_sigma(s, out.timestep[0]) + (double)out.delta[0];
    return out;
}

/* Fills a row for each step.  The scheduler lives while the rows are made: whatever comes later
 * reads the rows. */
static pf_status plan_steps(const pf_engine *engine, const pf_request *r,
                            pf_plan *plan, pf_error *error)
{
    pf_scheduler scheduler;
    PF_TRY(pf_scheduler_open(&engine->scheduler, &scheduler, error));
    pf_status status = set_steps(r, &scheduler, error);
    if (status == PF_OK) {
        plan->steps = r->num_inference_steps;
        plan->switch_step = pf_scheduler_switch(&scheduler, engine->boundary_ratio);
    }
    for (int i = 0; i < plan->steps; i++)
        plan->step[i] = plan_step(&scheduler, r, i, plan->switch_step);
    pf_scheduler_close(&scheduler);
    return status;
}

/* Refuses members without effect, judged by the whole film.  A film that goes on from
 * latents was asked for as a whole, whatever its remaining steps use. */
static pf_status check_effects(const pf_engine *engine, const pf_request *r,
                               const pf_plan *plan, pf_error *error)
{
    bool own_second = pf_is_set(r->guidance_scale_2) &&
                      r->guidance_scale_2 != engine->defaults.guidance_scale_2;
    bool negative = pf_plan_uses_negative(plan, 0);
    if (own_second && plan->switch_step >= plan->steps)
        return pf_fail_field(error, PF_E_ARGUMENT, "guidance_scale_2",
                             "guidance_scale_2 is %g, but has no effect: none of the %d "
                             "steps reaches the low-noise expert", r->guidance_scale_2,
                             plan->steps);
    if (!negative && r->guidance_rescale > 0.0)
        return pf_fail_field(error, PF_E_ARGUMENT, "guidance_rescale",
                             "guidance_rescale is %g, but has no effect with "
                             "guidance_scale 1", r->guidance_rescale);
    if (!negative && r->negative_prompt && *r->negative_prompt)
        return pf_fail_field(error, PF_E_ARGUMENT, "negative_prompt",
                             "negative_prompt has no effect with guidance_scale 1; leave "
                             "it out or raise the scale");
    return PF_OK;
}

static pf_status check_noise(const pf_request *r, pf_error *error)
{
    if (r->rng > PF_RNG_TORCH_CUDA)
        return pf_fail_field(error, PF_E_ARGUMENT, "rng",
                             "rng is %d, but must be own, torch-cpu or torch-cuda",
                             (int)r->rng);
    if (r->rng == PF_RNG_TORCH_CUDA &&
        (r->cuda_multiprocessors < 1 || r->cuda_multiprocessors > 1024))
        return pf_fail_field(error, PF_E_ARGUMENT, "cuda_multiprocessors",
                             "cuda_multiprocessors is %d, but rng torch-cuda needs 1 to "
                             "1024", r->cuda_multiprocessors);
    if (r->rng != PF_RNG_TORCH_CUDA && r->cuda_multiprocessors != 0)
        return pf_fail_field(error, PF_E_ARGUMENT, "cuda_multiprocessors",
                             "cuda_multiprocessors is %d, but has no effect unless rng is "
                             "torch-cuda", r->cuda_multiprocessors);
    return PF_OK;
}

/* --- output and resume -------------------------------------------------------- */

/* Outputs, and tiles of the video VAE in pixels: multiples of 16, so that they are whole
 * latents of every VAE whose space factor divides that. */
static pf_status check_output(const pf_request *r, pf_error *error)
{
    if (r->no_video_output && r->no_audio_output)
        return pf_fail_field(error, PF_E_ARGUMENT, "no_video_output",
                             "no_video_output and no_audio_output together leave nothing "
                             "to deliver");
    if (r->vae_tile == 0 && r->vae_tile_stride == 0)
        return PF_OK;
    if (r->vae_tile == 0)
        return pf_fail_field(error, PF_E_ARGUMENT, "vae_tile_stride",
                             "vae_tile_stride is %d, but has no effect without vae_tile",
                             r->vae_tile_stride);
    if (r->vae_tile < 64 || r->vae_tile > 4096 || r->vae_tile % 16 != 0)
        return pf_fail_field(error, PF_E_ARGUMENT, "vae_tile",
                             "vae_tile is %d, but must be 0 or a multiple of 16 from 64 to "
                             "4096", r->vae_tile);
    if (r->vae_tile_stride < 16 || r->vae_tile_stride > r->vae_tile ||
        r->vae_tile_stride % 16 != 0)
        return pf_fail_field(error, PF_E_ARGUMENT, "vae_tile_stride",
                             "vae_tile_stride is %d, but must be a multiple of 16 from 16 "
                             "to vae_tile, %d", r->vae_tile_stride, r->vae_tile);
    return PF_OK;
}

static bool all_finite(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static pf_status check_shape(const char *name, const int64_t *found,
                             const int64_t *wanted, int rank, pf_error *error)
{
    char a[128], b[128];
    if (memcmp(found, wanted, (size_t)rank * sizeof *found) == 0)
        return PF_OK;
    pf_tensor shape_a = pf_tensor_make(NULL, PF_F32, rank, found);
    pf_tensor shape_b = pf_tensor_make(NULL, PF_F32, rank, wanted);
    pf_tensor_shape_text(&shape_a, a);
    pf_tensor_shape_text(&shape_b, b);
    return pf_fail(error, PF_E_INPUT,
                   "%s has shape %s, but this request needs %s", name, a, b);
}

/* Latents to go on from must be those of this very request: shapes, number of steps, finite
 * values.  Sets plan->first_step. */
static pf_status check_resume(const pf_request *r, pf_plan *plan, pf_error *error)
{
    const pf_state *s = r->resume;
    if (!s)
        return PF_OK;
    const int64_t video[4] = {plan->latent_channels, plan->latent_frames,
                              plan->latent_height, plan->latent_width};
    const int64_t audio[2] = {plan->audio_channels, plan->audio_length};
    PF_TRY(check_shape("latents.video", s->video_shape, video, 4, error));
    PF_TRY(check_shape("latents.audio", s->audio_shape, audio, 2, error));
    if (s->steps != plan->steps || s->step < 0 || s->step > s->steps)
        return pf_fail(error, PF_E_INPUT,
                       "the latents are after step %d of %d, but the request has %d "
                       "steps", s->step, s->steps, plan->steps);
    if (!all_finite(s->video, pf_plan_video_count(plan)) ||
        !all_finite(s->audio, pf_plan_audio_count(plan)))
        return pf_fail(error, PF_E_INPUT,
                       "the latents hold values that are not finite");
    plan->first_step = s->step;
    return PF_OK;
}

/* --- prompts ---------------------------------------------------------------- */

/* Cleans a prompt and writes at most 512 ids; the tokenizer cuts what is beyond. */
static pf_status tokenize(pf_engine *engine, const char *name, const char *prompt,
                          int32_t *ids, int64_t *count, pf_error *error)
{
    char *clean = NULL;
    pf_error inner = {0};
    pf_status status = pf_prompt_clean(prompt, strlen(prompt), &clean, &inner);
    if (status == PF_OK)
        status = pf_tokenizer_encode(engine->tokenizer, clean, ids, PF_CONTEXT_ROWS,
                                     count, &inner);
    pf_free(clean);
    if (status != PF_OK)
        return pf_fail_field(error, status, name, "%s: %s", name, inner.message);
    if (*count == 0)
        return pf_fail_field(error, PF_E_INPUT, name,
                             "%s gives no token, and the tokenizer appends none; write "
                             "something", name);
    return PF_OK;
}

/* Ids of the prompt, and of the negative prompt where a step that remains is guided.  Finished
 * latents take neither. */
static pf_status plan_prompts(pf_engine *engine, const pf_request *r,
                              pf_plan *plan, pf_error *error)
{
    if (plan->first_step >= plan->steps) {
        if (r->prompt || r->negative_prompt)
            return pf_fail(error, PF_E_ARGUMENT,
                           "a prompt has no effect on finished latents; leave it "
                           "out");
        return PF_OK;
    }
    if (!r->prompt)
        return pf_fail_field(error, PF_E_ARGUMENT, "prompt", "prompt is missing");
    PF_TRY(tokenize(engine, "prompt", r->prompt, plan->ids[POSITIVE],
                    &plan->tokens[POSITIVE], error));
    const char *negative = pf_request_negative_prompt(r, plan);
    if (!negative)
        return PF_OK;
    return tokenize(engine, "negative_prompt", negative, plan->ids[NEGATIVE],
                    &plan->tokens[NEGATIVE], error);
}

/* Which stages the film needs: text and picture serve denoising alone, latents are always
 * there, decoding depends on the outputs that are wanted. */
static void plan_stages(const pf_request *r, pf_plan *plan)
{
    int first = plan->first_step, middle = plan->switch_step, end = plan->steps;
    int low = first > middle ? first : middle;
    bool remain = first < end;
    plan->stage[PF_STAGE_TEXT] = (pf_stage_plan){.wanted = remain};
    plan->stage[PF_STAGE_IMAGE] = (pf_stage_plan){.wanted = remain};
    plan->stage[PF_STAGE_LATENTS] = (pf_stage_plan){.wanted = true};
    if (first < middle)
        plan->stage[PF_STAGE_DENOISE_HIGH] = (pf_stage_plan){true, first, middle};
    if (low < end)
        plan->stage[PF_STAGE_DENOISE_LOW] = (pf_stage_plan){true, low, end};
    plan->stage[PF_STAGE_DECODE_AUDIO] = (pf_stage_plan){.wanted = !r->no_audio_output};
    plan->stage[PF_STAGE_DECODE_VIDEO] = (pf_stage_plan){.wanted = !r->no_video_output};
}

pf_status pf_request_plan(pf_engine *engine, const pf_request *request,
                          pf_plan *plan, pf_error *error)
{
    memset(plan, 0, sizeof *plan);
    if (request->resume)
        PF_TRY(pf_sized_check(request->resume, sizeof *request->resume, "pf_state", error));
    PF_TRY(check_pictures(request, error));
    PF_TRY(check_sizes(engine, request, error));
    plan_sizes(engine, request, plan);
    PF_TRY(check_audio_length(engine, plan, request, error));
    PF_TRY(check_guidance(request, error));
    PF_TRY(check_shifts(engine, request, error));
    PF_TRY(plan_steps(engine, request, plan, error));
    PF_TRY(check_noise(request, error));
    PF_TRY(check_output(request, error));
    PF_TRY(check_resume(request, plan, error));
    if (!request->accepted && plan->first_step < plan->steps)
        PF_TRY(check_effects(engine, request, plan, error));
    plan_stages(request, plan);
    return plan_prompts(engine, request, plan, error);
}
