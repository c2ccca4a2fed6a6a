/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/videos/sync: a film that is created and waited for.
 *
 *     pf_api_sync -> lane CREATE ... accepted -> begin_waiting
 *     wait_for_film <- each change of the video        replies at its end
 */
#include <string.h>

#include "server/create.h"

static void reply_end(pf_api_context *c, pf_video_status status, const char *code,
                      const char *message)
{
    bool cancelled = strcmp(code, "cancelled") == 0;
    if (status == PF_VIDEO_FAILED) {
        pf_http_reply_error(c->request,
                            &(pf_http_fault){cancelled ? 409 : 500, code, NULL, 0}, "%s",
                            message);
        return;
    }
    memcpy(c->video_id, c->video->id, sizeof c->video_id);
    pf_videos_release(&c->server->videos, c->video);
    c->video = NULL;
    pf_api_content(c->request);
}

/* Called again with every change of the video. */
static void wait_for_film(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    pf_videos *videos = &c->server->videos;
    const pf_video *video = c->video;
    char message[sizeof video->error_message], code[sizeof video->error_code];
    pf_video_status status;
    bool closing, deleted;
    do {
        pthread_mutex_lock(&videos->lock);
        status = video->status;
        deleted = video->deleted;
        closing = videos->closing;
        c->seen_version = video->version;
        memcpy(message, video->error_message, sizeof message);
        memcpy(code, video->error_code, sizeof code);
        pthread_mutex_unlock(&videos->lock);
        if (status >= PF_VIDEO_COMPLETED || closing || deleted)
            break;
    } while (!pf_api_sleep(c));
    if (deleted)
        pf_http_reply_error(request, &(pf_http_fault){409, "deleted", NULL, 0},
                            "the film was deleted while it was waited for");
    else if (status >= PF_VIDEO_COMPLETED)
        reply_end(c, status, code, message);
    else if (closing)
        pf_http_reply_error(request, &(pf_http_fault){503, "closing", NULL, 5},
                            "the server is stopping; %s goes on when it is back",
                            video->id);
}

/* A client that goes away wants no film any longer, unless its Idempotency-Key says
 * that it may come back. */
static void begin_waiting(pf_http_request *request)
{
    pf_api_context_of(request)->waiter.alone =
        !pf_http_header(request, "Idempotency-Key");
    request->handler = wait_for_film;
}

static void order_film(pf_http_request *request)
{
    pf_create_order(request, begin_waiting);
}

void pf_api_sync(pf_http_request *request)
{
    if (pf_api_content_query_is_sound(request) &&
        pf_api_take_place(pf_api_context_of(request), PF_PLACE_STREAM))
        pf_http_defer(request, PF_API_LANE_CREATE, order_film);
}
