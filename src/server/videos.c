/* SPDX-License-Identifier: Apache-2.0 */
/* The table of videos.  See videos.h. */
#include "server/videos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "server/job_file.h"

enum {
    FREE_STARTS = 4,                    /* as many without a rest between */
    MAX_STARTS = 20,
    MAX_REST = 60,                      /* seconds */
    MIN_RETRY = 2,
    MAX_RETRY = 110
};
static const char cancelled_message[] = "cancelled on request";

/* --- references ------------------------------------------------------------------- */

static void drop(pf_video *video)
{
    if (--video->references > 0)
        return;
    json_decref(video->settings);
    free(video->event);
    free(video->preview);
    pf_free(video);
}

void pf_videos_release(pf_videos *videos, pf_video *video)
{
    if (!video)
        return;
    pthread_mutex_lock(&videos->lock);
    drop(video);
    pthread_mutex_unlock(&videos->lock);
}

/* --- who waits -------------------------------------------------------------------- */

void pf_videos_touch(pf_video *video)
{
    video->version++;
    while (video->waiters) {
        pf_waiter *waiter = video->waiters;
        video->waiters = waiter->next;
        waiter->wake(waiter);
    }
}

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

/* --- fair shares ------------------------------------------------------------------ */

/* -1: the owner has none. */
static int share_index(const pf_videos *videos, const char *owner)
{
    for (int i = 0; i < videos->share_count; i++)
        if (strcmp(videos->shares[i].owner, owner) == 0)
            return i;
    return -1;
}

static pf_share *share_of(const pf_videos *videos, const char *owner)
{
    int index = share_index(videos, owner);
    return index >= 0 ? &videos->shares[index] : NULL;
}

static bool is_waiting(const pf_video *video)
{
    return video->status == PF_VIDEO_QUEUED || video->interrupted;
}

/* A newcomer starts level with the one who has had least and still waits. */
static double least_share(const pf_videos *videos)
{
    double least = -1;
    for (int i = 0; i < videos->count; i++) {
        const pf_video *v = videos->list[i];
        const pf_share *share = is_waiting(v) ? share_of(videos, v->owner) : NULL;
        if (share && (least < 0 || share->used < least))
            least = share->used;
    }
    return least < 0 ? 0 : least;
}

static bool owner_waits(const pf_videos *videos, const char *owner)
{
    for (int i = 0; i < videos->count; i++)
        if (is_waiting(videos->list[i]) && strcmp(videos->list[i]->owner, owner) == 0)
            return true;
    return false;
}

static pf_status add_share(pf_videos *videos, const char *owner, double used,
                           pf_error *error)
{
    size_t bytes = (size_t)(videos->share_count + 1) * sizeof *videos->shares;
    pf_share *grown = pf_realloc(videos->shares, bytes);
    if (!grown)
        return pf_fail_memory(error, "shares", bytes);
    videos->shares = grown;
    pf_share *share = &grown[videos->share_count++];
    *share = (pf_share){.used = used};
    snprintf(share->owner, sizeof share->owner, "%s", owner);
    return PF_OK;
}

/* Before a video of the owner is queued. */
static pf_status ensure_share(pf_videos *videos, const char *owner, pf_error *error)
{
    double least = least_share(videos);
    pf_share *share = share_of(videos, owner);
    if (!share)
        return add_share(videos, owner, least, error);
    if (!owner_waits(videos, owner) && share->used < least)
        share->used = least;
    return PF_OK;
}

static double expected_seconds(const pf_videos *videos, const pf_video *v)
{
    if (v->predicted_seconds > 0)
        return v->predicted_seconds;
    return videos->mean_seconds > 0 ? videos->mean_seconds : 1;
}

/* A queued video, and whose share it draws on. */
typedef struct place {
    pf_video *video;
    double *used;
} place;

/* The oldest video, without a place yet, of the owner who has had least. */
static place *next_in_line(place *line, int count)
{
    place *best = NULL;
    for (int i = 0; i < count; i++)
        if (line[i].video->position == 0 && (!best || *line[i].used < *best->used))
            best = &line[i];
    return best;
}

