/* SPDX-License-Identifier: Apache-2.0 */
/* Inside HTTP: structures and functions that its files share.  For this folder alone.
 *
 *     http.c            listens, runs the loops, closes
 *       connection.c    one connection, from its socket to its end
 *         receive.c     heads and bodies that come
 *         send.c        replies that go
 *           crowd.c     the table of all connections
 *           request.c   one request
 *       lanes.c         threads that may wait
 *
 * Each file calls only those below it.  A connection belongs to one loop (a thread with an
 * event base of libevent), and that thread alone touches it, with two exceptions: others
 * may wake it, and the members of the table are read and written under the lock. */
#ifndef PF_SERVER_HTTP_PARTS_H
#define PF_SERVER_HTTP_PARTS_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/http/address.h"
#include "server/http/chunks.h"
#include "server/http/http.h"

enum {
    PF_HTTP_LOOPS = 3,
    PF_HTTP_BLOCK = 64 << 10            /* of input or a file, in memory */
};

typedef enum pf_phase {
    PF_PHASE_HEAD,                      /* nothing or a part of a head has come */
    PF_PHASE_BODY,
    PF_PHASE_REPLY,                     /* handled, or being sent */
    PF_PHASE_LINGER                     /* the reply is sent; incoming bytes are dropped */
} pf_phase;

typedef struct pf_http_loop pf_http_loop;
typedef struct pf_connection pf_connection;

struct pf_connection {
    pf_http *http;
    pf_http_loop *loop;
    int fd;
    char address[PF_ADDRESS_BYTES];     /* of the other end; "" for this machine */
    bool trusted;                       /* a proxy that may name the client's address */
    int refusal;                        /* 0, or the status that it is sent away with */
    SSL *tls;
    struct bufferevent *stream;
    struct event *resume;
    pf_http_request *request;           /* NULL: between two of them */
    size_t scanned;                     /* bytes of a head that pf_head_find has seen */
    int empty_lines;                    /* before the head */
    pf_chunks chunks;
    int64_t body_left;                  /* bytes of a body of known length to come */
    uint64_t body_bytes;                /* bytes of the body that have come */
    int64_t put;                        /* bytes of the reply's file or data that are in
                                         * the output buffer, or sent */
    bool ended;                         /* the other end sends no more */
    bool dead;                          /* freed as soon as no lane has its request */
    bool whole;                         /* all of the reply is in the output buffer */
    bool chunked;                       /* the reply */
    pf_connection *next, *previous;     /* of the loop */

    /* The table's: under the lock. */
    pf_phase phase;
    double since;                       /* when the phase began */
    bool begun;                         /* bytes of a head have come */
    bool served;                        /* at least one reply was sent */
    bool known;                         /* it has shown a key */
    bool dropped;
    pf_connection *later, *earlier;     /* in the table, which begins with the oldest */
};

struct pf_http_loop {
    pf_http *http;
    struct event_base *base;
    struct event *tick, *news;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;               /* guards the next one */
    pf_connection *arrived;             /* connections that it has not seen, by `next` */
    pf_connection *first;
};

typedef struct pf_http_lane {
    pthread_t threads[PF_TURNS_MOST];
    int started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pf_turns turns;
    bool closing;
} pf_http_lane;

struct pf_http {
    pf_http_options options;
    int port;
    SSL_CTX *tls;                       /* or NULL */
    struct evconnlistener *listener;
    pf_http_loop loops[PF_HTTP_LOOPS];
    unsigned next_loop;
    pf_http_lane lanes[PF_HTTP_LANES];
    atomic_bool closing, ending;
    pthread_mutex_t lock;               /* guards what follows */
    pf_connection *oldest, *newest;
    int open;                           /* that are not dropped */
    int away;                           /* that are sent away */
    pf_http_counters counters;
};

/* --- connection.c: from a socket to its end ---------------------------------------- */

void pf_connection_open(pf_connection *c);
void pf_connection_free(pf_connection *c);
/* Once a second or so: ends a connection that is too slow. */
void pf_connection_check(pf_connection *c, double now);

/* --- receive.c: a request that comes ----------------------------------------------- */

typedef enum pf_receipt {
    PF_RECEIPT_PART,                    /* more has to come */
    PF_RECEIPT_WHOLE,
    PF_RECEIPT_REFUSED,                 /* the request has its reply */
    PF_RECEIPT_NO_MEMORY                /* not even for a reply */
} pf_receipt;

/* The head: makes the connection's request and finds its route; its body follows. */
pf_receipt pf_receive_head(pf_connection *c);
/* The body; PF_RECEIPT_WHOLE: the handler may be called. */
pf_receipt pf_receive_body(pf_connection *c);

/* --- send.c: the reply that goes ---------------------------------------------------- */

typedef enum pf_sending {
    PF_SENDING_PART,                    /* as much as there is room for, or bytes for */
    PF_SENDING_DONE,                    /* all of it is with the system */
    PF_SENDING_BROKEN,                  /* its file ended too early, or cannot be read */
    PF_SENDING_UNREAD                   /* the stream sleeps, and its reader is gone */
} pf_sending;

/* Puts the status line and the headers into the output buffer. */
void pf_send_head(pf_connection *c);
pf_sending pf_send_body(pf_connection *c);

/* --- crowd.c: the table of all connections ------------------------------------------ */

/* Takes the new one in, or sets its refusal; ends others to make room.  False: there is
 * no room even for an answer. */
bool pf_crowd_enter(pf_http *http, pf_connection *c);
void pf_crowd_leave(pf_connection *c);
void pf_crowd_set_phase(pf_connection *c, pf_phase phase);
/* The first bytes of a head have come. */
void pf_crowd_note_begun(pf_connection *c);

/* --- request.c ---------------------------------------------------------------------- */

/* NULL when out of memory. */
pf_http_request *pf_request_new(pf_connection *c);
/* Ends the connection's request, if there is one. */
void pf_request_end(pf_connection *c);

/* --- lanes.c ------------------------------------------------------------------------ */

pf_status pf_lanes_start(pf_http *http, pf_error *error);
void pf_lanes_close(pf_http *http);

#endif
