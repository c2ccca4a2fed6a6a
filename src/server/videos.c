/* SPDX-License-Identifier: Apache-2.0 */
/* The table of videos.  See videos.h. */
#include "server/videos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"

void pf_videos_open(pf_videos *videos, pf_queue_limits limits)
{
    *videos = (pf_videos){.queue.limits = limits};
    pthread_mutex_init(&videos->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&videos->changed, &clock);
    pthread_condattr_destroy(&clock);
}

void pf_videos_close(pf_videos *videos)
{
    for (int i = 0; i < videos->all.count; i++)
        pf_video_drop(videos->all.at[i]);
    pf_video_list_free(&videos->all);
    pf_queue_free(&videos->queue);
    pthread_cond_destroy(&videos->changed);
    pthread_mutex_destroy(&videos->lock);
}

void pf_videos_release(pf_videos *videos, pf_video *video)
{
    if (!video)
        return;
    pthread_mutex_lock(&videos->lock);
    pf_video_drop(video);
    pthread_mutex_unlock(&videos->lock);
}

/* --- who waits -------------------------------------------------------------------- */

bool pf_videos_wait(pf_videos *videos, pf_video *video, uint64_t version,
                    pf_waiter *waiter)
{
    pthread_mutex_lock(&videos->lock);
    bool sleeps = video->version == version && !videos->closing;
    if (sleeps) {
        waiter->next = video->waiters;
        video->waiters = waiter;
    }
    pthread_mutex_unlock(&videos->lock);
    return sleeps;
}

void pf_videos_forget(pf_videos *videos, pf_video *video, const pf_waiter *waiter)
{
    pthread_mutex_lock(&videos->lock);
    pf_waiter **place = &video->waiters;
    while (*place && *place != waiter)
        place = &(*place)->next;
    if (*place)
        *place = waiter->next;
    pthread_mutex_unlock(&videos->lock);
}

/* --- coming in -------------------------------------------------------------------- */

bool pf_videos_new_id(pf_videos *videos, char out[PF_VIDEO_ID_BYTES])
{
    uint8_t noise[10];
    char hex[2 * sizeof noise + 1];
    if (!pf_random_bytes(noise, sizeof noise))
        return false;
    pf_hex_encode(noise, sizeof noise, hex);
    uint64_t now = (uint64_t)(1000.0 * pf_now());
    pthread_mutex_lock(&videos->lock);
    videos->last_id = now > videos->last_id ? now : videos->last_id + 1;
    snprintf(out, PF_VIDEO_ID_BYTES, "video_%012llx%s",
             (unsigned long long)videos->last_id, hex);
    pthread_mutex_unlock(&videos->lock);
    return true;
}

pf_status pf_videos_check_room(pf_videos *videos, const char *owner, int *seconds,
                               pf_error *error)
{
    pthread_mutex_lock(&videos->lock);
    pf_status status =
        pf_queue_check_room(&videos->queue, &videos->all, owner, seconds, error);
    videos->refused += status != PF_OK;
    pthread_mutex_unlock(&videos->lock);
    return status;
}

int64_t pf_videos_expected_bytes(pf_videos *videos)
{
    int64_t bytes = 0, most = 0;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->all.count; i++) {
        const pf_video *v = videos->all.at[i];
        if (v->status >= PF_VIDEO_COMPLETED)
            continue;
        int64_t latents = pf_video_expected_latents(v->settings);
        bytes += pf_video_expected_bytes(v->settings);
        most = latents > most ? latents : most;
    }
    pthread_mutex_unlock(&videos->lock);
    return bytes + most;                /* one video at a time has latents */
}

pf_status pf_videos_reserve(pf_videos *videos, const char *owner, pf_error *error)
{
    pthread_mutex_lock(&videos->lock);
    pf_status status =
        pf_queue_know_owner(&videos->queue, &videos->all, owner, error);
    if (status == PF_OK)
        status = pf_video_list_make_room(&videos->all, error);
    pthread_mutex_unlock(&videos->lock);
    return status;
}

void pf_videos_enter(pf_videos *videos, pf_video *video)
{
    pthread_mutex_lock(&videos->lock);
    pf_video_list_append(&videos->all, video);
    videos->queue.waiting++;
    videos->accepted++;
    pf_queue_arrange(&videos->queue, &videos->all);
    pthread_cond_broadcast(&videos->changed);
    pthread_mutex_unlock(&videos->lock);
}

/* --- looking up ------------------------------------------------------------------- */

bool pf_videos_knows(pf_videos *videos, const char *id)
{
    pthread_mutex_lock(&videos->lock);
    bool knows = pf_video_list_find(&videos->all, id) != NULL;
    pthread_mutex_unlock(&videos->lock);
    return knows;
}

pf_video *pf_videos_find(pf_videos *videos, const char *id, const char *owner)
{
    pthread_mutex_lock(&videos->lock);
    pf_video *video = pf_video_list_find(&videos->all, id);
    if (video && strcmp(video->owner, owner) != 0)
        video = NULL;
    if (video)
        video->references++;
    pthread_mutex_unlock(&videos->lock);
    return video;
}

