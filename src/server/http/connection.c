/* SPDX-License-Identifier: Apache-2.0 */
/* A connection, from a socket to its end.  Everything here runs in the thread of the
 * connection's loop.
 *
 *     open -> HEAD -> BODY -> REPLY -> HEAD ...          kept for the next request
 *                               |
 *                               `-> LINGER -> free       closed by us
 *
 * pf_receive_head and pf_receive_body move it on as bytes come, pf_send_body as room in
 * the output buffer comes, on_resume when a lane or a sleeper is done, and
 * pf_connection_check when time passes.  A connection whose request a lane has is only
 * marked dead, and freed when the lane gives the request back. */
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "server/http/parts.h"

enum {
    BODY_RATE = 8 << 10,                /* bytes a second of a body, on average, after a grace */
    READER_RATE = 1 << 10,              /* bytes a second that a client must take of a reply */
    STALLED_SECONDS = 60,               /* in which a client takes nothing of the reply */
    KEEP_GRACE = 5,                     /* seconds beyond keep_seconds */
    REFUSED_SECONDS = 1,
    LINGER_SECONDS = 5
};

static void read_more(pf_connection *c);

/* --- the end ---------------------------------------------------------------------- */

/* Tells the other end of a TLS connection that it ends, so that nothing seems cut off. */
static void say_goodbye(pf_connection *c)
{
    if (c->tls && SSL_is_init_finished(c->tls)) {
        SSL_set_shutdown(c->tls, SSL_RECEIVED_SHUTDOWN);
        SSL_shutdown(c->tls);
        ERR_clear_error();
    }
}

void pf_connection_free(pf_connection *c)
{
    if (c->previous)
        c->previous->next = c->next;
    else if (c->loop->first == c)
        c->loop->first = c->next;
    if (c->next)
        c->next->previous = c->previous;
    pf_request_end(c);
    pf_crowd_leave(c);
    if (c->resume)
        event_free(c->resume);
    if (c->stream)
        bufferevent_free(c->stream);    /* closes the socket */
    else
        close(c->fd);
    pf_free(c);
}

/* The other end is gone, or has to go: frees the connection, now or when a lane is done
 * with its request. */
static void give_up(pf_connection *c)
{
    pf_http_request *request = c->request;
    if (request && request->parked) {   /* freed when the lane gives it back */
        c->dead = true;
        bufferevent_disable(c->stream, EV_READ | EV_WRITE);
        return;
    }
    pf_connection_free(c);
}

/* Gives up a connection that is too slow. */
static void drop(pf_connection *c)
{
    pthread_mutex_lock(&c->http->lock);
    c->http->counters.dropped++;
    pthread_mutex_unlock(&c->http->lock);
    give_up(c);
}

/* Frees the connection as soon as its callers have returned. */
static void condemn(pf_connection *c)
{
    c->dead = true;
    bufferevent_disable(c->stream, EV_READ | EV_WRITE);
    event_active(c->resume, 0, 0);
}

/* Closes the sending half, and waits a moment for the other end to close: a socket that is
 * closed while bytes lie unread is reset, and the reply is lost with it. */
static void linger(pf_connection *c)
{
    say_goodbye(c);
    if (c->ended || shutdown(c->fd, SHUT_WR) != 0) {
        pf_connection_free(c);
        return;
    }
    pf_crowd_set_phase(c, PF_PHASE_LINGER);
    read_more(c);
}

/* The reply is sent: waits for the next request, or ends the connection. */
static void finish(pf_connection *c)
{
    bool close = c->request->reply.close;
    pf_request_end(c);
    if (close) {
        linger(c);
        return;
    }
    pf_crowd_set_phase(c, PF_PHASE_HEAD);
    c->scanned = 0;
    c->empty_lines = 0;
    read_more(c);
}

/* --- replying --------------------------------------------------------------------- */

static void send_more(pf_connection *c)
{
    switch (pf_send_body(c)) {
    case PF_SENDING_PART: return;
    case PF_SENDING_DONE: finish(c); return;
    case PF_SENDING_BROKEN: condemn(c); return;     /* its length was told */
    case PF_SENDING_UNREAD: give_up(c); return;
    }
}

static void begin_reply(pf_connection *c)
{
    pf_crowd_set_phase(c, PF_PHASE_REPLY);
    pf_send_head(c);
    send_more(c);
}

/* --- handling --------------------------------------------------------------------- */

static void handle(pf_connection *c)
{
    pf_http_request *request = c->request;
    request->parked = false;
    request->asleep = false;
    if (request->reply.status == 0)
        request->handler(request);
    if (request->parked)
        return;                         /* the request is the lane's now */
    /* Without a reply the request is asleep, and handled again when it is woken; for a
     * client that has closed its end nobody waits. */
    if (request->reply.status != 0)
        begin_reply(c);
    else if (c->ended)
        give_up(c);
}

static void on_resume(evutil_socket_t fd, short what, void *user)
{
    pf_connection *c = user;
    pf_http_request *request = c->request;
    (void)fd;
    (void)what;
    if (c->dead) {
        pf_connection_free(c);
    } else if (request && request->reply.pull) {
        request->asleep = false;
        send_more(c);
    } else if (request) {
        handle(c);
    }
}

/* --- what libevent tells ---------------------------------------------------------- */

/* False when there is no head yet, or there will be none. */
static bool read_head(pf_connection *c)
{
    switch (pf_receive_head(c)) {
    case PF_RECEIPT_WHOLE:
        pf_crowd_set_phase(c, PF_PHASE_BODY);
        return true;
    case PF_RECEIPT_PART:
        if (c->ended)
            give_up(c);
        return false;
    case PF_RECEIPT_REFUSED:
        begin_reply(c);
        return false;
    case PF_RECEIPT_NO_MEMORY:
        condemn(c);
        return false;
    }
    return false;
}

