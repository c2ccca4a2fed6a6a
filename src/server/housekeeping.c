/* SPDX-License-Identifier: Apache-2.0 */
/* Housekeeping, every second: old films, films that nobody waits for,
 * a full disk, and a sign of life for those who read events. */
#include <math.h>

#include "base/clock.h"
#include "base/memory.h"
#include "server/server_parts.h"
#include "server/threads.h"

enum { EVERY_RETENTION = 5, EVERY_SIGN = 15 };
static const double expiry_seconds = 0.5, describing_seconds = 0.1,
                    jump_seconds = 60, distrust_seconds = 3600;

/* --- retention -------------------------------------------------------------------- */

/* When films may expire.  A clock that is wrong for a while must not cost anybody a film:
 * after a start, and when the calendar runs ahead of the time that passes, nothing
 * expires for a while. */
typedef struct calendar {
    double ahead;                       /* of the clock that nobody sets, in seconds */
    double trusted;                     /* from then on, by that clock */
} calendar;

static void look_at_calendar(const pf_server *server, calendar *c)
{
    double ahead = pf_now() - pf_seconds(), retention = server->options.retention;
    bool jumped = ahead - c->ahead > jump_seconds;
    if (jumped && c->ahead > 0)
        pf_server_log(server, "the clock has jumped forward by %.0f s: nothing expires for a "
                      "while", ahead - c->ahead);
    if (jumped)
        c->trusted = pf_seconds() + fmin(retention, distrust_seconds);
    c->ahead = ahead;
}

static bool is_done(const pf_video *v)
{
    return v->status >= PF_VIDEO_COMPLETED;
}

/* The oldest finished film that is beyond its age (with `aged`), or that is to make room;
 * NULL: none. */
static pf_video *find_expired(pf_server *server, bool aged)
{
    const pf_server_options *o = &server->options;
    pf_videos *videos = &server->videos;
    pf_video *expired = NULL, *oldest = NULL;
    double now = pf_now();
    int64_t bytes = 0;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->all.count; i++) {
        pf_video *v = videos->all.at[i];
        if (!is_done(v) || v->starred)
            continue;
        bytes += v->bytes;
        if (!oldest && v->bytes > 0)
            oldest = v;
        if (!expired && aged && o->retention > 0 && v->completed + o->retention <= now)
            expired = v;
    }
    if (!expired && o->retention_bytes > 0 && bytes > o->retention_bytes)
        expired = oldest;
    if (expired)
        expired->references++;
    pthread_mutex_unlock(&videos->lock);
    return expired;
}

/* Deletes what has expired, but not for long: there is other work.  True when there
 * may be more. */
static bool expire(pf_server *server, const calendar *c)
{
    pf_video *video;
    bool aged = pf_seconds() >= c->trusted;
    double end = pf_seconds() + expiry_seconds;
    while ((video = find_expired(server, aged)) != NULL) {
        pf_status status = pf_server_discard(server, video, NULL);
        if (status == PF_OK)
            pf_server_log(server, "%s expired", video->id);
        pf_videos_release(&server->videos, video);
        if (status != PF_OK)
            return false;
        if (pf_seconds() >= end)
            return true;
    }
    return false;
}

/* --- films that nobody waits for ---------------------------------------------------- */

static void cancel_abandoned(pf_server *server)
{
    pf_video *video;
    pf_error error = {0};
    while (error.status == PF_OK &&
           (video = pf_videos_find_abandoned(&server->videos)) != NULL) {
        pf_server_log(server, "%s is cancelled: its client is gone", video->id);
        if (pf_saving_cancel(&server->saving, video, &error) == PF_CANCEL_DONE)
            pf_video_remove_state(server->output_dir, video->id);
        pf_videos_release(&server->videos, video);
        pf_server_wake(server);         /* a postman may have a webhook to deliver */
    }
}

/* --- the disk --------------------------------------------------------------------- */

/* Stores what could not be stored before.  Resumes the queue when the disk takes
 * everything, and stops it when the folder or the store is no longer where it was. */
static void look_after_disk(pf_server *server)
{
    pf_error error = {0};
    pf_films *films = &server->films;
    bool stands = films->standing != NULL;
    if (stands && pf_films_examine(films, server->store))
        return;
    pf_status status = pf_saving_retry(&server->saving, &error);
    if (status == PF_OK && pf_films_are_away(films))
        status = pf_fail(&error, PF_E_IO, "another folder lies at %s, or none",
                         films->videos_dir);
    if (status == PF_OK)
        status = pf_store_check_place(server->store, &error);
    if (status == PF_E_IO || status == PF_E_NO_SPACE)
        pf_server_stop_queue(server, pf_films_explain(films, server->store, status),
                              error.message);
    else if (stands)
        pf_server_resume_queue(server);
}

/* Sends every reader of events the current status, so that a reader that is gone shows. */
static void give_sign(pf_server *server)
{
    pf_videos *videos = &server->videos;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->all.count; i++)
        if (videos->all.at[i]->waiters)
            pf_video_touch(videos->all.at[i]);
    pthread_mutex_unlock(&videos->lock);
}

void *pf_housekeeping_run(void *argument)
{
    pf_server *server = argument;
    bool more = false;
    calendar c = {0, 0};
    for (unsigned second = 0; !atomic_load(&server->closing); second++) {
        look_at_calendar(server, &c);
        if (more || second % EVERY_RETENTION == 0)
            more = expire(server, &c);
        cancel_abandoned(server);
        look_after_disk(server);
        pf_saving_describe(&server->saving, describing_seconds);
        if (second % EVERY_SIGN == EVERY_SIGN - 1)
            give_sign(server);
        pf_server_sleep(server, 1.0);
    }
    return NULL;
}