/* The queue in `line`, by age; how many. */
static int line_up(const pf_videos *videos, double *used, place *line)
{
    int count = 0;
    for (int i = 0; i < videos->count; i++) {
        pf_video *v = videos->list[i];
        v->position = 0;
        if (v->status == PF_VIDEO_QUEUED)
            line[count++] = (place){v, used + share_index(videos, v->owner)};
    }
    return count;
}

/* Gives every queued video its place, as if each took the time that it is expected
 * to.  Without memory places stay what they were until next time. */
static void reorder(pf_videos *videos)
{
    double *used = pf_alloc(((size_t)videos->share_count + 1) * sizeof *used);
    place *line = pf_alloc(((size_t)videos->queued + 1) * sizeof *line), *next;
    if (used && line) {
        for (int i = 0; i < videos->share_count; i++)
            used[i] = videos->shares[i].used;
        if (videos->running)
            used[share_index(videos, videos->running->owner)] +=
                expected_seconds(videos, videos->running);
        int count = line_up(videos, used, line);
        for (int at = 1; (next = next_in_line(line, count)) != NULL; at++) {
            next->video->position = at;
            *next->used += expected_seconds(videos, next->video);
            pf_videos_touch(next->video);
        }
    }
    pf_free(line);
    pf_free(used);
}

/* --- opening ---------------------------------------------------------------------- */

/* Locked: then one more video fits. */
static pf_status make_room(pf_videos *videos, pf_error *error)
{
    if (videos->count == videos->capacity) {
        int capacity = videos->capacity ? 2 * videos->capacity : 64;
        size_t bytes = (size_t)capacity * sizeof *videos->list;
        pf_video **grown = pf_realloc(videos->list, bytes);
        if (!grown)
            return pf_fail_memory(error, "videos", bytes);
        videos->list = grown;
        videos->capacity = capacity;
    }
    return PF_OK;
}

/* The film was whole when the store failed or was put back: it is not made again. */
static void take_over_end(const pf_videos *videos, pf_video *video)
{
    pf_video *told = NULL;
    if (video->status >= PF_VIDEO_COMPLETED)
        return;
    char *folder = pf_video_folder(videos->output_dir, video->id);
    char *film = pf_video_file(videos->output_dir, video->id, pf_video_film_name(video));
    if (folder && film && pf_job_file_read(folder, &told, NULL) == PF_OK &&
        told->status >= PF_VIDEO_COMPLETED && strcmp(told->id, video->id) == 0 &&
        (told->status == PF_VIDEO_FAILED || pf_path_is_file(film))) {
        video->status = told->status;
        video->completed = told->completed;
        video->bytes = told->bytes;
        video->run_seconds = told->run_seconds;
        memcpy(video->error_code, told->error_code, sizeof video->error_code);
        memcpy(video->error_message, told->error_message, sizeof video->error_message);
        video->unsaved = true;
    }
    if (told)
        drop(told);
    pf_free(folder);
    pf_free(film);
}

static pf_status take_loaded(void *user, pf_video *video)
{
    pf_videos *videos = user;
    unsigned long long milliseconds = 0;
    pf_status status = make_room(videos, NULL);
    if (status == PF_OK && !share_of(videos, video->owner))
        status = add_share(videos, video->owner, 0, NULL);
    if (status != PF_OK) {
        drop(video);
        return status;
    }
    videos->list[videos->count++] = video;
    take_over_end(videos, video);
    video->interrupted = video->status == PF_VIDEO_RUNNING;
    if (video->interrupted)
        video->rests_until = pf_seconds() + pf_videos_rest(video->starts);
    videos->queued += video->status == PF_VIDEO_QUEUED;
    if (sscanf(video->id, "video_%12llx", &milliseconds) == 1)
        videos->last_id = milliseconds;
    return PF_OK;
}

