/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of other origins.  See origins.h. */
#include "server/origins.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_AGE_SECONDS = 7200 };        /* the longest that Chromium keeps */

/* Headers that other pages may read beside those that the Fetch standard allows. */
static const char exposed[] =
    "Accept-Ranges, Content-Disposition, Content-Range, ETag, openai-poll-after-ms, "
    "Retry-After, WWW-Authenticate, x-request-id, x-should-retry, x-video-id";

/* --- the list --------------------------------------------------------------------- */

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
static const char scheme_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789+-.";
static const char host_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";

/* The length of "host" or "[::1]", 0 when it is none. */
static size_t host_length(const char *text)
{
    if (text[0] != '[')
        return strspn(text, host_characters);
    size_t inside = strspn(text + 1, "0123456789abcdef:.");
    return inside > 0 && text[1 + inside] == ']' ? inside + 2 : 0;
}

static bool port_is_sound(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    long port = digits > 0 && digits < 6 ? strtol(text, NULL, 10) : 0;
    return port >= 1 && port <= 65535 && text[digits] == '\0' && text[0] != '0';
}

/* Browsers leave out the default port of the scheme. */
static void drop_default_port(char *origin, char *port)
{
    bool usual = (strncmp(origin, "http:", 5) == 0 && strcmp(port, ":80") == 0) ||
                 (strncmp(origin, "https:", 6) == 0 && strcmp(port, ":443") == 0);
    if (usual)
        *port = '\0';
}

/* scheme://host or scheme://host:port, in small letters, and nothing after it. */
static bool is_origin(char *text)
{
    size_t scheme = strspn(text, scheme_characters);
    if (scheme == 0 || !strchr(letters, text[0]) || strncmp(text + scheme, "://", 3) != 0)
        return false;
    char *host = text + scheme + 3;
    size_t length = host_length(host);
    char *port = host + length;
    if (length == 0 || (*port && (*port != ':' || !port_is_sound(port + 1))))
        return false;
    if (*port)
        drop_default_port(text, port);
    return true;
}

pf_status pf_origins_open(pf_origins *origins, const char *const *texts, int count,
                          pf_error *error)
{
    for (int i = 0; i < count; i++) {
        char *place = origins->list[origins->count];
        if (strcmp(texts[i], "*") == 0 || strcmp(texts[i], "null") == 0)
            return pf_fail(error, PF_E_ARGUMENT,
                           "allow_origin is \"%s\", which stands for pages of anybody; "
                           "name each origin, such as http://localhost:3000", texts[i]);
        if (origins->count == PF_ORIGINS)
            return pf_fail(error, PF_E_ARGUMENT, "allow_origin is given more than %d times",
                           PF_ORIGINS);
        size_t length = strlen(texts[i]);
        for (size_t at = 0; at <= length && at < PF_ORIGIN_BYTES; at++)
            place[at] = (char)tolower((unsigned char)texts[i][at]);
        if (length >= PF_ORIGIN_BYTES || !is_origin(place))
            return pf_fail(error, PF_E_ARGUMENT,
                           "allow_origin is \"%.100s\", but must be an origin as browsers "
                           "send it, such as https://app.example or http://localhost:3000, "
                           "without a path", texts[i]);
        origins->count++;
    }
    return PF_OK;
}

/* --- who asks --------------------------------------------------------------------- */

/* Pages cannot set Sec-Fetch-Site.  Where it is missing (plain HTTP by another name than
 * localhost) Origin is compared with Host. */
bool pf_origins_is_foreign(const pf_http_request *request)
{
    const char *site = pf_http_header(request, "Sec-Fetch-Site");
    const char *origin = pf_http_header(request, "Origin");
    const char *host = pf_http_header(request, "Host");
    if (site)
        return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
    const char *slashes = origin ? strstr(origin, "://") : NULL;
    return origin && (!slashes || !host || strcasecmp(slashes + 3, host) != 0);
}

bool pf_origins_allow(const pf_origins *origins, const pf_http_request *request)
{
    const char *origin = pf_http_header(request, "Origin");
    for (int i = 0; origin && i < origins->count; i++)
        if (strcmp(origins->list[i], origin) == 0)
            return true;
    return false;
}

/* --- replies ---------------------------------------------------------------------- */

/* A list of names of headers, and nothing that could end the line. */
static bool is_name_list(const char *text)
{
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                             "0123456789-_, ")] == '\0';
}

void pf_origins_reply_options(const pf_origins *origins, pf_http_request *request,
                              const char *methods)
{
    const char *method = pf_http_header(request, "Access-Control-Request-Method");
    const char *names = pf_http_header(request, "Access-Control-Request-Headers");
    pf_http_reply_data(request, 204, NULL, NULL, 0);
    pf_http_set(request, "Allow", "%s, OPTIONS", methods);
    if (!method || !pf_origins_allow(origins, request))
        return;
    pf_http_set(request, "Access-Control-Allow-Methods", "%s", methods);
    pf_http_set(request, "Access-Control-Allow-Headers", "%s",
                names && strlen(names) < sizeof request->reply.headers[0].value &&
                        is_name_list(names)
                    ? names
                    : "Authorization, Content-Type, Idempotency-Key, Range");
    pf_http_set(request, "Access-Control-Max-Age", "%d", MAX_AGE_SECONDS);
    if (pf_http_header(request, "Access-Control-Request-Private-Network"))
        pf_http_set(request, "Access-Control-Allow-Private-Network", "true");
}

void pf_origins_dress(const pf_origins *origins, pf_http_request *request)
{
    if (origins->count == 0)
        return;
    pf_http_set(request, "Vary", "Origin");
    if (!pf_origins_allow(origins, request))
        return;
    pf_http_set(request, "Access-Control-Allow-Origin", "%s",
                pf_http_header(request, "Origin"));
    pf_http_set(request, "Access-Control-Expose-Headers", "%s", exposed);
}
