/* SPDX-License-Identifier: Apache-2.0 */
/* The maker of a film.  See maker.h. */
#include "server/maker.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/memory.h"
#include "media/film.h"
#include "media/picture.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/stills.h"
#include "server/video.h"

enum {
    SAVE_SHARE = 100,                   /* saving latents costs 1/100 of the time */
    COMMENT_BYTES = 4096,
    REWRITTEN_BYTES = 12 << 10          /* more of it, for a second prompt */
};
static const double denoising_share = 0.9;    /* its share of a film, about */

/* Seconds between two news of a kind.  Every reader costs time that the film would have
 * had, so a long film tells less often. */
static const struct pace {
    double least, most, share;          /* `share` is of the run's seconds so far */
} progress_pace = {0.2, 1.0, 0.02}, preview_pace = {0.7, 2.5, 0.1};

static double pause_of(struct pace p, double elapsed)
{
    return fmin(fmax(p.share * elapsed, p.least), p.most);
}

struct pf_maker {
    const pf_maker_task *task;
    pf_news_box *box;
    pthread_t thread;
    char *film_path, *state_path;
    pf_request request;
    pf_picture first, last;
    pf_state resume;
    bool resumed;
    double done;                        /* of the film, by earlier runs: a fraction */
    pf_job *job;
    pf_film *film;
    pf_stills stills;
    double saved, save_cost;            /* seconds; 0: never yet */
    double told, previewed;
    int told_step;
    char told_stage[PF_NEWS_STAGE_BYTES];
    char comment[COMMENT_BYTES + REWRITTEN_BYTES], encoder[32];
    pf_status status;                   /* when the thread has ended */
    pf_error error;
};

PF_PRINTF(2, 3)
static void say(const pf_maker *m, const char *format, ...)
{
    char line[1024];
    va_list args;
    if (!m->task->log)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    m->task->log(m->task->log_user, line);
}

/* --- news ------------------------------------------------------------------------- */

static void tell_progress(void *user, const pf_progress *progress)
{
    pf_maker *m = user;
    double now = pf_seconds();
    bool new_stage = strcmp(progress->stage, m->told_stage) != 0;
    if (!new_stage && (progress->step == m->told_step ||
                       now - m->told < pause_of(progress_pace, now - m->task->began)))
        return;
    m->told = now;
    m->told_step = progress->step;
    snprintf(m->told_stage, sizeof m->told_stage, "%s", progress->stage);
    pf_progress whole = *progress;
    whole.fraction = m->done + (1 - m->done) * progress->fraction;
    pf_news_tell_progress(m->box, &whole);
}

static void tell_preview(void *user, const pf_preview *preview)
{
    pf_maker *m = user;
    double now = pf_seconds();
    if (m->previewed > 0 && preview->step < preview->steps &&
        now - m->previewed < pause_of(preview_pace, now - m->task->began))
        return;
    m->previewed = now;
    char *text = pf_preview_event(preview);
    if (text)
        pf_news_tell_preview(m->box, text);
}

static pf_status save_state(void *user, const pf_state *state, pf_error *error)
{
    pf_maker *m = user;
    double now = pf_seconds();
    bool due = now - m->saved >= SAVE_SHARE * m->save_cost;
    if (state->step < state->steps && !due)
        return PF_OK;
    PF_TRY(pf_state_write(m->state_path, state, error));
    m->saved = pf_seconds();
    m->save_cost = m->saved - now;
    pf_news_tell_saved(m->box);
    return PF_OK;
}

/* --- the film --------------------------------------------------------------------- */

static pf_status take_frames(void *user, int64_t first, int64_t count,
                             const uint8_t *rgb, pf_error *error)
{
    pf_maker *m = user;
    size_t bytes = 3 * (size_t)m->request.width * (size_t)m->request.height;
    for (int64_t i = 0; i < count; i++)
        pf_stills_take(&m->stills, first + i, rgb + (size_t)i * bytes);
    return pf_film_write_frames(m->film, rgb, count, error);
}

static pf_status take_audio(void *user, const float *samples, int64_t count,
                            pf_error *error)
{
    pf_maker *m = user;
    return pf_film_write_audio(m->film, samples, count, error);
}

