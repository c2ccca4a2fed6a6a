/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request.  See head.h. */
#include "server/http/head.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

static const char token_characters[] = "!#$%&'*+-.^_`|~0123456789"
                                       "abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char host_characters[] = "0123456789-._~abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

PF_PRINTF(4, 5)
static bool refuse(pf_head_fault *fault, int status, const char *param, const char *format,
                   ...)
{
    va_list args;
    fault->status = status;
    fault->param = param;
    va_start(args, format);
    vsnprintf(fault->message, sizeof fault->message, format, args);
    va_end(args);
    return false;
}

/* --- the end of a head ------------------------------------------------------------ */

static bool is_control(char c)
{
    return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

/* Whether text[i] may stand where it does. */
static bool character_is_sound(const char *text, size_t i, pf_head_fault *fault)
{
    char before = i > 0 ? text[i - 1] : '\0', c = text[i];
    if (c == '\n' && before != '\r')
        return refuse(fault, 400, NULL, "a line of the request's head ends with LF, but "
                      "must end with CR LF");
    if (c != '\n' && before == '\r')
        return refuse(fault, 400, NULL, "there is a CR without LF in the request's head");
    if (c != '\n' && c != '\r' && is_control(c))
        return refuse(fault, 400, NULL, "there is a control character (0x%02x) in the "
                      "request's head, which must be text", (unsigned char)c);
    return true;
}

int64_t pf_head_find(const char *text, size_t bytes, size_t *at, pf_head_fault *fault)
{
    for (size_t i = *at; i < bytes; i++) {
        if (!character_is_sound(text, i, fault))
            return -1;
        if (text[i] == '\n' && (i < 2 || text[i - 2] == '\n'))
            return (int64_t)i + 1;
        if (i + 1 >= PF_HEAD_LINE && !memchr(text, '\n', i + 1)) {
            refuse(fault, 414, NULL, "the request line has more than %d bytes",
                   PF_HEAD_LINE);
            return -1;
        }
        if (i + 1 >= PF_HEAD_BYTES) {
            refuse(fault, 431, NULL, "the head of the request has more than %d bytes",
                   PF_HEAD_BYTES);
            return -1;
        }
    }
    *at = bytes;
    return 0;
}

/* --- targets ---------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

void pf_head_unescape(char *text, bool slashes)
{
    char *out = text;
    for (const char *at = text; *at; at++) {
        int high = *at == '%' ? hex_digit(at[1]) : -1;
        int low = high >= 0 ? hex_digit(at[2]) : -1;
        int code = low >= 0 ? 16 * high + low : 0;
        bool stands = code != 0 && (code != '/' || slashes);
        *out++ = stands ? (char)code : *at;
        at += stands ? 2 : 0;
    }
    *out = '\0';
}

/* host, host:port or [::1]:port. */
static bool is_host(const char *text)
{
    size_t length = strspn(text, host_characters);
    if (text[0] == '[') {
        size_t inside = strspn(text + 1, "0123456789abcdefABCDEF:.");
        length = inside > 0 && text[inside + 1] == ']' ? inside + 2 : 0;
    }
    if (length == 0 || (text[length] != ':' && text[length] != '\0'))
        return false;
    const char *port = text + length + (text[length] == ':');
    size_t digits = strspn(port, "0123456789");
    return port[digits] == '\0' && digits <= 5 && strtol(port, NULL, 10) <= 65535;
}

/* Reads http://host/path: the host must be that of the header Host, which it overrides. */
static bool strip_origin(char **target, char *authority, size_t room, pf_head_fault *fault)
{
    char *begin = strstr(*target, "://");
    bool known = begin && (strncasecmp(*target, "http://", 7) == 0 ||
                           strncasecmp(*target, "https://", 8) == 0);
    if (!known)
        return refuse(fault, 400, NULL, "the target of the request is \"%.60s\", but must "
                      "begin with /", *target);
    begin += 3;
    size_t length = strcspn(begin, "/?");
    if (length >= room)
        return refuse(fault, 400, NULL, "the host of the target is too long");
    memcpy(authority, begin, length);
    authority[length] = '\0';
    *target = begin + length;
    return true;
}

static bool take_arguments(char *query, pf_head *out, pf_head_fault *fault)
{
    char *rest = query, *one;
    while ((one = strsep(&rest, "&")) != NULL) {
        if (*one == '\0')
            continue;
        if (out->argument_count == PF_HEAD_ARGUMENTS)
            return refuse(fault, 400, NULL, "the query has more than %d parameters",
                          PF_HEAD_ARGUMENTS);
        char *value = strchr(one, '=');
        if (value)
            *value++ = '\0';
        for (char *at = value; at && *at; at++)
            *at = *at == '+' ? ' ' : *at;
        pf_head_unescape(one, true);
        if (value)
            pf_head_unescape(value, true);
        out->arguments[out->argument_count++] =
            (pf_head_field){one, value ? value : ""};
    }
    return true;
}

static bool take_target(char *target, pf_head *out, char *authority, size_t room,
                        pf_head_fault *fault)
{
    static char root[] = "/";
    for (const char *at = target; *at; at++)
        if (*at <= ' ' || *at > '~' || *at == '#')
            return refuse(fault, 400, NULL, "the target of the request holds what must be "
                          "written as %%%02X", (unsigned char)*at);
    if (strcmp(target, "*") == 0 && strcmp(out->method, "OPTIONS") == 0)
        target = root;
    if (target[0] != '/' && !strip_origin(&target, authority, room, fault))
        return false;
    char *query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    if (strchr(target, '\\'))
        return refuse(fault, 400, NULL, "there is a backslash in the path of the request");
    out->path = target[0] ? target : root;
    if (target[0])
        pf_head_unescape(target, false);
    return !query || take_arguments(query, out, fault);
}

/* --- the request line ------------------------------------------------------------- */

static bool take_version(const char *text, pf_head *out, pf_head_fault *fault)
{
    bool sound = strncmp(text, "HTTP/", 5) == 0 && text[5] >= '0' && text[5] <= '9' &&
                 text[6] == '.' && text[7] >= '0' && text[7] <= '9' && text[8] == '\0';
    if (!sound)
        return refuse(fault, 400, NULL, "the request line must be METHOD, TARGET and "
                      "HTTP/1.1, with one blank between them");
    if (text[5] != '1')
        return refuse(fault, 505, NULL, "the request is of %.8s, but this server speaks "
                      "HTTP/1.1", text);
    out->minor = text[7] > '0';
    return true;
}

static bool take_request_line(char *line, pf_head *out, char *authority, size_t room,
                              pf_head_fault *fault)
{
    size_t method = strspn(line, token_characters);
    char *target = line + method + 1;
    char *version = line[method] == ' ' ? strchr(target, ' ') : NULL;
    if (method == 0 || !version || version == target)
        return take_version("", out, fault);
    line[method] = '\0';
    *version++ = '\0';
    out->method = line;
    return take_version(version, out, fault) &&
           take_target(target, out, authority, room, fault);
}

/* --- headers ---------------------------------------------------------------------- */

static bool take_field(char *line, pf_head *out, pf_head_fault *fault)
{
    size_t name = strspn(line, token_characters);
    if (line[0] == ' ' || line[0] == '\t')
        return refuse(fault, 400, NULL, "a header goes on in the next line, which is not "
                      "taken any more");
    if (name == 0 || line[name] != ':')
        return refuse(fault, 400, NULL, "a header is \"%.40s\", but must be NAME: VALUE, "
                      "with no blanks in the name", line);
    if (out->field_count == PF_HEAD_FIELDS)
        return refuse(fault, 431, NULL, "the request has more than %d headers",
                      PF_HEAD_FIELDS);
    char *value = line + name + 1;
    value += strspn(value, " \t");
    size_t length = strlen(value);
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
        length--;
    value[length] = '\0';
    line[name] = '\0';
    out->fields[out->field_count++] = (pf_head_field){line, value};
    return true;
}

static int count(const pf_head *head, const char *name)
{
    int found = 0;
    for (int i = 0; i < head->field_count; i++)
        found += strcasecmp(head->fields[i].name, name) == 0;
    return found;
}

/* Headers that may come once: of two, one reader takes the first and another the last. */
static bool fields_are_single(const pf_head *head, pf_head_fault *fault)
{
    static const char *const single[] = {
        "Content-Length", "Transfer-Encoding", "Authorization", "Content-Type",
        "Content-Encoding", "Cookie", "Expect", "Idempotency-Key", "If-Range", "Origin",
        "Range", "Sec-Fetch-Site"};
    int hosts = count(head, "Host");
    if (hosts != 1)
        return refuse(fault, 400, "Host", "a request must have exactly one Host header, "
                      "not %d", hosts);
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        if (count(head, single[i]) > 1)
            return refuse(fault, 400, single[i], "a request must have at most one %s "
                          "header", single[i]);
    return true;
}

/* Bytes of the host without the default port. */
static size_t host_length(const char *host)
{
    size_t length = strlen(host);
    static const char *const usual[] = {":80", ":443", ":"};
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        size_t port = strlen(usual[i]);
        if (length > port && strcmp(host + length - port, usual[i]) == 0)
            return length - port;
    }
    return length;
}

