/* SPDX-License-Identifier: Apache-2.0 */
/* Whole generations: the real pipeline on a model folder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "checker.h"
#include "media/picture.h"
#include "pipeline/job.h"

typedef struct run {
    checker *check;
    const char *name;
    const json_t *meta;
    pf_weights *file;
    pf_engine *engine;
    pf_job *job;
    pf_request request;
    pf_picture first, last;
    pf_state noise;
    float *video;                       /* [3, F, H, W] as decoded */
    float *frames;                      /* [F, H, W, 3], 0..255 */
    int64_t decoded;                    /* frames that have come */
    bool ref;
    char *owned[3];
} run;

/* --- reading the case ---------------------------------------------------------- */

static const char *meta_text(const run *r, const char *key)
{
    return json_string_value(json_object_get(r->meta, key));
}

static double meta_number(const run *r, const char *key, double missing)
{
    const json_t *value = json_object_get(r->meta, key);
    return json_is_number(value) ? json_number_value(value) : missing;
}

static bool meta_flag(const run *r, const char *key)
{
    return json_is_true(json_object_get(r->meta, key));
}

static pf_status read_picture(run *r, int slot, const char *key, pf_picture *picture,
                              pf_image *image, pf_error *error)
{
    const char *relative = meta_text(r, key);
    if (!relative)
        return PF_OK;
    r->owned[slot] = pf_path_join(r->check->folder, relative);
    if (!r->owned[slot])
        return pf_fail_memory(error, relative, 1);
    PF_TRY(pf_picture_read(r->owned[slot], picture, error));
    *image = (pf_image){picture->rgb, picture->width, picture->height,
                        3 * picture->width};
    return PF_OK;
}

/* The noise of the file is a state after no step. */
static pf_status read_noise(run *r, pf_error *error)
{
    pf_tensor video, audio;
    r->noise = (pf_state){
        .size = sizeof r->noise,
        .steps = r->request.num_inference_steps,
        .fps = r->request.fps,
        .video = check_tensor(r->file, "noise.video", &video),
        .audio = check_tensor(r->file, "noise.audio", &audio),
    };
    if (!r->noise.video || !r->noise.audio)
        return pf_fail(error, PF_E_INPUT, "the case has no noise");
    memcpy(r->noise.video_shape, video.shape, sizeof r->noise.video_shape);
    memcpy(r->noise.audio_shape, audio.shape, sizeof r->noise.audio_shape);
    r->request.resume = &r->noise;
    return PF_OK;
}

/* The reference ignores what has no effect; we refuse it, so it is left out here. */
static void drop_without_effect(const run *r, pf_request *q)
{
    double second = q->guidance_scale_2;
    if (json_is_null(json_object_get(r->meta, "switch_step")))
        second = q->guidance_scale_2 = PF_UNSET;
    bool plain = q->guidance_scale == 1.0 && (!pf_is_set(second) || second == 1.0) &&
                 (!pf_is_set(q->bridge_guidance_scale) ||
                  q->bridge_guidance_scale == 1.0);
    if (!plain)
        return;
    q->negative_prompt = NULL;
    q->guidance_rescale = 0;
}

static pf_status read_request(run *r, pf_error *error)
{
    pf_request *q = &r->request;
    const char *rng = meta_text(r, "rng");
    pf_request_init(r->engine, q);
    q->prompt = meta_text(r, "prompt");
    q->negative_prompt = meta_text(r, "negative_prompt");
    q->text_only = meta_flag(r, "t2va");
    q->height = (int)meta_number(r, "height", 0);
    q->width = (int)meta_number(r, "width", 0);
    q->num_frames = (int)meta_number(r, "num_frames", 0);
    q->fps = meta_number(r, "fps", 24);
    q->num_inference_steps = (int)meta_number(r, "steps", 0);
    q->guidance_scale = meta_number(r, "guidance_scale", 1);
    q->guidance_scale_2 = meta_number(r, "guidance_scale_2", PF_UNSET);
    q->bridge_guidance_scale = meta_number(r, "bridge_guidance_scale", PF_UNSET);
    q->guidance_rescale = meta_number(r, "guidance_rescale", 0);
    drop_without_effect(r, q);
    q->visual_shift = meta_number(r, "visual_shift", PF_UNSET);
    q->audio_shift = meta_number(r, "audio_shift", PF_UNSET);
    if (!q->text_only)
        PF_TRY(read_picture(r, 0, "image", &r->first, &q->first_frame, error));
    PF_TRY(read_picture(r, 1, "last_image_path", &r->last, &q->last_frame, error));
    if (!rng)
        return read_noise(r, error);
    if (strcmp(rng, "torch-cpu") != 0)
        return pf_fail(error, PF_E_UNSUPPORTED, "rng is %s", rng);
    q->rng = PF_RNG_TORCH_CPU;
    q->seed = (uint64_t)meta_number(r, "seed", 0);
    return PF_OK;
}

