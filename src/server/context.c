/* SPDX-License-Identifier: Apache-2.0 */
/* The context of a request of the API: places, the video, sleeping; and the replies that
 * several handlers share.
 *
 *     pf_api_sleep -> waiter in the video's list ... pf_video_touch (any thread)
 *                                                         | wake, with the table's lock
 *     handler or stream, on the loop  <- pf_http_wake <---'
 *
 * A request that ends asleep takes its waiter out of the list (pf_api_end): nobody wakes
 * it after that.  See api.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api.h"

_Static_assert((int)PF_OWNER_BYTES == (int)PF_TURN_OWNER_BYTES,
               "lanes and keys name owners alike");

const int pf_api_lane_threads[PF_API_LANES] = {
    [PF_API_LANE_CREATE] = 1,
    [PF_API_LANE_DECODE] = 2,
    [PF_API_LANE_FETCH] = PF_TURNS_MOST,
    [PF_API_LANE_REWRITE] = PF_TURNS_MOST,
    [PF_API_LANE_EDIT] = 1,
    [PF_API_LANE_READ] = 1,
};

/* --- waking ----------------------------------------------------------------------- */

static pf_http_request *request_of(pf_waiter *waiter)
{
    pf_api_context *c = (void *)((char *)waiter - offsetof(pf_api_context, waiter));
    return c->request;
}

static void wake(pf_waiter *waiter)
{
    pf_http_wake(request_of(waiter));
}

static bool is_gone(pf_waiter *waiter)
{
    return pf_http_is_gone(request_of(waiter));
}

bool pf_api_sleep(pf_api_context *c)
{
    bool sleeps = pf_videos_wait(&c->server->videos, c->video, c->seen_version, &c->waiter);
    if (sleeps)
        pf_http_sleep(c->request);
    return sleeps;
}

/* --- the beginning and the end ---------------------------------------------------- */

void pf_api_begin(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    c->request = request;
    c->server = request->app;
    c->waiter = (pf_waiter){.wake = wake, .is_gone = is_gone};
    request->owner = c->owner;
}

void pf_api_end(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    if (!c->server)
        return;                         /* the head was refused before it had a route */
    pf_videos *videos = &c->server->videos;
    if (request->asleep)
        pf_videos_forget(videos, c->video, &c->waiter);
    for (int i = 0; i < PF_PLACES; i++)
        if (c->holds[i])
            pf_places_leave(&c->server->places, c->holder, (pf_place_kind)i);
    if (c->video && c->waiter.alone && request->reply.status == 0)
        pf_videos_abandon(videos, c->video);
    pf_videos_release(videos, c->video);
    free(c->stream.pending);
}

/* --- places ----------------------------------------------------------------------- */

void pf_api_name_holder(pf_api_context *c)
{
    char address[PF_ADDRESS_BYTES] = "";
    bool key = c->owner[0] != '\0';
    if (!key)
        pf_http_client(c->request, address);
    snprintf(c->holder, sizeof c->holder, "%s%s",
             key ? "key " : address[0] ? "address " : "", key ? c->owner : address);
}

static int most_of(const pf_server *server, pf_place_kind kind)
{
    return kind == PF_PLACE_STREAM ? server->options.client_streams
                                   : pf_server_client_connections(server);
}

bool pf_api_take_place(pf_api_context *c, pf_place_kind kind)
{
    pf_server *server = c->server;
    bool stream = kind == PF_PLACE_STREAM;
    const char *what = stream ? "event streams and requests that wait for a film"
                              : "requests at a time";
    pf_place_answer answer =
        pf_places_take(&server->places, c->holder, kind, most_of(server, kind),
                       server->options.connections / 2);
    c->holds[kind] = answer == PF_PLACE_TAKEN;
    if (answer == PF_PLACE_TOO_MANY)
        pf_http_reply_error(c->request,
                            &(pf_http_fault){429, "too_many_requests", NULL, 5},
                            "there are %d %s of this %s already", most_of(server, kind),
                            what, c->owner[0] ? "key" : "address");
    else if (answer == PF_PLACE_FULL)
        pf_http_reply_error(c->request, &(pf_http_fault){503, "busy", NULL, 5},
                            "the server has as many %s as it takes; ask for the status "
                            "now and then", what);
    c->request->reply.close = c->request->reply.close || answer != PF_PLACE_TAKEN;
    return answer == PF_PLACE_TAKEN;
}

/* --- the video -------------------------------------------------------------------- */

bool pf_api_find(pf_api_context *c)
{
    if (pf_video_id_is_sound(c->video_id))
        c->video = pf_videos_find(&c->server->videos, c->video_id, c->owner);
    if (c->video)
        return true;
    pf_http_reply_error(c->request,
                        &(pf_http_fault){404, "video_not_found", "video_id", 0},
                        "there is no video \"%s\"", c->video_id);
    return false;
}

/* --- replies ---------------------------------------------------------------------- */

/* Milliseconds until it is worth asking again. */
static int poll_after(const pf_video *video)
{
    double wait = video->status == PF_VIDEO_RUNNING && video->seconds_left >= 0
                      ? video->seconds_left * 50.0
                      : 1000.0 * video->position;
    return wait < 500.0 ? 500 : wait > 10000.0 ? 10000 : (int)wait;
}

void pf_api_reply_video(pf_api_context *c, int status)
{
    pf_server *server = c->server;
    const pf_video *video = c->video;
    pthread_mutex_lock(&server->videos.lock);
    bool pending = video->status < PF_VIDEO_COMPLETED;
    int wait = poll_after(video);
    json_t *object = pf_video_json(video, server->model_name, server->options.retention);
    pthread_mutex_unlock(&server->videos.lock);
    pf_http_reply_json(c->request, status, object);
    if (pending)
        pf_http_set(c->request, "openai-poll-after-ms", "%d", wait);
}

/* Replies with the trouble of the disk, if that is behind the failure, and stops the
 * queue. */
static bool reply_trouble(pf_api_context *c, const pf_error *error)
{
    pf_server *server = c->server;
    if (error->status != PF_E_IO && error->status != PF_E_NOT_FOUND)
        return false;
    const pf_trouble *trouble = pf_films_examine(&server->films, server->store);
    if (!trouble)
        return false;
    pf_server_stop_queue(server, trouble, error->message);
    pf_http_reply_error(c->request, &trouble->fault, "%s", trouble->message);
    return true;
}

void pf_api_reply_failure(pf_api_context *c, const pf_error *error)
{
    if (reply_trouble(c, error))
        return;
    int status = pf_status_http(error->status);
    const char *code = error->status == PF_E_NO_SPACE ? "no_space"
                       : error->status == PF_E_MEMORY ? "out_of_memory"
                       : error->status == PF_E_MODEL  ? "model_error"
                                                      : "server_error";
    char room[sizeof error->message];
    pf_server_log(c->server, "%s fails: %s", c->request->id, error->message);
    pf_http_reply_error(c->request, &(pf_http_fault){status < 500 ? 500 : status, code, NULL,
                                                  status == 503 ? 5 : 0},
                        "%s", pf_server_explain(c->server, error, room));
}
