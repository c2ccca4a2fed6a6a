/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP: opening, listening, loops, closing.  See http.h.
 *
 *     listener (loop 0) --- a new connection, by `arrived` and the event `news` ---> loop i
 *     loop i: on_news opens its connections; on_tick, four times a second, ends slow ones
 */
#include <errno.h>
#include <event2/thread.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/memory.h"
#include "server/http/parts.h"
#include "server/http/slice.h"
#include "server/http/tls.h"

enum {
    TICK_NS = 250 * 1000 * 1000,
    SLICE_NS = 200 * 1000               /* a request takes less processor time */
};

void pf_http_count(pf_http *http, pf_http_counters *out)
{
    pthread_mutex_lock(&http->lock);
    *out = http->counters;
    out->connections = http->open;
    pthread_mutex_unlock(&http->lock);
}

/* --- listening -------------------------------------------------------------------- */

static pf_status open_socket(const pf_http_options *o, int *out, pf_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char port[12];
    snprintf(port, sizeof port, "%d", o->port);
    int code = getaddrinfo(o->host, port, &hints, &found);
    if (code != 0)
        return pf_fail(error, PF_E_ARGUMENT, "host is \"%s\", but must be an address: %s",
                       o->host, gai_strerror(code));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, reason = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1024) != 0)
        reason = errno;
    freeaddrinfo(found);
    if (reason == 0) {
        *out = fd;
        return PF_OK;
    }
    if (fd >= 0)
        close(fd);
    return pf_fail_errno(error, reason, "cannot listen on %s port %d", o->host, o->port);
}

/* --- loops ------------------------------------------------------------------------ */

/* A new connection, on its way to a loop. */
static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
                      struct sockaddr *from, int bytes, void *user)
{
    pf_http *http = user;
    pf_address address;
    pf_connection *c = pf_calloc(1, sizeof *c);
    int on = 1;
    (void)listener;
    (void)bytes;
    if (!c) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->http = http;
    c->fd = fd;
    c->trusted = true;                  /* a socket of this machine */
    if (pf_address_of(from, &address)) {
        pf_address_name(&address, c->address);
        c->trusted = pf_address_is_loopback(&address) ||
                     pf_address_is_listed(&address, http->options.proxies);
    }
    c->loop = &http->loops[http->next_loop++ % PF_HTTP_LOOPS];
    if (!pf_crowd_enter(http, c)) {
        pf_free(c);
        close(fd);
        return;
    }
    pthread_mutex_lock(&c->loop->lock);
    c->next = c->loop->arrived;
    c->loop->arrived = c;
    pthread_mutex_unlock(&c->loop->lock);
    event_active(c->loop->news, 0, 0);
}

/* The system gives no more files.  Listening stops until the next tick: libevent would call
 * again at once. */
static void on_accept_failure(struct evconnlistener *listener, void *user)
{
    (void)user;
    evconnlistener_disable(listener);
}

static pf_connection *take_arrived(pf_http_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    pf_connection *arrived = loop->arrived;
    loop->arrived = NULL;
    pthread_mutex_unlock(&loop->lock);
    return arrived;
}

static void on_news(evutil_socket_t fd, short what, void *user)
{
    pf_http_loop *loop = user;
    (void)fd;
    (void)what;
    pf_connection *next, *c = take_arrived(loop);
    for (; c; c = next) {
        next = c->next;
        pf_connection_open(c);
    }
    if (atomic_load(&loop->http->ending))
        event_base_loopbreak(loop->base);
}

static void on_tick(evutil_socket_t fd, short what, void *user)
{
    pf_http_loop *loop = user;
    pf_http *http = loop->http;
    double now = pf_seconds();
    (void)fd;
    (void)what;
    for (pf_connection *next, *c = loop->first; c; c = next) {
        next = c->next;
        pf_connection_check(c, now);
    }
    if (loop != &http->loops[0])
        return;
    if (atomic_load(&http->closing))
        evconnlistener_disable(http->listener);
    else
        evconnlistener_enable(http->listener);
}

static void *run_loop(void *argument)
{
    pf_http_loop *loop = argument;
    sigset_t all;
    sigfillset(&all);                   /* also SIGPIPE: write() then fails with EPIPE */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "http");
    event_base_dispatch(loop->base);
    return NULL;
}

static bool open_loop(pf_http *http, pf_http_loop *loop)
{
    static const struct timeval tick = {.tv_usec = TICK_NS / 1000};
    loop->http = http;
    pthread_mutex_init(&loop->lock, NULL);
    loop->base = event_base_new();
    if (!loop->base)
        return false;
    loop->news = event_new(loop->base, -1, 0, on_news, loop);
    loop->tick = event_new(loop->base, -1, EV_PERSIST, on_tick, loop);
    return loop->news && loop->tick && event_add(loop->tick, &tick) == 0;
}

