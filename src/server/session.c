/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and sessions over HTTP: who asks, signing in and out.  See api.h, keys.h. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "server/api.h"

/* --- who asks --------------------------------------------------------------------- */

/* The value of our cookie, in `out`; false when there is none. */
static bool read_cookie(const pf_http_request *request, char out[PF_SESSION_BYTES])
{
    static const char name[] = "phonofilm_session=";
    const char *header = pf_http_header(request, "Cookie");
    while (header && *header) {
        header += strspn(header, " ;");
        size_t length = strcspn(header, ";");
        if (strncmp(header, name, sizeof name - 1) == 0) {
            size_t value = length - (sizeof name - 1);
            if (value >= PF_SESSION_BYTES)
                return false;
            memcpy(out, header + sizeof name - 1, value);
            out[value] = '\0';
            return true;
        }
        header += length;
    }
    return false;
}

/* The name of the key or session that asks, "" without keys; NULL: none that is known. */
static const char *name_of(const pf_http_request *request)
{
    const pf_server *server = request->app;
    const char *header = pf_http_header(request, "Authorization");
    char session[PF_SESSION_BYTES];
    if (server->keys.count == 0)
        return "";
    if (header)
        return strncasecmp(header, "Bearer ", 7) == 0
                   ? pf_keys_check(&server->keys, header + 7)
                   : NULL;
    return !pf_origins_is_foreign(request) && read_cookie(request, session)
               ? pf_keys_check_session(&server->keys, session)
               : NULL;
}

bool pf_api_identify(pf_api_context *c)
{
    const char *name = name_of(c->request);
    if (name) {
        snprintf(c->owner, sizeof c->owner, "%s", name);
        if (name[0])
            pf_http_mark_known(c->request);
        return true;
    }
    bool given = pf_http_header(c->request, "Authorization") != NULL;
    pf_http_reply_error(c->request, &(pf_http_fault){401, "invalid_api_key", NULL, 0},
                        given ? "the API key is not one of this server's"
                              : "an API key is missing: send Authorization: Bearer KEY");
    return false;
}

/* --- sessions --------------------------------------------------------------------- */

/* A cookie without a Path is for the folder of /session as the browser sees it.  Behind a
 * proxy that has the server below a path, it does not go to others of the same host. */
static void set_cookie(pf_http_request *request, const char *value, long seconds)
{
    pf_api_context *c = pf_api_context_of(request);
    bool secure = c->server->options.tls_cert != NULL;
    pf_http_set(request, "Set-Cookie",
                "phonofilm_session=%s; HttpOnly; SameSite=Strict; Max-Age=%ld%s",
                value, seconds, secure ? "; Secure" : "");
}

void pf_api_sign_in(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    pf_server *server = c->server;
    json_t *body = NULL;
    char session[PF_SESSION_BYTES];
    pf_json_parse(request->body.data ? request->body.data : "", request->body.bytes, "the body",
                  &body, NULL);
    bool alone = json_object_size(body) == 1;
    const char *key = alone ? json_string_value(json_object_get(body, "key")) : NULL;
    const char *name = key ? pf_keys_check(&server->keys, key) : NULL;
    bool asked = key != NULL;
    json_decref(body);
    if (!asked) {
        pf_http_reply_error(request, &(pf_http_fault){400, "missing", "key", 0},
                            "the body must be {\"key\": \"...\"}");
        return;
    }
    if (!name) {
        pf_http_reply_error(request, &(pf_http_fault){401, "invalid_api_key", "key", 0},
                            "the API key is not one of this server's");
        return;
    }
    pf_keys_make_session(&server->keys, name, session);
    pf_http_reply_json(request, 200, json_pack("{s:s}", "name", name));
    set_cookie(request, session, 30L * 24 * 3600);
}

void pf_api_sign_out(pf_http_request *request)
{
    pf_http_reply_json(request, 200, json_pack("{s:b}", "signed_in", 0));
    set_cookie(request, "", 0);
}

void pf_api_session(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    const char *name = name_of(request);
    pf_http_reply_json(
        request, 200,
        json_pack("{s:b, s:b, s:s?}", "needs_key", c->server->keys.count > 0,
                  "signed_in", name != NULL, "name", name));
}
