/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the next request of a lane: owners take turns, and none has all threads. */
#ifndef PF_SERVER_TURNS_H
#define PF_SERVER_TURNS_H

enum {
    PF_TURNS_MOST = 8,
    PF_TURN_OWNER_BYTES = 64            /* of an owner's name, with the NUL */
};

/* A turn of a request. */
typedef struct pf_turn {
    struct pf_turn *next;
    const char *owner;                  /* "" without keys: then the first come goes first */
} pf_turn;

/* All zero it is empty, and of one thread.
 *
 * Thread-safety: none; the caller has a lock. */
typedef struct pf_turns {
    pf_turn *first, *last;
    int threads;                        /* of the lane, at most PF_TURNS_MOST */
    char served[PF_TURNS_MOST][PF_TURN_OWNER_BYTES];     /* owners, [serving] */
    int serving;
} pf_turns;

/* Appends a turn. */
void pf_turns_put(pf_turns *turns, pf_turn *turn);

/* Takes the next turn whose owner has less than half of the threads (of a single thread,
 * and without keys, all of them); NULL: none.  The owner's other turns go behind everybody
 * else's. */
pf_turn *pf_turns_take(pf_turns *turns);

/* A thread is done with a turn of this owner; one more may be taken. */
void pf_turns_done(pf_turns *turns, const char *owner);

#endif