static void read_body(pf_connection *c)
{
    if (pf_receive_body(c) != PF_RECEIPT_PART) {
        pf_crowd_set_phase(c, PF_PHASE_REPLY);
        handle(c);
    } else if (c->ended) {
        give_up(c);
    }
}

/* Takes the bytes that have come, as far as the phase allows. */
static void read_more(pf_connection *c)
{
    struct evbuffer *in = bufferevent_get_input(c->stream);
    if (c->dead)
        return;
    if (c->phase == PF_PHASE_LINGER)
        evbuffer_drain(in, evbuffer_get_length(in));
    else if (c->phase == PF_PHASE_BODY || (c->phase == PF_PHASE_HEAD && read_head(c)))
        read_body(c);
}

static void on_readable(struct bufferevent *stream, void *user)
{
    (void)stream;
    read_more(user);
}

static void on_written(struct bufferevent *stream, void *user)
{
    pf_connection *c = user;
    (void)stream;
    pf_http_request *request = c->request;
    bool sending = !c->dead && c->phase == PF_PHASE_REPLY && request &&
                   !request->parked && request->reply.status != 0;
    if (sending && !request->asleep)
        send_more(c);
}

/* The other end sends no more.  A reply that is on its way goes on; a request that is
 * asleep ends. */
static void on_end(pf_connection *c)
{
    pf_http_request *request = c->request;
    c->ended = true;
    if (c->phase == PF_PHASE_LINGER || (request && !request->parked && request->asleep)) {
        give_up(c);
        return;
    }
    if (c->phase == PF_PHASE_REPLY)
        return;
    read_more(c);
}

static void on_event(struct bufferevent *stream, short what, void *user)
{
    pf_connection *c = user;
    (void)stream;
    if (what & BEV_EVENT_CONNECTED)
        return;                         /* the handshake of TLS */
    if (what & BEV_EVENT_TIMEOUT)
        drop(c);
    else if ((what & BEV_EVENT_EOF) && !(what & BEV_EVENT_ERROR))
        on_end(c);
    else
        give_up(c);
    ERR_clear_error();
}

/* --- the beginning ---------------------------------------------------------------- */

static bool make_stream(pf_connection *c)
{
    struct event_base *base = c->loop->base;
    if (c->http->tls) {
        c->tls = SSL_new(c->http->tls);
        if (c->tls)
            c->stream = bufferevent_openssl_socket_new(
                base, c->fd, c->tls, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
        if (c->stream)
            bufferevent_openssl_set_allow_dirty_shutdown(c->stream, 1);
    } else {
        c->stream = bufferevent_socket_new(base, c->fd, BEV_OPT_CLOSE_ON_FREE);
    }
    c->resume = event_new(base, -1, 0, on_resume, c);
    return c->stream && c->resume;
}

/* Answers a connection for which there is no room, and ends it. */
static void send_away(pf_connection *c)
{
    c->request = c->tls ? NULL : pf_request_new(c);
    if (!c->request) {
        pf_connection_free(c);
        return;
    }
    bool crowded = c->refusal == 503;
    pf_http_reply_error(
        c->request,
        &(pf_http_fault){c->refusal, crowded ? "busy" : "too_many_connections", NULL, 5},
        crowded ? "the server has as many connections as it takes"
                : "there are too many connections from this address");
    c->request->reply.close = true;
    pf_crowd_set_phase(c, PF_PHASE_REPLY);
    begin_reply(c);
}

void pf_connection_open(pf_connection *c)
{
    static const struct timeval stalled = {.tv_sec = STALLED_SECONDS};
    c->next = c->loop->first;
    c->previous = NULL;
    if (c->next)
        c->next->previous = c;
    c->loop->first = c;
    if (!make_stream(c)) {
        pf_connection_free(c);
        return;
    }
    bufferevent_setcb(c->stream, on_readable, on_written, on_event, c);
    bufferevent_setwatermark(c->stream, EV_READ, 0, PF_HTTP_BLOCK);
    bufferevent_set_max_single_read(c->stream, PF_HTTP_BLOCK);
    bufferevent_set_max_single_write(c->stream, 4 * PF_HTTP_BLOCK);
    bufferevent_set_timeouts(c->stream, NULL, &stalled);
    bufferevent_enable(c->stream, EV_READ | EV_WRITE);
    if (c->refusal != 0)
        send_away(c);
}

/* --- time ------------------------------------------------------------------------- */

static bool reader_is_slow(const pf_connection *c, double age)
{
    const pf_http_request *request = c->request;
    if (!request || request->parked || request->reply.status == 0 || request->reply.pull)
        return false;
    size_t waiting = evbuffer_get_length(bufferevent_get_output(c->stream));
    double taken = (double)c->put - (double)waiting;
    return age > STALLED_SECONDS + taken / READER_RATE;
}

void pf_connection_check(pf_connection *c, double now)
{
    const pf_http_options *o = &c->http->options;
    double age = now - c->since, grace = o->header_seconds;
    bool idle = c->phase == PF_PHASE_HEAD && c->served && !c->begun;
    if (c->dead)
        return;
    if (c->phase == PF_PHASE_LINGER &&
        age > (c->refusal ? REFUSED_SECONDS : LINGER_SECONDS))
        pf_connection_free(c);
    else if (idle && (age > o->keep_seconds + KEEP_GRACE || atomic_load(&c->http->closing)))
        give_up(c);
    else if ((c->phase == PF_PHASE_HEAD && !idle && age > grace) ||
             (c->phase == PF_PHASE_BODY &&
              age > grace + (double)c->body_bytes / BODY_RATE) ||
             (c->phase == PF_PHASE_REPLY && reader_is_slow(c, age)))
        drop(c);
}
