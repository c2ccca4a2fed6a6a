/* SPDX-License-Identifier: Apache-2.0 */
/* A chat model over libcurl.  See chat.h. */
#include "chat/chat.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum {
    CONNECT_SECONDS = 10,
    MAX_KEY_HEADER = 8 << 10,
    OK = 200,
    UNAUTHORIZED = 401,
    FORBIDDEN = 403
};

/* --- the address ------------------------------------------------------------------ */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Completes the path of an address. */
static bool complete_path(CURLU *parsed)
{
    static const char completions[] = "/chat/completions";
    char *path = NULL;
    char whole[PF_CHAT_URL_BYTES];
    if (curl_url_get(parsed, CURLUPART_PATH, &path, 0) != CURLUE_OK)
        return false;
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        path[--length] = '\0';
    bool done = ends_with(path, completions);
    int bytes = snprintf(whole, sizeof whole, "%s%s%s", path,
                         done || ends_with(path, "/v1") ? "" : "/v1",
                         done ? "" : completions);
    curl_free(path);
    return bytes < (int)sizeof whole &&
           curl_url_set(parsed, CURLUPART_PATH, whole, 0) == CURLUE_OK;
}

static bool has_part(CURLU *parsed, CURLUPart part)
{
    char *text = NULL;
    bool there = curl_url_get(parsed, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return there;
}

static bool is_http(CURLU *parsed)
{
    char *scheme = NULL;
    bool http = curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    return http;
}

pf_status pf_chat_address(const char *url, char out[PF_CHAT_URL_BYTES], pf_error *error)
{
    CURLU *parsed = curl_url();
    char *whole = NULL;
    if (!parsed)
        return pf_fail_memory(error, "address", 1);
    bool sound = curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 is_http(parsed) && !has_part(parsed, CURLUPART_FRAGMENT);
    bool secret = sound && (has_part(parsed, CURLUPART_USER) ||
                            has_part(parsed, CURLUPART_PASSWORD));
    sound = sound && !secret && complete_path(parsed) &&
            curl_url_get(parsed, CURLUPART_URL, &whole, 0) == CURLUE_OK &&
            strlen(whole) < PF_CHAT_URL_BYTES;
    if (sound)
        memcpy(out, whole, strlen(whole) + 1);
    curl_free(whole);
    curl_url_cleanup(parsed);
    if (sound)
        return PF_OK;
    if (secret)                         /* which the message does not repeat */
        return pf_fail_field(error, PF_E_ARGUMENT, "rewrite_prompt",
                             "rewrite_prompt has a user's name in its address; put the key "
                             "into a file");
    return pf_fail_field(error, PF_E_ARGUMENT, "rewrite_prompt",
                         "rewrite_prompt is \"%.200s\", but must be the address of a chat "
                         "model such as http://127.0.0.1:8080/v1", url);
}

/* --- one call --------------------------------------------------------------------- */

typedef struct transfer {
    CURL *curl;
    struct curl_slist *headers;
    const pf_chat_stop *stop;
    char *data;                         /* [PF_CHAT_ANSWER_BYTES] */
    size_t bytes;
} transfer;

static size_t keep(char *data, size_t size, size_t count, void *user)
{
    transfer *t = user;
    size_t bytes = size * count;
    if (bytes > PF_CHAT_ANSWER_BYTES - t->bytes)
        return 0;
    memcpy(t->data + t->bytes, data, bytes);
    t->bytes += bytes;
    return bytes;
}

static int stop_early(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const transfer *t = user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return t->stop && t->stop->asked(t->stop->user);
}

static bool add_header(transfer *t, const char *header)
{
    struct curl_slist *longer = curl_slist_append(t->headers, header);
    t->headers = longer ? longer : t->headers;
    return longer != NULL;
}

static bool add_headers(transfer *t, const char *key)
{
    char header[MAX_KEY_HEADER] = "";
    if (key)
        snprintf(header, sizeof header, "Authorization: Bearer %s", key);
    bool added = add_header(t, "Content-Type: application/json") &&
                 add_header(t, "Accept: application/json") &&
                 add_header(t, "Expect:") && (!key || add_header(t, header));
    explicit_bzero(header, sizeof header);
    return added;
}

static pf_status prepare(transfer *t, const pf_chat_call *call, pf_error *error)
{
    t->data = pf_alloc(PF_CHAT_ANSWER_BYTES);
    t->curl = curl_easy_init();
    if (!t->data || !t->curl || !add_headers(t, call->key))
        return pf_fail_memory(error, "chat", PF_CHAT_ANSWER_BYTES);
    double connect = call->seconds < CONNECT_SECONDS ? call->seconds : CONNECT_SECONDS;
    curl_easy_setopt(t->curl, CURLOPT_URL, call->url);
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(t->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * connect));
    curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, (long)(1000 * call->seconds));
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, call->body);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, stop_early);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "phonofilm");
    return PF_OK;
}

static pf_status judge_status(long status, bool has_key, pf_error *error)
{
    if (status == OK)
        return PF_OK;
    if (status >= 300 && status < 400)
        return pf_fail(error, PF_E_INPUT,
                       "the chat model answers with a redirect, which is not followed");
    if (status == UNAUTHORIZED || status == FORBIDDEN)
        return pf_fail(error, PF_E_INPUT, "the chat model %s (status %ld)",
                       has_key ? "does not accept the API key" : "asks for an API key",
                       status);
    return pf_fail(error, PF_E_INPUT, "the chat model answers with status %ld", status);
}

static pf_status perform(transfer *t, const pf_chat_call *call, pf_error *error)
{
    long status = 0;
    CURLcode code = curl_easy_perform(t->curl);
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return pf_fail(error, PF_E_CANCELLED, "cancelled");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return pf_fail(error, PF_E_INPUT, "the chat model gives no answer within %g s",
                       call->seconds);
    if (code == CURLE_WRITE_ERROR)
        return pf_fail(error, PF_E_INPUT, "the chat model's answer has more than %d bytes",
                       PF_CHAT_ANSWER_BYTES);
    if (code != CURLE_OK)
        return pf_fail(error, PF_E_INPUT, "the chat model cannot be reached: %s",
                       curl_easy_strerror(code));
    return judge_status(status, call->key != NULL, error);
}

/* libcurl's copy of the header with the key goes with its list; ours is overwritten. */
static void clean_up(transfer *t)
{
    for (struct curl_slist *at = t->headers; at; at = at->next)
        explicit_bzero(at->data, strlen(at->data));
    curl_slist_free_all(t->headers);
    if (t->curl)
        curl_easy_cleanup(t->curl);
}

pf_status pf_chat_ask(const pf_chat_call *call, char **out, size_t *bytes,
                      pf_error *error)
{
    transfer t = {.stop = call->stop};
    pf_status status = prepare(&t, call, error);
    if (status == PF_OK)
        status = perform(&t, call, error);
    clean_up(&t);
    if (status != PF_OK) {
        pf_free(t.data);
        return status;
    }
    *out = t.data;
    *bytes = t.bytes;
    return PF_OK;
}
