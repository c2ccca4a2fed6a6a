/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the table that the store has first.  See saving.h. */
#include "server/saving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "server/job_file.h"

static const char cancelled_message[] = "cancelled on request";

/* --- from the store --------------------------------------------------------------- */

/* Takes the end of a film from its job.json, where the store lacks it: the store failed
 * then, or an older copy was put back. */
static void take_over_end(const pf_saving *saving, pf_video *video)
{
    pf_video *told = NULL;
    if (video->status >= PF_VIDEO_COMPLETED)
        return;
    char *folder = pf_video_folder(saving->output_dir, video->id);
    char *film = pf_video_file(saving->output_dir, video->id, pf_video_film_name(video));
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
        pf_video_drop(told);
    pf_free(folder);
    pf_free(film);
}

static pf_status take_loaded(void *user, pf_video *video)
{
    pf_saving *saving = user;
    pf_videos *videos = saving->videos;
    unsigned long long milliseconds = 0;
    pf_status status = pf_video_list_make_room(&videos->all, NULL);
    if (status == PF_OK)
        status = pf_queue_load_owner(&videos->queue, video->owner, NULL);
    if (status != PF_OK) {
        pf_video_drop(video);
        return status;
    }
    pf_video_list_append(&videos->all, video);
    take_over_end(saving, video);
    video->interrupted = video->status == PF_VIDEO_RUNNING;
    if (video->interrupted)
        video->rests_until = pf_seconds() + pf_queue_rest(video->starts);
    videos->queue.waiting += video->status == PF_VIDEO_QUEUED;
    if (sscanf(video->id, "video_%12llx", &milliseconds) == 1)
        videos->last_id = milliseconds;
    return PF_OK;
}

pf_status pf_saving_open(pf_saving *saving, pf_videos *videos, pf_store *store,
                         const char *output_dir, pf_error *error)
{
    *saving = (pf_saving){.videos = videos, .store = store, .output_dir = output_dir};
    pthread_mutex_init(&saving->lock, NULL);
    pf_status status = pf_store_load(store, take_loaded, saving, error);
    if (status == PF_OK)
        pf_queue_arrange(&videos->queue, &videos->all);
    else
        pf_saving_close(saving);
    return status;
}

void pf_saving_close(pf_saving *saving)
{
    pthread_mutex_destroy(&saving->lock);
}

/* --- to the store ----------------------------------------------------------------- */

/* Writes job.json.  A video without a folder has nothing that could be lost. */
static pf_status describe(const pf_saving *saving, const pf_video *video, pf_error *error)
{
    char *folder = pf_video_folder(saving->output_dir, video->id);
    pf_status status = folder ? pf_job_file_write(folder, video, error)
                              : pf_fail_memory(error, "paths", 1);
    pf_free(folder);
    return status == PF_E_NOT_FOUND ? PF_OK : status;
}

/* Locked: stores the copy, and what its end calls for. */
static pf_status store_copy(pf_saving *saving, const pf_video *copy, pf_error *error)
{
    pf_delivery delivery = {.url = NULL};
    pf_status status = PF_OK;
    if (copy->status >= PF_VIDEO_COMPLETED && !copy->deleted)
        PF_TRY(describe(saving, copy, error));
    if (saving->announce && copy->status >= PF_VIDEO_COMPLETED && !copy->deleted)
        status = saving->announce(copy, &delivery, error);
    if (status == PF_OK)
        status = pf_store_update(saving->store, copy, delivery.url ? &delivery : NULL,
                                 error);
    pf_delivery_free(&delivery);
    return status;
}

/* Stores the video as the table has it now. */
static pf_status save(pf_saving *saving, pf_video *video, pf_error *error)
{
    pthread_mutex_lock(&saving->lock);
    pf_video copy = pf_videos_copy(saving->videos, video);
    pf_status status = store_copy(saving, &copy, error);
    pf_videos_mark_unsaved(saving->videos, video, status != PF_OK);
    pthread_mutex_unlock(&saving->lock);
    return status;
}

pf_status pf_saving_retry(pf_saving *saving, pf_error *error)
{
    pf_video *video;
    pf_status status = PF_OK;
    while (status == PF_OK && (video = pf_videos_find_unsaved(saving->videos)) != NULL) {
        status = save(saving, video, error);
        pf_videos_release(saving->videos, video);
    }
    return status;
}

