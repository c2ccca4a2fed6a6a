/* SPDX-License-Identifier: Apache-2.0 */
/* The worker: one film after another, from the queue through the engine to a file.
 *
 * Nothing is lost when the process ends at any point.  Latents are saved after steps
 * (as often as costs a hundredth of the time, and always after the last one); a film
 * gets its name when it is whole; the store says "completed" after that.  Whatever was
 * on its way is found "running" by the next start and goes on from its latents, to the
 * same bytes: nothing that goes into a file depends on how often it was interrupted.
 *
 * Each film is made by a thread of its own (the maker), which stands back for those
 * that answer requests (pf_server_stand_back).  It must therefore never hold the
 * table's lock: it could lose the processor with it, and every status call would wait
 * until computing lets it go on.  It leaves its news with the worker, which does all
 * the telling.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/memory.h"
#include "media/film.h"
#include "media/picture.h"
#include "server/server_parts.h"
#include "server/stills.h"
#include "server/threads.h"

enum {
    SAVE_SHARE = 100,
    MAX_FAILURES = 3,
    MAX_WAITS = 16,                     /* for memory: ten minutes in all */
    COMMENT_BYTES = 4096
};
static const double retry_seconds = 0.3, store_seconds = 1.0, most_rest = 60.0;
static const double denoising_share = 0.9;    /* its share of a film, about */

/* Seconds between two of a kind of news: every reader costs time that the film would
 * have had, so a long film tells less often. */
static const struct pace {
    double least, most, share;          /* share: of the time that the run has taken */
} progress_pace = {0.2, 1.0, 0.02}, preview_pace = {0.7, 2.5, 0.1};

static double pause_of(struct pace p, double elapsed)
{
    return fmin(fmax(p.share * elapsed, p.least), p.most);
}

/* What the maker has to tell since the worker last looked. */
typedef struct news {
    pf_job *job;                        /* it begins, or NULL */
    bool progressed;
    pf_progress progress;               /* without its stage */
    char stage[24];
    char *preview;                      /* text of an event (free()), or NULL */
    bool saved;                         /* latents of a later step are on disk */
    bool over;
} news;

/* One run of one video. */
typedef struct run {
    pf_server *server;
    pf_video *video;
    char *folder;
    char *film_path, *state_path;
    pf_request request;
    pf_picture first, last;
    pf_state resume;
    bool resumed;
    double done;                        /* of the film, by earlier runs: a fraction */
    pf_job *job;
    pf_film *film;
    pf_stills stills;
    double began, saved, save_cost;     /* seconds; 0: never yet */
    double told, previewed;
    int told_step;
    char told_stage[24];
    char comment[COMMENT_BYTES], encoder[32];
    pthread_mutex_t lock;               /* guards the news; never held while waiting */
    pthread_cond_t changed;
    news news;
    pf_status status;                   /* of the maker, when it is over */
    pf_error error;
} run;

/* --- what the maker tells --------------------------------------------------------- */

