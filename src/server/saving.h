/* SPDX-License-Identifier: Apache-2.0 */
/* Saving: changes of the table of videos that the store has first.
 *
 *     caller -> saving.lock -> copy of the video -> job.json, store -> table -> waiters
 *                                                   (disk)             (videos.lock)
 *
 * Whatever is accepted or taken back, and how a film ends, is stored before anybody is
 * told; when it cannot be stored, nothing has happened.  How far a run is, is told
 * although the store fails, and stored as soon as it can be (pf_saving_retry).  The lock of
 * the table is never held while the disk is waited for; saving.lock is, so that of two
 * changes of a video the later one is stored last.
 */
#ifndef PF_SERVER_SAVING_H
#define PF_SERVER_SAVING_H

#include "server/store.h"
#include "server/videos.h"

typedef struct pf_saving {
    pthread_mutex_t lock;               /* taken before the lock of the table */
    pf_videos *videos;
    pf_store *store;
    const char *output_dir;             /* the caller's */
    /* The delivery that a video's end calls for, or NULL; out->url stays NULL when it is
     * none. */
    pf_status (*announce)(const pf_video *video, pf_delivery *out, pf_error *error);
} pf_saving;

/* Loads the empty table from the store.  A film that ended while the store failed is found
 * by its job.json, and has ended. */
pf_status pf_saving_open(pf_saving *saving, pf_videos *videos, pf_store *store,
                         const char *output_dir, pf_error *error);
void pf_saving_close(pf_saving *saving);

/* Stores the video, gives its folder the name that it keeps, and queues it.  The table
 * takes over the caller's reference when it succeeds; a caller that needs the video longer
 * counts one more before. */
pf_status pf_saving_add(pf_saving *saving, pf_video *video, pf_error *error);

/* Waits for work; NULL when the server closes.  The video is running then.  The next start
 * of the server knows of it, if the store does not fail. */
pf_video *pf_saving_take(pf_saving *saving);
/* A run made progress: starts and failures are counted anew. */
void pf_saving_note_progress(pf_saving *saving, pf_video *video);
/* The end of a run: stores it, sets status and times, and tells everybody. */
typedef struct pf_ending {
    const char *code, *message;         /* "" for a completed film */
    int64_t bytes;                      /* of the video's files */
} pf_ending;
pf_status pf_saving_finish(pf_saving *saving, pf_video *video, const pf_ending *ending,
                           pf_error *error);

/* Asks for a queued or running video to stop.  A queued one has ended when this
 * returns, unless the store fails; the worker ends one that runs. */
typedef enum pf_cancelling {
    PF_CANCEL_LATE,                     /* it was at its end, or the store fails */
    PF_CANCEL_BEGUN,
    PF_CANCEL_DONE
} pf_cancelling;
pf_cancelling pf_saving_cancel(pf_saving *saving, pf_video *video, pf_error *error);

/* Its owner keeps the video, or no longer. */
pf_status pf_saving_star(pf_saving *saving, pf_video *video, bool starred, pf_error *error);
/* Takes a video out of table and store; one that runs is stopped.  Its files are the
 * caller's to remove, unless it was running: then the worker does.  *running tells. */
pf_status pf_saving_remove(pf_saving *saving, pf_video *video, bool *running,
                           pf_error *error);

/* Stores what could not be stored before; the failure when that goes on. */
pf_status pf_saving_retry(pf_saving *saving, pf_error *error);
/* Writes job.json where it is missing, for `seconds` at most. */
void pf_saving_describe(pf_saving *saving, double seconds);

#endif
