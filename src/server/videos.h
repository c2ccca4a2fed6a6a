/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all videos: the queue, who is next, who waits for what.
 *
 * What it says is in memory, so that reading never waits for a disk; what is accepted or
 * taken back, and how a film ends, is in the store first.  How far a run is, is told
 * although the store fails, and stored as soon as it can be (pf_videos_save_again).
 * Functions take the lock themselves, unless they say "locked".
 * A video that a function returns carries a reference: pf_videos_release.
 */
#ifndef PF_SERVER_VIDEOS_H
#define PF_SERVER_VIDEOS_H

#include <pthread.h>

#include "server/store.h"

/* Somebody who sleeps until a video changes.  Both functions are called with the lock
 * held, `wake` once at most. */
struct pf_waiter {
    void (*wake)(pf_waiter *waiter);
    bool (*is_gone)(pf_waiter *waiter);
    bool alone;                         /* nobody else wants the video */
    pf_waiter *next;
};

/* How much of the machine an owner has had lately. */
typedef struct pf_share {
    char owner[PF_OWNER_BYTES];
    double used;                        /* seconds of computing */
} pf_share;

/* Limits of waiting films, by owner. */
typedef struct pf_queue_limits {
    int films;                          /* of all */
    int films_per_owner;                /* 0: half of them, where there are several */
    int owners;                         /* that can ask: each has a place for itself */
} pf_queue_limits;

typedef struct pf_videos {
    pthread_mutex_t lock;
    pthread_mutex_t saving;             /* taken before the lock, by who stores what the
                                         * table says: the latest is stored last */
    pthread_cond_t changed;             /* there may be work */
    pf_store *store;
    const char *output_dir;             /* the caller's */
    /* The delivery that a video's end calls for; out->url stays NULL when it is none. */
    pf_status (*announce)(const pf_video *video, pf_delivery *out, pf_error *error);
    pf_video **list;                    /* by id */
    int count, capacity;
    int described;                      /* of these job.json has been looked for */
    int queued;
    pf_queue_limits limits;
    pf_share *shares;
    int share_count;
    uint64_t last_id;                   /* milliseconds; ids only grow */
    bool closing;                       /* nothing new begins */
    char paused[256];                   /* why the queue stands still, or "" */
    pf_video *running;
    double mean_seconds;                /* a film takes, lately; 0: unknown */
    int64_t accepted, completed, failed, cancelled, refused;    /* since the start */
} pf_videos;

/* Loads what the store has.  A film that ended while the store failed is found by its
 * job.json, and has ended. */
pf_status pf_videos_open(pf_videos *videos, pf_store *store, const char *output_dir,
                         pf_queue_limits limits, pf_error *error);
void pf_videos_close(pf_videos *videos);

/* A fresh id, later than all others; false when the system gives no randomness. */
bool pf_videos_new_id(pf_videos *videos, char out[PF_VIDEO_ID_BYTES]);

/* PF_E_MEMORY when the owner may have no more films waiting; *retry_after is then in
 * seconds.  The last places of the queue are for those who have none. */
pf_status pf_videos_check_room(pf_videos *videos, const char *owner, int *retry_after,
                               pf_error *error);
/* Bytes of disk that the films will need which wait or are being made, about. */
int64_t pf_videos_expected_bytes(pf_videos *videos);

/* Stores the video, gives its folder the name that it keeps, and queues it.  The table
 * takes over the caller's reference when it succeeds; a caller that needs the video longer
 * counts one more before. */
pf_status pf_videos_add(pf_videos *videos, pf_video *video, pf_error *error);

/* Whoever it belongs to. */
bool pf_videos_knows(pf_videos *videos, const char *id);
/* By id, if `owner` may see it. */
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

/* Waits for work; NULL when the server closes.  The video is running then.  One that
 * has been started too often is not to be made again. */
pf_video *pf_videos_take(pf_videos *videos);
bool pf_videos_is_hopeless(const pf_video *video);
/* Seconds that a server lives before it tries a video again during which it has died
 * so often. */
double pf_videos_rest(int starts);
/* It made progress: starts and failures are counted anew. */
void pf_videos_note_progress(pf_videos *videos, pf_video *video);
/* Stores what could not be stored before; the failure when that goes on. */
pf_status pf_videos_save_again(pf_videos *videos, pf_error *error);
/* Writes job.json where it is missing, for `seconds` at most. */
void pf_videos_describe(pf_videos *videos, double seconds);
/* The end of a run: stores it, sets status and times, and tells everybody; when it
 * cannot be stored nothing has happened.  `code` is "" for a completed film. */
pf_status pf_videos_finish(pf_videos *videos, pf_video *video, const char *code,
                           const char *message, int64_t bytes, pf_error *error);
/* The video goes back to the queue, and rests for `seconds`; its state is on disk.  This
 * start does not count: the server has survived it. */
void pf_videos_put_back(pf_videos *videos, pf_video *video, double seconds);
/* Stands the queue still, with a reason, or lets it go on ("" ). */
void pf_videos_pause(pf_videos *videos, const char *reason);

/* Asks for a queued or running video to stop.  A queued one has ended when this
 * returns, unless the store fails; the worker ends one that runs. */
typedef enum pf_cancelling {
    PF_CANCEL_LATE,                     /* it was at its end */
    PF_CANCEL_BEGUN,
    PF_CANCEL_DONE
} pf_cancelling;
pf_cancelling pf_videos_cancel(pf_videos *videos, pf_video *video, pf_error *error);

/* Who waited for the video alone is gone: it is to be cancelled. */
void pf_videos_abandon(pf_videos *videos, pf_video *video);
/* A video to cancel for that reason, or NULL; asks those who wait alone whether they
 * are still there. */
pf_video *pf_videos_find_abandoned(pf_videos *videos);
/* Its owner keeps it, or no longer. */
pf_status pf_videos_star(pf_videos *videos, pf_video *video, bool starred, pf_error *error);
/* Takes a video out of table and store; one that runs is stopped.  Its files are the
 * caller's to remove, unless it was running: then the worker does.  *running tells. */
pf_status pf_videos_remove(pf_videos *videos, pf_video *video, bool *running,
                           pf_error *error);

/* Sleeps until `version` is no longer the video's; false, without sleeping, when it
 * is not now, or when the server closes. */
bool pf_videos_wait(pf_videos *videos, pf_video *video, uint64_t version,
                    pf_waiter *waiter);
/* The waiter no longer waits: it is not woken after this. */
void pf_videos_forget(pf_videos *videos, pf_video *video, const pf_waiter *waiter);
/* Locked: something of the video shows that did not before. */
void pf_videos_touch(pf_video *video);
/* No more work begins, the running job stops, and whoever sleeps is woken. */
void pf_videos_shut(pf_videos *videos);

#endif
