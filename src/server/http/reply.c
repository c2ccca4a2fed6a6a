/* SPDX-License-Identifier: Apache-2.0 */
/* Replies: bodies, errors, files.  See http.h. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "server/http/http.h"
#include "server/http/range.h"
#include "server/http/utf8.h"

void pf_http_set(pf_http_request *request, const char *name, const char *format, ...)
{
    pf_reply *reply = &request->reply;
    va_list args;
    if (reply->header_count == PF_HTTP_HEADERS)
        return;
    reply->headers[reply->header_count].name = name;
    va_start(args, format);
    vsnprintf(reply->headers[reply->header_count].value,
              sizeof reply->headers[0].value, format, args);
    va_end(args);
    reply->header_count++;
}

void pf_http_reply_data(pf_http_request *request, int status, const char *type,
                        const void *data, size_t bytes)
{
    request->reply.status = status;
    request->reply.type = type;
    request->reply.data = data;
    request->reply.bytes = bytes;
}

void pf_http_reply_text(pf_http_request *request, int status, const char *type,
                        char *text)
{
    static const char no_memory[] =
        "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\","
        "\"param\":null,\"code\":\"out_of_memory\"}}";
    if (!text) {
        pf_http_reply_data(request, 503, "application/json", no_memory,
                           sizeof no_memory - 1);
        return;
    }
    pf_http_reply_data(request, status, type, text, strlen(text));
    request->reply.owned = text;
}

void pf_http_reply_json(pf_http_request *request, int status, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    pf_http_reply_text(request, status, "application/json", text);
}

void pf_http_reply_error(pf_http_request *request, const pf_http_fault *fault,
                         const char *format, ...)
{
    char message[640], param[PF_HTTP_PARAM_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    snprintf(param, sizeof param, "%s", fault->param ? fault->param : "");
    pf_utf8_repair(message);            /* vsnprintf may have cut a character */
    pf_utf8_repair(param);
    const char *type = fault->status == 401   ? "authentication_error"
                       : fault->status == 429 ? "rate_limit_error"
                       : fault->status >= 500 ? "server_error"
                                              : "invalid_request_error";
    json_t *object = json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message,
                               "type", type, "param", fault->param ? param : NULL, "code",
                               fault->code);
    request->reply.header_count = 0;
    if (fault->retry_after > 0)
        pf_http_set(request, "Retry-After", "%d", fault->retry_after);
    else if (fault->status == 409 || fault->status >= 500)
        pf_http_set(request, "x-should-retry", "false");
    if (fault->status == 401)
        pf_http_set(request, "WWW-Authenticate", "Bearer");
    pf_http_reply_json(request, fault->status, object);
}

/* Whether the tag is in the list of the header, or the header is *.  "W/" makes no
 * difference. */
static bool names_tag(const char *list, const char *tag)
{
    size_t length = strlen(tag);
    if (strcmp(list, "*") == 0)
        return true;
    for (const char *at = list; (at = strstr(at, tag)) != NULL; at += length) {
        char after = at[length], before = at == list ? ',' : at[-1];
        if ((after == '\0' || after == ',' || after == ' ') &&
            (before == ',' || before == ' ' || before == '/'))
            return true;
    }
    return false;
}

/* Whether the client has the file already. */
static bool is_unchanged(const pf_http_request *request, const char *tag)
{
    const char *known = pf_http_header(request, "If-None-Match");
    return known && strcmp(request->method, "POST") != 0 && names_tag(known, tag);
}

/* The header Range; NULL: the whole file is wanted, or has changed since the client saw it
 * (If-Range).  Only GET has ranges (RFC 9110). */
static const char *wanted_range(const pf_http_request *request, const char *tag)
{
    const char *condition = pf_http_header(request, "If-Range");
    if (strcmp(request->method, "GET") != 0 || (condition && strcmp(condition, tag) != 0))
        return NULL;
    return pf_http_header(request, "Range");
}

/* Chooses the part of the file, or all of it. */
static void choose_range(pf_http_request *request, const char *header,
                         int64_t file_bytes)
{
    pf_reply *reply = &request->reply;
    pf_range range;
    switch (pf_range_parse(header, file_bytes, &range)) {
    case PF_RANGE_PART:
        reply->status = 206;
        pf_http_set(request, "Content-Range", "bytes %lld-%lld/%lld",
                    (long long)range.offset,
                    (long long)(range.offset + range.length - 1),
                    (long long)file_bytes);
        break;
    case PF_RANGE_OUTSIDE:
        close(reply->fd);
        reply->fd = -1;
        pf_http_reply_error(request, &(pf_http_fault){416, "range", "Range", 0},
                            "the range \"%.40s\" is outside the file's %lld bytes",
                            header, (long long)file_bytes);
        pf_http_set(request, "Content-Range", "bytes */%lld", (long long)file_bytes);
        return;
    default:
        break;
    }
    reply->offset = range.offset;
    reply->bytes = (size_t)range.length;
}

void pf_http_reply_file(pf_http_request *request, int fd, const char *type,
                        const char *tag)
{
    struct stat info;
    pf_reply *reply = &request->reply;
    if (fstat(fd, &info) != 0) {
        close(fd);
        pf_http_reply_error(request, &(pf_http_fault){500, "io", NULL, 0},
                            "the file cannot be read");
        return;
    }
    pf_http_set(request, "ETag", "%s", tag);
    if (is_unchanged(request, tag)) {
        close(fd);
        pf_http_reply_data(request, 304, type, NULL, 0);
        return;
    }
    reply->status = 200;
    reply->type = type;
    reply->fd = fd;
    pf_http_set(request, "Accept-Ranges", "bytes");
    choose_range(request, wanted_range(request, tag), info.st_size);
}

void pf_http_reply_stream(pf_http_request *request, const char *type,
                          ssize_t (*pull)(pf_http_request *, char *, size_t))
{
    request->reply.status = 200;
    request->reply.type = type;
    request->reply.pull = pull;
}