static bool host_is_sound(const pf_head *head, const char *authority, pf_head_fault *fault)
{
    const char *host = pf_head_get(head, "Host");
    if (!is_host(host))
        return refuse(fault, 400, "Host", "Host is \"%.60s\", but must be a name or an "
                      "address, and perhaps a port", host);
    size_t length = host_length(host);
    if (authority[0] && (host_length(authority) != length ||
                         strncasecmp(authority, host, length) != 0))
        return refuse(fault, 400, "Host", "Host is \"%.60s\", but the target says "
                      "\"%.60s\"", host, authority);
    return true;
}

static bool take_length(const char *text, pf_head *out, pf_head_fault *fault)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0')
        return refuse(fault, 400, "Content-Length", "Content-Length is \"%.40s\", but must "
                      "be a whole number", text);
    errno = 0;
    long long length = strtoll(text, NULL, 10);
    out->length = errno == ERANGE ? INT64_MAX : length;
    return true;
}

/* Reads the length of the body, which must be unambiguous. */
static bool framing_is_sound(pf_head *head, pf_head_fault *fault)
{
    const char *length = pf_head_get(head, "Content-Length");
    const char *coding = pf_head_get(head, "Transfer-Encoding");
    if (coding && strcasecmp(coding, "chunked") != 0)
        return refuse(fault, 400, "Transfer-Encoding", "Transfer-Encoding is \"%.40s\", "
                      "but must be chunked alone", coding);
    if (coding && head->minor == 0)
        return refuse(fault, 400, "Transfer-Encoding", "HTTP/1.0 has no "
                      "Transfer-Encoding");
    if (coding && length)
        return refuse(fault, 400, "Content-Length", "a request must have Content-Length "
                      "or Transfer-Encoding, not both");
    head->chunked = coding != NULL;
    return !length || take_length(length, head, fault);
}

