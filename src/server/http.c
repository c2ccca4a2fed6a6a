/* HTTP over libmicrohttpd.  See http.h.
 *
 * Ahead of what the library checks: one Host, one Content-Length, no Content-Length
 * beside Transfer-Encoding, no blank in a header's name (two readers of such a request
 * would see two different ones), and a deadline for heads and bodies (the library's own
 * time-out starts anew with every byte).
 */
#include <errno.h>
#include <linux/tcp.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/memory.h"
#include "server/body.h"

enum {
    POOL_THREADS = 3,
    FETCHERS = PF_TURNS_MOST,
    DECODERS = 2,                       /* the other lanes have one thread each */
    CONNECTION_BYTES = 24 << 10,        /* a request's head, and its reply's */
    IDLE_SECONDS = 60,                  /* without a byte in either direction */
    BODY_RATE = 8 << 10,                /* bytes a second, on average, after a grace */
    STREAM_BLOCK = 16 << 10,
    SLICE_NS = 200 * 1000               /* a request takes less */
};

/* Older ones are not to be used any more (RFC 8996). */
static const char tls_versions[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";

typedef enum phase { HEAD, BODY, REPLY } phase;

/* One connection, as the watchdog sees it. */
typedef struct peer {
    int fd;
    phase phase;
    double since;                       /* when the phase began */
    uint64_t bytes;                     /* of the body so far */
    bool served;                        /* it has had a reply; by then it had sent */
    uint64_t received;                  /* so many bytes */
    bool dropped;
    struct peer *next, *previous;
} peer;

typedef struct lane {
    pf_http *http;
    pthread_t threads[FETCHERS];
    int started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pf_turns turns;
    bool closing;
} lane;

struct pf_http {
    pf_http_options options;
    struct MHD_Daemon *daemon;
    lane lanes[PF_LANES];
    pthread_mutex_t lock;               /* guards what follows */
    peer *peers;
    pf_http_counters counters;
};

/* --- connections ------------------------------------------------------------------ */

static void peer_enters(pf_http *http, struct MHD_Connection *connection, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    peer *p = pf_calloc(1, sizeof *p);
    *context = p;
    if (!p)
        return;                         /* served, but not watched */
    p->fd = info->connect_fd;
    p->since = pf_seconds();
    pthread_mutex_lock(&http->lock);
    p->next = http->peers;
    if (p->next)
        p->next->previous = p;
    http->peers = p;
    http->counters.connections++;
    pthread_mutex_unlock(&http->lock);
}

static void peer_leaves(pf_http *http, peer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&http->lock);
    if (p->previous)
        p->previous->next = p->next;
    else
        http->peers = p->next;
    if (p->next)
        p->next->previous = p->previous;
    http->counters.connections--;
    pthread_mutex_unlock(&http->lock);
    pf_free(p);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        peer_enters(user, connection, context);
    else
        peer_leaves(user, *context);
}

static peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void enter_phase(pf_http *http, struct MHD_Connection *connection, phase next)
{
    peer *p = peer_of(connection);
    if (!p)
        return;
    pthread_mutex_lock(&http->lock);
    p->phase = next;
    p->since = pf_seconds();
    p->bytes = 0;
    pthread_mutex_unlock(&http->lock);
}

/* What has come in on a connection; 0 where the system does not say. */
static uint64_t bytes_received(int fd)
{
    struct tcp_info info = {0};
    socklen_t bytes = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0
               ? info.tcpi_bytes_received
               : 0;
}

static void await_next(pf_http *http, struct MHD_Connection *connection)
{
    enter_phase(http, connection, HEAD);
    peer *p = peer_of(connection);
    if (!p)
        return;
    pthread_mutex_lock(&http->lock);
    p->served = true;
    p->received = bytes_received(p->fd);
    pthread_mutex_unlock(&http->lock);
}

/* Kept alive, and not in use: closing it is no reproach. */
static bool is_idle(const peer *p)
{
    return p->phase == HEAD && p->served && bytes_received(p->fd) == p->received;
}