static pf_status open_engine(run *r, pf_error *error)
{
    const char *profile = meta_text(r, "profile"), *model = meta_text(r, "model");
    const char *frequencies = meta_text(r, "inv_freq");
    if (!profile || !model)
        return pf_fail(error, PF_E_INPUT, "the case names no profile or no model");
    if (strcmp(profile, "F32") != 0 && strcmp(profile, "REF") != 0)
        return pf_fail(error, PF_E_UNSUPPORTED, "profile is %s", profile);
    r->ref = strcmp(profile, "REF") == 0;
    bool rounded = frequencies && strcmp(frequencies, "bf16") == 0;
    r->owned[2] = pf_path_join(r->check->folder, model);
    if (!r->owned[2])
        return pf_fail_memory(error, model, 1);
    const pf_capabilities *can = &r->check->platform->capabilities;
    return pf_engine_open(
        &(pf_engine_options){
            .model_path = r->owned[2],
            .platform = can->name,
            .isa = strcmp(can->name, "cpu") == 0 ? can->isa : NULL,
            .threads = can->own_memory ? 0 : can->threads,     /* a device takes none */
            .precision = r->ref         ? PF_PRECISION_REF
                         : r->check->fast ? PF_PRECISION_FAST
                                          : PF_PRECISION_F32,
            .bridge_frequencies = rounded ? PF_BRIDGE_FREQUENCIES_BF16
                                          : PF_BRIDGE_FREQUENCIES_F32,
        },
        &r->engine, error);
}

/* --- comparing ----------------------------------------------------------------- */

/* Compares with the case's tensor of that name, if it has one. */
static void compare(run *r, const char *tensor, double limit, const float *ours,
                    int64_t count)
{
    pf_tensor shape;
    float *golden = check_tensor(r->file, tensor, &shape);
    if (!golden)
        return;
    if (pf_tensor_count(&shape) != count)
        check_broken(r->check, r->name, tensor);
    else if (r->ref && strcmp(tensor, "pairs") != 0)
        check_values(r->check, r->name, tensor, JUDGE_COSINE, 0.999, ours, golden,
                     count);
    else
        check_values(r->check, r->name, tensor,
                     limit > 0 ? JUDGE_RELATIVE : JUDGE_EXACT, limit, ours, golden,
                     count);
    pf_free(golden);
}

static void take_video(run *r, const float *frames, int64_t count)
{
    int64_t plane = (int64_t)r->request.height * r->request.width;
    int64_t n = count / (3 * plane), all = r->request.num_frames;
    for (int64_t c = 0; c < 3; c++)
        memcpy(r->video + (c * all + r->decoded) * plane, frames + c * n * plane,
               (size_t)(n * plane) * sizeof *frames);
    r->decoded += n;
}

static void see(void *user, const char *name, const float *values, int64_t count)
{
    run *r = user;
    if (strcmp(name, "video") == 0)
        take_video(r, values, count);
    else if (strcmp(name, "condition") == 0)
        compare(r, name, 4e-6, values, count);
    else if (strcmp(name, "audio") == 0)
        compare(r, name, 5e-5, values, count);
    else
        compare(r, name, 1e-5, values, count);
}

