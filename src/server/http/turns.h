/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the next request of a lane: owners take turns, and none has all threads. */
#ifndef PF_SERVER_TURNS_H
#define PF_SERVER_TURNS_H

enum {
    PF_TURNS_MOST = 8,
    PF_TURN_OWNER_BYTES = 64            /* of an owner's name, with the NUL */
};

/* A request on its way; the first member of what is waiting. */
typedef struct pf_turn {
    struct pf_turn *next;
    const char *owner;                  /* "" without keys: then the first come goes first */
} pf_turn;

/* Zero-initialised it is empty, and of one thread.  The caller has a lock. */
typedef struct pf_turns {
    pf_turn *first, *last;
    int threads;                        /* that take from it, at most PF_TURNS_MOST */
    char served[PF_TURNS_MOST][PF_TURN_OWNER_BYTES];     /* owners, [serving] */
    int serving;
} pf_turns;

/* Puts it at the end. */
void pf_turns_put(pf_turns *turns, pf_turn *turn);

/* The next one whose owner has less than half of the threads (all of a single one, and
 * without keys all of them), or NULL.  Others of this owner go behind everybody else's. */
pf_turn *pf_turns_take(pf_turns *turns);

/* A thread is done with a turn of this owner; one more may be taken. */
void pf_turns_done(pf_turns *turns, const char *owner);

#endif
