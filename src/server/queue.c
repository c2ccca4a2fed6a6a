/* SPDX-License-Identifier: Apache-2.0 */
/* The queue.  See queue.h. */
#include "server/queue.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum {
    FREE_STARTS = 4,                    /* starts without a rest between them */
    MAX_STARTS = 20,
    MAX_REST = 60,                      /* seconds */
    MIN_RETRY = 2,                      /* seconds */
    MAX_RETRY = 110
};

void pf_queue_free(pf_queue *queue)
{
    pf_free(queue->shares);
    queue->shares = NULL;
    queue->share_count = 0;
}

/* --- shares ----------------------------------------------------------------------- */

/* -1: the owner has none. */
static int share_index(const pf_queue *queue, const char *owner)
{
    for (int i = 0; i < queue->share_count; i++)
        if (strcmp(queue->shares[i].owner, owner) == 0)
            return i;
    return -1;
}

static pf_share *share_of(const pf_queue *queue, const char *owner)
{
    int index = share_index(queue, owner);
    return index >= 0 ? &queue->shares[index] : NULL;
}

bool pf_queue_is_waiting(const pf_video *video)
{
    return video->status == PF_VIDEO_QUEUED || video->interrupted;
}

/* The share of the owner who has used least and still waits; 0: nobody waits. */
static double least_share(const pf_queue *queue, const pf_video_list *all)
{
    double least = -1;
    for (int i = 0; i < all->count; i++) {
        const pf_video *v = all->at[i];
        const pf_share *share = pf_queue_is_waiting(v) ? share_of(queue, v->owner) : NULL;
        if (share && (least < 0 || share->used < least))
            least = share->used;
    }
    return least < 0 ? 0 : least;
}

static bool owner_waits(const pf_video_list *all, const char *owner)
{
    for (int i = 0; i < all->count; i++)
        if (pf_queue_is_waiting(all->at[i]) && strcmp(all->at[i]->owner, owner) == 0)
            return true;
    return false;
}

static pf_status add_share(pf_queue *queue, const char *owner, double used,
                           pf_error *error)
{
    size_t bytes = (size_t)(queue->share_count + 1) * sizeof *queue->shares;
    pf_share *grown = pf_realloc(queue->shares, bytes);
    if (!grown)
        return pf_fail_memory(error, "shares", bytes);
    queue->shares = grown;
    pf_share *share = &grown[queue->share_count++];
    *share = (pf_share){.used = used};
    snprintf(share->owner, sizeof share->owner, "%s", owner);
    return PF_OK;
}

pf_status pf_queue_load_owner(pf_queue *queue, const char *owner, pf_error *error)
{
    return share_of(queue, owner) ? PF_OK : add_share(queue, owner, 0, error);
}

pf_status pf_queue_know_owner(pf_queue *queue, const pf_video_list *all,
                              const char *owner, pf_error *error)
{
    double least = least_share(queue, all);
    pf_share *share = share_of(queue, owner);
    if (!share)
        return add_share(queue, owner, least, error);
    if (!owner_waits(all, owner) && share->used < least)
        share->used = least;
    return PF_OK;
}

/* --- the order -------------------------------------------------------------------- */