static pf_status take_rgb(void *user, int64_t first, int64_t count,
                          const uint8_t *rgb, pf_error *error)
{
    run *r = user;
    int64_t frame = (int64_t)r->request.height * r->request.width * 3;
    (void)error;
    for (int64_t i = 0; i < count * frame; i++)
        r->frames[first * frame + i] = rgb[i];
    return PF_OK;
}

/* At most 1 apart, and that in at most 0.1 % of the values. */
static void compare_frames(run *r)
{
    pf_tensor shape;
    float *golden = check_tensor(r->file, "frames_u8", &shape);
    if (!golden)
        return;
    int64_t count = pf_tensor_count(&shape), apart = 0;
    float most = 0.0f;
    for (int64_t i = 0; i < count; i++) {
        float distance = fabsf(r->frames[i] - golden[i]);
        apart += distance != 0.0f;
        most = distance > most ? distance : most;
    }
    if (r->ref || r->check->fast) {
        check_values(r->check, r->name, "frames_u8", JUDGE_COSINE, 0.999, r->frames,
                     golden, count);
    } else {
        check_result(r->check, r->name, "frames_u8 (most)", most <= 1.0f, most, 1);
        double share = (double)apart / (double)count;
        check_result(r->check, r->name, "frames_u8 (share)", share <= 1e-3, share,
                     1e-3);
    }
    pf_free(golden);
}

static void compare_plan(run *r)
{
    static float pairs[2 * PF_STEPS_MAX];
    const pf_plan *plan = &r->job->plan;
    for (int i = 0; i < 2 * plan->steps; i++)
        pairs[i] = plan->step[i / 2].timestep[i % 2];
    compare(r, "pairs", 0, pairs, 2 * plan->steps);
    int golden = (int)meta_number(r, "switch_step", plan->steps);
    check_result(r->check, r->name, "switch_step",
                 plan->switch_step == golden, plan->switch_step, golden);
}

static void compare_results(run *r)
{
    pf_state state = PF_INIT(pf_state);
    int64_t pixels =
        3 * (int64_t)r->request.num_frames * r->request.height * r->request.width;
    if (pf_job_state(r->job, &state)) {
        compare(r, "latents.video", 1e-5, state.video,
                pf_plan_video_count(&r->job->plan));
        compare(r, "latents.audio", 1e-5, state.audio,
                pf_plan_audio_count(&r->job->plan));
    }
    compare(r, "video", 5e-5, r->video, pixels);
    compare_frames(r);
}

/* --- running ------------------------------------------------------------------- */

static pf_status execute(run *r, pf_error *error)
{
    PF_TRY(open_engine(r, error));
    PF_TRY(read_request(r, error));
    size_t pixels = (size_t)3 * (size_t)r->request.num_frames *
                    (size_t)r->request.height * (size_t)r->request.width;
    r->video = pf_calloc(pixels, sizeof *r->video);
    r->frames = pf_calloc(pixels, sizeof *r->frames);
    if (!r->video || !r->frames)
        return pf_fail_memory(error, "frames", pixels * 8);
    pf_sinks sinks = {.user = r, .frames = take_rgb};
    PF_TRY(pf_job_create(r->engine, &r->request, &sinks, &r->job, error));
    r->job->tap = (pf_job_tap){see, r};
    compare_plan(r);
    PF_TRY(pf_job_run(r->job, error));
    compare_results(r);
    return PF_OK;
}

void check_run(checker *c, const char *name)
{
    pf_error error = {0};
    run r = {.check = c, .name = name, .meta = check_meta(c, name),
             .request = PF_INIT(pf_request), .noise = PF_INIT(pf_state)};
    r.file = check_open(c, name);
    if (!r.file)
        return;
    if (execute(&r, &error) != PF_OK)
        check_broken(c, name, error.message);
    pf_job_destroy(r.job);
    pf_engine_close(r.engine);
    pf_picture_free(&r.first);
    pf_picture_free(&r.last);
    pf_state_free(&r.noise);
    pf_free(r.video);
    pf_free(r.frames);
    for (int i = 0; i < 3; i++)
        pf_free(r.owned[i]);
    pf_weights_close(r.file);
}
