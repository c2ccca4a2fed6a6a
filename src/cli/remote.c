/* SPDX-License-Identifier: Apache-2.0 */
/* A film by a running server.  See remote.h. */
#include "cli/remote.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/process.h"
#include "cli/say.h"
#include "media/part_file.h"
#include "media/text_file.h"

enum {
    MAX_REPLY = 4 << 20,
    MAX_KEY = 512,
    MAX_KEY_FILE = 1 << 20,
    CONNECT_SECONDS = 10,
    PATIENCE_SECONDS = 60,              /* for a server that does not answer */
    ANSWER_SECONDS = 5,                 /* for one, after Ctrl-C */
    POLL_MS = 400
};

/* A conversation with the server. */
typedef struct session {
    const remote_request *request;
    CURL *curl;
    struct curl_slist *headers;
    char base[512];
    char key[MAX_KEY + 32];             /* the header with it */
    char id[64];                        /* of the video */
    bool asking;                        /* for the film */
    time_t interrupted_at;              /* while it was asked for; 0: not yet */
    char *reply;                        /* [reply_bytes] and a NUL */
    size_t reply_bytes;
    long status;                        /* HTTP; 0: no answer */
    char why[CURL_ERROR_SIZE];
    pf_part_file film;
    pf_error film_error;
} session;

static volatile sig_atomic_t interrupted;

/* Seconds by the clock that nobody sets. */
static time_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1;              /* 0 is never */
}

static void on_signal(int number)
{
    interrupted = number;
}

static void complain(const char *text)
{
    cli_end_progress();
    cli_say("%s", text);
}

/* --- one request ------------------------------------------------------------------ */

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

/* An error reply goes to `reply`, a film to its file. */
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

/* A film that has been asked for may be accepted by now: what it is called, so that it
 * can be cancelled, is worth a moment. */
static int stop_early(void *user, curl_off_t to_come, curl_off_t came, curl_off_t to_send,
                      curl_off_t sent)
{
    session *s = user;
    (void)to_come;
    (void)came;
    if (!interrupted || !s->asking || sent < to_send)
        return interrupted != 0;
    if (s->interrupted_at == 0)
        s->interrupted_at = seconds_now();
    return seconds_now() - s->interrupted_at > ANSWER_SECONDS;
}

/* An address of this machine alone: localhost, x.localhost, 127.x.y.z, [::1]. */
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

/* METHOD on PATH; true when there was an answer, whatever it says. */
static bool call(session *s, const char *method, const char *path, curl_mime *body)
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

/* The server's own sentence, and an exit code. */
static int refuse(session *s)
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
    complain(text);
    json_decref(root);
    return s->status >= 400 && s->status < 500 && s->status != 429 ? EXIT_WRONG
                                                                   : EXIT_FAILED;
}

/* --- asking ----------------------------------------------------------------------- */

static bool add_field(curl_mime *form, const remote_field *field)
{
    const char *value = field->text ? field->text : field->value;
    curl_mimepart *part = curl_mime_addpart(form);
    if (!part || curl_mime_name(part, field->name) != CURLE_OK)
        return false;
    if (field->is_file)
        return curl_mime_filedata(part, value) == CURLE_OK;
    return curl_mime_data(part, value, CURL_ZERO_TERMINATED) == CURLE_OK;
}

/* Those of the server, as those of this machine are told. */
static void show_warnings(const session *s, const json_t *video)
{
    size_t i;
    json_t *line;
    json_array_foreach (json_object_get(video, "warnings"), i, line)
        if (json_is_string(line) && !s->request->quiet)
            cli_warn(NULL, json_string_value(line));
}

static bool take_id(session *s)
{
    json_t *root = s->reply ? json_loads(s->reply, 0, NULL) : NULL;
    const char *id = json_string_value(json_object_get(root, "id"));
    bool sound = id && strlen(id) < sizeof s->id &&
                 strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(id);
    if (sound)
        snprintf(s->id, sizeof s->id, "%s", id);
    if (sound)
        show_warnings(s, root);
    json_decref(root);
    return sound;
}

