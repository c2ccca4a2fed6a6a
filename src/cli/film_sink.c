/* From a job's sinks to a film file.  See film_sink.h. */
#include "cli/film_sink.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TRIED = 9999 };

/* --- the name ------------------------------------------------------------------- */

static char *join(const char *folder, const char *name)
{
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path)
        snprintf(path, bytes, "%s/%s", folder, name);
    return path;
}

/* FOLDER/film.mp4, or the first of film-2.mp4 ... that does not exist. */
static char *free_name(const char *folder)
{
    char name[32] = "film.mp4";
    for (int i = 2; i <= NAMES_TRIED; i++) {
        char *path = folder ? join(folder, name) : strdup(name);
        if (!path || access(path, F_OK) != 0)
            return path;
        free(path);
        snprintf(name, sizeof name, "film-%d.mp4", i);
    }
    return NULL;
}

/* mkdir -p */
static int make_folders(const char *folder)
{
    char *path = strdup(folder);
    int failed = path ? 0 : ENOMEM;
    for (char *at = path; !failed && at && *at; at++)
        if (*at == '/' && at != path) {
            *at = '\0';
            if (mkdir(path, 0777) != 0 && errno != EEXIST)
                failed = errno;
            *at = '/';
        }
    if (!failed && mkdir(path, 0777) != 0 && errno != EEXIST)
        failed = errno;
    free(path);
    return failed;
}

char *film_path_choose(const char *output, const char *folder, const char *name)
{
    if (output)
        return strdup(output);
    if (name && strchr(name, '/')) {
        fprintf(stderr, "phonofilm: --output-file-name is %s, but must be a name "
                "without a folder\n", name);
        return NULL;
    }
    int reason = folder ? make_folders(folder) : 0;
    if (reason) {
        fprintf(stderr, "phonofilm: cannot make the folder %s: %s\n", folder,
                strerror(reason));
        return NULL;
    }
    char *path = !name ? free_name(folder) : folder ? join(folder, name) : strdup(name);
    if (!path)
        fprintf(stderr, "phonofilm: no free name for the film; give one with -o\n");
    return path;
}

/* --- metadata ------------------------------------------------------------------- */

static void set_if(json_t *object, const char *key, double value)
{
    if (value != PF_UNSET)
        json_object_set_new(object, key, json_real(value));
}

static json_t *parameters_json(const pf_engine *engine, const pf_request *r)
{
    static const char *const rngs[] = {"own", "torch-cpu", "torch-cuda"};
    const pf_model_info *info = pf_engine_info(engine);
    const char *slash = strrchr(info->path, '/');
    json_t *p = json_pack(
        "{s:s, s:s, s:s*, s:s*, s:i, s:i, s:i, s:f, s:i, s:f, s:b}", "phonofilm",
        pf_version(), "model", slash && slash[1] ? slash + 1 : info->path, "prompt",
        r->prompt, "negative_prompt", r->negative_prompt, "height", r->height,
        "width", r->width, "num_frames", r->num_frames, "fps", r->fps,
        "num_inference_steps", r->num_inference_steps, "guidance_scale",
        r->guidance_scale, "t2va", r->text_only);
    set_if(p, "guidance_scale_2", r->guidance_scale_2);
    set_if(p, "bridge_guidance_scale", r->bridge_guidance_scale);
    set_if(p, "visual_shift", r->visual_shift);
    set_if(p, "audio_shift", r->audio_shift);
    if (r->guidance_rescale > 0)
        set_if(p, "guidance_rescale", r->guidance_rescale);
    if (r->resume)
        return p;
    json_object_set_new(p, "seed", json_integer((json_int_t)r->seed));
    json_object_set_new(p, "rng", json_string(rngs[r->rng]));
    return p;
}

static void fill_parameters(film_sink *sink, const pf_engine *engine,
                            const pf_request *request)
{
    json_t *parameters = parameters_json(engine, request);
    size_t room = sizeof sink->parameters - 1;
    size_t bytes = json_dumpb(parameters, sink->parameters, room, JSON_COMPACT);
    if (bytes > room) {
        /* A very long prompt: everything else is kept. */
        json_object_del(parameters, "prompt");
        json_object_del(parameters, "negative_prompt");
        bytes = json_dumpb(parameters, sink->parameters, room, JSON_COMPACT);
    }
    sink->parameters[bytes <= room ? bytes : 0] = '\0';
    json_decref(parameters);
}

/* --- opening and closing ----------------------------------------------------------- */

pf_status film_sink_open(film_sink *sink, const pf_engine *engine,
                         const pf_request *request, const char *path,
                         const char *sheet, int quality, pf_error *error)
{
    const pf_model_info *info = pf_engine_info(engine);
    double samples = info->sample_rate * (double)request->num_frames / request->fps;
    fill_parameters(sink, engine, request);
    snprintf(sink->encoder, sizeof sink->encoder, "phonofilm %s", pf_version());
    const pf_film_tag tags[] = {
        {"title", request->prompt ? request->prompt : "phonofilm"},
        {"comment", sink->parameters},
        {"encoder", sink->encoder},
    };
    return pf_film_open(
        &(pf_film_options){
            .path = path,
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
        },
        &sink->film, error);
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