static void show_progress(void *user, const pf_progress *progress)
{
    run *r = user;
    double now = pf_seconds();
    bool new_stage = strcmp(progress->stage, r->told_stage) != 0;
    if (!new_stage && (progress->step == r->told_step ||
                       now - r->told < pause_of(progress_pace, now - r->began)))
        return;
    r->told = now;
    r->told_step = progress->step;
    snprintf(r->told_stage, sizeof r->told_stage, "%s", progress->stage);
    pthread_mutex_lock(&r->lock);
    r->news.progressed = true;
    r->news.progress = *progress;
    r->news.progress.fraction = r->done + (1 - r->done) * progress->fraction;
    memcpy(r->news.stage, r->told_stage, sizeof r->news.stage);
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void show_preview(void *user, const pf_preview *preview)
{
    run *r = user;
    double now = pf_seconds();
    if (r->previewed > 0 && preview->step < preview->steps &&
        now - r->previewed < pause_of(preview_pace, now - r->began))
        return;
    r->previewed = now;
    char *text = pf_preview_event(preview);
    if (!text)
        return;
    pthread_mutex_lock(&r->lock);
    free(r->news.preview);              /* nobody has seen it */
    r->news.preview = text;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void tell_job(run *r)
{
    pthread_mutex_lock(&r->lock);
    r->news.job = r->job;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* --- saving ----------------------------------------------------------------------- */

static pf_status save_state(void *user, const pf_state *state, pf_error *error)
{
    run *r = user;
    double now = pf_seconds();
    bool due = now - r->saved >= SAVE_SHARE * r->save_cost;
    if (state->step < state->steps && !due)
        return PF_OK;
    PF_TRY(pf_state_write(r->state_path, state, error));
    r->saved = pf_seconds();
    r->save_cost = r->saved - now;
    pthread_mutex_lock(&r->lock);
    r->news.saved = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return PF_OK;
}

/* --- the film --------------------------------------------------------------------- */

static pf_status take_frames(void *user, int64_t first, int64_t count,
                             const uint8_t *rgb, pf_error *error)
{
    run *r = user;
    size_t bytes = 3 * (size_t)r->request.width * (size_t)r->request.height;
    for (int64_t i = 0; i < count; i++)
        pf_stills_take(&r->stills, first + i, rgb + (size_t)i * bytes);
    return pf_film_write_frames(r->film, rgb, count, error);
}

static pf_status take_audio(void *user, const float *samples, int64_t count,
                            pf_error *error)
{
    run *r = user;
    return pf_film_write_audio(r->film, samples, count, error);
}

/* The settings as the film's comment; a long prompt is left out. */
static void make_comment(run *r)
{
    json_t *settings = json_copy(r->video->settings);
    json_object_set_new(settings, "phonofilm", json_string(pf_version()));
    json_object_set_new(settings, "model", json_string(r->server->model_name));
    json_object_del(settings, "webhook_url");
    json_object_del(settings, PF_SETTINGS_WARNINGS);
    size_t room = sizeof r->comment - 1;
    size_t bytes = json_dumpb(settings, r->comment, room, JSON_COMPACT | JSON_SORT_KEYS);
    if (bytes > room) {
        json_object_del(settings, "prompt");
        json_object_del(settings, "negative_prompt");
        bytes = json_dumpb(settings, r->comment, room, JSON_COMPACT | JSON_SORT_KEYS);
    }
    r->comment[bytes <= room ? bytes : 0] = '\0';
    json_decref(settings);
}

static pf_status open_film(run *r, pf_error *error)
{
    const pf_model_info *info = pf_engine_info(r->server->engine);
    const json_t *settings = r->video->settings;
    const json_t *quality = json_object_get(settings, "quality");
    const char *prompt = json_string_value(json_object_get(settings, "prompt"));
    double samples = info->sample_rate * (double)r->request.num_frames / r->request.fps;
    make_comment(r);
    snprintf(r->encoder, sizeof r->encoder, "phonofilm %s", pf_version());
    const pf_film_tag tags[] = {
        {"title", prompt ? prompt : "phonofilm"},
        {"comment", r->comment},
        {"encoder", r->encoder},
    };
    PF_TRY(pf_stills_open(r->request.width, r->request.height, r->request.num_frames,
                          &r->stills, error));
    return pf_film_open(
        &(pf_film_options){
            .path = r->film_path,
            .video = true,
            .width = r->request.width,
            .height = r->request.height,
            .fps = r->request.fps,
            .frames = r->request.num_frames,
            .sample_rate = info->sample_rate,
            .audio_samples = r->request.no_audio_output ? 0 : (int64_t)samples,
            .quality = quality ? (int)json_integer_value(quality) : -1,
            .tags = tags,
            .tag_count = (int)(sizeof tags / sizeof tags[0]),
        },
        &r->film, error);
}

/* --- the request ------------------------------------------------------------------ */

static pf_status read_picture(run *r, const char *name, const char *member,
                              pf_picture *picture, pf_image *image, pf_error *error)
{
    if (!json_is_true(json_object_get(r->video->settings, member)))
        return PF_OK;
    char *path = pf_path_join(r->folder, name);
    if (!path)
        return pf_fail_memory(error, name, 1);
    pf_status status = pf_picture_read(path, picture, error);
    pf_free(path);
    /* It was sound when it came: the disk has damaged it. */
    if (status == PF_E_INPUT || status == PF_E_UNSUPPORTED)
        status = error->status = PF_E_IO;
    *image = (pf_image){picture->rgb, picture->width, picture->height,
                        3 * picture->width};
    return status;
}

/* Latents of an earlier run; damaged ones are as good as none, but not those of a disk
 * that fails. */
static pf_status find_state(run *r, pf_error *error)
{
    pf_error inner = {0};
    if (!pf_path_is_file(r->state_path))
        return PF_OK;
    pf_status status = pf_state_read(r->state_path, &r->resume, &inner);
    r->resumed = status == PF_OK;
    if (status == PF_E_IO || status == PF_E_MEMORY)
        return pf_fail(error, status, "%s", inner.message);
    if (!r->resumed)
        pf_server_log(r->server, "%s begins anew: %s", r->video->id, inner.message);
    return PF_OK;
}

static pf_status make_request(run *r, pf_error *error)
{
    pf_settings_request(r->video->settings, r->server->engine, &r->request);
    if (r->resumed && r->resume.step >= r->resume.steps) {
        r->request.prompt = r->request.negative_prompt = NULL;
        r->request.text_only = false;
    } else {
        PF_TRY(read_picture(r, "first", "picture", &r->first, &r->request.first_frame,
                            error));
        PF_TRY(read_picture(r, "last", "last_picture", &r->last, &r->request.last_frame,
                            error));
    }
    r->request.resume = r->resumed ? &r->resume : NULL;
    r->request.accepted = true;
    return PF_OK;
}

static pf_status create_job(run *r, pf_error *error)
{
    const pf_sinks sinks = {.user = r, .frames = take_frames, .audio = take_audio,
                            .state = save_state, .progress = show_progress,
                            .preview = show_preview};
    PF_TRY(make_request(r, error));
    pf_status status =
        pf_job_create(r->server->engine, &r->request, &sinks, &r->job, error);
    if (status != PF_E_INPUT || !r->resumed)
        return status;
    /* The latents do not fit, after an update of the model perhaps. */
    pf_server_log(r->server, "%s begins anew: %s", r->video->id, error->message);
    pf_video_remove_state(r->server->output_dir, r->video->id);
    r->resumed = false;
    PF_TRY(make_request(r, error));
    return pf_job_create(r->server->engine, &r->request, &sinks, &r->job, error);
}

/* --- running ---------------------------------------------------------------------- */

static pf_status set_paths(run *r, pf_error *error)
{
    const char *folder = r->server->output_dir, *id = r->video->id;
    r->folder = pf_video_folder(folder, id);
    r->film_path = pf_video_file(folder, id, pf_video_film_name(r->video));
    r->state_path = pf_video_state(folder, id);
    bool complete = r->folder && r->film_path && r->state_path;
    if (!complete)
        return pf_fail_memory(error, "paths", 1);
    if (pf_films_are_away(&r->server->films))
        return pf_fail(error, PF_E_IO, "another folder lies at %s, or none",
                       r->server->films.videos_dir);
    if (mkdir(r->folder, 0700) != 0 && errno != EEXIST)
        return pf_fail_errno(error, errno, "cannot make the folder of the video");
    return PF_OK;
}

static pf_status make_film(run *r, pf_error *error)
{
    PF_TRY(find_state(r, error));
    PF_TRY(create_job(r, error));
    if (r->resumed)
        r->done = denoising_share * r->resume.step / r->resume.steps;
    PF_TRY(open_film(r, error));
    tell_job(r);
    PF_TRY(pf_job_run(r->job, error));
    pf_film *film = r->film;
    r->film = NULL;
    PF_TRY(pf_film_close(film, error));
    pf_error stills = {0};
    pf_status status = pf_stills_write(&r->stills, r->folder, &stills);
    if (status == PF_E_NO_SPACE)
        return pf_fail(error, status, "%s", stills.message);
    if (status != PF_OK)
        pf_server_log(r->server, "%s has no stills: %s", r->video->id, stills.message);
    return PF_OK;
}

static void *run_maker(void *argument)
{
    run *r = argument;
    pf_server_stand_back();
    r->status = make_film(r, &r->error);
    pthread_mutex_lock(&r->lock);
    r->news.over = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* --- what the worker passes on ---------------------------------------------------- */

/* The job as others may stop it; NULL when it is over. */
static void publish_job(run *r, pf_job *job)
{
    pf_videos *videos = &r->server->videos;
    pthread_mutex_lock(&videos->lock);
    r->video->job = job;
    if (job && (r->video->cancel || videos->closing))
        pf_job_cancel(job);
    pthread_mutex_unlock(&videos->lock);
}

/* Of a film that has been cancelled meanwhile nothing changes any more: what is stored
 * of its end stays what is told. */
static void publish_progress(run *r, news *n)
{
    pf_videos *videos = &r->server->videos;
    pf_video *v = r->video;
    pthread_mutex_lock(&videos->lock);
    if (n->progressed && v->status == PF_VIDEO_RUNNING) {
        memcpy(v->stage, n->stage, sizeof v->stage);
        v->step = n->progress.step;
        v->steps = n->progress.steps;
        if (n->progress.fraction > v->fraction)
            v->fraction = n->progress.fraction;
        v->seconds_left = n->progress.seconds_left;
    }
    if (n->preview) {
        free(v->preview);
        v->preview = n->preview;
        v->preview_version++;
    }
    pf_videos_touch(v);
    pthread_mutex_unlock(&videos->lock);
}

static news await_news(run *r)
{
    pthread_mutex_lock(&r->lock);
    news *n = &r->news;
    while (!n->job && !n->progressed && !n->preview && !n->saved && !n->over)
        pthread_cond_wait(&r->changed, &r->lock);
    news taken = *n;
    *n = (news){.over = n->over};
    pthread_mutex_unlock(&r->lock);
    return taken;
}

static void pass_on_news(run *r)
{
    news n;
    do {
        n = await_news(r);
        if (n.job)
            publish_job(r, n.job);
        if (n.progressed || n.preview)
            publish_progress(r, &n);
        if (n.saved)
            pf_videos_note_progress(&r->server->videos, r->video);
    } while (!n.over);
    publish_job(r, NULL);
}

static void make_and_tell(run *r)
{
    pthread_t maker;
    if (pf_fault_hit(PF_FAULT_THREAD) ||
        pthread_create(&maker, NULL, run_maker, r) != 0) {
        r->status = pf_fail(&r->error, PF_E_MEMORY, "a thread of the server does not start");
        return;
    }
    pass_on_news(r);
    pthread_join(maker, NULL);
}

static void clean_up(run *r)
{
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    pf_film_abort(r->film);
    pf_job_destroy(r->job);
    pf_picture_free(&r->first);
    pf_picture_free(&r->last);
    if (r->resumed)
        pf_state_free(&r->resume);
    pf_stills_close(&r->stills);
    pf_free(r->folder);
    pf_free(r->film_path);
    pf_free(r->state_path);
}

/* --- how it ended ----------------------------------------------------------------- */

static int64_t bytes_of(const run *r, const char *name)
{
    struct stat info;
    char *path = pf_path_join(r->folder, name);
    int64_t bytes = path && stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
    pf_free(path);
    return bytes;
}

static int64_t bytes_of_all(const run *r)
{
    static const char *const names[] = {"first", "last", "thumbnail.webp",
                                        "spritesheet.webp"};
    int64_t bytes = bytes_of(r, pf_video_film_name(r->video));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        bytes += bytes_of(r, names[i]);
    return bytes;
}

static const char *code_of(pf_status status)
{
    switch (status) {
    case PF_E_ARGUMENT:
    case PF_E_INPUT:
    case PF_E_UNSUPPORTED: return "invalid_input";
    case PF_E_MODEL: return "model_error";
    case PF_E_MEMORY:
    case PF_E_TOO_LARGE: return "out_of_memory";
    case PF_E_NOT_FOUND:
    case PF_E_IO: return "io_error";
    default: return "internal_error";
    }
}

/* Limits of memory may be raised while the film waits. */
static bool is_of_memory(pf_status status)
{
    return status == PF_E_MEMORY || status == PF_E_TOO_LARGE;
}

/* Of a kind that may pass. */
static bool is_transient(pf_status status)
{
    return status == PF_E_IO || is_of_memory(status);
}

static bool is_of_files(pf_status status)
{
    return status == PF_E_IO || status == PF_E_NOT_FOUND;
}

/* Locked inside: what the rest of the server wants with a job that was stopped. */
static bool was_cancelled(run *r)
{
    pthread_mutex_lock(&r->server->videos.lock);
    bool cancelled = r->video->cancel;
    pthread_mutex_unlock(&r->server->videos.lock);
    return cancelled;
}

static bool is_deleted(run *r)
{
    pthread_mutex_lock(&r->server->videos.lock);
    bool deleted = r->video->deleted;
    pthread_mutex_unlock(&r->server->videos.lock);
    return deleted;
}

/* Trouble of the disk stands the queue still. */
static void stand_still(run *r, const pf_error *error)
{
    pf_server *server = r->server;
    pf_server_stand_still(server,
                          pf_films_explain(&server->films, server->store, error->status),
                          error->message);
}

/* Tries until the store has it: no end is told that is not stored.  False when the server
 * closes before; the next start goes on from the latents, or finds job.json. */
static bool store_end(run *r, const char *code, const char *message)
{
    pf_server *server = r->server;
    int64_t bytes = r->folder ? bytes_of_all(r) : 0;
    pf_error error = {0};
    while (pf_videos_finish(&server->videos, r->video, code, message, bytes, &error) !=
           PF_OK) {
        if (error.status != PF_E_MEMORY)
            stand_still(r, &error);
        if (pf_server_pause(server, store_seconds))
            return false;
    }
    return true;
}

/* `error`: why it failed, for the log, or NULL. */
static void finish(run *r, const char *code, const char *message, const pf_error *error)
{
    pf_server *server = r->server;
    bool failed = code[0] != '\0';
    if (!store_end(r, code, message))
        return;
    pf_video_remove_state(server->output_dir, r->video->id);    /* it is not needed now */
    pf_server_poke(server);
    if (failed)
        pf_server_log(server, "%s failed: %s", r->video->id,
                      error ? error->message : message);
    else
        pf_server_log(server, "%s completed in %.1f s", r->video->id,
                      pf_seconds() - r->began);
}

/* Is it the disk's, and not the film's?  Then the film goes on when the disk does. */
static bool is_of_the_disk(run *r)
{
    pf_server *server = r->server;
    return r->status == PF_E_NO_SPACE ||
           (is_of_files(r->status) && pf_films_examine(&server->films, server->store));
}

/* 0.3, 1, 2, 4 ... 60 s: others may give back memory, and other films go first. */
static double memory_rest(int failures)
{
    return failures == 1 ? retry_seconds : fmin(ldexp(1, failures - 2), most_rest);
}

/* Puts the film back if it may succeed another time. */
static bool try_again(run *r)
{
    pf_server *server = r->server;
    int failures = r->video->failures;
    bool waits = is_of_memory(r->status);
    if (!is_transient(r->status) || failures >= (waits ? MAX_WAITS : MAX_FAILURES))
        return false;
    pf_server_log(server, "%s is tried again: %s", r->video->id, r->error.message);
    if (!waits)
        pf_server_pause(server, retry_seconds);
    pf_videos_put_back(&server->videos, r->video, waits ? memory_rest(failures) : 0);
    return true;
}

static void conclude(run *r)
{
    pf_server *server = r->server;
    pf_status status = r->status;
    const pf_error *error = &r->error;
    pthread_mutex_lock(&server->videos.lock);
    r->video->run_seconds += pf_seconds() - r->began;
    r->video->failures += is_transient(status);
    pthread_mutex_unlock(&server->videos.lock);
    if (status == PF_OK) {
        finish(r, "", "", NULL);
    } else if (was_cancelled(r)) {
        finish(r, "cancelled", "cancelled on request", NULL);
    } else if (status == PF_E_CANCELLED) {
        pf_videos_put_back(&server->videos, r->video, 0);   /* the server stops */
    } else if (is_of_the_disk(r)) {
        stand_still(r, error);
        pf_videos_put_back(&server->videos, r->video, 0);
    } else if (!try_again(r)) {
        char room[sizeof error->message];
        finish(r, code_of(status), pf_server_explain(server, error, room), error);
    }
}

static void run_video(pf_server *server, pf_video *video)
{
    run r = {.server = server, .video = video, .began = pf_seconds(), .told_step = -1};
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.changed, NULL);
    pf_server_log(server, "%s begins", video->id);
    r.status = set_paths(&r, &r.error);
    if (pf_videos_is_hopeless(video)) {
        finish(&r, "gave_up",
               "the server stopped too often while this film was being made", NULL);
    } else {
        if (r.status == PF_OK)
            make_and_tell(&r);
        conclude(&r);
    }
    clean_up(&r);
    if (is_deleted(&r))
        pf_video_remove_files(server->output_dir, video->id);
    pf_videos_release(&server->videos, video);
}

void *pf_worker_run(void *argument)
{
    pf_server *server = argument;
    pf_video *video;
    while ((video = pf_videos_take(&server->videos)) != NULL)
        run_video(server, video);
    return NULL;
}
