/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all connections: how many there are, and who has to go when there are too
 * many.  See parts.h. */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/http/parts.h"

enum {
    MOST_AWAY = 64,                     /* sent away with an answer, at a time */
    MOST_BEYOND = 64,                   /* connections beyond the limit, while others are busy */
    STAYS = 9                           /* rank of a connection that is never displaced */
};

/* Locked. */
static int count_of(const pf_http *http, const char *address)
{
    int count = 0;
    for (const pf_connection *c = http->oldest; c; c = c->later)
        count += !c->dropped && strcmp(c->address, address) == 0;
    return count;
}

/* Rank of a connection; the lowest makes room first: those that only wait, without a key
 * before those with one, and among equals the oldest.  A request that is handled never
 * does. */
static int rank_of(const pf_connection *c)
{
    bool idle = c->phase == PF_PHASE_HEAD && c->served && !c->begun;
    if (c->dropped)
        return STAYS;
    return c->phase == PF_PHASE_LINGER                 ? 0
           : idle && !c->known                         ? 1
           : c->phase == PF_PHASE_HEAD && !c->known    ? 2
           : c->phase == PF_PHASE_HEAD                 ? 3
           : c->phase == PF_PHASE_BODY && !c->known    ? 4
                                                       : STAYS;
}

static bool goes_before(const pf_connection *a, const pf_connection *b)
{
    int rank = rank_of(a);
    if (rank == STAYS || !b)
        return rank != STAYS;
    return rank < rank_of(b) || (rank == rank_of(b) && a->since < b->since);
}

/* Whether bytes lie unread: such a connection does not only wait. */
static bool has_sent(const pf_connection *c)
{
    int bytes = 0;
    return c->phase == PF_PHASE_HEAD && ioctl(c->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

/* Locked: ends a connection that can be spared; its loop notices.  False: there is none,
 * or (*soon) one that has less right to stay will have its answer in a moment. */
static bool make_room(pf_http *http, bool *soon)
{
    pf_connection *best = NULL, *busy = NULL;
    for (pf_connection *c = http->oldest; c; c = c->later) {
        if (!goes_before(c, best))
            continue;
        if (has_sent(c))
            busy = goes_before(c, busy) ? c : busy;
        else
            best = c;
    }
    *soon = busy && (!best || rank_of(busy) < rank_of(best));
    if (!best || *soon)
        return false;
    best->dropped = true;
    http->open--;
    http->counters.displaced++;
    shutdown(best->fd, SHUT_RDWR);
    return true;
}

/* Locked: 0, or the status that a newcomer is sent away with. */
static int judge(pf_http *http, const pf_connection *c)
{
    int most = http->options.client_connections;
    if (most > 0 && c->address[0] && !c->trusted && count_of(http, c->address) >= most)
        return 429;
    bool soon = false;
    most = http->options.connections;
    while (http->open >= most && make_room(http, &soon))
        continue;
    return http->open < most || (soon && http->open < most + MOST_BEYOND) ? 0 : 503;
}

bool pf_crowd_enter(pf_http *http, pf_connection *c)
{
    pthread_mutex_lock(&http->lock);
    if (http->away >= MOST_AWAY) {
        pthread_mutex_unlock(&http->lock);
        return false;
    }
    c->since = pf_seconds();
    c->refusal = judge(http, c);
    c->dropped = c->refusal != 0;       /* a refused connection does not count */
    http->open += !c->dropped;
    http->away += c->dropped;
    http->counters.refused += c->dropped;
    c->earlier = http->newest;
    if (c->earlier)
        c->earlier->later = c;
    else
        http->oldest = c;
    http->newest = c;
    pthread_mutex_unlock(&http->lock);
    return true;
}

void pf_crowd_leave(pf_connection *c)
{
    pf_http *http = c->http;
    pthread_mutex_lock(&http->lock);
    if (c->earlier)
        c->earlier->later = c->later;
    else
        http->oldest = c->later;
    if (c->later)
        c->later->earlier = c->earlier;
    else
        http->newest = c->earlier;
    http->open -= !c->dropped;
    http->away -= c->refusal != 0;
    pthread_mutex_unlock(&http->lock);
}

void pf_crowd_set_phase(pf_connection *c, pf_phase phase)
{
    pthread_mutex_lock(&c->http->lock);
    c->served = c->served || c->phase == PF_PHASE_REPLY;
    c->phase = phase;
    c->begun = false;
    c->since = pf_seconds();
    pthread_mutex_unlock(&c->http->lock);
}

void pf_crowd_note_begun(pf_connection *c)
{
    pthread_mutex_lock(&c->http->lock);
    if (!c->begun && c->served)
        c->since = pf_seconds();
    c->begun = true;
    pthread_mutex_unlock(&c->http->lock);
}
