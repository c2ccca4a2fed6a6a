/* SPDX-License-Identifier: Apache-2.0 */
/* A connection, from a socket to its end: heads, bodies, handlers, replies.  Everything
 * here runs in the thread of the connection's loop.  See http_parts.h. */
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "server/body.h"
#include "server/http_parts.h"

enum {
    EMPTY_LINES = 2,                    /* before a request, as some clients send them */
    BODY_RATE = 8 << 10,                /* bytes a second, on average, after a grace */
    READER_RATE = 1 << 10,              /* of a client that takes a reply */
    STALLED_SECONDS = 60,               /* without a byte of the reply being taken */
    KEEP_GRACE = 5,                     /* seconds beyond what an idle one is told */
    REFUSED_SECONDS = 1,
    LINGER_SECONDS = 5
};

static void read_on(pf_connection *c);

void pf_connection_enter(pf_connection *c, pf_phase phase)
{
    pthread_mutex_lock(&c->http->lock);
    c->served = c->served || c->phase == PF_PHASE_REPLY;
    c->phase = phase;
    c->begun = false;
    c->since = pf_seconds();
    pthread_mutex_unlock(&c->http->lock);
}

/* --- requests --------------------------------------------------------------------- */

void pf_connection_wake(pf_connection *c)
{
    event_active(c->resume, 0, 0);
}

static pf_http_request *request_of(pf_waiter *waiter)
{
    return (void *)((char *)waiter - offsetof(pf_http_request, waiter));
}

static void wake(pf_waiter *waiter)
{
    pf_connection_wake(request_of(waiter)->connection);
}

/* A client that has closed its end, even if only to say that it sends no more. */
static bool is_gone(pf_waiter *waiter)
{
    struct pollfd end = {.fd = request_of(waiter)->connection->fd, .events = POLLRDHUP};
    return poll(&end, 1, 0) > 0;
}

bool pf_http_sleep(pf_http_request *request, pf_videos *videos)
{
    request->asleep = videos;
    bool sleeps = pf_videos_wait(videos, request->video, request->seen_version,
                                 &request->waiter);
    if (!sleeps)
        request->asleep = NULL;
    return sleeps;
}

static pf_http_request *new_request(pf_connection *c)
{
    uint8_t noise[12];
    pf_http_request *request = pf_calloc(1, sizeof *request);
    if (!request)
        return NULL;
    if (!pf_random_bytes(noise, sizeof noise))
        memset(noise, 0, sizeof noise);
    memcpy(request->id, "req_", 4);
    pf_hex_encode(noise, sizeof noise, request->id + 4);
    request->app = c->http->options.app;
    request->http = c->http;
    request->connection = c;
    request->waiter = (pf_waiter){.wake = wake, .is_gone = is_gone};
    request->method = "";
    request->path = "/";
    request->body_fd = -1;
    request->reply.fd = -1;
    return request;
}

static void end_request(pf_connection *c)
{
    pf_http_request *request = c->request;
    c->request = NULL;
    if (!request)
        return;
    c->http->options.done(request);
    pf_body_free(request, &c->http->options);
    if (request->reply.fd >= 0)
        close(request->reply.fd);
    free(request->reply.owned);
    free(request->pending);
    pf_free(request->text);
    pf_free(request);
}

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
    end_request(c);
    pf_crowd_leave(c);
    if (c->resume)
        event_free(c->resume);
    if (c->stream)
        bufferevent_free(c->stream);    /* closes the socket */
    else
        close(c->fd);
    pf_free(c);
}

void pf_connection_give_up(pf_connection *c)
{
    pf_http_request *request = c->request;
    if (request && request->parked) {   /* a lane has it: later, then */
        c->dead = true;
        bufferevent_disable(c->stream, EV_READ | EV_WRITE);
        return;
    }
    if (request && request->asleep)
        pf_videos_forget(request->asleep, request->video, &request->waiter);
    pf_connection_free(c);
}

static void drop(pf_connection *c)
{
    pthread_mutex_lock(&c->http->lock);
    c->http->counters.dropped++;
    pthread_mutex_unlock(&c->http->lock);
    pf_connection_give_up(c);
}

void pf_connection_condemn(pf_connection *c)
{
    c->dead = true;
    bufferevent_disable(c->stream, EV_READ | EV_WRITE);
    pf_connection_wake(c);
}

/* A socket that is closed while bytes lie unread is reset, and the reply with it.  So it
 * only says that nothing more comes, and waits a moment for the other end. */
static void linger(pf_connection *c)
{
    say_goodbye(c);
    if (c->ended || shutdown(c->fd, SHUT_WR) != 0) {
        pf_connection_free(c);
        return;
    }
    pf_connection_enter(c, PF_PHASE_LINGER);
    read_on(c);
}

