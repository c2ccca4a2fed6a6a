/* SPDX-License-Identifier: Apache-2.0 */
/* From the head of a request to its handler: paths, keys, origins.  docs/server.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/assets.h"
#include "server/api.h"

enum {
    SMALL_BODY = 64 << 10,
    WORDS_BODY = 1 << 20                /* the longest prompt, however it is escaped */
};

typedef enum access { OPEN, KEYED } access_kind;
typedef enum body {
    SMALL,
    WORDS,                              /* a prompt */
    FILM,                               /* may hold pictures */
    IGNORED                             /* as large as that, but nobody reads it */
} body_kind;

typedef struct route {
    const char *method;
    const char *pattern;                /* a * stands for the id of a video, ** for
                                         * whatever follows */
    pf_http_handler handler;
    access_kind access;
    body_kind body;
    const char *const *query;           /* its parameters, then NULL */
} route;

static void handle_edit(pf_http_request *request);
static void handle_character(pf_http_request *request);
static void handle_asset(pf_http_request *request);
static void handle_health(pf_http_request *request);
static void handle_ready(pf_http_request *request);

static const char *const no_query[] = {NULL};
static const char *const list_query[] = {"after", "before", "limit", "order", NULL};
static const char *const content_query[] = {"variant", NULL};

/* Outside /v1 anything may stand there: addresses of pages gather it. */
static const route routes[] = {
    {"GET", "/", handle_asset, OPEN, SMALL, NULL},
    {"GET", "/style.css", handle_asset, OPEN, SMALL, NULL},
    {"GET", "/app.js", handle_asset, OPEN, SMALL, NULL},
    {"GET", "/icon.svg", handle_asset, OPEN, SMALL, NULL},
    {"GET", "/openapi.json", handle_asset, OPEN, SMALL, NULL},
    {"GET", "/health", handle_health, OPEN, SMALL, NULL},
    {"GET", "/ready", handle_ready, OPEN, SMALL, NULL},
    {"GET", "/metrics", pf_api_metrics, KEYED, SMALL, NULL},
    {"GET", "/session", pf_api_session, OPEN, SMALL, NULL},
    {"POST", "/session", pf_api_sign_in, OPEN, SMALL, NULL},
    {"DELETE", "/session", pf_api_sign_out, OPEN, SMALL, NULL},
    {"GET", "/v1/models", pf_api_models, KEYED, SMALL, no_query},
    {"GET", "/v1/models/**", pf_api_model, KEYED, SMALL, no_query},
    {"POST", "/v1/videos", pf_api_create, KEYED, FILM, no_query},
    {"GET", "/v1/videos", pf_api_list, KEYED, SMALL, list_query},
    {"POST", "/v1/videos/check", pf_api_check, KEYED, WORDS, no_query},
    {"POST", "/v1/videos/sync", pf_api_sync, KEYED, FILM, content_query},
    {"POST", "/v1/videos/edits", handle_edit, KEYED, IGNORED, no_query},
    {"POST", "/v1/videos/extensions", handle_edit, KEYED, IGNORED, no_query},
    {"POST", "/v1/videos/characters", handle_character, KEYED, IGNORED, no_query},
    {"GET", "/v1/videos/characters/*", handle_character, KEYED, SMALL, no_query},
    {"GET", "/v1/videos/*", pf_api_retrieve, KEYED, SMALL, no_query},
    {"POST", "/v1/videos/*", pf_api_change, KEYED, SMALL, no_query},
    {"DELETE", "/v1/videos/*", pf_api_delete, KEYED, SMALL, no_query},
    {"GET", "/v1/videos/*/content", pf_api_content, KEYED, SMALL, content_query},
    {"GET", "/v1/videos/*/events", pf_api_events, KEYED, SMALL, no_query},
    {"POST", "/v1/videos/*/cancel", pf_api_cancel, KEYED, SMALL, no_query},
    {"POST", "/v1/videos/*/remix", pf_api_remix, KEYED, WORDS, no_query},
};

/* --- paths ------------------------------------------------------------------------ */

/* Copies the part that stands for the *; one that does not fit becomes an id that no video
 * has. */
