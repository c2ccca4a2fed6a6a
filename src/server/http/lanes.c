/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: threads that may wait, for disks, the engine or other hosts.
 *
 *     loop                                   a thread of the lane
 *     pf_http_defer(work) -> turns ------->  work(request)
 *     request->handler()  <- resume event -  pf_http_wake
 *
 * While a request is parked in a lane its loop touches nothing of it.  See http.h. */
#include <stdio.h>

#include "base/fault.h"
#include "server/http/parts.h"

static pf_http_request *request_of_turn(pf_turn *turn)
{
    return (pf_http_request *)((char *)turn - offsetof(pf_http_request, turn));
}

/* Waits for the next request that may go; NULL when the server ends and none waits. */
static pf_http_request *next_in_lane(pf_http_lane *l)
{
    pf_turn *turn;
    pthread_mutex_lock(&l->lock);
    while (!(turn = pf_turns_take(&l->turns)) && !(l->closing && !l->turns.first))
        pthread_cond_wait(&l->changed, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return turn ? request_of_turn(turn) : NULL;
}

static void *run_lane(void *argument)
{
    pf_http_lane *l = argument;
    pf_http_request *request;
    while ((request = next_in_lane(l)) != NULL) {
        char owner[PF_TURN_OWNER_BYTES];
        snprintf(owner, sizeof owner, "%s", request->owner);
        request->deferred(request);
        pf_http_wake(request);
        pthread_mutex_lock(&l->lock);
        pf_turns_done(&l->turns, owner);
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

void pf_http_defer(pf_http_request *request, int lane, pf_http_handler work)
{
    pf_http_lane *l = &request->http->lanes[lane];
    request->deferred = work;
    request->turn.owner = request->owner;
    pthread_mutex_lock(&l->lock);
    if (l->closing) {
        pthread_mutex_unlock(&l->lock);
        pf_http_reply_error(request, &(pf_http_fault){503, "closing", NULL, 5},
                            "the server is stopping");
        return;
    }
    request->parked = true;
    pf_turns_put(&l->turns, &request->turn);
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

pf_status pf_lanes_start(pf_http *http, pf_error *error)
{
    for (int i = 0; i < http->options.lanes; i++) {
        pf_http_lane *l = &http->lanes[i];
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->changed, NULL);
        int wanted = http->options.lane_threads[i];
        l->turns.threads = wanted;
        while (l->started < wanted && !pf_fault_hit(PF_FAULT_THREAD) &&
               pthread_create(&l->threads[l->started], NULL, run_lane, l) == 0)
            l->started++;
        if (l->started < wanted)
            return pf_fail(error, PF_E_MEMORY, "a thread of the server does not start");
    }
    return PF_OK;
}

void pf_lanes_close(pf_http *http)
{
    for (int i = 0; i < PF_HTTP_LANES; i++) {
        pf_http_lane *l = &http->lanes[i];
        if (l->started == 0)
            continue;
        pthread_mutex_lock(&l->lock);
        l->closing = true;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        while (l->started > 0)
            pthread_join(l->threads[--l->started], NULL);
        pthread_cond_destroy(&l->changed);
        pthread_mutex_destroy(&l->lock);
    }
}