void pf_connection_finish(pf_connection *c)
{
    bool close = c->request->reply.close;
    end_request(c);
    if (close) {
        linger(c);
        return;
    }
    pf_connection_enter(c, PF_PHASE_HEAD);
    c->scanned = 0;
    c->empty_lines = 0;
    read_on(c);
}

/* --- handling --------------------------------------------------------------------- */

static void handle(pf_connection *c)
{
    pf_http_request *request = c->request;
    request->parked = false;
    request->asleep = NULL;
    if (request->reply.status == 0)
        request->handler(request);
    if (request->parked)
        return;                         /* nothing of it may be touched now */
    /* Without a reply it sleeps, and comes here again; nobody waits for one that has
     * closed its end. */
    if (request->reply.status != 0)
        pf_send_begin(c);
    else if (c->ended)
        pf_connection_give_up(c);
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
        request->asleep = NULL;
        pf_send_more(c);
    } else if (request) {
        handle(c);
    }
}

/* --- heads ------------------------------------------------------------------------ */

static bool length_is_sound(pf_http_request *request)
{
    if (request->head.length <= (int64_t)request->body_limit) {
        if (request->head.length > 0)
            pf_body_expect(request, &request->http->options,
                           (uint64_t)request->head.length);
        return true;
    }
    pf_http_reply_error(request, &(pf_http_fault){413, "too_large", NULL, 0},
                        "the body has %lld bytes, but this request takes at most %zu",
                        (long long)request->head.length, request->body_limit);
    return false;
}

/* A body that was compressed says nothing to us. */
static bool coding_is_sound(pf_http_request *request)
{
    const char *coding = pf_http_header(request, "Content-Encoding");
    if (!coding || strcasecmp(coding, "identity") == 0)
        return true;
    pf_http_reply_error(request,
                        &(pf_http_fault){415, "media_type", "Content-Encoding", 0},
                        "Content-Encoding is \"%.40s\", but bodies are taken as they "
                        "are", coding);
    return false;
}

static void refuse(pf_http_request *request, const pf_head_fault *fault)
{
    const char *code = fault->status == 400 || fault->status == 417 ? "malformed_request"
                       : fault->status == 505                       ? "http_version"
                                                                    : "too_large";
    pf_http_reply_error(request, &(pf_http_fault){fault->status, code, fault->param, 0},
                        "%s", fault->message);
    request->reply.close = true;
}

/* The request of a head, checked and on its way to a handler, or with its reply. */
static void take_head(pf_connection *c, size_t length)
{
    pf_http_request *request = c->request;
    pf_head_fault fault = {0};
    request->text = pf_alloc(length + 1);
    if (!request->text) {
        pf_connection_condemn(c);
        return;
    }
    bufferevent_read(c->stream, request->text, length);
    request->text[length] = '\0';
    bool sound = pf_head_parse(request->text, length, &request->head, &fault);
    request->method = request->head.method;
    request->path = request->head.path;
    bool has_body = request->head.chunked || request->head.length > 0;
    if (sound)
        c->http->options.route(request);
    else
        refuse(request, &fault);
    if (sound && request->reply.status == 0 && coding_is_sound(request))
        length_is_sound(request);
    if (request->reply.status != 0) {
        request->reply.close = request->reply.close || has_body;    /* it is never read */
        pf_send_begin(c);
        return;
    }
    pf_connection_enter(c, PF_PHASE_BODY);
    c->body_left = request->head.length > 0 ? request->head.length : 0;
    c->body_bytes = 0;
    c->chunks = (pf_chunks){.done = false};
    if (request->head.expects && has_body)
        evbuffer_add_printf(bufferevent_get_output(c->stream),
                            "HTTP/1.1 100 Continue\r\n\r\n");
}

/* The empty lines that some clients send after a body. */
static void skip_empty_lines(pf_connection *c, struct evbuffer *in)
{
    char line[2];
    while (c->scanned == 0 && c->empty_lines < EMPTY_LINES &&
           evbuffer_copyout(in, line, 2) == 2 && memcmp(line, "\r\n", 2) == 0) {
        evbuffer_drain(in, 2);
        c->empty_lines++;
    }
}

static void note_beginning(pf_connection *c)
{
    pthread_mutex_lock(&c->http->lock);
    if (!c->begun && c->served)
        c->since = pf_seconds();
    c->begun = true;
    pthread_mutex_unlock(&c->http->lock);
}

/* True when there was a head, or what can be none. */
static bool read_head(pf_connection *c)
{
    struct evbuffer *in = bufferevent_get_input(c->stream);
    pf_head_fault fault;
    skip_empty_lines(c, in);
    size_t bytes = evbuffer_get_length(in);
    if (bytes == 0)
        return false;
    if (!c->begun)
        note_beginning(c);
    const char *text = (const char *)evbuffer_pullup(in, -1);
    int64_t length = text ? pf_head_find(text, bytes, &c->scanned, &fault) : 0;
    if (length == 0)
        return false;
    c->request = new_request(c);
    if (!c->request) {
        pf_connection_condemn(c);
        return false;
    }
    if (length > 0) {
        take_head(c, (size_t)length);
        return true;
    }
    refuse(c->request, &fault);
    pf_send_begin(c);
    return true;
}