static bool matches(const char *pattern, const char *path, char id[PF_VIDEO_ID_BYTES])
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(pattern, path) == 0;
    size_t head = (size_t)(star - pattern);
    if (strncmp(pattern, path, head) != 0)
        return false;
    bool rest = star[1] == '*';
    size_t length = rest ? strlen(path + head) : strcspn(path + head, "/");
    if (length == 0 || (!rest && strcmp(path + head + length, star + 1) != 0))
        return false;
    snprintf(id, PF_VIDEO_ID_BYTES, "%.*s",
             length < PF_VIDEO_ID_BYTES ? (int)length : 1, path + head);
    return true;
}

/* Whether a route has this very path: /v1/videos/sync is no id. */
static bool is_literal(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(routes[i].pattern, path) == 0)
            return true;
    return false;
}

static const char *method_of(const pf_http_request *request)
{
    return strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
}

/* NULL after a 404, a 405, or the answer to OPTIONS. */
static const route *find_route(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    char allowed[64] = "", id[PF_VIDEO_ID_BYTES];
    bool literal = is_literal(request->path);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        id[0] = '\0';
        if (!matches(routes[i].pattern, request->path, id) ||
            (literal && strchr(routes[i].pattern, '*')))
            continue;
        if (strcmp(routes[i].method, method_of(request)) == 0) {
            memcpy(c->video_id, id, sizeof id);
            return &routes[i];
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", used ? ", " : "",
                 routes[i].method);
    }
    if (allowed[0] && strcmp(request->method, "OPTIONS") == 0) {
        pf_origins_reply_options(&c->server->origins, request, allowed);
    } else if (allowed[0]) {
        pf_http_reply_error(request, &(pf_http_fault){405, "method", NULL, 0},
                            "%.20s is not a method of %.200s, which takes %s",
                            request->method, request->path, allowed);
        pf_http_set(request, "Allow", "%s", allowed);
    } else {
        pf_http_reply_error(request, &(pf_http_fault){404, "not_found", NULL, 0},
                            "there is nothing at %.200s", request->path);
    }
    return NULL;
}

/* --- origins ---------------------------------------------------------------------- */

/* Bytes of the host without its port: 9 of "localhost:8000", 5 of "[::1]:8000". */
static size_t name_length(const char *host)
{
    return host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
}

static bool is_local_name(const pf_server *server, const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    size_t length = name_length(host);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == length && strncasecmp(names[i], host, length) == 0)
            return true;
    return strlen(server->host) == length && strncmp(server->host, host, length) == 0;
}

/* A page of somebody else must not use the server through its visitor's browser, unless
 * it is on the list: neither by a form or a script (Origin), nor by a name of its own
 * that it lets resolve to this machine (Host; with keys that is harmless).  Sessions are
 * for the server's own page alone. */
static void check_origin(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    const pf_server *server = c->server;
    const char *host = pf_http_header(request, "Host");
    const char *origin = pf_http_header(request, "Origin");
    if (server->loopback && server->keys.count == 0 && !is_local_name(server, host)) {
        pf_http_reply_error(request, &(pf_http_fault){403, "wrong_host", NULL, 0},
                            "this server is reached as localhost, not as %.100s", host);
        return;
    }
    bool listed = pf_origins_allow(&server->origins, request) &&
                  strcmp(request->path, "/session") != 0;
    if (!origin || listed || strcmp(method_of(request), "GET") == 0 ||
        !pf_origins_is_foreign(request))
        return;
    pf_http_reply_error(request, &(pf_http_fault){403, "wrong_origin", NULL, 0},
                        "pages of %.100s may not use this server; --allow-origin lets "
                        "them", origin);
}

/* --- queries ---------------------------------------------------------------------- */

typedef struct query_check {
    pf_http_request *request;
    const char *const *known;
    unsigned seen;                      /* a bit each */
} query_check;

static bool check_parameter(void *user, const char *name, const char *value)
{
    query_check *c = user;
    unsigned at = 0;
    (void)value;
    while (c->known[at] && strcmp(c->known[at], name) != 0)
        at++;
    bool twice = c->seen & 1u << at;
    c->seen |= 1u << at;
    if (!c->known[at])
        pf_http_reply_error(c->request, &(pf_http_fault){400, "unknown", name, 0},
                            "\"%.60s\" is not a parameter of %.80s", name,
                            c->request->path);
    else if (twice)
        pf_http_reply_error(c->request, &(pf_http_fault){400, "invalid", name, 0},
                            "%s is given twice", name);
    return c->request->reply.status == 0;
}

