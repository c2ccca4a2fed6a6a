/* SPDX-License-Identifier: Apache-2.0 */
/* Rewriting prompts.  See rewriter.h. */
#include "chat/rewriter.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/memory.h"
#include "chat/answer.h"
#include "media/text_file.h"

enum {
    MAX_KEY_FILE = 64 << 10,
    MAX_KEY = 4 << 10,
    LEAST_SECRET = 8,                   /* bytes of a key that is worth looking for */
    MAX_MODEL = 200
};

struct pf_rewriter {
    char url[PF_CHAT_URL_BYTES];
    char model[MAX_MODEL + 1];
    char key[MAX_KEY + 1];              /* "": none */
    double seconds;
};

/* Made from docs/prompt-rewriting.md, by the build. */
static const char system_text[] = {
#include "system_text.inc"
    , '\0'
};

const char *pf_rewriter_system(void)
{
    return system_text;
}

/* --- opening ---------------------------------------------------------------------- */

/* Takes the first line: printable ASCII without blanks, because it becomes a header. */
static bool take_key(pf_rewriter *r, const char *text)
{
    static const char blanks[] = " \t\r\n";
    text += strspn(text, blanks);
    size_t length = 0;
    while (text[length] > ' ' && text[length] <= '~')
        length++;
    if (length == 0 || length > MAX_KEY ||
        (text[length] && text[length] != '\n' && text[length] != '\r'))
        return false;
    memcpy(r->key, text, length);
    r->key[length] = '\0';
    return true;
}

static pf_status read_key(pf_rewriter *r, const char *path, pf_error *error)
{
    static const char variable[] = "PHONOFILM_REWRITE_KEY";
    const char *set = getenv(variable);
    char *text = NULL;
    size_t bytes = 0;
    if (!path && set && set[0] && !take_key(r, set))
        return pf_fail(error, PF_E_ARGUMENT, "%s holds no API key: printable ASCII without "
                       "blanks, at most %d bytes", variable, MAX_KEY);
    if (!path)
        return PF_OK;
    PF_TRY(pf_text_file_read(path, path, MAX_KEY_FILE, &text, &bytes, error));
    bool found = take_key(r, text);
    explicit_bzero(text, bytes);
    pf_text_file_free(text);
    return found ? PF_OK
                 : pf_fail_field(error, PF_E_INPUT, "rewrite_key_file",
                                 "rewrite_key_file is %.200s, but its first line must be an "
                                 "API key: printable ASCII without blanks, at most %d bytes",
                                 path, MAX_KEY);
}

static pf_status take_model(pf_rewriter *r, const char *model, pf_error *error)
{
    size_t length = model ? strlen(model) : 0;
    if (length == 0)
        return pf_fail_field(error, PF_E_ARGUMENT, "rewrite_model",
                             "rewrite_model is missing: name the chat model");
    if (length > MAX_MODEL)
        return pf_fail_field(error, PF_E_ARGUMENT, "rewrite_model",
                             "rewrite_model has %zu bytes, but must have %d at most", length,
                             MAX_MODEL);
    memcpy(r->model, model, length + 1);
    return PF_OK;
}

pf_status pf_rewriter_open(const pf_rewriter_options *options, pf_rewriter **out,
                           pf_error *error)
{
    *out = NULL;
    pf_rewriter *r = pf_calloc(1, sizeof *r);
    if (!r)
        return pf_fail_memory(error, "chat", sizeof *r);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    r->seconds = options->seconds;
    pf_status status = pf_chat_address(options->url, r->url, error);
    if (status == PF_OK)
        status = take_model(r, options->model, error);
    if (status == PF_OK)
        status = read_key(r, options->key_file, error);
    if (status == PF_OK)
        *out = r;
    else
        pf_rewriter_close(r);
    return status;
}

void pf_rewriter_close(pf_rewriter *rewriter)
{
    if (rewriter)
        explicit_bzero(rewriter->key, sizeof rewriter->key);
    pf_free(rewriter);
}

/* --- asking ----------------------------------------------------------------------- */

/* Neither `temperature` nor a limit of tokens is sent: several models refuse every value but
 * their own, and the answer is bounded by bytes and time. */
static char *make_body(const pf_rewriter *r, const char *words)
{
    json_t *body = json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:s}], s:b}", "model", r->model,
                             "messages", "role", "system", "content", system_text, "role",
                             "user", "content", words, "stream", 0);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

/* A host that echoes its key must not bring it into a film. */
static bool gives_key_away(const pf_rewriter *r, const char *prompt)
{
    return strlen(r->key) >= LEAST_SECRET && strstr(prompt, r->key);
}

pf_status pf_rewriter_ask(const pf_rewriter *r, const char *words,
                          const pf_chat_stop *stop, char **out, pf_error *error)
{
    char *answer = NULL;
    size_t bytes = 0;
    char *body = make_body(r, words);
    if (!body)
        return pf_fail(error, PF_E_INPUT, "the prompt or the chat model's name is not UTF-8");
    pf_status status = pf_chat_ask(
        &(pf_chat_call){.url = r->url, .key = r->key[0] ? r->key : NULL,
                        .seconds = r->seconds, .body = body, .stop = stop},
        &answer, &bytes, error);
    free(body);
    if (status == PF_OK)
        status = pf_answer_read(answer, bytes, out, error);
    pf_free(answer);
    if (status != PF_OK || !gives_key_away(r, *out))
        return status;
    pf_free(*out);
    *out = NULL;
    return pf_fail(error, PF_E_INPUT, "the chat model's answer holds the API key");
}

void pf_rewriter_free(char *prompt)
{
    pf_free(prompt);
}