pf_video *pf_videos_find_idempotent(pf_videos *videos, const char *owner,
                                    const char *key)
{
    pf_video *found = NULL;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->all.count && !found; i++) {
        pf_video *v = videos->all.at[i];
        if (strcmp(v->idempotency_key, key) == 0 && strcmp(v->owner, owner) == 0)
            found = v;
    }
    if (found)
        found->references++;
    pthread_mutex_unlock(&videos->lock);
    return found;
}

/* Whether the video lies beyond the cursors of a page, in the page's direction. */
static bool is_in_page(const pf_video *v, const pf_page_query *q)
{
    int after = q->after[0] ? strcmp(v->id, q->after) : 1;
    int before = q->before[0] ? strcmp(v->id, q->before) : -1;
    if (!q->ascending) {
        after = q->after[0] ? -after : 1;
        before = q->before[0] ? -before : -1;
    }
    return after > 0 && before < 0 && strcmp(v->owner, q->owner) == 0;
}

/* With `before` alone the page ends there, so it is gathered backwards. */
int pf_videos_page(pf_videos *videos, const pf_page_query *q,
                   pf_video *out[PF_PAGE_MAX], bool *more)
{
    int found = 0;
    bool backwards = q->before[0] && !q->after[0];
    bool upwards = q->ascending != backwards;
    *more = false;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->all.count && !*more; i++) {
        pf_video *v = videos->all.at[upwards ? i : videos->all.count - 1 - i];
        if (!is_in_page(v, q))
            continue;
        *more = found == q->limit;
        if (!*more) {
            v->references++;
            out[found++] = v;
        }
    }
    pthread_mutex_unlock(&videos->lock);
    for (int i = 0; backwards && i < found / 2; i++) {
        pf_video *other = out[i];
        out[i] = out[found - 1 - i];
        out[found - 1 - i] = other;
    }
    return found;
}

pf_video pf_videos_copy(pf_videos *videos, const pf_video *video)
{
    pthread_mutex_lock(&videos->lock);
    pf_video copy = *video;
    pthread_mutex_unlock(&videos->lock);
    return copy;
}

/* --- what the store lacks ---------------------------------------------------------- */

pf_video *pf_videos_find_unsaved(pf_videos *videos)
{
    pf_video *found = NULL;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->all.count && !found; i++)
        if (videos->all.at[i]->unsaved)
            found = videos->all.at[i];
    if (found)
        found->references++;
    pthread_mutex_unlock(&videos->lock);
    return found;
}

void pf_videos_mark_unsaved(pf_videos *videos, pf_video *video, bool unsaved)
{
    pthread_mutex_lock(&videos->lock);
    video->unsaved = unsaved;
    pthread_mutex_unlock(&videos->lock);
}

pf_video *pf_videos_find_undescribed(pf_videos *videos)
{
    pf_video *found = NULL;
    pthread_mutex_lock(&videos->lock);
    for (; videos->described < videos->all.count && !found; videos->described++)
        if (!videos->all.at[videos->described]->described)
            found = videos->all.at[videos->described];
    if (found) {
        found->described = true;
        found->references++;
    }
    pthread_mutex_unlock(&videos->lock);
    return found;
}

/* --- runs ------------------------------------------------------------------------- */

/* Locked: sleeps until something changes, or until the time `until` (0: no limit). */
static void await_change(pf_videos *videos, double until)
{
    struct timespec end = {.tv_sec = (time_t)until};
    end.tv_nsec = (long)((until - (double)end.tv_sec) * 1e9);
    if (until > 0)
        pthread_cond_timedwait(&videos->changed, &videos->lock, &end);
    else
        pthread_cond_wait(&videos->changed, &videos->lock);
}

bool pf_videos_forgive(pf_videos *videos, pf_video *video)
{
    pthread_mutex_lock(&videos->lock);
    bool changed = video->starts != 0;
    video->starts = 0;
    video->failures = 0;
    pthread_mutex_unlock(&videos->lock);
    return changed;
}

/* Locked. */
static void begin(pf_videos *videos, pf_video *video)
{
    pf_queue_begin(&videos->queue, video);
    video->references++;
    if (video->started == 0)
        video->started = pf_now();
    video->stage[0] = '\0';
    video->seconds_left = -1;
    pf_queue_arrange(&videos->queue, &videos->all);
    pf_video_touch(video);
}

pf_video *pf_videos_begin_next(pf_videos *videos)
{
    pf_video *video = NULL;
    double until = 0;
    pthread_mutex_lock(&videos->lock);
    while (!videos->closing &&
           (videos->paused[0] ||
            (video = pf_queue_pick(&videos->all, pf_seconds(), &until)) == NULL))
        await_change(videos, videos->paused[0] ? 0 : until);
    if (videos->closing)
        video = NULL;
    if (video)
        begin(videos, video);
    pthread_mutex_unlock(&videos->lock);
    return video;
}

static void count_outcome(pf_videos *videos, const pf_video *video)
{
    if (video->status == PF_VIDEO_COMPLETED)
        videos->completed++;
    else if (strcmp(video->error_code, "cancelled") == 0)
        videos->cancelled++;
    else
        videos->failed++;
}

