/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP: connections, requests and replies.  libevent waits, buffers and speaks TLS;
 * head.h and chunks.h decide which bytes are a request.  The files of this folder know of
 * no route, no key and no film: they include base/ and each other.
 *
 *     bytes -> head -> route() -> body -> handler -> dress() -> reply -> bytes
 *                                          |   ^
 *                      pf_http_defer, sleep|   | again, unless there is a reply
 *                                          v   |
 *                                    a lane, or asleep
 *
 * A request is read whole (a large body lies in an unnamed file) and then handed to its
 * handler, on one of a few threads (loops) that must never wait.  A handler ends by
 * replying, by deferring to a lane (threads that may wait), or by sleeping until
 * pf_http_wake; in the latter two cases `request->handler` is called again afterwards, on
 * the request's loop, unless there is a reply by then.
 *
 * Thread-safety: a request belongs to its loop, and between pf_http_defer and the end of
 * the deferred work to the lane.  Only the functions that say "any thread" may be called
 * from elsewhere.
 */
#ifndef PF_SERVER_HTTP_H
#define PF_SERVER_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "server/http/address.h"
#include "server/http/body.h"
#include "server/http/head.h"
#include "server/http/turns.h"

typedef struct pf_http pf_http;
typedef struct pf_http_request pf_http_request;
typedef void (*pf_http_handler)(pf_http_request *request);

enum {
    PF_HTTP_HEADERS = 14,
    PF_HTTP_REQUEST_ID_BYTES = 32,
    PF_HTTP_PARAM_BYTES = 96,           /* of the name of what is wrong, with the NUL */
    PF_HTTP_LANES = 8                   /* at most */
};

/* A reply: text, a part of a file, or a stream. */
typedef struct pf_reply {
    int status;                         /* 0: there is none yet */
    const char *type;                   /* Content-Type; static, NULL: no content */
    const void *data;                   /* [bytes] */
    char *owned;                        /* memory of `data`, or NULL */
    size_t bytes;
    int fd;                             /* -1, or the file, closed when sent */
    int64_t offset;                     /* of the file: `bytes` from there on */
    /* A stream: fills `out` and returns how much; 0: asleep, -1: the end. */
    ssize_t (*pull)(pf_http_request *request, char *out, size_t room);
    bool close;                         /* the connection ends with this reply */
    struct {
        const char *name;               /* static */
        char value[384];
    } headers[PF_HTTP_HEADERS];
    int header_count;
} pf_reply;

struct pf_http_request {
    void *app;                          /* of pf_http_options */
    void *context;                      /* [context_bytes] of pf_http_options, zeroed at
                                         * first: what the routes keep of the request */
    char id[PF_HTTP_REQUEST_ID_BYTES];  /* "req_..." */
    pf_head head;
    const char *method, *path;
    const char *owner;                  /* who asks, for the turns of lanes; "": nobody
                                         * in particular */
    pf_http_handler handler;            /* the routes' */
    pf_body body;                       /* the routes set its limit */
    pf_reply reply;

    /* The files of HTTP alone. */
    pf_http *http;
    struct pf_connection *connection;
    char *text;                         /* of the head, into which `head` points */
    bool asleep;                        /* until pf_http_wake */
    bool parked;                        /* a lane's thread has the request */
    pf_http_handler deferred;           /* the lane's work */
    pf_turn turn;
};

typedef struct pf_http_options {
    const char *host;                   /* an address, or a name that is one */
    int port;                           /* 0: any free one */
    const char *tls_cert, *tls_key;     /* PEM text, or NULL */
    pf_body_disk disk;                  /* of large bodies */
    int connections;                    /* at most */
    int client_connections;             /* of one address, that is no proxy's; 0: any */
    double header_seconds;              /* a request's head must be there by then */
    double keep_seconds;                /* that an idle connection is kept, as it is told */
    const char *proxies;                /* addresses, with commas, or NULL; loopback is one */
    const int *lane_threads;            /* [lanes]: threads of each lane */
    int lanes;                          /* at most PF_HTTP_LANES */
    /* Called when the head of a request has come: sets `handler` and the limit of the
     * body, or replies. */
    pf_http_handler route;
    /* Called when a reply is there and before it is sent: adds headers. */
    pf_http_handler dress;
    /* Called when a request is over, however it ended, perhaps asleep and perhaps without
     * a route: releases what `context` holds, and sees that nobody wakes the request any
     * more. */
    pf_http_handler release;
    size_t context_bytes;
    void *app;
} pf_http_options;

