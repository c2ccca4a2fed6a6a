/* SPDX-License-Identifier: Apache-2.0 */
/* Turns of owners.  See turns.h. */
#include "server/http/turns.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void pf_turns_put(pf_turns *turns, pf_turn *turn)
{
    turn->next = NULL;
    if (turns->last)
        turns->last->next = turn;
    else
        turns->first = turn;
    turns->last = turn;
}

static bool may_go(const pf_turns *turns, const char *owner)
{
    int most = turns->threads > 1 ? turns->threads / 2 : 1, serving = 0;
    for (int i = 0; i < turns->serving; i++)
        serving += strcmp(turns->served[i], owner) == 0;
    return owner[0] == '\0' || serving < most;
}

/* Moves all turns of the owner to the end of the list, in their order. */
static void put_behind(pf_turns *turns, const char *owner)
{
    pf_turns others = {0}, own = {0};
    for (pf_turn *turn = turns->first, *next; turn; turn = next) {
        next = turn->next;
        pf_turns_put(strcmp(turn->owner, owner) == 0 ? &own : &others, turn);
    }
    if (others.last)
        others.last->next = own.first;
    turns->first = others.first ? others.first : own.first;
    turns->last = own.last ? own.last : others.last;
}

pf_turn *pf_turns_take(pf_turns *turns)
{
    pf_turn **link = &turns->first, *before = NULL, *turn;
    while ((turn = *link) != NULL && !may_go(turns, turn->owner)) {
        before = turn;
        link = &turn->next;
    }
    if (!turn || turns->serving == PF_TURNS_MOST)
        return NULL;
    *link = turn->next;
    if (turns->last == turn)
        turns->last = before;
    snprintf(turns->served[turns->serving++], PF_TURN_OWNER_BYTES, "%s", turn->owner);
    put_behind(turns, turn->owner);
    return turn;
}

void pf_turns_done(pf_turns *turns, const char *owner)
{
    for (int i = 0; i < turns->serving; i++) {
        if (strcmp(turns->served[i], owner) != 0)
            continue;
        turns->serving--;
        memmove(turns->served[i], turns->served[turns->serving], PF_TURN_OWNER_BYTES);
        return;
    }
}