static pf_status open_loops(pf_http *http, pf_error *error)
{
    bool complete = evthread_use_pthreads() == 0;
    for (int i = 0; i < PF_HTTP_LOOPS; i++)
        complete = open_loop(http, &http->loops[i]) && complete;
    return complete ? PF_OK : pf_fail(error, PF_E_MEMORY, "the web server does not start");
}

static pf_status start_loops(pf_http *http, pf_error *error)
{
    bool complete = true;
    pf_slice_ask(SLICE_NS);
    for (int i = 0; i < PF_HTTP_LOOPS && complete; i++) {
        pf_http_loop *loop = &http->loops[i];
        loop->started = !pf_fault_hit(PF_FAULT_THREAD) &&
                        pthread_create(&loop->thread, NULL, run_loop, loop) == 0;
        complete = loop->started;
    }
    pf_slice_ask(0);
    return complete ? PF_OK
                    : pf_fail(error, PF_E_MEMORY, "a thread of the server does not start");
}

/* --- opening and closing ---------------------------------------------------------- */

static pf_status listen_on(pf_http *http, int fd, pf_error *error)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    char port[12] = "0";
    if (getsockname(fd, (struct sockaddr *)&address, &bytes) == 0)
        getnameinfo((struct sockaddr *)&address, bytes, NULL, 0, port, sizeof port,
                    NI_NUMERICSERV);
    http->port = (int)strtol(port, NULL, 10);
    http->listener = evconnlistener_new(http->loops[0].base, on_accept, http,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!http->listener) {
        close(fd);
        return pf_fail(error, PF_E_MEMORY, "the web server does not start");
    }
    evconnlistener_set_error_cb(http->listener, on_accept_failure);
    return PF_OK;
}

static pf_status open_parts(pf_http *http, pf_error *error)
{
    int fd = -1;
    const pf_http_options *o = &http->options;
    if (o->tls_cert)
        PF_TRY(pf_tls_open(o->tls_cert, o->tls_key, &http->tls, error));
    PF_TRY(open_loops(http, error));
    PF_TRY(open_socket(&http->options, &fd, error));
    PF_TRY(listen_on(http, fd, error));
    PF_TRY(pf_lanes_start(http, error));
    return start_loops(http, error);
}

pf_status pf_http_open(const pf_http_options *options, pf_http **out, pf_error *error)
{
    *out = NULL;
    pf_http *http = pf_calloc(1, sizeof *http);
    if (!http)
        return pf_fail_memory(error, "http", sizeof *http);
    http->options = *options;
    pthread_mutex_init(&http->lock, NULL);
    pf_status status = open_parts(http, error);
    if (status != PF_OK) {
        pf_http_close(http, 0);
        return status;
    }
    *out = http;
    return PF_OK;
}

int pf_http_port(const pf_http *http)
{
    return http->port;
}

/* Counts connections that are in the middle of a reply. */
static int replies_under_way(pf_http *http)
{
    int count = 0;
    pthread_mutex_lock(&http->lock);
    for (pf_connection *c = http->oldest; c; c = c->later)
        count += c->phase == PF_PHASE_REPLY;
    pthread_mutex_unlock(&http->lock);
    return count;
}

static void close_loop(pf_http_loop *loop)
{
    if (!loop->http)
        return;
    if (loop->started) {
        event_active(loop->news, 0, 0);
        pthread_join(loop->thread, NULL);
    }
    for (pf_connection *next, *c = take_arrived(loop); c; c = next) {
        next = c->next;
        c->next = c->previous = NULL;
        pf_connection_free(c);
    }
    while (loop->first)
        pf_connection_free(loop->first);
    if (loop->news)
        event_free(loop->news);
    if (loop->tick)
        event_free(loop->tick);
    pthread_mutex_destroy(&loop->lock);
}

void pf_http_close(pf_http *http, double seconds)
{
    double end = pf_seconds() + seconds;
    atomic_store(&http->closing, true);
    pf_lanes_close(http);
    while (replies_under_way(http) > 0 && pf_seconds() < end)
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    atomic_store(&http->ending, true);
    for (int i = 0; i < PF_HTTP_LOOPS; i++)
        close_loop(&http->loops[i]);
    if (http->listener)
        evconnlistener_free(http->listener);
    for (int i = 0; i < PF_HTTP_LOOPS; i++)
        if (http->loops[i].base)
            event_base_free(http->loops[i].base);
    SSL_CTX_free(http->tls);
    pthread_mutex_destroy(&http->lock);
    pf_free(http);
}