/* The settings as the film's comment; long prompts are left out. */
static void make_comment(pf_maker *m)
{
    json_t *settings = json_copy(m->task->settings);
    json_object_set_new(settings, "phonofilm", json_string(pf_version()));
    json_object_set_new(settings, "model", json_string(m->task->model_name));
    json_object_del(settings, "webhook_url");
    json_object_del(settings, PF_SETTINGS_WARNINGS);
    bool rewritten = json_object_get(settings, PF_SETTINGS_REWRITTEN) != NULL;
    size_t room = COMMENT_BYTES + (rewritten ? REWRITTEN_BYTES : 0) - 1;
    size_t bytes = json_dumpb(settings, m->comment, room, JSON_COMPACT | JSON_SORT_KEYS);
    if (bytes > room) {
        json_object_del(settings, "prompt");
        json_object_del(settings, PF_SETTINGS_REWRITTEN);
        json_object_del(settings, "negative_prompt");
        bytes = json_dumpb(settings, m->comment, room, JSON_COMPACT | JSON_SORT_KEYS);
    }
    m->comment[bytes <= room ? bytes : 0] = '\0';
    json_decref(settings);
}

static pf_status open_film(pf_maker *m, pf_error *error)
{
    const pf_model_info *info = pf_engine_info(m->task->engine);
    const json_t *settings = m->task->settings;
    const json_t *quality = json_object_get(settings, "quality");
    const char *prompt = json_string_value(json_object_get(settings, "prompt"));
    double samples = info->sample_rate * (double)m->request.num_frames / m->request.fps;
    make_comment(m);
    snprintf(m->encoder, sizeof m->encoder, "phonofilm %s", pf_version());
    const pf_film_tag tags[] = {
        {"title", prompt ? prompt : "phonofilm"},
        {"comment", m->comment},
        {"encoder", m->encoder},
    };
    PF_TRY(pf_stills_open(m->request.width, m->request.height, m->request.num_frames,
                          &m->stills, error));
    return pf_film_open(
        &(pf_film_options){
            .path = m->film_path,
            .video = true,
            .width = m->request.width,
            .height = m->request.height,
            .fps = m->request.fps,
            .frames = m->request.num_frames,
            .sample_rate = info->sample_rate,
            .audio_samples = m->request.no_audio_output ? 0 : (int64_t)samples,
            .quality = quality ? (int)json_integer_value(quality) : -1,
            .tags = tags,
            .tag_count = (int)(sizeof tags / sizeof tags[0]),
        },
        &m->film, error);
}

/* --- the request ------------------------------------------------------------------ */

static pf_status read_picture(pf_maker *m, const char *name, const char *member,
                              pf_picture *picture, pf_image *image, pf_error *error)
{
    if (!json_is_true(json_object_get(m->task->settings, member)))
        return PF_OK;
    char *path = pf_path_join(m->task->folder, name);
    if (!path)
        return pf_fail_memory(error, name, 1);
    pf_status status = pf_picture_read(path, picture, error);
    pf_free(path);
    /* The picture was sound when it was sent: the disk has damaged it. */
    if (status == PF_E_INPUT || status == PF_E_UNSUPPORTED)
        status = error->status = PF_E_IO;
    *image = (pf_image){picture->rgb, picture->width, picture->height,
                        3 * picture->width};
    return status;
}

/* Reads latents of an earlier run.  Damaged ones are ignored; a disk that fails is an
 * error. */
static pf_status find_state(pf_maker *m, pf_error *error)
{
    pf_error inner = {0};
    if (!pf_path_is_file(m->state_path))
        return PF_OK;
    pf_status status = pf_state_read(m->state_path, &m->resume, &inner);
    m->resumed = status == PF_OK;
    if (status == PF_E_IO || status == PF_E_MEMORY)
        return pf_fail(error, status, "%s", inner.message);
    if (!m->resumed)
        say(m, "%s begins anew: %s", m->task->id, inner.message);
    return PF_OK;
}