pf_status pf_videos_open(pf_videos *videos, pf_store *store, const char *output_dir,
                         pf_queue_limits limits, pf_error *error)
{
    *videos = (pf_videos){.store = store, .output_dir = output_dir, .limits = limits};
    pthread_mutex_init(&videos->lock, NULL);
    pthread_mutex_init(&videos->saving, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&videos->changed, &clock);
    pthread_condattr_destroy(&clock);
    pf_status status = pf_store_load(store, take_loaded, videos, error);
    if (status == PF_OK)
        reorder(videos);
    else
        pf_videos_close(videos);
    return status;
}

void pf_videos_close(pf_videos *videos)
{
    for (int i = 0; i < videos->count; i++)
        drop(videos->list[i]);
    pf_free(videos->list);
    pf_free(videos->shares);
    pthread_cond_destroy(&videos->changed);
    pthread_mutex_destroy(&videos->saving);
    pthread_mutex_destroy(&videos->lock);
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

/* Until there may be room again: what is left of the running film. */
static int retry_after(const pf_videos *videos)
{
    double seconds = videos->mean_seconds;
    if (videos->running && videos->running->seconds_left >= 0)
        seconds = videos->running->seconds_left;
    if (seconds < MIN_RETRY)
        return MIN_RETRY;
    return seconds > MAX_RETRY ? MAX_RETRY : (int)seconds + 1;
}

static int waiting_of(const pf_videos *videos, const char *owner)
{
    int waiting = 0;
    for (int i = 0; i < videos->count; i++)
        waiting += videos->list[i]->status == PF_VIDEO_QUEUED &&
                   strcmp(videos->list[i]->owner, owner) == 0;
    return waiting;
}

/* Most films that one owner may have waiting. */
static int share_of_queue(const pf_queue_limits *limits)
{
    if (limits->films_per_owner > 0 || limits->owners < 2)
        return limits->films_per_owner > 0 ? limits->films_per_owner : limits->films;
    return limits->films > 1 ? limits->films / 2 : 1;
}

/* Places that other owners have for their first film, of half the queue at most. */
static int places_of_others(const pf_videos *videos, const char *owner)
{
    int without = videos->limits.owners - 1;
    for (int i = 0; i < videos->share_count; i++) {
        const char *other = videos->shares[i].owner;
        without -= strcmp(other, owner) != 0 && waiting_of(videos, other) > 0;
    }
    int half = videos->limits.films / 2;
    return without < 0 ? 0 : without < half ? without : half;
}

/* Locked. */
static pf_status refuse_room(pf_videos *videos, const char *owner, int seconds,
                             pf_error *error)
{
    int share = share_of_queue(&videos->limits), waiting = waiting_of(videos, owner);
    if (waiting >= share && share < videos->limits.films)
        return pf_fail(error, PF_E_MEMORY,
                       "this key has %d films in the queue, and one key may have %d; try "
                       "again in %d s", waiting, share, seconds);
    int kept = waiting > 0 ? places_of_others(videos, owner) : 0;
    if (videos->queued + kept < videos->limits.films)
        return PF_OK;
    if (kept > 0 && videos->queued < videos->limits.films)
        return pf_fail(error, PF_E_MEMORY,
                       "the queue is full with %d films but for a place of each key that "
                       "has none; try again in %d s", videos->queued, seconds);
    return pf_fail(error, PF_E_MEMORY, "the queue is full with %d films; try again in %d s",
                   videos->queued, seconds);
}

pf_status pf_videos_check_room(pf_videos *videos, const char *owner, int *seconds,
                               pf_error *error)
{
    pthread_mutex_lock(&videos->lock);
    *seconds = retry_after(videos);
    pf_status status = refuse_room(videos, owner, *seconds, error);
    videos->refused += status != PF_OK;
    pthread_mutex_unlock(&videos->lock);
    return status;
}

int64_t pf_videos_expected_bytes(pf_videos *videos)
{
    int64_t bytes = 0, most = 0;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->count; i++) {
        const pf_video *v = videos->list[i];
        if (v->status >= PF_VIDEO_COMPLETED)
            continue;
        int64_t latents = pf_video_expected_latents(v->settings);
        bytes += pf_video_expected_bytes(v->settings);
        most = latents > most ? latents : most;
    }
    pthread_mutex_unlock(&videos->lock);
    return bytes + most;                /* one of them at a time has latents */
}

