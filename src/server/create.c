/* SPDX-License-Identifier: Apache-2.0 */
/* Creating films: POST /v1/videos, /v1/videos/check and /v1/videos/{id}/remix; for sync.c
 * also /v1/videos/sync.
 *
 * A creation goes through up to four lanes.  Between two of them the request passes its
 * loop, whose handler (enter_...) defers it to the next one.
 *
 *     loop            lane CREATE         lane FETCH        lane DECODE      lane CREATE
 *
 *     pf_api_create   order_film
 *     pf_api_remix    order_remix
 *     pf_api_sync     order_film (sync.c)
 *                     | fields, key, room, order
 *                     |
 *     enter_fetch     |--- an address --> fetch_pictures
 *                     |                    |
 *     enter_decode    |--- a picture ------+--------------> decode_pictures
 *                     |                                      |
 *     enter_accept    |                                      `-------------> accept_order
 *                     |                                                      | again: key,
 *                     |                                                      | room
 *                     `--- no picture: engine, disk, table                   | engine, disk,
 *                                          |                                 | table
 *     next            <--------------------+---------------------------------'
 *
 * The create lane has one thread, which waits for the engine's check and for the disk.  A
 * picture by address may wait for another host, and a picture may take seconds of the
 * processor: each has a lane with several threads.  Others have come when the create lane
 * has the request again, so the key and the room are looked at once more.  The answer
 * comes when the job and its pictures are on disk, so that a client that has it can rely
 * on it.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "server/create.h"
#include "server/creation.h"

/* --- the beginning and the end ---------------------------------------------------- */

void pf_api_drop_creation(pf_api_context *context)
{
    if (context->creation)
        pf_creation_free(context->creation);
    context->creation = NULL;
}

static pf_creation *begin(pf_http_request *request, pf_http_handler next)
{
    pf_api_context *context = pf_api_context_of(request);
    pf_creation *c = pf_calloc(1, sizeof *c);
    pf_error error = {0};
    if (!c) {
        pf_fail_memory(&error, "request", sizeof *c);
        pf_api_reply_failure(context, &error);
        return NULL;
    }
    c->request = request;
    c->context = context;
    c->server = context->server;
    c->next = next;
    context->creation = c;
    return c;
}

/* The request has its reply, or the context the accepted video. */
static void end(pf_creation *c)
{
    pf_http_request *request = c->request;
    pf_http_handler next = c->next;
    pf_api_drop_creation(c->context);
    if (request->reply.status == 0)
        next(request);
}

/* --- from lane to lane ------------------------------------------------------------ */

static pf_creation *creation_of(pf_http_request *request)
{
    return pf_api_context_of(request)->creation;
}

static void enter_rewrite(pf_http_request *request);

/* The last step, or the last but one: a prompt is rewritten for films alone that can be made,
 * and looked at afterwards as any other. */
static void accept_sound(pf_creation *c)
{
    if (pf_creation_is_sound(c)) {
        if (pf_creation_wants_rewriting(c)) {
            c->request->handler = enter_rewrite;
            return;
        }
        pf_creation_accept(c);
    }
    end(c);
}

static void accept_order(pf_http_request *request)
{
    pf_creation *c = creation_of(request);
    if (!pf_creation_is_repeated(c) && pf_creation_has_room(c))
        accept_sound(c);
    else
        end(c);
}

static void enter_accept(pf_http_request *request)
{
    pf_http_defer(request, PF_API_LANE_CREATE, accept_order);
}

static void rewrite_prompt(pf_http_request *request)
{
    if (pf_creation_rewrite(creation_of(request)))
        request->handler = enter_accept;
}

static void enter_rewrite(pf_http_request *request)
{
    pf_http_defer(request, PF_API_LANE_REWRITE, rewrite_prompt);
}

static void decode_pictures(pf_http_request *request)
{
    if (pf_creation_decode_pictures(creation_of(request)))
        request->handler = enter_accept;
}

static void enter_decode(pf_http_request *request)
{
    pf_http_defer(request, PF_API_LANE_DECODE, decode_pictures);
}

static void fetch_pictures(pf_http_request *request)
{
    if (pf_creation_fetch_pictures(creation_of(request)))
        request->handler = enter_decode;
}

static void enter_fetch(pf_http_request *request)
{
    pf_http_defer(request, PF_API_LANE_FETCH, fetch_pictures);
}

/* Chooses the next lane by the pictures of the order; without one it is accepted here. */
static void leave_create_lane(pf_creation *c, bool sound)
{
    const pf_order *order = &c->order;
    if (sound && (order->first.url || order->last.url)) {
        c->request->handler = enter_fetch;
        return;
    }
    if (sound && (order->first.data || order->last.data)) {
        c->request->handler = enter_decode;
        return;
    }
    if (sound)
        accept_sound(c);
    else
        end(c);
}

/* --- a film ----------------------------------------------------------------------- */

void pf_create_order(pf_http_request *request, pf_http_handler next)
{
    pf_creation *c = begin(request, next);
    if (c)
        leave_create_lane(c, pf_creation_may_ask(c) && pf_creation_read_fields(c) &&
                                 !pf_creation_is_repeated(c) && pf_creation_has_room(c) &&
                                 pf_creation_read_order(c));
}

/* An accepted film is answered 200, whatever happens.  Without memory for the whole answer
 * it has only what a client needs to ask again. */
static void reply_accepted(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    const pf_video *v = c->video;
    pf_api_reply_video(c, 200);
    if (request->reply.status == 200)
        return;
    int bytes = snprintf(
        c->spare, sizeof c->spare,
        "{\"id\":\"%s\",\"object\":\"video\",\"model\":\"%s\",\"status\":\"queued\","
        "\"progress\":0,\"created_at\":%lld,\"completed_at\":null,\"expires_at\":null,"
        "\"starred\":false,\"seconds\":\"\",\"size\":\"\",\"prompt\":null,"
        "\"rewritten_prompt\":null,\"rewrite_error\":null,"
        "\"remixed_from_video_id\":null,\"error\":null,\"warnings\":[],"
        "\"settings\":{}}",
        v->id, c->server->model_name, (long long)v->created);
    pf_http_reply_data(request, 200, "application/json", c->spare, (size_t)bytes);
}

static void order_film(pf_http_request *request)
{
    pf_create_order(request, reply_accepted);
}

void pf_api_create(pf_http_request *request)
{
    pf_http_defer(request, PF_API_LANE_CREATE, order_film);
}

/* --- only looking ----------------------------------------------------------------- */

static void look_at_order(pf_http_request *request)
{
    pf_creation *c = begin(request, NULL);
    if (!c)
        return;
    if (pf_creation_read_fields(c) && pf_creation_read_order(c))
        pf_creation_look(c);
    end(c);
}

void pf_api_check(pf_http_request *request)
{
    pf_http_defer(request, PF_API_LANE_CREATE, look_at_order);
}

/* --- a remix ---------------------------------------------------------------------- */

static void order_remix(pf_http_request *request)
{
    pf_creation *c = begin(request, reply_accepted);
    if (!c)
        return;
    c->original = c->context->video;
    c->context->video = NULL;
    leave_create_lane(c, pf_creation_may_ask(c) && pf_creation_read_fields(c) &&
                             !pf_creation_is_repeated(c) && pf_creation_has_room(c) &&
                             pf_creation_take_remix(c) && pf_creation_take_pictures(c));
}

void pf_api_remix(pf_http_request *request)
{
    if (pf_api_find(pf_api_context_of(request)))
        pf_http_defer(request, PF_API_LANE_CREATE, order_remix);
}
