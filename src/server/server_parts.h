/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the server: the structure that its files share, and their common services.  For
 * src/server alone, but not for http/, which knows nothing of it.
 *
 *     server.c                                     opens and closes all of it
 *       options.c
 *       routes.c ...                               requests: api.h
 *       worker.c, housekeeping.c, webhook.c        threads: threads.h
 *         service.c                                services
 *           films.h, videos.h, keys.h ...          parts that know no server
 */
#ifndef PF_SERVER_SERVER_PARTS_H
#define PF_SERVER_SERVER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/films.h"
#include "server/http/http.h"
#include "server/keys.h"
#include "server/origins.h"
#include "server/places.h"
#include "server/saving.h"
#include "server/server.h"
#include "server/settings.h"

/* Webhooks (webhook.c); their hosts also for creation.c. */
typedef struct pf_post {
    char *hosts;                        /* where they may go, or NULL */
    uint8_t *secret;                    /* that signs them; NULL without hosts */
    size_t secret_bytes;
    pthread_mutex_t lock;               /* guards the next one */
    pf_hands in_hand;                   /* deliveries that postmen have taken */
} pf_post;

/* server.c's */
typedef struct pf_server_threads {
    pthread_t worker, housekeeper, postmen[PF_HANDS];
    bool has_worker, has_housekeeper, has_postman[PF_HANDS];
} pf_server_threads;

/* Everything up to `closing` is set while the server opens and then only read, or guards
 * itself.  Behind each member stands who needs it. */
struct pf_server {
    pf_server_options options;          /* many; its strings are the caller's until open
                                         * returns, the server keeps those that follow */
    char *output_dir;                   /* many */
    char model_name[128];               /* creation, api, content, events, maker */
    pf_engine *engine;                  /* creation, api, maker, service */
    double opened, began;               /* api, metrics, webhook: Unix time, and
                                         * pf_seconds() then */

    pf_films films;                     /* creation, routes, worker, housekeeping */
    pf_store *store;                    /* webhook, and those of films */
    pf_videos videos;                   /* many */
    pf_saving saving;                   /* creation, api, worker, housekeeping, service */

    pf_keys keys;                       /* session, routes, creation: the rate */
    pf_places places;                   /* context */
    pf_origins origins;                 /* routes: other pages that may use it */
    bool loopback;                      /* routes: reachable from this machine alone */
    char *host;                         /* routes */
    char *picture_hosts;                /* creation: where pictures may lie, or NULL */
    pf_rewriter *rewriter;              /* creation, api: of prompts, or NULL */
    atomic_llong rewritten, not_rewritten;      /* metrics: prompts since the start */
    pf_post post;

    /* server.c */
    char *spool, *proxies;              /* a folder; a list, or NULL */
    pf_http *http;                      /* metrics, too */
    bool has_videos, has_saving, has_keys;
    pf_server_threads threads;

    /* service.c; creation and webhook look at `closing` */
    atomic_bool closing;
    pthread_mutex_t tick;               /* with `ticked`: wakes sleepers */
    pthread_cond_t ticked;
};

/* --- service.c --------------------------------------------------------------------- */

void pf_server_log(const pf_server *server, const char *format, ...) PF_PRINTF(2, 3);

void pf_server_open_ticks(pf_server *server);
void pf_server_close_ticks(pf_server *server);
/* Sleeps for `seconds`, until pf_server_wake or until the server closes, which is
 * returned. */
bool pf_server_sleep(pf_server *server, double seconds);
/* Wakes all sleepers. */
void pf_server_wake(pf_server *server);

/* The sentence that a client is told of a failure.  The whole message is for the log
 * alone, because it may name files of the server; of a file of the model the client hears
 * the name within its folder.  The result may be `room`. */
const char *pf_server_explain(const pf_server *server, const pf_error *error,
                              char room[sizeof ((pf_error *)0)->message]);

/* Stops the queue for trouble of the disk; `detail` is for the log. */
void pf_server_stop_queue(pf_server *server, const pf_trouble *trouble,
                           const char *detail);
/* Resumes the queue: the trouble is over. */
void pf_server_resume_queue(pf_server *server);

/* Deletes a video and its files; the worker removes those of a running one. */
pf_status pf_server_discard(pf_server *server, pf_video *video, pf_error *error);

/* How many connections one address or key may have. */
int pf_server_client_connections(const pf_server *server);

static inline pf_server *pf_server_of(const pf_http_request *request)
{
    return request->app;
}

#endif