/* The library notices the shutdown and closes. */
void pf_http_watch(pf_http *http)
{
    double now = pf_seconds(), grace = http->options.header_seconds;
    pthread_mutex_lock(&http->lock);
    for (peer *p = http->peers; p; p = p->next) {
        double age = now - p->since;
        bool late = (p->phase == HEAD && age > grace) ||
                    (p->phase == BODY && age > grace + (double)p->bytes / BODY_RATE);
        if (!late || p->dropped)
            continue;
        p->dropped = true;
        http->counters.dropped += !is_idle(p);
        shutdown(p->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&http->lock);
}

void pf_http_count(pf_http *http, pf_http_counters *out)
{
    pthread_mutex_lock(&http->lock);
    *out = http->counters;
    pthread_mutex_unlock(&http->lock);
}

/* --- requests --------------------------------------------------------------------- */

static pf_http_request *request_of(pf_waiter *waiter)
{
    return (void *)((char *)waiter - offsetof(pf_http_request, waiter));
}

static void wake(pf_waiter *waiter)
{
    MHD_resume_connection(request_of(waiter)->connection);
}

static void fall_asleep(pf_waiter *waiter)
{
    MHD_suspend_connection(request_of(waiter)->connection);
}

/* A client that has closed its end, even if only to say that it sends no more. */
static bool is_gone(pf_waiter *waiter)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        request_of(waiter)->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd end = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&end, 1, 0) > 0;
}

static pf_http_request *new_request(pf_http *http, struct MHD_Connection *connection)
{
    uint8_t noise[12];
    pf_http_request *request = pf_calloc(1, sizeof *request);
    if (!request)
        return NULL;
    if (!pf_random_bytes(noise, sizeof noise))
        memset(noise, 0, sizeof noise);
    memcpy(request->id, "req_", 4);
    pf_hex_encode(noise, sizeof noise, request->id + 4);
    request->app = http->options.app;
    request->http = http;
    request->connection = connection;
    request->waiter = (pf_waiter){fall_asleep, wake, is_gone, false, NULL};
    request->body_fd = -1;
    request->reply.fd = -1;
    return request;
}

static void free_request(pf_http_request *request)
{
    pf_body_free(request, &request->http->options);
    if (request->reply.fd >= 0)
        close(request->reply.fd);
    free(request->reply.owned);
    free(request->pending);
    pf_free(request);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    pf_http *http = user;
    pf_http_request *request = *context;
    (void)code;
    *context = NULL;
    await_next(http, connection);
    if (!request)
        return;
    http->options.done(request);
    free_request(request);
}

/* --- the head --------------------------------------------------------------------- */

typedef struct head_counts {
    int hosts, lengths, encodings;
    bool chunked;                       /* the transfer encoding is that alone */
    bool blank;                         /* in the name of a header */
} head_counts;

static enum MHD_Result count_header(void *user, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    head_counts *counts = user;
    (void)kind;
    counts->hosts += strcasecmp(name, "Host") == 0;
    counts->lengths += strcasecmp(name, "Content-Length") == 0;
    counts->blank = counts->blank || strpbrk(name, " \t");
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        counts->encodings++;
        counts->chunked = value && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

static bool head_is_sound(pf_http_request *request)
{
    head_counts counts = {0};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_header,
                              &counts);
    const char *what = counts.blank          ? "no blanks in the names of headers"
                       : counts.hosts != 1   ? "exactly one Host header"
                       : counts.lengths > 1  ? "at most one Content-Length header"
                       : counts.encodings > 1 ? "at most one Transfer-Encoding header"
                       : counts.encodings && !counts.chunked
                           ? "no other Transfer-Encoding than chunked"
                       : counts.lengths && counts.encodings
                           ? "Content-Length or Transfer-Encoding, not both"
                           : NULL;
    if (!what)
        return true;
    pf_http_reply_error(request, &(pf_http_fault){400, "malformed_request", NULL, 0},
                        "a request must have %s", what);
    request->reply.close = true;
    return false;
}

