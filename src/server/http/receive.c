/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that come: heads, and bodies of a known length or in chunks.  See parts.h. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/memory.h"
#include "server/http/parts.h"

enum { EMPTY_LINES = 2 };               /* before a request, as some clients send them */

/* --- refusals --------------------------------------------------------------------- */

static void refuse(pf_http_request *request, const pf_head_fault *fault)
{
    const char *code = fault->status == 400 || fault->status == 417 ? "malformed_request"
                       : fault->status == 505                       ? "http_version"
                                                                    : "too_large";
    pf_http_reply_error(request, &(pf_http_fault){fault->status, code, fault->param, 0},
                        "%s", fault->message);
    request->reply.close = true;
}

static bool length_is_sound(pf_http_request *request)
{
    if (request->head.length <= (int64_t)request->body.limit) {
        if (request->head.length > 0)
            pf_body_expect(&request->body, (uint64_t)request->head.length);
        return true;
    }
    pf_http_reply_error(request, &(pf_http_fault){413, "too_large", NULL, 0},
                        "the body has %lld bytes, but this request takes at most %zu",
                        (long long)request->head.length, request->body.limit);
    return false;
}

/* Compressed bodies are refused. */
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

static void reply_body_error(pf_http_request *request)
{
    const pf_body *body = &request->body;
    request->reply.close = true;
    if (body->error == EFBIG)
        pf_http_reply_error(request, &(pf_http_fault){413, "too_large", NULL, 0},
                            "the body has more than the %zu bytes that this request "
                            "takes", body->limit);
    else if (body->error == ENOSPC || body->error == EDQUOT)
        pf_http_reply_error(request, &(pf_http_fault){507, "no_space", NULL, 0},
                            "the disk of the server has no room for this body");
    else
        pf_http_reply_error(request, &(pf_http_fault){503, "busy", NULL, 2},
                            "the body cannot be kept: %s", strerrordesc_np(body->error));
}

/* --- heads ------------------------------------------------------------------------ */

/* Checks a head and finds its route. */
static pf_receipt take_head(pf_connection *c, size_t length)
{
    pf_http_request *request = c->request;
    pf_head_fault fault = {0};
    request->text = pf_alloc(length + 1);
    if (!request->text)
        return PF_RECEIPT_NO_MEMORY;
    bufferevent_read(c->stream, request->text, length);
    request->text[length] = '\0';
    bool sound = pf_head_parse(request->text, length, &request->head, &fault);
    request->method = request->head.method;
    request->path = request->head.path;
    if (sound)
        c->http->options.route(request);
    else
        refuse(request, &fault);
    if (sound && request->reply.status == 0 && coding_is_sound(request))
        length_is_sound(request);
    return request->reply.status == 0 ? PF_RECEIPT_WHOLE : PF_RECEIPT_REFUSED;
}

static void expect_body(pf_connection *c, bool has_body)
{
    const pf_head *head = &c->request->head;
    c->body_left = head->length > 0 ? head->length : 0;
    c->body_bytes = 0;
    c->chunks = (pf_chunks){.done = false};
    if (head->expects && has_body)
        evbuffer_add_printf(bufferevent_get_output(c->stream),
                            "HTTP/1.1 100 Continue\r\n\r\n");
}

/* Skips the empty lines that some clients send after a body. */
static void skip_empty_lines(pf_connection *c, struct evbuffer *in)
{
    char line[2];
    while (c->scanned == 0 && c->empty_lines < EMPTY_LINES &&
           evbuffer_copyout(in, line, 2) == 2 && memcmp(line, "\r\n", 2) == 0) {
        evbuffer_drain(in, 2);
        c->empty_lines++;
    }
}

pf_receipt pf_receive_head(pf_connection *c)
{
    struct evbuffer *in = bufferevent_get_input(c->stream);
    pf_head_fault fault;
    skip_empty_lines(c, in);
    size_t bytes = evbuffer_get_length(in);
    if (bytes == 0)
        return PF_RECEIPT_PART;
    if (!c->begun)
        pf_crowd_note_begun(c);
    const char *text = (const char *)evbuffer_pullup(in, -1);
    int64_t length = text ? pf_head_find(text, bytes, &c->scanned, &fault) : 0;
    if (length == 0)
        return PF_RECEIPT_PART;
    c->request = pf_request_new(c);
    if (!c->request)
        return PF_RECEIPT_NO_MEMORY;
    if (length < 0) {
        refuse(c->request, &fault);
        return PF_RECEIPT_REFUSED;
    }
    pf_receipt receipt = take_head(c, (size_t)length);
    const pf_head *head = &c->request->head;
    bool has_body = head->chunked || head->length > 0;
    if (receipt == PF_RECEIPT_WHOLE)
        expect_body(c, has_body);
    else if (has_body)
        c->request->reply.close = true; /* nobody reads the body */
    return receipt;
}

/* --- bodies ----------------------------------------------------------------------- */

static void take_body(pf_connection *c, const char *data, size_t bytes)
{
    c->body_bytes += bytes;
    pf_body_take(&c->request->body, data, bytes);
}

/* Takes the next piece of a body in chunks; false after bytes that are no chunk. */
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

/* Bodies that are not wanted are read all the same, because not every client sees an
 * answer that comes while it sends; but not for ever. */
static bool body_is_endless(const pf_connection *c)
{
    const pf_body *body = &c->request->body;
    return body->bytes > 2 * body->limit + PF_BODY_SPILL;
}

pf_receipt pf_receive_body(pf_connection *c)
{
    struct evbuffer *in = bufferevent_get_input(c->stream);
    pf_http_request *request = c->request;
    while (!body_is_whole(c) && !body_is_endless(c)) {
        size_t bytes = evbuffer_get_contiguous_space(in), used;
        const char *text = bytes ? (const char *)evbuffer_pullup(in, (ssize_t)bytes) : NULL;
        if (!text)
            return PF_RECEIPT_PART;
        if (!request->head.chunked) {
            used = (int64_t)bytes < c->body_left ? bytes : (size_t)c->body_left;
            c->body_left -= (int64_t)used;
            take_body(c, text, used);
        } else if (!take_chunk(c, text, bytes, &used)) {
            return PF_RECEIPT_REFUSED;
        }
        evbuffer_drain(in, used);
    }
    pf_body_finish(&request->body);
    if (request->body.error == 0)
        return PF_RECEIPT_WHOLE;
    reply_body_error(request);
    return PF_RECEIPT_REFUSED;
}
