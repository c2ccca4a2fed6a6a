/* SPDX-License-Identifier: Apache-2.0 */
/* A film by a running server: asked for, followed, fetched.  See remote.h; docs/server.md.
 *
 *     check_picture   GET  /v1/models               only if no picture was given
 *     ask             POST /v1/videos               a form -> the id
 *     follow          GET  /v1/videos/ID            every POLL_MS, until it has ended
 *     fetch           GET  /v1/videos/ID/content    into a part file, which is then renamed
 *     leave           POST /v1/videos/ID/cancel     after Ctrl-C, if the user wants that
 *
 * From `ask` on the film is the server's: it goes on when this program ends, which then says
 * where the film can be fetched.  follow and fetch wait out silence and statuses from 500 on
 * (SESSION_PATIENCE_SECONDS), because a server may be restarted; its jobs survive that. */
#include "cli/remote.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/remote_session.h"
#include "cli/rewriter.h"
#include "cli/say.h"
#include "media/part_file.h"

enum {
    POLL_MS = 400,                      /* a progress line moves no faster */
    REWRITE_PATIENCE_SECONDS = 660      /* longer than any --rewrite-timeout */
};

/* A film on its way. */
typedef struct order {
    const remote_request *request;
    session session;
    char id[64];                        /* of the video */
} order;

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

/* Warnings of the server, and the prompt that it has made, are told as those of this machine
 * are. */
static void show_warnings(const order *o, const json_t *video)
{
    size_t i;
    json_t *line;
    rewriter_tell(json_string_value(json_object_get(video, "rewritten_prompt")),
                  json_string_value(json_object_get(video, "rewrite_error")),
                  o->request->quiet);
    json_array_foreach (json_object_get(video, "warnings"), i, line)
        if (json_is_string(line) && !o->request->quiet)
            cli_warn(NULL, json_string_value(line));
}

/* The video's id from the reply.  An id goes into paths, so a server that sends anything but
 * letters, digits and '_' is refused. */
static bool take_id(order *o)
{
    session *s = &o->session;
    json_t *root = s->reply ? json_loads(s->reply, 0, NULL) : NULL;
    const char *id = json_string_value(json_object_get(root, "id"));
    bool sound = id && strlen(id) < sizeof o->id &&
                 strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(id);
    if (sound)
        snprintf(o->id, sizeof o->id, "%s", id);
    if (sound)
        show_warnings(o, root);
    json_decref(root);
    return sound;
}

/* Refuses a film without a picture unless the server's model was trained for that. */
static int check_picture(order *o)
{
    session *s = &o->session;
    enum { OK = 200 };
    if (!o->request->picture_is_missing)
        return EXIT_DONE;
    if (!session_call(s, "GET", "/v1/models", NULL) || s->status != OK) {
        if (!session_interrupted)
            return session_refuse(s);
        session_complain("cancelled");
        return EXIT_CANCELLED;
    }
    json_t *root = s->reply ? json_loads(s->reply, 0, NULL) : NULL;
    const json_t *model = json_array_get(json_object_get(root, "data"), 0);
    bool needless = json_is_true(json_object_get(model, "without_picture"));
    json_decref(root);
    if (needless)
        return EXIT_DONE;
    session_complain(o->request->picture_is_missing);
    return EXIT_WRONG;
}

/* Sends the form; files are read while they are sent. */
static int ask(order *o)
{
    session *s = &o->session;
    const remote_request *r = o->request;
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
    if (r->rewrites)
        curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_TIME, (long)REWRITE_PATIENCE_SECONDS);
    bool accepted =
        complete && session_call(s, "POST", "/v1/videos", form) && s->status == 200;
    s->asking = false;
    curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_TIME, (long)SESSION_PATIENCE_SECONDS);
    curl_mime_free(form);
    if (complete && !accepted && session_interrupted) {
        session_complain("cancelled while the server was asked; it may still make the film");
        return EXIT_CANCELLED;
    }
    if (complete && !accepted)
        code = session_refuse(s);
    if (code == EXIT_DONE && !take_id(o)) {
        session_complain("the server's answer is no video; is the address right?");
        return EXIT_FAILED;
    }
    return code;
}

/* --- Ctrl-C ----------------------------------------------------------------------- */

/* Asks whether the server is to stop, too.  Where nobody can answer (no terminal, or another
 * signal than Ctrl-C) it is. */
