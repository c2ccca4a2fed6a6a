/* SPDX-License-Identifier: Apache-2.0 */
/* The step of a creation in which a chat model rewrites the prompt.  See creation.h;
 * docs/prompt-rewriting.md.
 *
 *     lane CREATE    pf_creation_is_sound: the film can be made of the user's words
 *     lane REWRITE   pf_creation_rewrite: the settings have another prompt, or why not
 *     lane CREATE    pf_creation_is_sound: also of that one; then the film is accepted
 *
 * The film is accepted, and stored, with its prompt: no run of it asks again. */
#include <string.h>

#include "server/creation.h"

pf_status pf_creation_keep_words(pf_creation *c, const char *why, pf_error *error)
{
    json_t *settings = c->order.settings;
    c->rewritten = false;
    atomic_fetch_add(&c->server->not_rewritten, 1);
    pf_server_log(c->server, "a prompt is not rewritten: %s", why);
    json_object_del(settings, PF_SETTINGS_REWRITTEN);
    return json_object_set_new(settings, PF_SETTINGS_REWRITE_ERROR, json_string(why)) == 0
               ? PF_OK
               : pf_fail_memory(error, "settings", 1);
}

bool pf_creation_wants_rewriting(const pf_creation *c)
{
    return c->order.rewrite && !c->asked;
}

/* A client that is gone wants no film, unless its Idempotency-Key says that it may come back:
 * nobody knows the film's id yet. */
static bool is_over(void *user)
{
    const pf_creation *c = user;
    return atomic_load(&c->server->closing) ||
           (pf_http_is_gone(c->request) && !pf_http_header(c->request, "Idempotency-Key"));
}

static void refuse_rewriting(pf_creation *c, pf_error *error)
{
    if (error->status != PF_E_CANCELLED)
        pf_api_reply_failure(c->context, error);
    else if (atomic_load(&c->server->closing))
        pf_http_reply_error(c->request, &(pf_http_fault){503, "closing", NULL, 5},
                            "the server is stopping");
    else
        pf_http_reply_error(c->request, &(pf_http_fault){409, "cancelled", NULL, 0},
                            "the client left while its prompt was rewritten");
}

bool pf_creation_rewrite(pf_creation *c)
{
    json_t *settings = c->order.settings;
    const char *words = json_string_value(json_object_get(settings, "prompt"));
    const pf_chat_stop stop = {is_over, c};
    pf_error error = {0};
    char *prompt = NULL;
    c->asked = true;
    pf_status status = pf_rewriter_ask(c->server->rewriter, words, &stop, &prompt, &error);
    if (status == PF_OK) {
        c->rewritten = true;
        if (json_object_set_new(settings, PF_SETTINGS_REWRITTEN, json_string(prompt)) != 0)
            status = pf_fail_memory(&error, "settings", 1);
    } else if (status != PF_E_CANCELLED) {
        char why[sizeof error.message];
        memcpy(why, error.message, sizeof why);
        status = pf_creation_keep_words(c, why, &error);
    }
    pf_rewriter_free(prompt);
    if (status != PF_OK)
        refuse_rewriting(c, &error);
    return status == PF_OK;
}