/* --- bodies ----------------------------------------------------------------------- */

static void take_body(pf_connection *c, const char *data, size_t bytes)
{
    c->body_bytes += bytes;
    pf_body_take(c->request, &c->http->options, data, bytes);
}

/* The next piece of a body in chunks; false after what can be none. */
static bool take_chunk(pf_connection *c, const char *text, size_t bytes, size_t *used)
{
    const char *data = NULL;
    size_t data_bytes = 0;
    ssize_t read = pf_chunks_read(&c->chunks, text, bytes, &data, &data_bytes);
    if (read < 0) {
        pf_head_fault fault = {400, "Transfer-Encoding", "a chunk of the body is malformed"};
        refuse(c->request, &fault);
        return false;
    }
    if (data_bytes > 0)
        take_body(c, data, data_bytes);
    *used = (size_t)read;
    return true;
}

static bool body_is_whole(const pf_connection *c)
{
    return c->request->head.chunked ? c->chunks.done : c->body_left == 0;
}

/* Bodies that are not wanted are read all the same: not every client sees an answer that
 * comes while it sends, but not for ever. */
static bool body_is_endless(const pf_connection *c)
{
    return c->request->body_bytes > 2 * c->request->body_limit + PF_BODY_SPILL;
}

/* True when it is whole, or will never be: then there is a handler to call, or a reply. */
static bool read_body(pf_connection *c)
{
    struct evbuffer *in = bufferevent_get_input(c->stream);
    pf_http_request *request = c->request;
    while (!body_is_whole(c) && !body_is_endless(c)) {
        size_t bytes = evbuffer_get_contiguous_space(in), used;
        const char *text = bytes ? (const char *)evbuffer_pullup(in, (ssize_t)bytes) : NULL;
        if (!text)
            return false;
        if (!request->head.chunked) {
            used = (int64_t)bytes < c->body_left ? bytes : (size_t)c->body_left;
            c->body_left -= (int64_t)used;
            take_body(c, text, used);
        } else if (!take_chunk(c, text, bytes, &used)) {
            return true;
        }
        evbuffer_drain(in, used);
    }
    pf_body_finish(request);
    return true;
}

/* --- what libevent tells ---------------------------------------------------------- */

/* Goes on with what has come, as far as it goes. */
static void read_on(pf_connection *c)
{
    struct evbuffer *in = bufferevent_get_input(c->stream);
    if (c->dead)
        return;
    if (c->phase == PF_PHASE_LINGER) {
        evbuffer_drain(in, evbuffer_get_length(in));
        return;
    }
    if (c->phase == PF_PHASE_HEAD && !read_head(c) && c->request == NULL && c->ended) {
        pf_connection_give_up(c);
        return;
    }
    if (c->phase != PF_PHASE_BODY)
        return;
    if (read_body(c)) {
        pf_connection_enter(c, PF_PHASE_REPLY);
        handle(c);
    } else if (c->ended) {
        pf_connection_give_up(c);
    }
}

static void on_readable(struct bufferevent *stream, void *user)
{
    (void)stream;
    read_on(user);
}

static void on_written(struct bufferevent *stream, void *user)
{
    pf_connection *c = user;
    (void)stream;
    pf_http_request *request = c->request;
    bool sending = !c->dead && c->phase == PF_PHASE_REPLY && request &&
                   !request->parked && request->reply.status != 0;
    if (sending && !request->asleep)
        pf_send_more(c);
}

/* The other end sends no more.  A reply that is on its way goes on; nobody waits for a
 * film any longer. */
static void on_end(pf_connection *c)
{
    pf_http_request *request = c->request;
    c->ended = true;
    if (c->phase == PF_PHASE_LINGER || (request && !request->parked && request->asleep)) {
        pf_connection_give_up(c);
        return;
    }
    if (c->phase == PF_PHASE_REPLY)
        return;
    read_on(c);
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
        pf_connection_give_up(c);
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

/* There is no room for it: an answer, and the end. */
static void send_away(pf_connection *c)
{
    c->request = c->tls ? NULL : new_request(c);
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
    pf_connection_enter(c, PF_PHASE_REPLY);
    pf_send_begin(c);
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
        pf_connection_give_up(c);
    else if ((c->phase == PF_PHASE_HEAD && !idle && age > grace) ||
             (c->phase == PF_PHASE_BODY &&
              age > grace + (double)c->body_bytes / BODY_RATE) ||
             (c->phase == PF_PHASE_REPLY && reader_is_slow(c, age)))
        drop(c);
}
