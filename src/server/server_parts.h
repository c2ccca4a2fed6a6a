/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the server: what its files share.  For src/server alone. */
#ifndef PF_SERVER_SERVER_PARTS_H
#define PF_SERVER_SERVER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/films.h"
#include "server/http.h"
#include "server/keys.h"
#include "server/origins.h"
#include "server/server.h"
#include "server/settings.h"

struct pf_server {
    pf_server_options options;          /* its strings are the caller's until open
                                         * returns; the server keeps what follows */
    char *output_dir, *host, *spool;
    char *webhook_hosts, *picture_hosts, *proxies;  /* or NULL */
    uint8_t *webhook_secret;            /* or NULL */
    size_t webhook_secret_bytes;
    char model_name[128];
    bool loopback;                      /* reachable from this machine alone */
    double opened, began;               /* Unix time, and pf_seconds() then */

    pf_engine *engine;
    pf_films films;
    pf_store *store;
    pf_videos videos;
    pf_keys keys;
    pf_places places;
    pf_origins origins;                 /* of other pages that may use it */
    pf_http *http;
    bool has_videos, has_keys;

    pthread_t worker, housekeeper, postmen[PF_HANDS];
    bool has_worker, has_housekeeper, has_postman[PF_HANDS];
    pthread_mutex_t post;               /* guards what the postmen have in hand */
    pf_hands in_hand;
    atomic_bool closing;
    pthread_mutex_t tick;               /* with `ticked`: wakes the two below */
    pthread_cond_t ticked;
};

void pf_server_log(const pf_server *server, const char *format, ...) PF_PRINTF(2, 3);

/* Sleeps, but not beyond the server's closing; true when it closes. */
bool pf_server_pause(pf_server *server, double seconds);
/* Wakes who sleeps there. */
void pf_server_poke(pf_server *server);

/* What a client is told of a failure.  The whole message is for the log alone: it may name
 * files of the server. */
const char *pf_server_outward(const pf_error *error);

/* Adds the message where it is about a file of the model: that one is named
 * within its folder.  `room` may be what is returned. */
const char *pf_server_explain(const pf_server *server, const pf_error *error,
                              char room[sizeof ((pf_error *)0)->message]);

/* Stands the queue still for trouble of the disk; `detail` is for the log. */
void pf_server_stand_still(pf_server *server, const pf_trouble *trouble,
                           const char *detail);
/* The trouble is over. */
void pf_server_go_on(pf_server *server);

/* Deletes a video and its files; those of one that runs, the worker removes. */
pf_status pf_server_discard(pf_server *server, pf_video *video, pf_error *error);

/* How many connections one address or key may have. */
int pf_server_client_connections(const pf_server *server);

/* The threads (worker.c, housekeeping.c, webhook.c). */
void *pf_worker_run(void *server);
void *pf_housekeeping_run(void *server);
void *pf_webhook_run(void *server);

/* The delivery of "video.completed" or "video.failed", if the job asked for one
 * (webhook.c). */
pf_status pf_webhook_announce(const pf_video *video, pf_delivery *out, pf_error *error);

/* From the head of a request to its handler (routes.c). */
void pf_routes_choose(pf_http_request *request);
void pf_routes_dress(pf_http_request *request);
void pf_routes_done(pf_http_request *request);

/* Handlers. */
void pf_api_create(pf_http_request *request);
void pf_api_check(pf_http_request *request);
void pf_api_sync(pf_http_request *request);
void pf_api_remix(pf_http_request *request);
void pf_api_list(pf_http_request *request);
void pf_api_retrieve(pf_http_request *request);
void pf_api_delete(pf_http_request *request);
void pf_api_change(pf_http_request *request);
void pf_api_cancel(pf_http_request *request);
void pf_api_content(pf_http_request *request);
void pf_api_events(pf_http_request *request);
void pf_api_models(pf_http_request *request);
void pf_api_model(pf_http_request *request);
void pf_api_metrics(pf_http_request *request);

/* Frees what a creation has so far, if the request's ends here. */
void pf_api_drop_creation(pf_http_request *request);

/* Takes a place of the server for as long as the request lasts; false after a 429 or
 * 503 (routes.c). */
bool pf_routes_take_place(pf_http_request *request, pf_place_kind kind);
/* Replies with a video, and when to ask again. */
void pf_api_reply_video(pf_http_request *request, int status);
/* Finds the video of the path; false after a 404. */
bool pf_api_find(pf_http_request *request);
/* What is asked of the content (the variant) can be given; false after a 400. */
bool pf_api_content_query_is_sound(pf_http_request *request);
/* A failure of store or disk. */
void pf_api_reply_failure(pf_http_request *request, const pf_error *error);

static inline pf_server *pf_server_of(const pf_http_request *request)
{
    return request->app;
}

#endif