/* Writes job.json under the lock, so that the latest is written last. */
static void describe_if_missing(pf_saving *saving, const pf_video *video)
{
    char *path = pf_video_file(saving->output_dir, video->id, "job.json");
    if (path && !pf_path_is_file(path)) {
        pthread_mutex_lock(&saving->lock);
        pf_video copy = pf_videos_copy(saving->videos, video);
        if (!copy.deleted)
            describe(saving, &copy, NULL);
        pthread_mutex_unlock(&saving->lock);
    }
    pf_free(path);
}

void pf_saving_describe(pf_saving *saving, double seconds)
{
    pf_video *video;
    double end = pf_seconds() + seconds;
    while (pf_seconds() < end &&
           (video = pf_videos_find_undescribed(saving->videos)) != NULL) {
        describe_if_missing(saving, video);
        pf_videos_release(saving->videos, video);
    }
}

/* --- coming in -------------------------------------------------------------------- */

/* Makes room first, because a stored video must not fail any more.  The create lane alone
 * adds, so the room is still there afterwards. */
pf_status pf_saving_add(pf_saving *saving, pf_video *video, pf_error *error)
{
    PF_TRY(pf_videos_reserve(saving->videos, video->owner, error));
    PF_TRY(pf_store_insert(saving->store, video, error));
    pf_status status = pf_video_settle(saving->output_dir, video->id, error);
    if (status != PF_OK) {
        pf_store_delete(saving->store, video->id, NULL);
        return status;
    }
    video->described = true;
    pf_videos_enter(saving->videos, video);
    return PF_OK;
}

/* --- runs ------------------------------------------------------------------------- */

pf_video *pf_saving_take(pf_saving *saving)
{
    pf_video *video = pf_videos_begin_next(saving->videos);
    if (video)
        save(saving, video, NULL);
    return video;
}

void pf_saving_note_progress(pf_saving *saving, pf_video *video)
{
    if (pf_videos_forgive(saving->videos, video))
        save(saving, video, NULL);
}

pf_status pf_saving_finish(pf_saving *saving, pf_video *video, const pf_ending *ending,
                           pf_error *error)
{
    pthread_mutex_lock(&saving->lock);
    pf_video copy = pf_videos_copy(saving->videos, video);
    pf_video_set_outcome(&copy, ending->code, ending->message, pf_now());
    copy.bytes = ending->bytes;
    pf_status status = store_copy(saving, &copy, error);
    if (status == PF_OK)
        pf_videos_end_run(saving->videos, video, &copy);
    pthread_mutex_unlock(&saving->lock);
    return status;
}

/* --- ending early ----------------------------------------------------------------- */

/* Locked: a video that waited when it was copied. */
static pf_cancelling cancel_waiting(pf_saving *saving, pf_video *video, pf_video *copy,
                                    pf_error *error)
{
    pf_video_set_outcome(copy, "cancelled", cancelled_message, pf_now());
    if (store_copy(saving, copy, error) != PF_OK)
        return PF_CANCEL_LATE;
    /* If the worker has taken the job in the meantime, it ends the job itself, and its
     * final write wins. */
    return pf_videos_end_waiting(saving->videos, video, copy) ? PF_CANCEL_DONE
                                                              : PF_CANCEL_BEGUN;
}

pf_cancelling pf_saving_cancel(pf_saving *saving, pf_video *video, pf_error *error)
{
    pf_video copy;
    pthread_mutex_lock(&saving->lock);
    pf_cancelling how = PF_CANCEL_LATE;
    if (pf_videos_stop(saving->videos, video, &copy))
        how = PF_CANCEL_BEGUN;
    else if (!copy.deleted && pf_queue_is_waiting(&copy))
        how = cancel_waiting(saving, video, &copy, error);
    pthread_mutex_unlock(&saving->lock);
    return how;
}

pf_status pf_saving_remove(pf_saving *saving, pf_video *video, bool *running,
                           pf_error *error)
{
    PF_TRY(pf_store_delete(saving->store, video->id, error));
    *running = pf_videos_leave(saving->videos, video);
    return PF_OK;
}

pf_status pf_saving_star(pf_saving *saving, pf_video *video, bool starred, pf_error *error)
{
    pthread_mutex_lock(&saving->lock);
    pf_video copy = pf_videos_copy(saving->videos, video);
    copy.starred = starred;
    pf_status status = pf_store_star(saving->store, video->id, starred, error);
    if (status == PF_OK && !copy.deleted)
        describe(saving, &copy, NULL);  /* the store knows it: no more is promised */
    if (status == PF_OK)
        pf_videos_set_star(saving->videos, video, starred);
    pthread_mutex_unlock(&saving->lock);
    return status;
}