static bool length_is_sound(pf_http_request *request)
{
    const char *text = pf_http_header(request, "Content-Length");
    unsigned long long length = text ? strtoull(text, NULL, 10) : 0;
    if (length <= request->body_limit) {
        pf_body_expect(request, &request->http->options, length);
        return true;
    }
    pf_http_reply_error(request, &(pf_http_fault){413, "too_large", NULL, 0},
                        "the body has %llu bytes, but this request takes at most %zu",
                        length, request->body_limit);
    request->reply.close = true;
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

static bool has_body(const pf_http_request *request)
{
    const char *length = pf_http_header(request, "Content-Length");
    return pf_http_header(request, "Transfer-Encoding") ||
           (length && strtoull(length, NULL, 10) > 0);
}

static void check_head(pf_http *http, pf_http_request *request)
{
    if (head_is_sound(request))
        http->options.route(request);
    if (request->reply.status == 0 && coding_is_sound(request))
        length_is_sound(request);
    if (request->reply.status != 0 && has_body(request))
        request->reply.close = true;    /* its body is never read */
}

/* --- replies ---------------------------------------------------------------------- */

static ssize_t pull_stream(void *user, uint64_t position, char *out, size_t room)
{
    pf_http_request *request = user;
    (void)position;
    ssize_t bytes = request->reply.pull(request, out, room);
    return bytes >= 0 ? bytes : MHD_CONTENT_READER_END_OF_STREAM;
}

static struct MHD_Response *make_response(pf_http_request *request)
{
    pf_reply *reply = &request->reply;
    if (reply->pull)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
                                                 pull_stream, request, NULL);
    if (reply->fd >= 0) {
        struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(
            reply->bytes, reply->fd, (uint64_t)reply->offset);
        if (response)
            reply->fd = -1;             /* it is the response's now */
        return response;
    }
    /* The request lives until the reply is sent. */
    return MHD_create_response_from_buffer(reply->bytes,
                                           (void *)(uintptr_t)reply->data,
                                           MHD_RESPMEM_PERSISTENT);
}

static void add_headers(const pf_http_request *request, struct MHD_Response *response)
{
    const pf_reply *reply = &request->reply;
    bool cached = false;
    if (reply->type)
        MHD_add_response_header(response, "Content-Type", reply->type);
    MHD_add_response_header(response, "x-request-id", request->id);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    for (int i = 0; i < reply->header_count; i++) {
        MHD_add_response_header(response, reply->headers[i].name,
                                reply->headers[i].value);
        cached = cached || strcmp(reply->headers[i].name, "Cache-Control") == 0;
    }
    if (!cached)
        MHD_add_response_header(response, "Cache-Control", "no-store");
    if (reply->close)
        MHD_add_response_header(response, "Connection", "close");
}

static enum MHD_Result send_reply(pf_http *http, pf_http_request *request)
{
    http->options.dress(request);
    struct MHD_Response *response = make_response(request);
    if (!response)
        return MHD_NO;
    add_headers(request, response);
    enum MHD_Result queued = MHD_queue_response(
        request->connection, (unsigned)request->reply.status, response);
    MHD_destroy_response(response);
    enter_phase(http, request->connection, REPLY);
    pthread_mutex_lock(&http->lock);
    http->counters.replies[request->reply.status / 100 % 6]++;
    pthread_mutex_unlock(&http->lock);
    return queued;
}

static enum MHD_Result handle(pf_http *http, pf_http_request *request)
{
    if (!request->handed) {
        request->handed = true;
        enter_phase(http, request->connection, REPLY);
        pf_body_finish(request);
    }
    request->parked = false;
    if (request->reply.status == 0)
        request->handler(request);
    if (request->parked)
        return MHD_YES;                 /* nothing of it may be touched now */
    /* Without a reply the connection sleeps now and comes here again. */
    return request->reply.status != 0 ? send_reply(http, request) : MHD_YES;
}

static void count_body(pf_http *http, struct MHD_Connection *connection, size_t bytes)
{
    peer *p = peer_of(connection);
    pthread_mutex_lock(&http->lock);
    if (p)
        p->bytes += bytes;
    pthread_mutex_unlock(&http->lock);
}