typedef struct pf_http_counters {
    int64_t connections;                /* open now */
    int64_t dropped;                    /* for being slow */
    int64_t displaced;                  /* to make room for others */
    int64_t refused;                    /* for want of room */
    int64_t replies[6];                 /* by the hundreds of their status */
} pf_http_counters;

pf_status pf_http_open(const pf_http_options *options, pf_http **out, pf_error *error);
int pf_http_port(const pf_http *http);
/* Any thread. */
void pf_http_count(pf_http *http, pf_http_counters *out);
/* No new connections; waits up to `seconds` for replies under way, then ends.  All
 * sleepers must have been woken for good. */
void pf_http_close(pf_http *http, double seconds);

/* --- for handlers: reading (request.c) ------------------------------------------- */

/* NULL when there is none. */
const char *pf_http_header(const pf_http_request *request, const char *name);
const char *pf_http_query(const pf_http_request *request, const char *name);
/* Calls `see` for each argument of the query; stops when it returns false. */
void pf_http_each_query(const pf_http_request *request,
                        bool (*see)(void *user, const char *name, const char *value),
                        void *user);

/* The address that the request comes from, as a trusted proxy tells it; "" for this
 * machine itself. */
void pf_http_client(const pf_http_request *request, char out[PF_ADDRESS_BYTES]);
/* Notes that the client has shown a key: others make room first. */
void pf_http_mark_known(pf_http_request *request);

/* --- for handlers: waiting (request.c, lanes.c) ----------------------------------- */

/* Runs `work` in a lane, where owners take turns; `request->handler` is called afterwards,
 * unless `work` replies. */
void pf_http_defer(pf_http_request *request, int lane, pf_http_handler work);
/* Leaves the request without a reply, or its stream without bytes, until pf_http_wake. */
void pf_http_sleep(pf_http_request *request);
/* Any thread, until the request is released. */
void pf_http_wake(pf_http_request *request);
/* Any thread, until the request is released: whether the client has closed its end, even
 * if only to say that it sends no more. */
bool pf_http_is_gone(const pf_http_request *request);

/* --- for handlers: replying (reply.c) --------------------------------------------- */

void pf_http_set(pf_http_request *request, const char *name, const char *format, ...)
    PF_PRINTF(3, 4);
/* Static data. */
void pf_http_reply_data(pf_http_request *request, int status, const char *type,
                        const void *data, size_t bytes);
/* Takes over `text` (free()); NULL is an out-of-memory error. */
void pf_http_reply_text(pf_http_request *request, int status, const char *type,
                        char *text);
/* Takes over `object`. */
void pf_http_reply_json(pf_http_request *request, int status, json_t *object);
/* Takes over `fd`; honours Range, If-Range and If-None-Match.  `tag` is the ETag, in
 * quotes: another one for another content. */
void pf_http_reply_file(pf_http_request *request, int fd, const char *type,
                        const char *tag);
void pf_http_reply_stream(pf_http_request *request, const char *type,
                          ssize_t (*pull)(pf_http_request *, char *, size_t));

/* An error, in the shape that OpenAI's clients read.  `code` and `param` may be NULL. */
typedef struct pf_http_fault {
    int status;
    const char *code, *param;
    int retry_after;                    /* seconds, 0: do not try again */
} pf_http_fault;
void pf_http_reply_error(pf_http_request *request, const pf_http_fault *fault,
                         const char *format, ...) PF_PRINTF(3, 4);

#endif
