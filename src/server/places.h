/* SPDX-License-Identifier: Apache-2.0 */
/* Places: how many requests and streams a holder (a key, or without keys an address) has
 * at this moment, so that none has all of the server. */
#ifndef PF_SERVER_PLACES_H
#define PF_SERVER_PLACES_H

#include <pthread.h>
#include <stdbool.h>

enum { PF_HOLDER_BYTES = 80 };

typedef enum pf_place_kind {
    PF_PLACE_REQUEST,                   /* a request under way */
    PF_PLACE_STREAM,                    /* one that waits for a film to change */
    PF_PLACES
} pf_place_kind;

typedef struct pf_holder {
    char name[PF_HOLDER_BYTES];
    int held[PF_PLACES];
} pf_holder;

typedef struct pf_places {
    pthread_mutex_t lock;
    pf_holder *list;                    /* of those that hold something */
    int count, capacity;
    int streams;                        /* of everybody */
} pf_places;

typedef enum pf_place_answer {
    PF_PLACE_TAKEN,
    PF_PLACE_TOO_MANY,                  /* of this holder */
    PF_PLACE_FULL                       /* of everybody */
} pf_place_answer;

void pf_places_open(pf_places *places);
void pf_places_close(pf_places *places);

/* Takes a place for `holder`, who may have `most`; places of "" (nobody in particular) are
 * not counted.  `most_streams` limits the streams of all holders together. */
pf_place_answer pf_places_take(pf_places *places, const char *holder, pf_place_kind kind,
                               int most, int most_streams);
/* Gives back what was taken. */
void pf_places_leave(pf_places *places, const char *holder, pf_place_kind kind);

#endif
