/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: in which order films are made, and who may have how many waiting.
 *
 * Owners have fair shares.  Each has used seconds of computing; the next film is the
 * oldest of the owner who has used least.  A newcomer, or an owner who comes back, starts
 * level with the one who has used least and still waits, so that nobody saves up.
 *
 *     arrival   pf_queue_check_room -> pf_queue_know_owner -> pf_queue_arrange
 *     work      pf_queue_pick -> pf_queue_begin ... pf_queue_end -> pf_queue_arrange
 *
 * pf_queue_arrange gives each queued film its place (video->position), as if every film
 * took the time that it is expected to take.  The queue waits for nothing and stores
 * nothing; whoever has it has the lock of the list that is given with it.
 */
#ifndef PF_SERVER_QUEUE_H
#define PF_SERVER_QUEUE_H

#include "server/video_list.h"

/* Limits of waiting films. */
typedef struct pf_queue_limits {
    int films;                          /* of all owners */
    int films_per_owner;                /* 0: half of them, where there are several */
    int owners;                         /* that can ask: each has a place for itself */
} pf_queue_limits;

/* How much of the machine an owner has had since the start. */
typedef struct pf_share {
    char owner[PF_OWNER_BYTES];
    double used;                        /* seconds of computing */
} pf_share;

/* All zero but its limits, it is empty. */
typedef struct pf_queue {
    pf_queue_limits limits;
    pf_share *shares;                   /* [share_count] */
    int share_count;
    int waiting;                        /* videos whose status is queued */
    pf_video *running;                  /* or NULL */
    double mean_seconds;                /* a film takes, lately; 0: unknown */
} pf_queue;

void pf_queue_free(pf_queue *queue);

/* Queued, or interrupted: it will run. */
bool pf_queue_is_waiting(const pf_video *video);

/* Whether the owner may have one more film waiting; PF_E_MEMORY when not, which is worth
 * another try after *retry_after seconds.  The last places of the queue are for owners who
 * have none. */
pf_status pf_queue_check_room(const pf_queue *queue, const pf_video_list *all,
                              const char *owner, int *retry_after, pf_error *error);

/* Before a video of the owner is queued: gives the owner a share. */
pf_status pf_queue_know_owner(pf_queue *queue, const pf_video_list *all,
                              const char *owner, pf_error *error);
/* Gives an owner a share while the table is loaded: all shares are 0 then. */
pf_status pf_queue_load_owner(pf_queue *queue, const char *owner, pf_error *error);

/* Gives every queued video its place, and touches it.  Without memory places stay as they
 * were until the next time. */
void pf_queue_arrange(pf_queue *queue, const pf_video_list *all);

/* The next video at the time `now` (pf_seconds): an interrupted one that has had its rest,
 * or the first in the queue.  If there is neither, *until says when the next rest ends (0:
 * nobody rests). */
pf_video *pf_queue_pick(const pf_video_list *all, double now, double *until);
/* The video, queued or interrupted, runs now. */
void pf_queue_begin(pf_queue *queue, pf_video *video);
/* The running video has ended, or goes back: its owner has used its run_seconds. */
void pf_queue_end(pf_queue *queue, const pf_video *video);

/* Seconds that a server lives before it tries a video again during which it has died so
 * often. */
double pf_queue_rest(int starts);
/* The video has been started too often, and is not to be made again. */
bool pf_queue_is_hopeless(const pf_video *video);

#endif