/* Checks that every parameter is known and given once, then calls the route's handler. */
static void handle_query(pf_http_request *request)
{
    const route *found = find_route(request);
    query_check check = {request, found->query, 0};
    pf_http_each_query(request, check_parameter, &check);
    request->handler = found->handler;
    if (request->reply.status == 0)
        request->handler(request);
}

/* --- choosing --------------------------------------------------------------------- */

/* Bytes of two pictures, in the worst case as Base64, and of the other fields. */
static size_t film_body(const pf_server *server)
{
    return (size_t)server->options.max_upload / 16 * 45 + (1 << 20);
}

void pf_routes_choose(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    pf_api_begin(request);
    check_origin(request);
    const route *found = request->reply.status == 0 ? find_route(request) : NULL;
    if (!found)
        return;
    if (found->access == KEYED && pf_api_identify(c)) {
        pf_api_name_holder(c);
        pf_api_take_place(c, PF_PLACE_REQUEST);
    }
    request->handler = found->query ? handle_query : found->handler;
    request->body.limit = found->body == SMALL   ? SMALL_BODY
                          : found->body == WORDS ? WORDS_BODY
                                                 : film_body(c->server);
    request->body.ignored = found->body == IGNORED;
}

void pf_routes_dress(pf_http_request *request)
{
    pf_origins_dress(&pf_server_of(request)->origins, request);
}

void pf_routes_release(pf_http_request *request)
{
    pf_api_drop_creation(pf_api_context_of(request));
    pf_api_end(request);
}

/* --- small handlers --------------------------------------------------------------- */

/* Refuses parts of OpenAI's interface that the model cannot do.  The body is read before,
 * because not every client sees an answer that comes while it sends. */
static void handle_edit(pf_http_request *request)
{
    const char *what = strrchr(request->path, '/') + 1;
    pf_http_reply_error(request, &(pf_http_fault){400, "unsupported", NULL, 0},
                        "this model takes no films, so it has no %s: it makes one from "
                        "words and a picture (POST /v1/videos), or again with other "
                        "words (POST /v1/videos/{id}/remix)", what);
}

static void handle_character(pf_http_request *request)
{
    pf_http_reply_error(request, &(pf_http_fault){400, "unsupported", NULL, 0},
                        "this model knows no characters; a picture of one can be the "
                        "first frame (input_reference of POST /v1/videos)");
}

/* SHA-256 of the script in the page itself, which adds the slash to "/film": below it the
 * page's relative addresses would miss. */
static const char slash_script[] = "b2mapfSqYt22ABhWwB8vD9hYTiJGeVFxd4RoIhsqbUM=";

static void handle_asset(pf_http_request *request)
{
    const pf_asset *asset = pf_asset_find(request->path);
    pf_http_reply_data(request, 200, asset->type, asset->data, asset->bytes);
    pf_http_set(request, "Cache-Control", "no-cache");
    pf_http_set(request, "Content-Security-Policy",
                "default-src 'none'; script-src 'self' 'sha256-%s'; style-src 'self'; "
                "img-src 'self' data: blob:; media-src 'self' blob:; "
                "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'", slash_script);
}

static void handle_health(pf_http_request *request)
{
    pf_http_reply_json(request, 200, json_pack("{s:s, s:s}", "status", "ok", "version",
                                               pf_version()));
}

/* "ready", and the first hundred folders that the store did not know at the start. */
static json_t *ready_json(const pf_films *films)
{
    enum { SHOWN = 100 };
    json_t *ready = json_pack("{s:s}", "status", "ready"), *names = json_array();
    for (int i = 0; i < films->unknown_count && i < SHOWN; i++)
        json_array_append_new(names, json_string(films->unknown[i]));
    if (films->unknown_count > 0)
        json_object_set_new(ready, "unknown_folders",
                            json_pack("{s:i, s:O}", "count", films->unknown_count,
                                      "folders", names));
    json_decref(names);
    return ready;
}

static void handle_ready(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    pf_server *server = c->server;
    pthread_mutex_lock(&server->videos.lock);
    bool closing = server->videos.closing;
    char why[sizeof server->videos.paused];
    memcpy(why, server->videos.paused, sizeof why);
    pthread_mutex_unlock(&server->videos.lock);
    if (closing || why[0])
        pf_http_reply_error(request,
                            &(pf_http_fault){503, closing ? "closing" : "paused", NULL, 5},
                            "%s", closing ? "the server is stopping" : why);
    else
        pf_http_reply_json(request, 200, ready_json(&server->films));
}