static pf_status make_request(pf_maker *m, pf_error *error)
{
    pf_settings_request(m->task->settings, m->task->engine, &m->request);
    if (m->resumed && m->resume.step >= m->resume.steps) {
        m->request.prompt = m->request.negative_prompt = NULL;
        m->request.text_only = false;
    } else {
        PF_TRY(read_picture(m, "first", "picture", &m->first, &m->request.first_frame,
                            error));
        PF_TRY(read_picture(m, "last", "last_picture", &m->last, &m->request.last_frame,
                            error));
    }
    m->request.resume = m->resumed ? &m->resume : NULL;
    m->request.accepted = true;
    return PF_OK;
}

static pf_status create_job(pf_maker *m, pf_error *error)
{
    const pf_sinks sinks = {.user = m, .frames = take_frames, .audio = take_audio,
                            .state = save_state, .progress = tell_progress,
                            .preview = tell_preview};
    PF_TRY(make_request(m, error));
    pf_status status =
        pf_job_create(m->task->engine, &m->request, &sinks, &m->job, error);
    if (status != PF_E_INPUT || !m->resumed)
        return status;
    /* Latents that do not fit come from another version of the model. */
    say(m, "%s begins anew: %s", m->task->id, error->message);
    pf_video_remove_state(m->task->output_dir, m->task->id);
    m->resumed = false;
    PF_TRY(make_request(m, error));
    return pf_job_create(m->task->engine, &m->request, &sinks, &m->job, error);
}

static pf_status make_film(pf_maker *m, pf_error *error)
{
    PF_TRY(find_state(m, error));
    PF_TRY(create_job(m, error));
    if (m->resumed)
        m->done = denoising_share * m->resume.step / m->resume.steps;
    PF_TRY(open_film(m, error));
    pf_news_tell_job(m->box, m->job);
    PF_TRY(pf_job_run(m->job, error));
    pf_film *film = m->film;
    m->film = NULL;
    PF_TRY(pf_film_close(film, error));
    pf_error stills = {0};
    pf_status status = pf_stills_write(&m->stills, m->task->folder, &stills);
    if (status == PF_E_NO_SPACE)
        return pf_fail(error, status, "%s", stills.message);
    if (status != PF_OK)
        say(m, "%s has no stills: %s", m->task->id, stills.message);
    return PF_OK;
}

/* --- the thread ------------------------------------------------------------------- */

static pf_status set_paths(pf_maker *m, pf_error *error)
{
    const pf_maker_task *task = m->task;
    m->film_path = pf_path_join(task->folder, task->film_name);
    m->state_path = pf_video_state(task->output_dir, task->id);
    return m->film_path && m->state_path ? PF_OK : pf_fail_memory(error, "paths", 1);
}

static void *run_maker(void *argument)
{
    pf_maker *m = argument;
    pf_server_stand_back();
    m->status = set_paths(m, &m->error);
    if (m->status == PF_OK)
        m->status = make_film(m, &m->error);
    pf_news_tell_over(m->box);
    return NULL;
}

static void free_maker(pf_maker *m)
{
    pf_film_abort(m->film);
    pf_job_destroy(m->job);
    pf_picture_free(&m->first);
    pf_picture_free(&m->last);
    if (m->resumed)
        pf_state_free(&m->resume);
    pf_stills_close(&m->stills);
    pf_free(m->film_path);
    pf_free(m->state_path);
    pf_free(m);
}

pf_status pf_maker_start(const pf_maker_task *task, pf_news_box *box, pf_maker **out,
                         pf_error *error)
{
    pf_maker *m = pf_calloc(1, sizeof *m);
    *out = m;
    if (!m)
        return pf_fail_memory(error, "film", sizeof *m);
    m->task = task;
    m->box = box;
    m->told_step = -1;
    m->request = (pf_request)PF_INIT(pf_request);
    m->resume = (pf_state)PF_INIT(pf_state);
    if (!pf_fault_hit(PF_FAULT_THREAD) &&
        pthread_create(&m->thread, NULL, run_maker, m) == 0)
        return PF_OK;
    free_maker(m);
    *out = NULL;
    return pf_fail(error, PF_E_MEMORY, "a thread of the server does not start");
}

pf_status pf_maker_end(pf_maker *m, pf_error *error)
{
    pthread_join(m->thread, NULL);
    pf_status status = m->status;
    if (status != PF_OK)
        *error = m->error;
    free_maker(m);
    return status;
}