/* Room first: what is stored must not fail any more.  Only the create lane adds. */
pf_status pf_videos_add(pf_videos *videos, pf_video *video, pf_error *error)
{
    pthread_mutex_lock(&videos->lock);
    pf_status status = ensure_share(videos, video->owner, error);
    if (status == PF_OK)
        status = make_room(videos, error);
    pthread_mutex_unlock(&videos->lock);
    PF_TRY(status);
    PF_TRY(pf_store_insert(videos->store, video, error));
    status = pf_video_settle(videos->output_dir, video->id, error);
    if (status != PF_OK) {
        pf_store_delete(videos->store, video->id, NULL);
        return status;
    }
    video->described = true;
    pthread_mutex_lock(&videos->lock);
    videos->list[videos->count++] = video;
    videos->queued++;
    videos->accepted++;
    reorder(videos);
    pthread_cond_broadcast(&videos->changed);
    pthread_mutex_unlock(&videos->lock);
    return PF_OK;
}

/* --- looking up ------------------------------------------------------------------- */

/* The place of the first id that is not less than `id`. */
static int lower_bound(const pf_videos *videos, const char *id)
{
    int low = 0, high = videos->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (strcmp(videos->list[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool pf_videos_knows(pf_videos *videos, const char *id)
{
    pthread_mutex_lock(&videos->lock);
    int at = lower_bound(videos, id);
    bool knows = at < videos->count && strcmp(videos->list[at]->id, id) == 0;
    pthread_mutex_unlock(&videos->lock);
    return knows;
}

pf_video *pf_videos_find(pf_videos *videos, const char *id, const char *owner)
{
    pthread_mutex_lock(&videos->lock);
    int at = lower_bound(videos, id);
    pf_video *video = at < videos->count ? videos->list[at] : NULL;
    if (video && (strcmp(video->id, id) != 0 || strcmp(video->owner, owner) != 0))
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
    for (int i = 0; i < videos->count && !found; i++) {
        pf_video *v = videos->list[i];
        if (strcmp(v->idempotency_key, key) == 0 && strcmp(v->owner, owner) == 0)
            found = v;
    }
    if (found)
        found->references++;
    pthread_mutex_unlock(&videos->lock);
    return found;
}

/* Beyond the cursors of a page, in the direction of the page? */
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

/* With `before` alone the page is the one that ends there: it is gathered backwards. */
int pf_videos_page(pf_videos *videos, const pf_page_query *q,
                   pf_video *out[PF_PAGE_MAX], bool *more)
{
    int found = 0;
    bool backwards = q->before[0] && !q->after[0];
    bool upwards = q->ascending != backwards;
    *more = false;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->count && !*more; i++) {
        pf_video *v = videos->list[upwards ? i : videos->count - 1 - i];
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

/* --- to the store ----------------------------------------------------------------- */

/* A video without a folder has nothing that could be lost. */
static pf_status describe(const pf_videos *videos, const pf_video *video, pf_error *error)
{
    char *folder = pf_video_folder(videos->output_dir, video->id);
    pf_status status = folder ? pf_job_file_write(folder, video, error)
                              : pf_fail_memory(error, "paths", 1);
    pf_free(folder);
    return status == PF_E_NOT_FOUND ? PF_OK : status;
}

/* With `saving`: the video as the copy has it, and what its end calls for. */
static pf_status store_copy(pf_videos *videos, const pf_video *copy, pf_error *error)
{
    pf_delivery delivery = {.url = NULL};
    pf_status status = PF_OK;
    if (copy->status >= PF_VIDEO_COMPLETED && !copy->deleted)
        PF_TRY(describe(videos, copy, error));
    if (videos->announce && copy->status >= PF_VIDEO_COMPLETED && !copy->deleted)
        status = videos->announce(copy, &delivery, error);
    if (status == PF_OK)
        status = pf_store_update(videos->store, copy, delivery.url ? &delivery : NULL,
                                 error);
    pf_delivery_free(&delivery);
    return status;
}

/* What the table says now. */
static pf_status save(pf_videos *videos, pf_video *video, pf_error *error)
{
    pthread_mutex_lock(&videos->saving);
    pthread_mutex_lock(&videos->lock);
    pf_video copy = *video;
    pthread_mutex_unlock(&videos->lock);
    pf_status status = store_copy(videos, &copy, error);
    pthread_mutex_lock(&videos->lock);
    video->unsaved = status != PF_OK;
    pthread_mutex_unlock(&videos->lock);
    pthread_mutex_unlock(&videos->saving);
    return status;
}

static pf_video *find_unsaved(pf_videos *videos)
{
    pf_video *found = NULL;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->count && !found; i++)
        if (videos->list[i]->unsaved)
            found = videos->list[i];
    if (found)
        found->references++;
    pthread_mutex_unlock(&videos->lock);
    return found;
}

pf_status pf_videos_save_again(pf_videos *videos, pf_error *error)
{
    pf_video *video;
    pf_status status = PF_OK;
    while (status == PF_OK && (video = find_unsaved(videos)) != NULL) {
        status = save(videos, video, error);
        pf_videos_release(videos, video);
    }
    return status;
}

/* A video that may lack its job.json, as those of older versions do, or NULL. */
static pf_video *find_undescribed(pf_videos *videos)
{
    pf_video *found = NULL;
    pthread_mutex_lock(&videos->lock);
    for (; videos->described < videos->count && !found; videos->described++)
        if (!videos->list[videos->described]->described)
            found = videos->list[videos->described];
    if (found) {
        found->described = true;
        found->references++;
    }
    pthread_mutex_unlock(&videos->lock);
    return found;
}

/* With `saving`, so that the latest is written last. */
static void describe_if_missing(pf_videos *videos, pf_video *video)
{
    char *path = pf_video_file(videos->output_dir, video->id, "job.json");
    if (path && !pf_path_is_file(path)) {
        pthread_mutex_lock(&videos->saving);
        pthread_mutex_lock(&videos->lock);
        pf_video copy = *video;
        pthread_mutex_unlock(&videos->lock);
        if (!copy.deleted)
            describe(videos, &copy, NULL);
        pthread_mutex_unlock(&videos->saving);
    }
    pf_free(path);
}

void pf_videos_describe(pf_videos *videos, double seconds)
{
    pf_video *video;
    double end = pf_seconds() + seconds;
    while (pf_seconds() < end && (video = find_undescribed(videos)) != NULL) {
        describe_if_missing(videos, video);
        pf_videos_release(videos, video);
    }
}

void pf_videos_note_progress(pf_videos *videos, pf_video *video)
{
    pthread_mutex_lock(&videos->lock);
    bool changed = video->starts != 0;
    video->starts = 0;
    video->failures = 0;
    pthread_mutex_unlock(&videos->lock);
    if (changed)
        save(videos, video, NULL);
}

/* --- the worker's side ------------------------------------------------------------ */

/* The server shows meanwhile that it lives without the film: one that is killed for
 * other reasons does not get to the end of a rest, and the film is not blamed. */
double pf_videos_rest(int starts)
{
    double seconds = 1;
    if (starts < FREE_STARTS || starts >= MAX_STARTS)
        return 0;
    for (int i = FREE_STARTS; i < starts && seconds < MAX_REST; i++)
        seconds *= 2;
    return seconds < MAX_REST ? seconds : MAX_REST;
}

/* Locked: an interrupted one that has had its rest, or the first in the queue; if there
 * is neither, *until says when the next rest ends (0: nobody rests). */
static pf_video *pick(const pf_videos *videos, double *until)
{
    pf_video *first = NULL;
    double now = pf_seconds();
    *until = 0;
    for (int i = 0; i < videos->count; i++) {
        pf_video *v = videos->list[i];
        if (v->interrupted && v->rests_until <= now)
            return v;
        if (v->interrupted && (*until <= 0 || v->rests_until < *until))
            *until = v->rests_until;
        if (v->status == PF_VIDEO_QUEUED && v->position == 1)
            first = v;
    }
    return first;
}

/* Locked: sleeps until something changes, or until then (0: however long it takes). */
static void await_change(pf_videos *videos, double until)
{
    struct timespec end = {.tv_sec = (time_t)until};
    end.tv_nsec = (long)((until - (double)end.tv_sec) * 1e9);
    if (until > 0)
        pthread_cond_timedwait(&videos->changed, &videos->lock, &end);
    else
        pthread_cond_wait(&videos->changed, &videos->lock);
}

/* Locked. */
static void begin(pf_videos *videos, pf_video *video)
{
    videos->queued -= video->status == PF_VIDEO_QUEUED;
    video->status = PF_VIDEO_RUNNING;
    video->interrupted = false;
    video->position = 0;
    video->starts++;
    video->references++;
    if (video->started == 0)
        video->started = pf_now();
    video->stage[0] = '\0';
    video->seconds_left = -1;
    videos->running = video;
    reorder(videos);
    pf_videos_touch(video);
}

/* A job that ends the process time and again must not do so for ever.  By then the
 * server has lived without it for ten minutes in all, and never long with it. */
bool pf_videos_is_hopeless(const pf_video *video)
{
    return video->starts > MAX_STARTS;
}

pf_video *pf_videos_take(pf_videos *videos)
{
    pf_video *video = NULL;
    double until = 0;
    pthread_mutex_lock(&videos->lock);
    while (!videos->closing &&
           (videos->paused[0] || (video = pick(videos, &until)) == NULL))
        await_change(videos, videos->paused[0] ? 0 : until);
    if (videos->closing) {
        pthread_mutex_unlock(&videos->lock);
        return NULL;
    }
    begin(videos, video);
    pthread_mutex_unlock(&videos->lock);
    save(videos, video, NULL);
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

/* Locked. */
static void end_run(pf_videos *videos, pf_video *video)
{
    pf_share *share = share_of(videos, video->owner);
    if (share)
        share->used += video->run_seconds > 0 ? video->run_seconds : 1;
    if (video->status == PF_VIDEO_COMPLETED)
        videos->mean_seconds = videos->mean_seconds > 0
                                   ? 0.7 * videos->mean_seconds + 0.3 * video->run_seconds
                                   : video->run_seconds;
    videos->running = NULL;
}

/* The end of a video, or of a copy of it. */
static void set_outcome(pf_video *video, const char *code, const char *message,
                        double completed)
{
    video->status = code[0] ? PF_VIDEO_FAILED : PF_VIDEO_COMPLETED;
    video->completed = completed;
    video->interrupted = false;
    snprintf(video->error_code, sizeof video->error_code, "%s", code);
    snprintf(video->error_message, sizeof video->error_message, "%s", message);
}

/* The store says so before anybody is told. */
pf_status pf_videos_finish(pf_videos *videos, pf_video *video, const char *code,
                           const char *message, int64_t bytes, pf_error *error)
{
    pthread_mutex_lock(&videos->saving);
    pthread_mutex_lock(&videos->lock);
    pf_video copy = *video;
    pthread_mutex_unlock(&videos->lock);
    set_outcome(&copy, code, message, pf_now());
    copy.bytes = bytes;
    pf_status status = store_copy(videos, &copy, error);
    pthread_mutex_lock(&videos->lock);
    if (status == PF_OK) {
        set_outcome(video, code, message, copy.completed);
        video->bytes = bytes;
        video->job = NULL;
        video->unsaved = false;
        count_outcome(videos, video);
        end_run(videos, video);
        reorder(videos);
        pf_videos_touch(video);
    }
    pthread_mutex_unlock(&videos->lock);
    pthread_mutex_unlock(&videos->saving);
    return status;
}

void pf_videos_put_back(pf_videos *videos, pf_video *video, double seconds)
{
    pthread_mutex_lock(&videos->lock);
    video->job = NULL;
    video->interrupted = true;          /* it is the next one */
    video->rests_until = pf_seconds() + seconds;
    if (video->starts > 0)
        video->starts--;                /* the server has survived it */
    video->unsaved = true;
    end_run(videos, video);
    pf_videos_touch(video);
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

/* The store has it as cancelled.  It may have begun meanwhile: then the worker ends it,
 * and stores that after whatever else it stores of it. */
static pf_cancelling end_waiting(pf_videos *videos, pf_video *video, double completed)
{
    pthread_mutex_lock(&videos->lock);
    bool runs = video == videos->running;
    if (runs) {
        stop_running(video);
    } else if (!video->deleted) {
        videos->queued -= video->status == PF_VIDEO_QUEUED;
        set_outcome(video, "cancelled", cancelled_message, completed);
        count_outcome(videos, video);
        reorder(videos);
        pf_videos_touch(video);
    }
    pthread_mutex_unlock(&videos->lock);
    return runs ? PF_CANCEL_BEGUN : PF_CANCEL_DONE;
}

pf_cancelling pf_videos_cancel(pf_videos *videos, pf_video *video, pf_error *error)
{
    pthread_mutex_lock(&videos->saving);
    pthread_mutex_lock(&videos->lock);
    bool runs = video == videos->running;
    bool waits = !runs && !video->deleted && is_waiting(video);
    if (runs)
        stop_running(video);
    pf_video copy = *video;
    pthread_mutex_unlock(&videos->lock);
    pf_cancelling how = runs ? PF_CANCEL_BEGUN : PF_CANCEL_LATE;
    if (waits) {
        set_outcome(&copy, "cancelled", cancelled_message, pf_now());
        if (store_copy(videos, &copy, error) == PF_OK)
            how = end_waiting(videos, video, copy.completed);
    }
    pthread_mutex_unlock(&videos->saving);
    return how;
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
    for (int i = 0; i < videos->count && !found; i++)
        if (is_abandoned(videos->list[i]))
            found = videos->list[i];
    if (found)
        found->references++;
    pthread_mutex_unlock(&videos->lock);
    return found;
}

/* Locked. */
static void take_out(pf_videos *videos, pf_video *video)
{
    int at = lower_bound(videos, video->id);
    if (at >= videos->count || videos->list[at] != video)
        return;
    memmove(videos->list + at, videos->list + at + 1,
            (size_t)(videos->count - at - 1) * sizeof *videos->list);
    videos->count--;
    videos->described -= at < videos->described;
    videos->queued -= video->status == PF_VIDEO_QUEUED;
    video->deleted = true;
    pf_videos_touch(video);
    drop(video);
    reorder(videos);
}

pf_status pf_videos_remove(pf_videos *videos, pf_video *video, bool *running,
                           pf_error *error)
{
    PF_TRY(pf_store_delete(videos->store, video->id, error));
    pthread_mutex_lock(&videos->lock);
    *running = video == videos->running;
    if (*running)
        stop_running(video);
    take_out(videos, video);
    pthread_mutex_unlock(&videos->lock);
    return PF_OK;
}

pf_status pf_videos_star(pf_videos *videos, pf_video *video, bool starred, pf_error *error)
{
    pthread_mutex_lock(&videos->saving);
    pthread_mutex_lock(&videos->lock);
    pf_video copy = *video;
    pthread_mutex_unlock(&videos->lock);
    copy.starred = starred;
    pf_status status = pf_store_star(videos->store, video->id, starred, error);
    if (status == PF_OK && !copy.deleted)
        describe(videos, &copy, NULL);  /* the store knows it: no more is promised */
    pthread_mutex_lock(&videos->lock);
    if (status == PF_OK && video->starred != starred) {
        video->starred = starred;
        pf_videos_touch(video);
    }
    pthread_mutex_unlock(&videos->lock);
    pthread_mutex_unlock(&videos->saving);
    return status;
}

void pf_videos_shut(pf_videos *videos)
{
    pthread_mutex_lock(&videos->lock);
    videos->closing = true;
    if (videos->running && videos->running->job)
        pf_job_cancel(videos->running->job);
    for (int i = 0; i < videos->count; i++)
        pf_videos_touch(videos->list[i]);
    if (videos->running)
        pf_videos_touch(videos->running);
    pthread_cond_broadcast(&videos->changed);
    pthread_mutex_unlock(&videos->lock);
}