/* A film without a picture is made, here as there, if the model was trained for it. */
static int check_picture(session *s)
{
    enum { OK = 200 };
    if (!s->request->picture_is_missing)
        return EXIT_DONE;
    if (!call(s, "GET", "/v1/models", NULL) || s->status != OK) {
        if (!interrupted)
            return refuse(s);
        complain("cancelled");
        return EXIT_CANCELLED;
    }
    json_t *root = s->reply ? json_loads(s->reply, 0, NULL) : NULL;
    const json_t *model = json_array_get(json_object_get(root, "data"), 0);
    bool needless = json_is_true(json_object_get(model, "without_picture"));
    json_decref(root);
    if (needless)
        return EXIT_DONE;
    complain(s->request->picture_is_missing);
    return EXIT_WRONG;
}

static int ask(session *s)
{
    const remote_request *r = s->request;
    curl_mime *form = curl_mime_init(s->curl);
    bool complete = form != NULL;
    for (int i = 0; complete && i < r->field_count; i++) {
        complete = add_field(form, &r->fields[i]);
        if (!complete)
            cli_say("cannot read %s",
                    r->fields[i].text ? r->fields[i].text : r->fields[i].name);
    }
    int code = complete ? EXIT_DONE : EXIT_WRONG;
    s->asking = true;
    bool accepted = complete && call(s, "POST", "/v1/videos", form) && s->status == 200;
    s->asking = false;
    curl_mime_free(form);
    if (complete && !accepted && interrupted) {
        complain("cancelled while the server was asked; it may still make the film");
        return EXIT_CANCELLED;
    }
    if (complete && !accepted)
        code = refuse(s);
    if (code == EXIT_DONE && !take_id(s)) {
        complain("the server's answer is no video; is the address right?");
        return EXIT_FAILED;
    }
    return code;
}

/* --- Ctrl-C ----------------------------------------------------------------------- */

/* Whether the server is to stop, too; it is where nobody can answer: without a terminal,
 * and when it was no Ctrl-C. */
static bool wants_to_cancel(int number)
{
    char answer[16] = "";
    if (number != SIGINT || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "Cancel the film on the server, too? [y/N] ");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* The server has the film, or will have it. */
static int leave_film(const session *s, const char *what)
{
    cli_end_progress();
    cli_say("%s: %s/v1/videos/%s/content", what, s->base, s->id);
    return EXIT_CANCELLED;
}

static int leave(session *s)
{
    enum { CONFLICT = 409 };            /* it came to its end before */
    char path[128];
    cli_end_progress();
    int number = interrupted;
    interrupted = 0;
    if (!wants_to_cancel(number))
        return leave_film(s, "the server goes on with it; later");
    snprintf(path, sizeof path, "/v1/videos/%s/cancel", s->id);
    if (call(s, "POST", path, NULL) && s->status == 200) {
        complain("cancelled");
        return EXIT_CANCELLED;
    }
    if (s->status == CONFLICT)
        return leave_film(s, "too late to cancel; if it did not fail, the film is at");
    refuse(s);
    return leave_film(s, "not cancelled; the server may go on with it; later");
}

/* --- following -------------------------------------------------------------------- */

static void show(const json_t *video)
{
    char stage[64];
    int position = (int)json_integer_value(json_object_get(video, "queue_position"));
    const char *name = json_string_value(json_object_get(video, "stage"));
    const json_t *left = json_object_get(video, "seconds_left");
    if (position > 0)
        snprintf(stage, sizeof stage, "number %d in the queue", position);
    else
        snprintf(stage, sizeof stage, "%s", name ? name : "waiting");
    cli_show_progress(NULL, &(pf_progress){
        .stage = stage,
        .step = (int)json_integer_value(json_object_get(video, "step")),
        .steps = (int)json_integer_value(json_object_get(video, "steps")),
        .fraction =
            (double)json_integer_value(json_object_get(video, "progress")) / 100.0,
        .seconds_left = json_is_number(left) ? json_number_value(left) : -1.0,
    });
}

typedef enum state { GOING, DONE, FAILED } state;

static state read_state(session *s)
{
    json_t *video = s->reply ? json_loads(s->reply, 0, NULL) : NULL;
    const char *status = json_string_value(json_object_get(video, "status"));
    const char *message = json_string_value(
        json_object_get(json_object_get(video, "error"), "message"));
    state now = status && strcmp(status, "completed") == 0 ? DONE
                : status && strcmp(status, "failed") == 0  ? FAILED
                                                           : GOING;
    if (now == GOING && !s->request->quiet)
        show(video);
    if (now == FAILED) {
        char text[700];
        snprintf(text, sizeof text, "the film failed: %s", message ? message : "?");
        complain(text);
    }
    json_decref(video);
    return now;
}

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000L * 1000L}, NULL);
}

