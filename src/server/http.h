/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP: connections, requests and replies.  libevent waits, buffers and speaks TLS; what
 * a request is, head.h and chunks.h decide.
 *
 * A request is read whole (a large body lies in an unnamed file) and then handed to
 * its route's handler, on one of a few threads that must never wait.  A handler ends
 * by replying, by deferring to a lane (threads that may wait, for disks, the engine or
 * other hosts), or by sleeping until a video changes; in the latter two cases
 * `request->handler` is called again afterwards, unless there is a reply by then.
 */
#ifndef PF_SERVER_HTTP_H
#define PF_SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/address.h"
#include "server/fields.h"
#include "server/head.h"
#include "server/places.h"
#include "server/turns.h"
#include "server/videos.h"

typedef struct pf_http pf_http;
typedef struct pf_request_http pf_http_request;
typedef void (*pf_http_handler)(pf_http_request *request);

enum {
    PF_HTTP_HEADERS = 14,
    PF_HTTP_REQUEST_ID_BYTES = 32
};

typedef enum pf_lane {
    PF_LANE_CREATE,                     /* checks with the engine, writes pictures */
    PF_LANE_DECODE,                     /* looks at pictures */
    PF_LANE_FETCH,                      /* pictures from other hosts, several at a time */
    PF_LANE_EDIT,                       /* short writes to the store */
    PF_LANE_READ,                       /* films from the disk */
    PF_LANES
} pf_lane;

/* What a handler replies with: text, a part of a file, or a stream. */
typedef struct pf_reply {
    int status;                         /* 0: there is none yet */
    const char *type;                   /* Content-Type; static, NULL: no content */
    const void *data;                   /* [bytes] */
    char *owned;                        /* memory of `data`, or NULL */
    size_t bytes;
    int fd;                             /* -1, or the file, closed when sent */
    int64_t offset, file_bytes;         /* of the file: `bytes` from `offset` on */
    /* A stream: fills `out` and returns how much; 0: asleep, -1: the end. */
    ssize_t (*pull)(pf_http_request *request, char *out, size_t room);
    bool close;                         /* the connection ends with it */
    struct {
        const char *name;               /* static */
        char value[384];
    } headers[PF_HTTP_HEADERS];
    int header_count;
} pf_reply;

struct pf_request_http {
    void *app;                          /* the server */
    pf_http *http;
    struct pf_connection *connection;
    pf_waiter waiter;                   /* of this request */
    pf_videos *asleep;                  /* where it waits, or NULL */
    char id[PF_HTTP_REQUEST_ID_BYTES];  /* "req_..." */
    char *text;                         /* the head, of which `head` is made */
    pf_head head;
    const char *method, *path;
    pf_http_handler handler;
    pf_reply reply;

    size_t body_limit;
    char *body;                         /* [body_bytes], readable when handled */
    size_t body_bytes;
    int body_fd;                        /* -1, or where the body lies */
    size_t body_room;
    bool body_mapped;
    int body_range;             /* of base/guard.h, while it is mapped */
    int64_t body_promised;              /* bytes of disk set aside for what is to come */
    int body_error;                     /* errno of writing it, EFBIG: too large */
    bool body_ignored;                  /* it is read, but not kept */

    /* the routes' */
    char owner[PF_OWNER_BYTES];
    char video_id[PF_VIDEO_ID_BYTES];   /* from the path, or "" */
    pf_video *video;                    /* held until the request ends, or NULL */
    uint64_t seen_version, seen_preview;
    char holder[PF_HOLDER_BYTES];       /* of places */
    bool holds[PF_PLACES];
    void *creation;                     /* of create.c, from one lane to the next */
    char *pending;                      /* of a stream; free() */
    size_t pending_bytes, pending_sent;
    bool last;                          /* nothing follows `pending` */
    char spare[640];                    /* a reply that needs no memory */

    bool parked;                        /* in a lane, whose thread has all the rest */
    pf_http_handler deferred;
    pf_turn turn;                       /* in a lane */
};

typedef struct pf_http_options {
    const char *host;                   /* an address, or a name that is one */
    int port;                           /* 0: any free one */
    const char *tls_cert, *tls_key;     /* PEM text, or NULL */
    const char *spool;                  /* folder of large bodies */
    int connections;                    /* at most */
    int client_connections;             /* of one address, that is no proxy's; 0: any */
    double header_seconds;              /* a request's head must be there by then */
    double keep_seconds;                /* that an idle connection is kept, as it is told */
    const char *proxies;                /* addresses, with commas, or NULL; loopback is one */
    /* Called when the head of a request has come: sets `handler` and `body_limit`, or
     * replies. */
    pf_http_handler route;
    /* Called when a reply is there and before it is sent: adds headers. */
    pf_http_handler dress;
    /* Sets bytes of the spool's disk aside for a body, and gives them back when they are
     * written or will not come; false: there are not as many.  Any thread. */
    bool (*promise)(void *app, int64_t bytes);
    void (*redeem)(void *app, int64_t bytes);
    /* Called when a request is over, however it ended. */
    pf_http_handler done;
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
void pf_http_count(pf_http *http, pf_http_counters *out);
/* No new connections; waits up to `seconds` for replies under way, then ends.  All
 * sleepers must have been woken for good (pf_videos_shut). */
void pf_http_close(pf_http *http, double seconds);

/* --- for handlers ----------------------------------------------------------------- */

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

/* The OpenAI error body.  `code` and `param` may be NULL. */
typedef struct pf_http_fault {
    int status;
    const char *code, *param;
    int retry_after;                    /* seconds, 0: do not try again */
} pf_http_fault;
void pf_http_reply_error(pf_http_request *request, const pf_http_fault *fault,
                         const char *format, ...) PF_PRINTF(3, 4);

/* Goes on in a lane, where owners take turns; `request->handler` is called afterwards,
 * unless `work` replies. */
void pf_http_defer(pf_http_request *request, pf_lane lane, pf_http_handler work);
/* Sleeps until request->video has another version than request->seen_version;
 * false when it has now. */
bool pf_http_sleep(pf_http_request *request, pf_videos *videos);

#endif
