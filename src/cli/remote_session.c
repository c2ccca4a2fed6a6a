/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with a server.  See remote_session.h.
 *
 * A single curl handle serves all requests, so that the connection is kept.  session_call
 * sets anew whatever differs between requests: method, body, address. */
#include "cli/remote_session.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/process.h"
#include "cli/say.h"
#include "media/text_file.h"

enum {
    MAX_REPLY = 4 << 20,                /* bytes of JSON; films go to a file */
    MAX_KEY = 512,
    MAX_KEY_FILE = 1 << 20,
    CONNECT_SECONDS = 10,
    ANSWER_SECONDS = 5                  /* for a server that was asked, after Ctrl-C */
};

volatile sig_atomic_t session_interrupted;

time_t session_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1;              /* 0 is never */
}

static void on_signal(int number)
{
    session_interrupted = number;
}

void session_complain(const char *text)
{
    cli_end_progress();
    cli_say("%s", text);
}

/* --- one request ------------------------------------------------------------------ */

/* curl's writer: gives the bytes that were taken; fewer end the transfer. */
static size_t keep_reply(char *data, size_t size, size_t count, void *user)
{
    session *s = user;
    size_t bytes = size * count;
    char *grown = s->reply_bytes + bytes > MAX_REPLY
                      ? NULL
                      : realloc(s->reply, s->reply_bytes + bytes + 1);
    if (!grown)
        return 0;
    memcpy(grown + s->reply_bytes, data, bytes);
    s->reply = grown;
    s->reply_bytes += bytes;
    s->reply[s->reply_bytes] = '\0';
    return bytes;
}

/* Writes a film to its file; an error reply is kept as any other. */
static size_t keep_film(char *data, size_t size, size_t count, void *user)
{
    session *s = user;
    long status = 0;
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return keep_reply(data, size, count, user);
    bool kept = pf_part_write(&s->film, data, size * count, &s->film_error) == PF_OK;
    return kept ? size * count : 0;
}

/* Ends a transfer after a signal.  A film that was asked for may be accepted by now: its id,
 * without which it cannot be cancelled, is waited for ANSWER_SECONDS. */
static int stop_early(void *user, curl_off_t to_come, curl_off_t came, curl_off_t to_send,
                      curl_off_t sent)
{
    session *s = user;
    (void)to_come;
    (void)came;
    if (!session_interrupted || !s->asking || sent < to_send)
        return session_interrupted != 0;
    if (s->interrupted_at == 0)
        s->interrupted_at = session_seconds();
    return session_seconds() - s->interrupted_at > ANSWER_SECONDS;
}

/* Whether the address is of this machine alone: localhost, x.localhost, 127.x.y.z, [::1]. */
static bool is_here(const char *base)
{
    CURLU *parsed = curl_url();
    char *host = NULL;
    bool here = false;
    if (parsed && curl_url_set(parsed, CURLUPART_URL, base, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        struct in_addr v4;
        struct in6_addr v6;
        size_t length = strlen(host);
        host[length - (length > 0 && host[length - 1] == ']')] = '\0';
        bool six = host[0] == '[' && inet_pton(AF_INET6, host + 1, &v6) == 1;
        here = six ? IN6_IS_ADDR_LOOPBACK(&v6)
               : inet_pton(AF_INET, host, &v4) == 1
                   ? ntohl(v4.s_addr) >> 24 == 127
                   : strcasecmp(host, "localhost") == 0 ||
                         (length > 10 && strcasecmp(host + length - 10, ".localhost") == 0);
    }
    curl_free(host);
    curl_url_cleanup(parsed);
    return here;
}

/* The reply's body goes to s->reply, curl's reason of a failure to s->why. */
bool session_call(session *s, const char *method, const char *path, curl_mime *body)
{
    char url[1024];
    free(s->reply);
    s->reply = NULL;
    s->reply_bytes = 0;
    s->status = 0;
    s->why[0] = '\0';
    snprintf(url, sizeof url, "%s%s", s->base, path);
    curl_easy_setopt(s->curl, CURLOPT_URL, url);
    if (is_here(s->base))               /* no proxy of the environment reaches it */
        curl_easy_setopt(s->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(s->curl, CURLOPT_HTTPGET, 1L);
    if (body)
        curl_easy_setopt(s->curl, CURLOPT_MIMEPOST, body);
    else if (strcmp(method, "POST") == 0)
        curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, "");
    CURLcode code = curl_easy_perform(s->curl);
    if (code != CURLE_OK) {
        if (!s->why[0])
            snprintf(s->why, sizeof s->why, "%s", curl_easy_strerror(code));
        return false;
    }
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &s->status);
    return true;
}