/* A server that is gone for a moment may be starting anew: the job is not lost. */
static int follow(session *s)
{
    char path[128];
    time_t last_answer = seconds_now();
    snprintf(path, sizeof path, "/v1/videos/%s", s->id);
    for (;;) {
        if (interrupted)
            return leave(s);
        bool answered = call(s, "GET", path, NULL) && s->status < 500;
        if (answered && s->status != 200)
            return refuse(s);
        if (answered) {
            last_answer = seconds_now();
            state now = read_state(s);
            if (now != GOING)
                return now == DONE ? EXIT_DONE : EXIT_FAILED;
        } else if (!interrupted && seconds_now() - last_answer > PATIENCE_SECONDS) {
            return refuse(s);
        }
        wait_a_moment();
    }
}

/* One try to fetch the film into a new part of a file. */
static bool fetch_once(session *s)
{
    char path[128];
    pf_part_discard(&s->film);
    if (pf_part_open(s->request->film_path, &s->film, &s->film_error) != PF_OK)
        return false;
    snprintf(path, sizeof path, "/v1/videos/%s/content", s->id);
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, keep_film);
    bool whole = call(s, "GET", path, NULL) && s->status == 200;
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, keep_reply);
    return whole;
}

/* As in follow: the film is not lost when the server is gone for a moment. */
static int fetch(session *s)
{
    pf_error error = {0};
    time_t begun = seconds_now();
    bool whole, again;
    do {
        whole = fetch_once(s);
        again = !whole && !interrupted && s->film_error.status == PF_OK &&
                (s->status == 0 || s->status >= 500) &&
                seconds_now() - begun <= PATIENCE_SECONDS;
        if (again)
            wait_a_moment();
    } while (again);
    if (!whole && interrupted)
        return leave_film(s, "the server has the film");
    if (s->film_error.status != PF_OK)
        return cli_fail(s->film_error.status, &s->film_error);
    if (!whole)
        return refuse(s);
    pf_status status = pf_part_finish(&s->film, &error);
    if (status == PF_OK)
        status = pf_part_publish(&s->film, &error);
    return status == PF_OK ? EXIT_DONE : cli_fail(status, &error);
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

/* From the file, or from the environment; without one there is none. */
static int read_key(session *s)
{
    const char *key = pf_text_file_begin(getenv("PHONOFILM_API_KEY"));
    if (s->request->key_file)
        return read_key_file(s, s->request->key_file);
    if (key && key[0])
        snprintf(s->key, sizeof s->key, "Authorization: Bearer %.*s",
                 (int)strcspn(key, "\r\n"), key);
    return EXIT_DONE;
}

/* The address without what follows the server's own: http://host:8000/v1/ is the
 * base that other clients are given. */
static size_t base_length(const char *address)
{
    size_t length = strlen(address);
    while (length > 0 && address[length - 1] == '/')
        length--;
    if (length > 3 && strncmp(address + length - 3, "/v1", 3) == 0)
        length -= 3;
    return length;
}

static int open_session(session *s)
{
    const char *server = s->request->server;
    size_t length = base_length(server);
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
        complain("out of memory");
        return EXIT_FAILED;
    }
    if (s->key[0])
        s->headers = curl_slist_append(NULL, s->key);
    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_TIME, (long)PATIENCE_SECONDS);
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, keep_reply);
    curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(s->curl, CURLOPT_XFERINFOFUNCTION, stop_early);
    curl_easy_setopt(s->curl, CURLOPT_XFERINFODATA, s);
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, s->why);
    curl_easy_setopt(s->curl, CURLOPT_USERAGENT, "phonofilm");
    return EXIT_DONE;
}

int remote_generate(const remote_request *request)
{
    session s = {.request = request, .film = {.fd = -1}};
    int code = open_session(&s);
    if (code == EXIT_DONE) {
        process_catch(on_signal);
        code = check_picture(&s);
    }
    if (code == EXIT_DONE)
        code = ask(&s);
    if (code == EXIT_DONE)
        code = follow(&s);
    cli_end_progress();
    if (code == EXIT_DONE)
        code = fetch(&s);
    pf_part_discard(&s.film);
    curl_slist_free_all(s.headers);
    if (s.curl)
        curl_easy_cleanup(s.curl);
    free(s.reply);
    if (code == EXIT_DONE && !request->quiet &&
        !pf_place_is_same(request->film_path, "/dev/stdout"))
        cli_print_name(request->film_path, "\n");
    return code;
}
