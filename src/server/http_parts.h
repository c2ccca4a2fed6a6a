/* SPDX-License-Identifier: Apache-2.0 */
/* Inside HTTP: what its files share.  For http.c, connection.c, send.c, crowd.c and
 * lanes.c alone.
 *
 * A connection belongs to one loop (a thread with an event base of libevent), and that
 * thread alone touches it, with two exceptions: others may wake it, and what the table of
 * all connections says is read and written under the lock. */
#ifndef PF_SERVER_HTTP_PARTS_H
#define PF_SERVER_HTTP_PARTS_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/address.h"
#include "server/chunks.h"
#include "server/http.h"

enum {
    PF_HTTP_LOOPS = 3,
    PF_HTTP_BLOCK = 64 << 10            /* of input or a file, in memory */
};

typedef enum pf_phase {
    PF_PHASE_HEAD,                      /* nothing or a part of a head has come */
    PF_PHASE_BODY,
    PF_PHASE_REPLY,                     /* handled, or being sent */
    PF_PHASE_LINGER                     /* the reply is sent: what comes is thrown away */
} pf_phase;

typedef struct pf_http_loop pf_http_loop;
typedef struct pf_connection pf_connection;

struct pf_connection {
    pf_http *http;
    pf_http_loop *loop;
    int fd;
    char address[PF_ADDRESS_BYTES];     /* of the other end; "" for this machine */
    bool trusted;                       /* what a proxy there tells */
    int refusal;                        /* 0, or the status that it is sent away with */
    SSL *tls;
    struct bufferevent *stream;
    struct event *resume;
    pf_http_request *request;           /* NULL: between two of them */
    size_t scanned;                     /* of a head */
    int empty_lines;                    /* before it */
    pf_chunks chunks;
    int64_t body_left;
    uint64_t body_bytes;
    int64_t put;                        /* of the reply's file or data */
    bool ended;                         /* the other end sends no more */
    bool dead;                          /* it goes as soon as no lane has its request */
    bool whole;                         /* all of the reply is on its way */
    bool chunked;                       /* the reply */
    pf_connection *next, *previous;     /* of the loop */

    /* The table's: under the lock. */
    pf_phase phase;
    double since;                       /* when the phase began */
    bool begun;                         /* bytes of a head have come */
    bool served;                        /* it has had a reply */
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
    pf_http *http;
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
    pf_http_lane lanes[PF_LANES];
    atomic_bool closing, ending;
    pthread_mutex_t lock;               /* guards what follows */
    pf_connection *oldest, *newest;
    int open;                           /* that are not dropped */
    int away;                           /* that are sent away */
    pf_http_counters counters;
};

/* Of connection.c: from a socket to its end. */
void pf_connection_open(pf_connection *c);
void pf_connection_free(pf_connection *c);
/* The other end is gone, or has to go: frees it, now or when a lane is done with it. */
void pf_connection_give_up(pf_connection *c);
/* As soon as nobody is in the middle of it. */
void pf_connection_condemn(pf_connection *c);
/* Once a second or so: whether it is too slow. */
void pf_connection_check(pf_connection *c, double now);
/* From any thread: its loop goes on with the request. */
void pf_connection_wake(pf_connection *c);
/* The reply is sent: the next request, or the end. */
void pf_connection_finish(pf_connection *c);
void pf_connection_enter(pf_connection *c, pf_phase phase);

/* Of send.c: the reply that the request has. */
void pf_send_begin(pf_connection *c);
/* As much of it as there is room for. */
void pf_send_more(pf_connection *c);

/* Of crowd.c: the table of all connections. */
/* Takes the new one in, or sets its refusal; ends others to make room.  False: there is
 * no room even for an answer. */
bool pf_crowd_enter(pf_http *http, pf_connection *c);
void pf_crowd_leave(pf_connection *c);

/* Of lanes.c. */
pf_status pf_lanes_start(pf_http *http, pf_error *error);
void pf_lanes_close(pf_http *http);

#endif
