/* SPDX-License-Identifier: Apache-2.0 */
/* Replies on their way: status line, headers, and a body from memory, a file or a stream.
 * See parts.h. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "server/http/parts.h"

enum { STREAM_BLOCK = 16 << 10 };

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"}, {204, "No Content"}, {206, "Partial Content"}, {304, "Not Modified"},
        {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
        {404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"},
        {413, "Content Too Large"}, {414, "URI Too Long"},
        {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"}, {422, "Unprocessable Content"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return status < 400 ? "Done" : "Error";
}

/* --- the head --------------------------------------------------------------------- */

static void add_date(struct evbuffer *out)
{
    char text[40];
    time_t now = time(NULL);
    struct tm parts;
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    evbuffer_add_printf(out, "Date: %s\r\n", text);
}

/* Tells how long the connection is kept, so that proxies do not reuse it at its end. */
static void add_connection(const pf_connection *c, struct evbuffer *out)
{
    if (c->request->reply.close)
        evbuffer_add_printf(out, "Connection: close\r\n");
    else
        evbuffer_add_printf(out, "Connection: keep-alive\r\nKeep-Alive: timeout=%.0f\r\n",
                            c->http->options.keep_seconds);
}

static void add_headers(const pf_connection *c, struct evbuffer *out)
{
    const pf_http_request *request = c->request;
    const pf_reply *reply = &request->reply;
    bool cached = false;
    if (reply->type)
        evbuffer_add_printf(out, "Content-Type: %s\r\n", reply->type);
    evbuffer_add_printf(out, "x-request-id: %s\r\nX-Content-Type-Options: nosniff\r\n"
                             "Referrer-Policy: no-referrer\r\n", request->id);
    for (int i = 0; i < reply->header_count; i++) {
        evbuffer_add_printf(out, "%s: %s\r\n", reply->headers[i].name,
                            reply->headers[i].value);
        cached = cached || strcmp(reply->headers[i].name, "Cache-Control") == 0;
    }
    if (!cached)
        evbuffer_add_printf(out, "Cache-Control: no-store\r\n");
}

static bool has_no_body(int status)
{
    return status == 204 || status == 304;
}

static void add_length(const pf_connection *c, struct evbuffer *out)
{
    const pf_reply *reply = &c->request->reply;
    if (c->chunked)
        evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
    else if (!reply->pull && !has_no_body(reply->status))
        evbuffer_add_printf(out, "Content-Length: %zu\r\n", reply->bytes);
}

static void count_reply(pf_http *http, int status)
{
    pthread_mutex_lock(&http->lock);
    http->counters.replies[status / 100 % 6]++;
    pthread_mutex_unlock(&http->lock);
}

void pf_send_head(pf_connection *c)
{
    pf_http_request *request = c->request;
    pf_reply *reply = &request->reply;
    struct evbuffer *out = bufferevent_get_output(c->stream);
    c->http->options.dress(request);
    c->chunked = reply->pull && request->head.minor > 0;
    reply->close = reply->close || !request->head.keeps || c->ended ||
                   (reply->pull && !c->chunked) || atomic_load(&c->http->closing);
    c->put = 0;
    c->whole = has_no_body(reply->status) || strcmp(request->method, "HEAD") == 0;
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n", reply->status,
                        reason_of(reply->status));
    add_date(out);
    add_connection(c, out);
    add_headers(c, out);
    add_length(c, out);
    evbuffer_add(out, "\r\n", 2);
    count_reply(c->http, reply->status);
}

/* --- the body --------------------------------------------------------------------- */

static void add_piece(pf_connection *c, struct evbuffer *out, const char *data,
                      size_t bytes)
{
    if (c->chunked)
        evbuffer_add_printf(out, "%zx\r\n", bytes);
    evbuffer_add(out, data, bytes);
    if (c->chunked)
        evbuffer_add(out, "\r\n", 2);
}

/* False when the stream sleeps. */
static bool pull_more(pf_connection *c, struct evbuffer *out)
{
    char block[STREAM_BLOCK];
    while (!c->whole && evbuffer_get_length(out) < sizeof block) {
        ssize_t bytes = c->request->reply.pull(c->request, block, sizeof block);
        if (bytes == 0)
            return false;
        if (bytes > 0)
            add_piece(c, out, block, (size_t)bytes);
        else if (c->chunked)
            evbuffer_add(out, "0\r\n\r\n", 5);
        c->whole = bytes < 0;
    }
    return true;
}

/* False when the file ends too early, or cannot be read. */
static bool read_more(pf_connection *c, struct evbuffer *out)
{
    const pf_reply *reply = &c->request->reply;
    char block[PF_HTTP_BLOCK];
    while (c->put < (int64_t)reply->bytes && evbuffer_get_length(out) < 2 * sizeof block) {
        int64_t left = (int64_t)reply->bytes - c->put;
        ssize_t got = pf_fault_hit(PF_FAULT_READ)
                          ? -1
                          : pread(reply->fd, block,
                                  left < (int64_t)sizeof block ? (size_t)left
                                                               : sizeof block,
                                  reply->offset + c->put);
        if (got <= 0)
            return false;
        evbuffer_add(out, block, (size_t)got);
        c->put += got;
    }
    c->whole = c->put == (int64_t)reply->bytes;
    return true;
}

pf_sending pf_send_body(pf_connection *c)
{
    const pf_reply *reply = &c->request->reply;
    struct evbuffer *out = bufferevent_get_output(c->stream);
    if (!c->whole && reply->pull) {
        if (!pull_more(c, out) && c->ended)
            return PF_SENDING_UNREAD;
    } else if (!c->whole && reply->fd >= 0) {
        if (!read_more(c, out))
            return PF_SENDING_BROKEN;
    } else if (!c->whole) {
        evbuffer_add(out, reply->data, reply->bytes);
        c->put = (int64_t)reply->bytes;
        c->whole = true;
    }
    return c->whole && evbuffer_get_length(out) == 0 ? PF_SENDING_DONE : PF_SENDING_PART;
}