/* Of a request to a proxy, too: "GET http://host/path". */
static const char *path_of(const char *url)
{
    const char *slashes = url[0] == '/' ? NULL : strstr(url, "://");
    const char *path = slashes ? strchr(slashes + 3, '/') : url;
    return path ? path : "/";
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection,
                                  const char *url, const char *method,
                                  const char *version, const char *data, size_t *bytes,
                                  void **context)
{
    pf_http *http = user;
    pf_http_request *request = *context;
    (void)version;
    if (!request) {
        *context = request = new_request(http, connection);
        if (!request)
            return MHD_NO;
        enter_phase(http, connection, BODY);
        request->method = method;
        request->path = path_of(url);
        check_head(http, request);
        return request->reply.status != 0 ? send_reply(http, request) : MHD_YES;
    }
    if (*bytes > 0) {
        count_body(http, connection, *bytes);
        pf_body_take(request, &http->options, data, *bytes);
        *bytes = 0;
        /* One that keeps sending what is not wanted is cut off. */
        return request->body_bytes > 2 * request->body_limit + PF_BODY_SPILL ? MHD_NO
                                                                           : MHD_YES;
    }
    return handle(http, request);
}

/* --- lanes ------------------------------------------------------------------------ */

static pf_http_request *request_of_turn(pf_turn *turn)
{
    return (pf_http_request *)((char *)turn - offsetof(pf_http_request, turn));
}

/* The next one that may go, or NULL when the server ends and none waits. */
static pf_http_request *next_in_lane(lane *l)
{
    pf_turn *turn;
    pthread_mutex_lock(&l->lock);
    while (!(turn = pf_turns_take(&l->turns)) && !(l->closing && !l->turns.first))
        pthread_cond_wait(&l->changed, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return turn ? request_of_turn(turn) : NULL;
}

static void *run_lane(void *argument)
{
    lane *l = argument;
    pf_http_request *request;
    while ((request = next_in_lane(l)) != NULL) {
        char owner[PF_OWNER_BYTES];
        memcpy(owner, request->owner, sizeof owner);
        request->deferred(request);
        MHD_resume_connection(request->connection);
        pthread_mutex_lock(&l->lock);
        pf_turns_done(&l->turns, owner);
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

void pf_http_defer(pf_http_request *request, pf_lane which, pf_http_handler work)
{
    lane *l = &request->http->lanes[which];
    request->deferred = work;
    request->turn.owner = request->owner;
    pthread_mutex_lock(&l->lock);
    if (l->closing) {
        pthread_mutex_unlock(&l->lock);
        pf_http_reply_error(request, &(pf_http_fault){503, "closing", NULL, 5},
                            "the server is stopping");
        return;
    }
    request->parked = true;
    MHD_suspend_connection(request->connection);
    pf_turns_put(&l->turns, &request->turn);
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

bool pf_http_sleep(pf_http_request *request, pf_videos *videos)
{
    return pf_videos_wait(videos, request->video, request->seen_version,
                          &request->waiter);
}

/* --- what handlers read ----------------------------------------------------------- */

const char *pf_http_header(const pf_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *pf_http_query(const pf_http_request *request, const char *name)
{
    const char *value = NULL;
    if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name,
                                      strlen(name), &value, NULL) != MHD_YES)
        return NULL;
    return value ? value : "";          /* "?name" without a = */
}

typedef struct query_seer {
    bool (*see)(void *user, const char *name, const char *value);
    void *user;
} query_seer;

static enum MHD_Result see_argument(void *user, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    const query_seer *seer = user;
    (void)kind;
    return seer->see(seer->user, name, value) ? MHD_YES : MHD_NO;
}

void pf_http_each_query(const pf_http_request *request,
                        bool (*see)(void *user, const char *name, const char *value),
                        void *user)
{
    query_seer seer = {see, user};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, see_argument,
                              &seer);
}

/* --- opening and closing ---------------------------------------------------------- */

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

/* Asks for short turns on the processor, or (0) for those of everybody else.  Threads
 * inherit them; Linux from 6.12 on lets one with short turns run as soon as it wakes
 * up, however busy the machine is.  Others refuse or ignore it. */
static void take_turns_of(uint64_t nanoseconds)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } turns = {.size = sizeof turns, .policy = SCHED_OTHER, .runtime = nanoseconds,
               .nice = getpriority(PRIO_PROCESS, 0)};
    if (sched_getscheduler(0) == SCHED_OTHER)
        syscall(SYS_sched_setattr, 0, &turns, 0);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %41 to A, in place.  What stands for nothing stays as it is, and so does %00, which
 * would end the text before its end. */
static size_t unescape(void *user, struct MHD_Connection *connection, char *text)
{
    char *out = text;
    (void)user;
    (void)connection;
    for (const char *at = text; *at; at++) {
        int high = *at == '%' ? hex_digit(at[1]) : -1;
        int low = high >= 0 ? hex_digit(at[2]) : -1;
        bool stands = low >= 0 && high + low > 0;
        *out++ = stands ? (char)(16 * high + low) : *at;
        at += stands ? 2 : 0;
    }
    *out = '\0';
    return (size_t)(out - text);
}

static struct MHD_Daemon *run_daemon(pf_http *http, int fd)
{
    const pf_http_options *o = &http->options;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_versions},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    if (o->tls_cert)
        flags |= MHD_USE_TLS;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)POOL_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->connections,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
        MHD_OPTION_ARRAY,
        o->tls_cert ? tls : none, MHD_OPTION_END);
}