static double expected_seconds(const pf_queue *queue, const pf_video *v)
{
    if (v->predicted_seconds > 0)
        return v->predicted_seconds;
    return queue->mean_seconds > 0 ? queue->mean_seconds : 1;
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

/* Puts the queue into `line`, by age, without places.  @return how many. */
static int line_up(const pf_queue *queue, const pf_video_list *all, double *used,
                   place *line)
{
    int count = 0;
    for (int i = 0; i < all->count; i++) {
        pf_video *v = all->at[i];
        v->position = 0;
        if (v->status == PF_VIDEO_QUEUED)
            line[count++] = (place){v, used + share_index(queue, v->owner)};
    }
    return count;
}

void pf_queue_arrange(pf_queue *queue, const pf_video_list *all)
{
    double *used = pf_alloc(((size_t)queue->share_count + 1) * sizeof *used);
    place *line = pf_alloc(((size_t)queue->waiting + 1) * sizeof *line), *next;
    if (used && line) {
        for (int i = 0; i < queue->share_count; i++)
            used[i] = queue->shares[i].used;
        if (queue->running)
            used[share_index(queue, queue->running->owner)] +=
                expected_seconds(queue, queue->running);
        int count = line_up(queue, all, used, line);
        for (int at = 1; (next = next_in_line(line, count)) != NULL; at++) {
            next->video->position = at;
            *next->used += expected_seconds(queue, next->video);
            pf_video_touch(next->video);
        }
    }
    pf_free(line);
    pf_free(used);
}

/* --- room ------------------------------------------------------------------------- */

/* Seconds until there may be room again: those that the running film still takes. */
static int seconds_until_room(const pf_queue *queue)
{
    double seconds = queue->mean_seconds;
    if (queue->running && queue->running->seconds_left >= 0)
        seconds = queue->running->seconds_left;
    if (seconds < MIN_RETRY)
        return MIN_RETRY;
    return seconds > MAX_RETRY ? MAX_RETRY : (int)seconds + 1;
}

static int waiting_of(const pf_video_list *all, const char *owner)
{
    int waiting = 0;
    for (int i = 0; i < all->count; i++)
        waiting += all->at[i]->status == PF_VIDEO_QUEUED &&
                   strcmp(all->at[i]->owner, owner) == 0;
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
static int places_of_others(const pf_queue *queue, const pf_video_list *all,
                            const char *owner)
{
    int without = queue->limits.owners - 1;
    for (int i = 0; i < queue->share_count; i++) {
        const char *other = queue->shares[i].owner;
        without -= strcmp(other, owner) != 0 && waiting_of(all, other) > 0;
    }
    int half = queue->limits.films / 2;
    return without < 0 ? 0 : without < half ? without : half;
}

static pf_status refuse_room(const pf_queue *queue, const pf_video_list *all,
                             const char *owner, int seconds, pf_error *error)
{
    int share = share_of_queue(&queue->limits), waiting = waiting_of(all, owner);
    if (waiting >= share && share < queue->limits.films)
        return pf_fail(error, PF_E_MEMORY,
                       "this key has %d films in the queue, and one key may have %d; try "
                       "again in %d s", waiting, share, seconds);
    int kept = waiting > 0 ? places_of_others(queue, all, owner) : 0;
    if (queue->waiting + kept < queue->limits.films)
        return PF_OK;
    if (kept > 0 && queue->waiting < queue->limits.films)
        return pf_fail(error, PF_E_MEMORY,
                       "the queue is full with %d films but for a place of each key that "
                       "has none; try again in %d s", queue->waiting, seconds);
    return pf_fail(error, PF_E_MEMORY, "the queue is full with %d films; try again in %d s",
                   queue->waiting, seconds);
}

pf_status pf_queue_check_room(const pf_queue *queue, const pf_video_list *all,
                              const char *owner, int *retry_after, pf_error *error)
{
    *retry_after = seconds_until_room(queue);
    return refuse_room(queue, all, owner, *retry_after, error);
}

/* --- runs ------------------------------------------------------------------------- */

/* A server that lives through the rest shows that it lives without the film.  One that is
 * killed for other reasons does not get to the end of it, and the film is not blamed. */
double pf_queue_rest(int starts)
{
    double seconds = 1;
    if (starts < FREE_STARTS || starts >= MAX_STARTS)
        return 0;
    for (int i = FREE_STARTS; i < starts && seconds < MAX_REST; i++)
        seconds *= 2;
    return seconds < MAX_REST ? seconds : MAX_REST;
}

pf_video *pf_queue_pick(const pf_video_list *all, double now, double *until)
{
    pf_video *first = NULL;
    *until = 0;
    for (int i = 0; i < all->count; i++) {
        pf_video *v = all->at[i];
        if (v->interrupted && v->rests_until <= now)
            return v;
        if (v->interrupted && (*until <= 0 || v->rests_until < *until))
            *until = v->rests_until;
        if (v->status == PF_VIDEO_QUEUED && v->position == 1)
            first = v;
    }
    return first;
}

/* A job that ends the process time and again must not do so for ever.  By then the
 * server has lived without it for ten minutes in all, and never long with it. */
bool pf_queue_is_hopeless(const pf_video *video)
{
    return video->starts > MAX_STARTS;
}

void pf_queue_begin(pf_queue *queue, pf_video *video)
{
    queue->waiting -= video->status == PF_VIDEO_QUEUED;
    video->status = PF_VIDEO_RUNNING;
    video->interrupted = false;
    video->position = 0;
    video->starts++;
    queue->running = video;
}

void pf_queue_end(pf_queue *queue, const pf_video *video)
{
    pf_share *share = share_of(queue, video->owner);
    if (share)
        share->used += video->run_seconds > 0 ? video->run_seconds : 1;
    if (video->status == PF_VIDEO_COMPLETED)
        queue->mean_seconds = queue->mean_seconds > 0
                                  ? 0.7 * queue->mean_seconds + 0.3 * video->run_seconds
                                  : video->run_seconds;
    queue->running = NULL;
}