/* Locked: sets the outcome of the copy, which is stored. */
static void end(pf_videos *videos, pf_video *video, const pf_video *copy)
{
    pf_video_set_outcome(video, copy->error_code, copy->error_message, copy->completed);
    count_outcome(videos, video);
}

void pf_videos_end_run(pf_videos *videos, pf_video *video, const pf_video *copy)
{
    pthread_mutex_lock(&videos->lock);
    end(videos, video, copy);
    video->bytes = copy->bytes;
    video->job = NULL;
    video->unsaved = false;
    pf_queue_end(&videos->queue, video);
    pf_queue_arrange(&videos->queue, &videos->all);
    pf_video_touch(video);
    pthread_mutex_unlock(&videos->lock);
}

void pf_videos_put_back(pf_videos *videos, pf_video *video, double seconds)
{
    pthread_mutex_lock(&videos->lock);
    video->job = NULL;
    video->interrupted = true;          /* the next video to run */
    video->rests_until = pf_seconds() + seconds;
    if (video->starts > 0)
        video->starts--;                /* the server has survived it */
    video->unsaved = true;
    pf_queue_end(&videos->queue, video);
    pf_video_touch(video);
    pthread_mutex_unlock(&videos->lock);
}

void pf_videos_pause(pf_videos *videos, const char *reason)
{
    pthread_mutex_lock(&videos->lock);
    snprintf(videos->paused, sizeof videos->paused, "%s", reason);
    pthread_cond_broadcast(&videos->changed);
    pthread_mutex_unlock(&videos->lock);
}

/* --- ending early ----------------------------------------------------------------- */

/* Locked. */
static void stop_running(pf_video *video)
{
    video->cancel = true;
    if (video->job)
        pf_job_cancel(video->job);
}

bool pf_videos_stop(pf_videos *videos, pf_video *video, pf_video *copy)
{
    pthread_mutex_lock(&videos->lock);
    bool runs = video == videos->queue.running;
    if (runs)
        stop_running(video);
    *copy = *video;
    pthread_mutex_unlock(&videos->lock);
    return runs;
}

bool pf_videos_end_waiting(pf_videos *videos, pf_video *video, const pf_video *copy)
{
    pthread_mutex_lock(&videos->lock);
    bool runs = video == videos->queue.running;
    if (runs) {
        stop_running(video);
    } else if (!video->deleted) {
        videos->queue.waiting -= video->status == PF_VIDEO_QUEUED;
        end(videos, video, copy);
        pf_queue_arrange(&videos->queue, &videos->all);
        pf_video_touch(video);
    }
    pthread_mutex_unlock(&videos->lock);
    return !runs;
}

void pf_videos_abandon(pf_videos *videos, pf_video *video)
{
    pthread_mutex_lock(&videos->lock);
    video->abandoned = true;
    pthread_mutex_unlock(&videos->lock);
}

/* Locked. */
static bool is_abandoned(const pf_video *video)
{
    bool left = video->abandoned;
    for (pf_waiter *w = video->waiters; w && !left; w = w->next)
        left = w->alone && w->is_gone(w);
    return left && video->status < PF_VIDEO_COMPLETED && !video->cancel;
}

pf_video *pf_videos_find_abandoned(pf_videos *videos)
{
    pf_video *found = NULL;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->all.count && !found; i++)
        if (is_abandoned(videos->all.at[i]))
            found = videos->all.at[i];
    if (found)
        found->references++;
    pthread_mutex_unlock(&videos->lock);
    return found;
}

/* Locked. */
static void take_out(pf_videos *videos, pf_video *video)
{
    int at = pf_video_list_remove(&videos->all, video);
    if (at < 0)
        return;
    videos->described -= at < videos->described;
    videos->queue.waiting -= video->status == PF_VIDEO_QUEUED;
    video->deleted = true;
    pf_video_touch(video);
    pf_video_drop(video);
    pf_queue_arrange(&videos->queue, &videos->all);
}

bool pf_videos_leave(pf_videos *videos, pf_video *video)
{
    pthread_mutex_lock(&videos->lock);
    bool runs = video == videos->queue.running;
    if (runs)
        stop_running(video);
    take_out(videos, video);
    pthread_mutex_unlock(&videos->lock);
    return runs;
}

void pf_videos_set_star(pf_videos *videos, pf_video *video, bool starred)
{
    pthread_mutex_lock(&videos->lock);
    if (video->starred != starred) {
        video->starred = starred;
        pf_video_touch(video);
    }
    pthread_mutex_unlock(&videos->lock);
}

void pf_videos_shut(pf_videos *videos)
{
    pthread_mutex_lock(&videos->lock);
    videos->closing = true;
    if (videos->queue.running && videos->queue.running->job)
        pf_job_cancel(videos->queue.running->job);
    for (int i = 0; i < videos->all.count; i++)
        pf_video_touch(videos->all.at[i]);
    if (videos->queue.running)
        pf_video_touch(videos->queue.running);
    pthread_cond_broadcast(&videos->changed);
    pthread_mutex_unlock(&videos->lock);
}