static pf_status start_lanes(pf_http *http, pf_error *error)
{
    for (int i = 0; i < PF_LANES; i++) {
        lane *l = &http->lanes[i];
        l->http = http;
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->changed, NULL);
        int wanted = i == PF_LANE_FETCH ? FETCHERS : i == PF_LANE_DECODE ? DECODERS : 1;
        l->turns.threads = wanted;
        while (l->started < wanted && !pf_fault_hit(PF_FAULT_THREAD) &&
               pthread_create(&l->threads[l->started], NULL, run_lane, l) == 0)
            l->started++;
        if (l->started < wanted)
            return pf_fail(error, PF_E_MEMORY, "a thread of the server does not start");
    }
    return PF_OK;
}

static struct MHD_Daemon *start_daemon(pf_http *http, int fd)
{
    take_turns_of(SLICE_NS);
    struct MHD_Daemon *daemon = run_daemon(http, fd);
    take_turns_of(0);
    return daemon;
}

pf_status pf_http_open(const pf_http_options *options, pf_http **out, pf_error *error)
{
    int fd = -1;
    *out = NULL;
    pf_http *http = pf_calloc(1, sizeof *http);
    if (!http)
        return pf_fail_memory(error, "http", sizeof *http);
    http->options = *options;
    pthread_mutex_init(&http->lock, NULL);
    pf_status status = open_socket(options, &fd, error);
    if (status == PF_OK)
        status = start_lanes(http, error);
    if (status == PF_OK && !(http->daemon = start_daemon(http, fd)))
        status = pf_fail(error, PF_E_IO, "the web server does not start%s",
                         options->tls_cert ? "; are certificate and key right?" : "");
    if (status != PF_OK) {
        if (fd >= 0)
            close(fd);
        pf_http_close(http, 0);
        return status;
    }
    *out = http;
    return PF_OK;
}

int pf_http_port(const pf_http *http)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    char port[12];
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    if (!info || getsockname(info->listen_fd, (struct sockaddr *)&address, &bytes) != 0 ||
        getnameinfo((struct sockaddr *)&address, bytes, NULL, 0, port, sizeof port,
                    NI_NUMERICSERV) != 0)
        return http->options.port;
    return (int)strtol(port, NULL, 10);
}

static void close_lanes(pf_http *http)
{
    for (int i = 0; i < PF_LANES; i++) {
        lane *l = &http->lanes[i];
        if (l->started == 0)
            continue;
        pthread_mutex_lock(&l->lock);
        l->closing = true;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        while (l->started > 0)
            pthread_join(l->threads[--l->started], NULL);
    }
}

/* Connections that are in the middle of a reply. */
static int replies_under_way(pf_http *http)
{
    int count = 0;
    pthread_mutex_lock(&http->lock);
    for (peer *p = http->peers; p; p = p->next)
        count += p->phase == REPLY;
    pthread_mutex_unlock(&http->lock);
    return count;
}

void pf_http_close(pf_http *http, double seconds)
{
    double end = pf_seconds() + seconds;
    int fd = http->daemon ? MHD_quiesce_daemon(http->daemon) : -1;
    close_lanes(http);
    while (replies_under_way(http) > 0 && pf_seconds() < end)
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    if (fd >= 0)
        close(fd);
    for (int i = 0; i < PF_LANES; i++) {
        pthread_cond_destroy(&http->lanes[i].changed);
        pthread_mutex_destroy(&http->lanes[i].lock);
    }
    pthread_mutex_destroy(&http->lock);
    pf_free(http);
}