bool session_fetch(session *s, const char *path)
{
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, keep_film);
    bool whole = session_call(s, "GET", path, NULL) && s->status == 200;
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, keep_reply);
    return whole;
}

/* 4xx is a wrong request, but 429 (too many) and 5xx are the server's state. */
int session_refuse(session *s)
{
    json_t *root = s->reply ? json_loads(s->reply, 0, NULL) : NULL;
    const char *message =
        json_string_value(json_object_get(json_object_get(root, "error"), "message"));
    char text[700];
    if (s->status == 0)
        snprintf(text, sizeof text, "the server %.200s does not answer: %s", s->base, s->why);
    else if (message)
        snprintf(text, sizeof text, "the server refuses: %s", message);
    else
        snprintf(text, sizeof text, "%.200s answers with status %ld and no reason; is "
                 "the address right?", s->base, s->status);
    session_complain(text);
    json_decref(root);
    return s->status >= 400 && s->status < 500 && s->status != 429 ? EXIT_WRONG
                                                                   : EXIT_FAILED;
}

/* --- beginning -------------------------------------------------------------------- */

/* The first key of a text: a line of its own, or NAME:KEY, as the server's file has
 * them.  Points into the text, which is cut there; NULL: there is none. */
static const char *find_key(char *text)
{
    static const char name[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *line;
    while ((line = strsep(&text, "\n")) != NULL) {
        line[strcspn(line, "\r")] = '\0';
        size_t length = strspn(line, name);
        if (line[0] != '\0' && line[0] != '#')
            return length > 0 && line[length] == ':' ? line + length + 1 : line;
    }
    return NULL;
}

/* The key's file is a secret: its text is cleared before it is freed. */
static int read_key_file(session *s, const char *path)
{
    pf_error error = {0};
    char *text = NULL;
    size_t bytes = 0;
    if (pf_text_file_read(path, path, MAX_KEY_FILE, &text, &bytes, &error) != PF_OK) {
        cli_say("--api-key-file: %s", error.message);
        return EXIT_WRONG;
    }
    const char *key = strlen(text) == bytes ? find_key(text) : NULL;
    bool fits = key && strlen(key) < MAX_KEY;
    if (fits)
        snprintf(s->key, sizeof s->key, "Authorization: Bearer %s", key);
    else
        cli_say("--api-key-file: there is no API key in %s", path);
    explicit_bzero(text, bytes);
    pf_text_file_free(text);
    return fits ? EXIT_DONE : EXIT_WRONG;
}

/* Reads the key from the file, or else from the environment, which may have none. */
static int read_key(session *s)
{
    const char *key = pf_text_file_begin(getenv("PHONOFILM_API_KEY"));
    if (s->key_file)
        return read_key_file(s, s->key_file);
    if (key && key[0])
        snprintf(s->key, sizeof s->key, "Authorization: Bearer %.*s",
                 (int)strcspn(key, "\r\n"), key);
    return EXIT_DONE;
}

/* Bytes of the server's own address: other clients are given http://host:8000/v1/ as their
 * base, so slashes and "/v1" at the end are left out. */
static size_t base_length(const char *address)
{
    size_t length = strlen(address);
    while (length > 0 && address[length - 1] == '/')
        length--;
    if (length > 3 && strncmp(address + length - 3, "/v1", 3) == 0)
        length -= 3;
    return length;
}

int session_open(session *s)
{
    const char *server = s->server;
    size_t length = base_length(server);
    s->film.fd = -1;
    if ((strncmp(server, "http://", 7) != 0 && strncmp(server, "https://", 8) != 0) ||
        length >= sizeof s->base) {
        cli_say("--server is %s, but must be an address such as "
                "http://127.0.0.1:8000", server);
        return EXIT_WRONG;
    }
    snprintf(s->base, sizeof s->base, "%.*s", (int)length, server);
    int code = read_key(s);
    if (code != EXIT_DONE)
        return code;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    s->curl = curl_easy_init();
    if (!s->curl) {
        session_complain("out of memory");
        return EXIT_FAILED;
    }
    if (s->key[0])
        s->headers = curl_slist_append(NULL, s->key);
    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_TIME, (long)SESSION_PATIENCE_SECONDS);
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, keep_reply);
    curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(s->curl, CURLOPT_XFERINFOFUNCTION, stop_early);
    curl_easy_setopt(s->curl, CURLOPT_XFERINFODATA, s);
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, s->why);
    curl_easy_setopt(s->curl, CURLOPT_USERAGENT, "phonofilm");
    process_catch(on_signal);
    return EXIT_DONE;
}

void session_close(session *s)
{
    pf_part_discard(&s->film);
    curl_slist_free_all(s->headers);
    if (s->curl)
        curl_easy_cleanup(s->curl);
    free(s->reply);
}
