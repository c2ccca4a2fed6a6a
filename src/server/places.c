/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of the server.  See places.h. */
#include "server/places.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

void pf_places_open(pf_places *places)
{
    *places = (pf_places){.list = NULL};
    pthread_mutex_init(&places->lock, NULL);
}

void pf_places_close(pf_places *places)
{
    pf_free(places->list);
    pthread_mutex_destroy(&places->lock);
}

/* Locked: NULL when there is none. */
static pf_holder *find(pf_places *places, const char *name)
{
    for (int i = 0; i < places->count; i++)
        if (strcmp(places->list[i].name, name) == 0)
            return &places->list[i];
    return NULL;
}

/* Locked: NULL when out of memory. */
static pf_holder *find_or_add(pf_places *places, const char *name)
{
    pf_holder *holder = find(places, name);
    if (holder)
        return holder;
    if (places->count == places->capacity) {
        int capacity = 2 * places->capacity + 8;
        pf_holder *grown = pf_realloc(places->list, (size_t)capacity * sizeof *grown);
        if (!grown)
            return NULL;
        places->list = grown;
        places->capacity = capacity;
    }
    holder = &places->list[places->count++];
    *holder = (pf_holder){.held = {0}};
    snprintf(holder->name, sizeof holder->name, "%s", name);
    return holder;
}

pf_place_answer pf_places_take(pf_places *places, const char *name, pf_place_kind kind,
                               int most, int most_streams)
{
    pf_place_answer answer = PF_PLACE_TAKEN;
    bool stream = kind == PF_PLACE_STREAM;
    pthread_mutex_lock(&places->lock);
    pf_holder *holder = name[0] ? find_or_add(places, name) : NULL;
    if (stream && places->streams >= most_streams)
        answer = PF_PLACE_FULL;
    else if (name[0] && !holder)
        answer = PF_PLACE_FULL;
    else if (holder && holder->held[kind] >= most)
        answer = PF_PLACE_TOO_MANY;
    if (answer == PF_PLACE_TAKEN) {
        places->streams += stream;
        if (holder)
            holder->held[kind]++;
    }
    pthread_mutex_unlock(&places->lock);
    return answer;
}

void pf_places_leave(pf_places *places, const char *name, pf_place_kind kind)
{
    pthread_mutex_lock(&places->lock);
    pf_holder *holder = name[0] ? find(places, name) : NULL;
    places->streams -= kind == PF_PLACE_STREAM;
    if (holder)
        holder->held[kind]--;
    if (holder && holder->held[PF_PLACE_REQUEST] == 0 && holder->held[PF_PLACE_STREAM] == 0)
        *holder = places->list[--places->count];
    pthread_mutex_unlock(&places->lock);
}
