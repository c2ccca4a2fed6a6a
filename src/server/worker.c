/* SPDX-License-Identifier: Apache-2.0 */
/* The worker: one film after another, from the queue through the engine to a file.
 *
 *     queue --- pf_saving_take ---> run_video
 *                                     | pf_maker_start: a thread makes the film (maker.h)
 *                                     | news: progress, previews, saved latents
 *                                     |   -> the table of videos, which wakes readers
 *                                     | pf_maker_end
 *                                   conclude
 *                                     |-> finish: the store, then everybody
 *                                     `-> pf_videos_put_back: later, from its latents
 *
 * Nothing is lost when the process ends at any point.  Latents are saved after steps
 * (as often as costs a hundredth of the time, and always after the last one); a film
 * gets its name when it is whole; the store says "completed" after that.  Whatever was
 * on its way is found "running" by the next start and goes on from its latents, to the
 * same bytes: nothing that goes into a file depends on how often it was interrupted.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "server/maker.h"
#include "server/server_parts.h"
#include "server/threads.h"

enum {
    MAX_FAILURES = 3,
    MAX_WAITS = 16                      /* for memory: ten minutes in all */
};
static const double retry_seconds = 0.3, store_seconds = 1.0, most_rest = 60.0;

/* A run of a video. */
typedef struct run {
    pf_server *server;
    pf_video *video;
    char *folder;
    double began;                       /* pf_seconds() */
    pf_news_box box;
    pf_status status;                   /* of the maker, when it is over */
    pf_error error;
} run;

/* --- passing on -------------------------------------------------------------------- */

/* Publishes the job, so that others may stop it; NULL: it is over. */
static void publish_job(run *r, pf_job *job)
{
    pf_videos *videos = &r->server->videos;
    pthread_mutex_lock(&videos->lock);
    r->video->job = job;
    if (job && (r->video->cancel || videos->closing))
        pf_job_cancel(job);
    pthread_mutex_unlock(&videos->lock);
}

/* Nothing changes in a film that was cancelled meanwhile: its end is stored and told. */
static void publish_progress(run *r, const pf_news *n)
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
    pf_video_touch(v);
    pthread_mutex_unlock(&videos->lock);
}

static void pass_on_news(run *r)
{
    pf_news n;
    do {
        n = pf_news_await(&r->box);
        if (n.job)
            publish_job(r, n.job);
        if (n.progressed || n.preview)
            publish_progress(r, &n);
        if (n.saved)
            pf_saving_note_progress(&r->server->saving, r->video);
    } while (!n.over);
    publish_job(r, NULL);
}

/* --- making ------------------------------------------------------------------------- */

static pf_status make_folder(run *r, pf_error *error)
{
    const pf_films *films = &r->server->films;
    r->folder = pf_video_folder(r->server->output_dir, r->video->id);
    if (!r->folder)
        return pf_fail_memory(error, "paths", 1);
    if (pf_films_are_away(films))
        return pf_fail(error, PF_E_IO, "another folder lies at %s, or none",
                       films->videos_dir);
    if (mkdir(r->folder, 0700) != 0 && errno != EEXIST)
        return pf_fail_errno(error, errno, "cannot make the folder of the video");
    return PF_OK;
}

static pf_status make_and_tell(run *r, pf_error *error)
{
    const pf_server *server = r->server;
    const pf_maker_task task = {
        .engine = server->engine, .model_name = server->model_name,
        .output_dir = server->output_dir, .id = r->video->id, .folder = r->folder,
        .film_name = pf_video_film_name(r->video), .settings = r->video->settings,
        .began = r->began, .log = server->options.log, .log_user = server->options.log_user,
    };
    pf_maker *maker = NULL;
    PF_TRY(pf_maker_start(&task, &r->box, &maker, error));
    pass_on_news(r);
    return pf_maker_end(maker, error);
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

/* Failures that may pass. */
static bool is_transient(pf_status status)
{
    return status == PF_E_IO || is_of_memory(status);
}

static bool is_of_files(pf_status status)
{
    return status == PF_E_IO || status == PF_E_NOT_FOUND;
}

/* Whether somebody wants the film to stop.  Takes the lock. */
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

/* Stops the queue for trouble of the disk. */
static void stop_queue(run *r, const pf_error *error)
{
    pf_server *server = r->server;
    pf_server_stop_queue(server,
                          pf_films_explain(&server->films, server->store, error->status),
                          error->message);
}

/* Tries until the store has the end, because no end is told that is not stored.  False when
 * the server closes before; its next start continues from the latents, or finds
 * job.json. */
static bool store_end(run *r, const char *code, const char *message)
{
    pf_server *server = r->server;
    const pf_ending ending = {code, message, r->folder ? bytes_of_all(r) : 0};
    pf_error error = {0};
    while (pf_saving_finish(&server->saving, r->video, &ending, &error) != PF_OK) {
        if (error.status != PF_E_MEMORY)
            stop_queue(r, &error);
        if (pf_server_sleep(server, store_seconds))
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
    pf_video_remove_state(server->output_dir, r->video->id);    /* the film needs no latents now */
    pf_server_wake(server);
    if (failed)
        pf_server_log(server, "%s failed: %s", r->video->id,
                      error ? error->message : message);
    else
        pf_server_log(server, "%s completed in %.1f s", r->video->id,
                      pf_seconds() - r->began);
}

/* Whether the failure is the disk's and not the film's, which then goes on when the disk
 * does. */
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
        pf_server_sleep(server, retry_seconds);
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
        stop_queue(r, error);
        pf_videos_put_back(&server->videos, r->video, 0);
    } else if (!try_again(r)) {
        char room[sizeof error->message];
        finish(r, code_of(status), pf_server_explain(server, error, room), error);
    }
}

static void run_video(pf_server *server, pf_video *video)
{
    run r = {.server = server, .video = video, .began = pf_seconds()};
    pf_news_open(&r.box);
    pf_server_log(server, "%s begins", video->id);
    r.status = make_folder(&r, &r.error);
    if (pf_queue_is_hopeless(video)) {
        finish(&r, "gave_up",
               "the server stopped too often while this film was being made", NULL);
    } else {
        if (r.status == PF_OK)
            r.status = make_and_tell(&r, &r.error);
        conclude(&r);
    }
    pf_news_close(&r.box);
    pf_free(r.folder);
    if (is_deleted(&r))
        pf_video_remove_files(server->output_dir, video->id);
    pf_videos_release(&server->videos, video);
}

void *pf_worker_run(void *argument)
{
    pf_server *server = argument;
    pf_video *video;
    while ((video = pf_saving_take(&server->saving)) != NULL)
        run_video(server, video);
    return NULL;
}
