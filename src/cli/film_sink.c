/* SPDX-License-Identifier: Apache-2.0 */
/* From a job's sinks to a film file.  See film_sink.h.
 *
 *     job --- frames, audio ---> pf_film_write_*   encodes on a thread of its own
 *         `-- state ----------> --save-latents     after the last step, before decoding
 *
 * The sinks run on the thread that runs the job (the main thread here).  A sink that fails
 * ends the job with its error. */
#include "cli/film_sink.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "media/setting_json.h"

enum { TITLE_BYTES = 200 };             /* players show titles on a line */

/* --- metadata ------------------------------------------------------------------- */

/* Adds the settings of the noise, or all others with that kind of blank, under the names that
 * --config takes. */
static void add_settings(json_t *object, const pf_request *r, pf_setting_blank blank,
                         bool noise)
{
    int count;
    const pf_setting *list = pf_setting_list(&count);
    for (int i = 0; i < count; i++) {
        const pf_setting *setting = &list[i];
        pf_setting_value value;
        char key[48];
        bool of_noise = setting->section == PF_SECTION_NOISE;
        if (setting->section == PF_SECTION_NONE || of_noise != noise ||
            (!noise && setting->blank != blank) || !pf_setting_get(setting, r, &value))
            continue;
        snprintf(key, sizeof key, "%s", setting->flag ? setting->flag : setting->name);
        for (char *at = key; *at; at++)
            *at = *at == '-' ? '_' : *at;
        json_object_set_new(object, key, pf_setting_json(setting, &value));
    }
}

/* Makes a JSON object of every parameter that decides the film's bytes, but for the
 * pictures.  Films are compared byte by byte, so the order of the members is fixed. */
static json_t *parameters_json(const film_sink *sink, const pf_engine *engine,
                               const pf_request *r)
{
    const pf_model_info *info = pf_engine_info(engine);
    const char *slash = strrchr(info->path, '/');
    bool failed = sink->rewrite_error && sink->rewrite_error[0];
    json_t *p = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s*}", "phonofilm",
                          pf_version(), "precision", sink->precision, "isa", info->isa,
                          "prompt", sink->own_prompt ? sink->own_prompt : r->prompt,
                          "rewritten_prompt", sink->own_prompt ? r->prompt : NULL,
                          "rewrite_error", failed ? sink->rewrite_error : NULL,
                          "negative_prompt", r->negative_prompt);
    add_settings(p, r, PF_BLANK_NEVER, false);
    json_object_set_new(p, "t2va", json_boolean(r->text_only));
    /* A folder's name need not be UTF-8; then it is left out. */
    json_object_set_new(p, "model",
                        json_string(slash && slash[1] ? slash + 1 : info->path));
    add_settings(p, r, PF_BLANK_UNSET, false);
    add_settings(p, r, PF_BLANK_ZERO, false);
    if (!r->resume)
        add_settings(p, r, PF_BLANK_NEVER, true);
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
    const char *words = sink->own_prompt ? sink->own_prompt : request->prompt;
    fill_title(words ? words : "phonofilm", title);
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