static bool wants_to_cancel(int number)
{
    char answer[16] = "";
    if (number != SIGINT || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "Cancel the film on the server, too? [y/N] ");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Says where the film can be fetched later. */
static int leave_film(const order *o, const char *what)
{
    const session *s = &o->session;
    cli_end_progress();
    cli_say("%s: %s/v1/videos/%s/content", what, s->base, o->id);
    return EXIT_CANCELLED;
}

/* After a signal: cancels the film on the server, or says where it will be. */
static int leave(order *o)
{
    session *s = &o->session;
    enum { CONFLICT = 409 };            /* it came to its end before */
    char path[128];
    cli_end_progress();
    int number = session_interrupted;
    session_interrupted = 0;
    if (!wants_to_cancel(number))
        return leave_film(o, "the server goes on with it; later");
    snprintf(path, sizeof path, "/v1/videos/%s/cancel", o->id);
    if (session_call(s, "POST", path, NULL) && s->status == 200) {
        session_complain("cancelled");
        return EXIT_CANCELLED;
    }
    if (s->status == CONFLICT)
        return leave_film(o, "too late to cancel; if it did not fail, the film is at");
    session_refuse(s);
    return leave_film(o, "not cancelled; the server may go on with it; later");
}

/* --- following -------------------------------------------------------------------- */

/* The server's state in the progress line of this machine. */
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

static state read_state(order *o)
{
    session *s = &o->session;
    json_t *video = s->reply ? json_loads(s->reply, 0, NULL) : NULL;
    const char *status = json_string_value(json_object_get(video, "status"));
    const char *message = json_string_value(
        json_object_get(json_object_get(video, "error"), "message"));
    state now = status && strcmp(status, "completed") == 0 ? DONE
                : status && strcmp(status, "failed") == 0  ? FAILED
                                                           : GOING;
    if (now == GOING && !o->request->quiet)
        show(video);
    if (now == FAILED) {
        char text[700];
        snprintf(text, sizeof text, "the film failed: %s", message ? message : "?");
        session_complain(text);
    }
    json_decref(video);
    return now;
}

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000L * 1000L}, NULL);
}

/* Polls until the film is made.  A server that is gone for a moment may be restarting; the job
 * is on its disk. */
static int follow(order *o)
{
    session *s = &o->session;
    char path[128];
    time_t last_answer = session_seconds();
    snprintf(path, sizeof path, "/v1/videos/%s", o->id);
    for (;;) {
        if (session_interrupted)
            return leave(o);
        bool answered = session_call(s, "GET", path, NULL) && s->status < 500;
        if (answered && s->status != 200)
            return session_refuse(s);
        if (answered) {
            last_answer = session_seconds();
            state now = read_state(o);
            if (now != GOING)
                return now == DONE ? EXIT_DONE : EXIT_FAILED;
        } else if (!session_interrupted &&
                   session_seconds() - last_answer > SESSION_PATIENCE_SECONDS) {
            return session_refuse(s);
        }
        wait_a_moment();
    }
}

/* Tries once to fetch the film, into a new part of a file. */
static bool fetch_once(order *o)
{
    session *s = &o->session;
    char path[128];
    pf_part_discard(&s->film);
    if (pf_part_open(o->request->film_path, &s->film, &s->film_error) != PF_OK)
        return false;
    snprintf(path, sizeof path, "/v1/videos/%s/content", o->id);
    return session_fetch(s, path);
}

/* Tries again while the server is gone for a moment, as follow does. */
static int fetch(order *o)
{
    session *s = &o->session;
    pf_error error = {0};
    time_t begun = session_seconds();
    bool whole, again;
    do {
        whole = fetch_once(o);
        again = !whole && !session_interrupted && s->film_error.status == PF_OK &&
                (s->status == 0 || s->status >= 500) &&
                session_seconds() - begun <= SESSION_PATIENCE_SECONDS;
        if (again)
            wait_a_moment();
    } while (again);
    if (!whole && session_interrupted)
        return leave_film(o, "the server has the film");
    if (s->film_error.status != PF_OK)
        return cli_fail(s->film_error.status, &s->film_error);
    if (!whole)
        return session_refuse(s);
    pf_status status = pf_part_finish(&s->film, &error);
    if (status == PF_OK)
        status = pf_part_publish(&s->film, &error);
    return status == PF_OK ? EXIT_DONE : cli_fail(status, &error);
}

int remote_generate(const remote_request *request)
{
    order o = {.request = request,
               .session = {.server = request->server, .key_file = request->key_file}};
    int code = session_open(&o.session);
    if (code == EXIT_DONE)
        code = check_picture(&o);
    if (code == EXIT_DONE)
        code = ask(&o);
    if (code == EXIT_DONE)
        code = follow(&o);
    cli_end_progress();
    if (code == EXIT_DONE)
        code = fetch(&o);
    session_close(&o.session);
    if (code == EXIT_DONE && !request->quiet &&
        !pf_place_is_same(request->film_path, "/dev/stdout"))
        cli_print_name(request->film_path, "\n");
    return code;
}
