/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all videos, in memory: reading it never waits for a disk.
 *
 *     saving.h       changes that the store has first       worker.c, create.c, api.c ...
 *       videos.h     the table, its lock, who waits         everybody
 *         queue.h    which film is next
 *         video_list.h
 *
 * Functions take the lock themselves, unless they say "locked".  A video that a function
 * returns carries a reference: pf_videos_release.
 */
#ifndef PF_SERVER_VIDEOS_H
#define PF_SERVER_VIDEOS_H

#include <pthread.h>

#include "server/queue.h"

typedef struct pf_videos {
    pthread_mutex_t lock;
    pthread_cond_t changed;             /* there may be work */
    pf_video_list all;
    pf_queue queue;
    int described;                      /* videos at the start of the list whose job.json was
                                         * looked for */
    uint64_t last_id;                   /* milliseconds; ids only grow */
    bool closing;                       /* nothing new begins */
    char paused[256];                   /* why the queue is stopped, or "" */
    int64_t accepted, completed, failed, cancelled, refused;    /* since the start */
} pf_videos;

void pf_videos_open(pf_videos *videos, pf_queue_limits limits);
void pf_videos_close(pf_videos *videos);

/* --- looking up -------------------------------------------------------------------- */

/* Whether there is such a video, of any owner. */
bool pf_videos_knows(pf_videos *videos, const char *id);
/* The video, if it belongs to `owner`; NULL: none. */
pf_video *pf_videos_find(pf_videos *videos, const char *id, const char *owner);
pf_video *pf_videos_find_idempotent(pf_videos *videos, const char *owner,
                                    const char *key);
void pf_videos_release(pf_videos *videos, pf_video *video);

/* A page of an owner's videos: up to `limit` after or before these ids (""), newest
 * first or oldest first.  Returns how many; *more: there are others beyond. */
typedef struct pf_page_query {
    const char *owner;
    const char *after, *before;
    bool ascending;
    int limit;                          /* 1 to PF_PAGE_MAX */
} pf_page_query;
enum { PF_PAGE_MAX = 100 };
int pf_videos_page(pf_videos *videos, const pf_page_query *query,
                   pf_video *out[PF_PAGE_MAX], bool *more);

/* --- coming in --------------------------------------------------------------------- */

/* A fresh id, later than all others; false when the system gives no randomness. */
bool pf_videos_new_id(pf_videos *videos, char out[PF_VIDEO_ID_BYTES]);

/* PF_E_MEMORY when the owner may have no more films waiting; *retry_after is then in
 * seconds. */
pf_status pf_videos_check_room(pf_videos *videos, const char *owner, int *retry_after,
                               pf_error *error);
/* Bytes of disk that the films will need which wait or are being made, about. */
int64_t pf_videos_expected_bytes(pf_videos *videos);

/* --- waiting ------------------------------------------------------------------------- */

/* Puts a waiter to sleep until the video's version is no longer `version`; false, without
 * sleeping, when it is another one now, or when the server closes. */
bool pf_videos_wait(pf_videos *videos, pf_video *video, uint64_t version,
                    pf_waiter *waiter);
/* The waiter no longer waits: it is not woken after this. */
void pf_videos_forget(pf_videos *videos, pf_video *video, const pf_waiter *waiter);

/* Notes that the only client that waited for the video is gone: it is to be cancelled. */
void pf_videos_abandon(pf_videos *videos, pf_video *video);
/* An abandoned video, or NULL; asks waiters that wait alone whether they are still
 * there. */
pf_video *pf_videos_find_abandoned(pf_videos *videos);

/* --- the queue ----------------------------------------------------------------------- */

/* The running video goes back to the queue, and rests for `seconds`; its state is on disk.
 * This start does not count: the server has survived it. */
void pf_videos_put_back(pf_videos *videos, pf_video *video, double seconds);
/* Stops the queue with a reason, or resumes it (""). */
void pf_videos_pause(pf_videos *videos, const char *reason);
/* No more work begins, the running job stops, and whoever sleeps is woken. */
void pf_videos_shut(pf_videos *videos);

/* --- for saving.c: the table's half of a change --------------------------------------- */

/* The video as it is now, for the store; pointers in it are the table's. */
pf_video pf_videos_copy(pf_videos *videos, const pf_video *video);
/* A video of which the store does not know all, or that may lack its job.json (as those of
 * older versions do); NULL: none. */
pf_video *pf_videos_find_unsaved(pf_videos *videos);
pf_video *pf_videos_find_undescribed(pf_videos *videos);
void pf_videos_mark_unsaved(pf_videos *videos, pf_video *video, bool unsaved);

/* Makes room for a video of the owner, so that pf_videos_enter does not fail. */
pf_status pf_videos_reserve(pf_videos *videos, const char *owner, pf_error *error);
/* Queues a video, and takes over the caller's reference. */
void pf_videos_enter(pf_videos *videos, pf_video *video);
/* Waits for work, and begins it; NULL when the server closes. */
pf_video *pf_videos_begin_next(pf_videos *videos);
/* Counts starts and failures anew; false when there were no starts. */
bool pf_videos_forgive(pf_videos *videos, pf_video *video);
/* The running video ends as the copy says. */
void pf_videos_end_run(pf_videos *videos, pf_video *video, const pf_video *copy);
/* Stops the video if it runs, which is returned; the copy is of that moment. */
bool pf_videos_stop(pf_videos *videos, pf_video *video, pf_video *copy);
/* A waiting video has ended as the copy says; false when it has begun meanwhile: then it
 * is stopped. */
bool pf_videos_end_waiting(pf_videos *videos, pf_video *video, const pf_video *copy);
/* Takes the video out of the table and stops it if it runs, which is returned. */
bool pf_videos_leave(pf_videos *videos, pf_video *video);
void pf_videos_set_star(pf_videos *videos, pf_video *video, bool starred);

#endif
