/* SPDX-License-Identifier: Apache-2.0 */
/* From a job's sinks to a film file.  See film_sink.h. */
#include "cli/film_sink.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { TITLE_BYTES = 200 };

/* --- metadata ------------------------------------------------------------------- */

static void set_if(json_t *object, const char *key, double value)
{
    if (value != PF_UNSET)
        json_object_set_new(object, key, json_real(value));
}

/* JSON's integers end at 2^63 here; beyond, text, which --config takes too. */
static void set_seed(json_t *object, uint64_t seed)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    json_object_set_new(object, "seed", seed <= INT64_MAX
                                            ? json_integer((json_int_t)seed)
                                            : json_string(text));
}

static void set_noise(json_t *object, const pf_request *r)
{
    static const char *const rngs[] = {"own", "torch-cpu", "torch-cuda"};
    set_seed(object, r->seed);
    json_object_set_new(object, "rng", json_string(rngs[r->rng]));
    if (r->cuda_multiprocessors > 0)
        json_object_set_new(object, "cuda_sm_count",
                            json_integer(r->cuda_multiprocessors));
}

/* All that decides what the film is, but for the pictures. */
static json_t *parameters_json(const film_sink *sink, const pf_engine *engine,
                               const pf_request *r)
{
    const pf_model_info *info = pf_engine_info(engine);
    const char *slash = strrchr(info->path, '/');
    json_t *p = json_pack(
        "{s:s, s:s, s:s, s:s*, s:s*, s:i, s:i, s:i, s:f, s:i, s:f, s:b}", "phonofilm",
        pf_version(), "precision", sink->precision, "isa", info->isa, "prompt",
        r->prompt, "negative_prompt", r->negative_prompt, "height", r->height,
        "width", r->width, "num_frames", r->num_frames, "fps", r->fps,
        "num_inference_steps", r->num_inference_steps, "guidance_scale",
        r->guidance_scale, "t2va", r->text_only);
    /* A folder's name need not be UTF-8; then it is left out. */
    json_object_set_new(p, "model",
                        json_string(slash && slash[1] ? slash + 1 : info->path));
    set_if(p, "guidance_scale_2", r->guidance_scale_2);
    set_if(p, "bridge_guidance_scale", r->bridge_guidance_scale);
    set_if(p, "visual_shift", r->visual_shift);
    set_if(p, "audio_shift", r->audio_shift);
    if (r->guidance_rescale > 0)
        set_if(p, "guidance_rescale", r->guidance_rescale);
    if (r->vae_tile > 0) {
        json_object_set_new(p, "vae_tile", json_integer(r->vae_tile));
        json_object_set_new(p, "vae_tile_stride", json_integer(r->vae_tile_stride));
    }
    if (!r->resume)
        set_noise(p, r);
    return p;
}

/* The beginning of the prompt, cut between characters. */
static void fill_title(const char *prompt, char out[TITLE_BYTES + 1])
{
    size_t bytes = strlen(prompt);
    if (bytes > TITLE_BYTES) {
        bytes = TITLE_BYTES;
        while (bytes > 0 && ((unsigned char)prompt[bytes] & 0xC0) == 0x80)
            bytes--;
    }
    memcpy(out, prompt, bytes);
    out[bytes] = '\0';
}

/* --- opening and closing ----------------------------------------------------------- */

pf_status film_sink_open(film_sink *sink, const pf_engine *engine,
                         const pf_request *request, const char *path,
                         const char *sheet, int quality, pf_error *error)
{
    const pf_model_info *info = pf_engine_info(engine);
    double samples = info->sample_rate * (double)request->num_frames / request->fps;
    char title[TITLE_BYTES + 1], encoder[32];
    json_t *json = parameters_json(sink, engine, request);
    char *parameters = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!parameters) {
        snprintf(error->message, sizeof error->message, "out of memory: metadata");
        return error->status = PF_E_MEMORY;
    }
    fill_title(request->prompt ? request->prompt : "phonofilm", title);
    snprintf(encoder, sizeof encoder, "phonofilm %s", pf_version());
    const pf_film_tag tags[] = {
        {"title", title},
        {"comment", parameters},
        {"encoder", encoder},
    };
    pf_status status = pf_film_open(
        &(pf_film_options){
            .path = path,
            .kind = &sink->kind,
            .video = !request->no_video_output,
            .width = request->width,
            .height = request->height,
            .fps = request->fps,
            .frames = request->num_frames,
            .sample_rate = info->sample_rate,
            .audio_samples = request->no_audio_output ? 0 : (int64_t)samples,
            .quality = quality,
            .contact_sheet = sheet,
            .tags = tags,
            .tag_count = (int)(sizeof tags / sizeof tags[0]),
            .kept = sink->kept,
            .kept_count = sink->kept_count,
            .say = cli_warn,
        },
        &sink->film, error);
    free(parameters);
    return status;
}

pf_status film_sink_close(film_sink *sink, pf_error *error)
{
    pf_film *film = sink->film;
    sink->film = NULL;
    return pf_film_close(film, error);
}

void film_sink_abort(film_sink *sink)
{
    pf_film_abort(sink->film);
    sink->film = NULL;
}

/* --- the sinks ---------------------------------------------------------------------- */

static pf_status take_frames(void *user, int64_t first, int64_t count,
                             const uint8_t *rgb, pf_error *error)
{
    film_sink *sink = user;
    (void)first;
    return pf_film_write_frames(sink->film, rgb, count, error);
}

static pf_status take_audio(void *user, const float *samples, int64_t count,
                            pf_error *error)
{
    film_sink *sink = user;
    return pf_film_write_audio(sink->film, samples, count, error);
}

/* Saves the latents once all steps are done, before they are decoded. */
static pf_status take_state(void *user, const pf_state *state, pf_error *error)
{
    film_sink *sink = user;
    if (!sink->save_latents || state->step < state->steps)
        return PF_OK;
    return pf_state_write(sink->save_latents, state, error);
}

pf_sinks film_sink_sinks(film_sink *sink)
{
    return (pf_sinks){.user = sink, .frames = take_frames, .audio = take_audio,
                      .state = take_state};
}