/* Whether the word is in one of the lists of these headers. */
static bool lists(const pf_head *head, const char *name, const char *word)
{
    size_t wanted = strlen(word);
    for (int i = 0; i < head->field_count; i++) {
        const char *at = head->fields[i].value;
        while (strcasecmp(head->fields[i].name, name) == 0 && *at) {
            at += strspn(at, ", \t");
            size_t length = strcspn(at, ", \t");
            if (length == wanted && strncasecmp(at, word, length) == 0)
                return true;
            at += length;
        }
    }
    return false;
}

static bool wishes_are_sound(pf_head *head, pf_head_fault *fault)
{
    const char *expect = pf_head_get(head, "Expect");
    head->expects = expect && head->minor > 0 && strcasecmp(expect, "100-continue") == 0;
    if (expect && head->minor > 0 && !head->expects)
        return refuse(fault, 417, "Expect", "Expect is \"%.40s\", but must be "
                      "100-continue", expect);
    head->keeps = !lists(head, "Connection", "close") &&
                  (head->minor > 0 || lists(head, "Connection", "keep-alive"));
    return true;
}

const char *pf_head_get(const pf_head *head, const char *name)
{
    for (int i = 0; i < head->field_count; i++)
        if (strcasecmp(head->fields[i].name, name) == 0)
            return head->fields[i].value;
    return NULL;
}

bool pf_head_parse(char *text, size_t length, pf_head *out, pf_head_fault *fault)
{
    char authority[272] = "";
    char *line = text, *end = text + length - 2;
    *out = (pf_head){.method = "", .path = "/", .length = -1};
    while (line < end) {
        char *stop = strstr(line, "\r\n");
        *stop = '\0';
        bool sound = line == text ? take_request_line(line, out, authority,
                                                      sizeof authority, fault)
                                  : take_field(line, out, fault);
        if (!sound)
            return false;
        line = stop + 2;
    }
    if (!out->method[0])
        return take_version("", out, fault);
    return fields_are_single(out, fault) && host_is_sound(out, authority, fault) &&
           framing_is_sound(out, fault) && wishes_are_sound(out, fault);
}
