/* SPDX-License-Identifier: Apache-2.0 */
/* The API over HTTP: the context of a request, lanes, handlers, and the replies that
 * several handlers share.
 *
 *     routes.c   a path and a method to a handler
 *       create.c sync.c content.c ...              the handlers
 *         context.c                                who asks, for which video, and where it
 *                                                  sleeps
 */
#ifndef PF_SERVER_API_H
#define PF_SERVER_API_H

#include "server/server_parts.h"

/* Lanes (http.h).  Each waits for another resource, so that none holds up another. */
typedef enum pf_api_lane {
    PF_API_LANE_CREATE,                 /* checks with the engine, writes pictures */
    PF_API_LANE_DECODE,                 /* decodes pictures: seconds of the processor */
    PF_API_LANE_FETCH,                  /* pictures from other hosts, several at a time */
    PF_API_LANE_REWRITE,                /* prompts by a chat model, several at a time */
    PF_API_LANE_EDIT,                   /* short writes to the store */
    PF_API_LANE_READ,                   /* films from the disk */
    PF_API_LANES
} pf_api_lane;
extern const int pf_api_lane_threads[PF_API_LANES];

/* A stream of events (events.c). */
typedef struct pf_event_stream {
    uint64_t seen_preview;              /* version of the last preview that was sent */
    char *pending;                      /* text that is being sent; free() */
    size_t pending_bytes, pending_sent;
    bool last;                          /* nothing follows `pending` */
} pf_event_stream;

/* The context of a request (http.h), zeroed at first.
 *
 * Thread-safety: belongs to the loop or the lane that has the request.  While the request
 * is asleep the lock of the videos guards `waiter`. */
typedef struct pf_api_context {
    pf_http_request *request;
    pf_server *server;
    char owner[PF_OWNER_BYTES];         /* the name of the key, "" without keys */
    char video_id[PF_VIDEO_ID_BYTES];   /* from the path, or "" */
    pf_video *video;                    /* held until the request ends, or NULL */
    uint64_t seen_version;              /* version of the video at the last look */
    pf_waiter waiter;                   /* sleeps until the video changes */
    char holder[PF_HOLDER_BYTES];       /* name for places.h */
    bool holds[PF_PLACES];
    struct pf_creation *creation;       /* of create.c, from one lane to the next */
    pf_event_stream stream;
    char spare[640];                    /* a reply that needs no memory */
} pf_api_context;

static inline pf_api_context *pf_api_context_of(pf_http_request *request)
{
    return request->context;
}

/* --- context.c -------------------------------------------------------------------- */

/* Called first, when the head of a request has come. */
void pf_api_begin(pf_http_request *request);
/* Called last: leaves places, abandons a film that nobody else waits for, releases the
 * video.  Does nothing without pf_api_begin. */
void pf_api_end(pf_http_request *request);

/* Names the holder of the request's places: its key, else its address. */
void pf_api_name_holder(pf_api_context *context);
/* Takes a place of the server until the request ends; false after a 429 or 503. */
bool pf_api_take_place(pf_api_context *context, pf_place_kind kind);
/* Finds the video of the path; false after a 404. */
bool pf_api_find(pf_api_context *context);
/* Sleeps until context->video has another version than context->seen_version; false when
 * it has one now, or when the server closes. */
bool pf_api_sleep(pf_api_context *context);

/* Replies with the video, and when to ask again. */
void pf_api_reply_video(pf_api_context *context, int status);
/* Replies with a failure of store or disk. */
void pf_api_reply_failure(pf_api_context *context, const pf_error *error);

/* --- handlers --------------------------------------------------------------------- */

/* create.c */
void pf_api_create(pf_http_request *request);
void pf_api_check(pf_http_request *request);
void pf_api_remix(pf_http_request *request);
/* sync.c */
void pf_api_sync(pf_http_request *request);
/* api.c */
void pf_api_list(pf_http_request *request);
void pf_api_retrieve(pf_http_request *request);
void pf_api_delete(pf_http_request *request);
void pf_api_change(pf_http_request *request);
void pf_api_cancel(pf_http_request *request);
void pf_api_models(pf_http_request *request);
void pf_api_model(pf_http_request *request);
/* content.c */
void pf_api_content(pf_http_request *request);
/* Checks the parameter `variant`; false after a 400. */
bool pf_api_content_query_is_sound(pf_http_request *request);
/* events.c */
void pf_api_events(pf_http_request *request);
/* metrics.c */
void pf_api_metrics(pf_http_request *request);
/* session.c */
void pf_api_sign_in(pf_http_request *request);
void pf_api_sign_out(pf_http_request *request);
void pf_api_session(pf_http_request *request);
/* Finds the owner by key or session; false after a 401. */
bool pf_api_identify(pf_api_context *context);

/* Frees the context's creation, if there is one (create.c). */
void pf_api_drop_creation(pf_api_context *context);

/* --- routes.c: for HTTP ------------------------------------------------------------- */

void pf_routes_choose(pf_http_request *request);
void pf_routes_dress(pf_http_request *request);
void pf_routes_release(pf_http_request *request);

#endif
