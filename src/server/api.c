/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the API: retrieve, list, content, models; delete and cancel.  Creating is in
 * create.c, the stream of events in events.c.  docs/server.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/server_parts.h"

enum { WARM_BYTES = 32 << 20 };

/* --- replies that several share --------------------------------------------------- */

/* Milliseconds until it is worth asking again. */
static int poll_after(const pf_video *video)
{
    double wait = video->status == PF_VIDEO_RUNNING && video->seconds_left >= 0
                      ? video->seconds_left * 50.0
                      : 1000.0 * video->position;
    return wait < 500.0 ? 500 : wait > 10000.0 ? 10000 : (int)wait;
}

void pf_api_reply_video(pf_http_request *request, int status)
{
    pf_server *server = pf_server_of(request);
    const pf_video *video = request->video;
    pthread_mutex_lock(&server->videos.lock);
    bool pending = video->status < PF_VIDEO_COMPLETED;
    int wait = poll_after(video);
    json_t *object = pf_video_json(video, server->model_name, server->options.retention);
    pthread_mutex_unlock(&server->videos.lock);
    pf_http_reply_json(request, status, object);
    if (pending)
        pf_http_set(request, "openai-poll-after-ms", "%d", wait);
}

bool pf_api_find(pf_http_request *request)
{
    pf_server *server = pf_server_of(request);
    if (pf_video_id_is_sound(request->video_id))
        request->video =
            pf_videos_find(&server->videos, request->video_id, request->owner);
    if (request->video)
        return true;
    pf_http_reply_error(request, &(pf_http_fault){404, "video_not_found", "video_id", 0},
                        "there is no video \"%s\"", request->video_id);
    return false;
}

/* A failure of files may be the disk's: then the queue stands still, too. */
static bool reply_trouble(pf_http_request *request, const pf_error *error)
{
    pf_server *server = pf_server_of(request);
    if (error->status != PF_E_IO && error->status != PF_E_NOT_FOUND)
        return false;
    const pf_trouble *trouble = pf_films_examine(&server->films, server->store);
    if (!trouble)
        return false;
    pf_server_stand_still(server, trouble, error->message);
    pf_http_reply_error(request, &trouble->fault, "%s", trouble->message);
    return true;
}

void pf_api_reply_failure(pf_http_request *request, const pf_error *error)
{
    if (reply_trouble(request, error))
        return;
    int status = pf_status_http(error->status);
    const char *code = error->status == PF_E_NO_SPACE ? "no_space"
                       : error->status == PF_E_MEMORY ? "out_of_memory"
                       : error->status == PF_E_MODEL  ? "model_error"
                                                      : "server_error";
    char room[sizeof error->message];
    pf_server_log(pf_server_of(request), "%s fails: %s", request->id, error->message);
    pf_http_reply_error(request, &(pf_http_fault){status < 500 ? 500 : status, code, NULL,
                                                  status == 503 ? 5 : 0},
                        "%s", pf_server_explain(pf_server_of(request), error, room));
}

/* --- one video -------------------------------------------------------------------- */

void pf_api_retrieve(pf_http_request *request)
{
    if (pf_api_find(request))
        pf_api_reply_video(request, 200);
}

static void delete_work(pf_http_request *request)
{
    pf_error error = {0};
    if (pf_server_discard(pf_server_of(request), request->video, &error) != PF_OK) {
        pf_api_reply_failure(request, &error);
        return;
    }
    pf_http_reply_json(request, 200,
                       json_pack("{s:s, s:s, s:b}", "id", request->video->id, "object",
                                 "video.deleted", "deleted", 1));
}

void pf_api_delete(pf_http_request *request)
{
    if (pf_api_find(request))
        pf_http_defer(request, PF_LANE_EDIT, delete_work);
}

/* {"starred": true}; false after a 400. */
static bool read_star(pf_http_request *request, bool *starred)
{
    json_t *body = NULL;
    pf_json_parse(request->body ? request->body : "", request->body_bytes, "the body",
                  &body, NULL);
    const json_t *value = json_object_get(body, "starred");
    bool sound = json_object_size(body) == 1 && json_is_boolean(value);
    *starred = json_is_true(value);
    json_decref(body);
    if (!sound)
        pf_http_reply_error(request, &(pf_http_fault){400, "invalid", "starred", 0},
                            "the body must be {\"starred\": true} or {\"starred\": false}: "
                            "nothing else of a video can be changed");
    return sound;
}

static void change_work(pf_http_request *request)
{
    pf_error error = {0};
    bool starred;
    if (!read_star(request, &starred))
        return;
    if (pf_videos_star(&pf_server_of(request)->videos, request->video, starred, &error) !=
        PF_OK)
        pf_api_reply_failure(request, &error);
    else
        pf_api_reply_video(request, 200);
}

void pf_api_change(pf_http_request *request)
{
    if (pf_api_find(request))
        pf_http_defer(request, PF_LANE_EDIT, change_work);
}

static void cancel_work(pf_http_request *request)
{
    pf_server *server = pf_server_of(request);
    pf_error error = {0};
    pf_cancelling how = pf_videos_cancel(&server->videos, request->video, &error);
    if (how == PF_CANCEL_DONE)
        pf_video_remove_state(server->output_dir, request->video->id);
    pf_server_poke(server);             /* there may be a webhook */
    if (error.status != PF_OK)
        pf_api_reply_failure(request, &error);
    else if (how != PF_CANCEL_LATE)
        pf_api_reply_video(request, 200);
    else
        pf_http_reply_error(request, &(pf_http_fault){409, "already_done", NULL, 0},
                            "the video is at its end and cannot be cancelled");
}

void pf_api_cancel(pf_http_request *request)
{
    if (pf_api_find(request))
        pf_http_defer(request, PF_LANE_EDIT, cancel_work);
}

/* --- content ---------------------------------------------------------------------- */

typedef struct variant {
    const char *name, *file, *type;     /* file NULL: the film */
} variant;

static const variant variants[] = {
    {"video", NULL, NULL},
    {"thumbnail", "thumbnail.webp", "image/webp"},
    {"spritesheet", "spritesheet.webp", "image/webp"},
};

static const variant *find_variant(pf_http_request *request)
{
    const char *wanted = pf_http_query(request, "variant");
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (strcmp(wanted ? wanted : "video", variants[i].name) == 0)
            return &variants[i];
    pf_http_reply_error(request, &(pf_http_fault){400, "invalid", "variant", 0},
                        "variant is \"%.60s\", but must be video, thumbnail or "
                        "spritesheet", wanted);
    return NULL;
}

bool pf_api_content_query_is_sound(pf_http_request *request)
{
    return find_variant(request) != NULL;
}

static bool is_ready(pf_http_request *request)
{
    pf_server *server = pf_server_of(request);
    pthread_mutex_lock(&server->videos.lock);
    pf_video_status status = request->video->status;
    pthread_mutex_unlock(&server->videos.lock);
    if (status == PF_VIDEO_COMPLETED)
        return true;
    bool failed = status == PF_VIDEO_FAILED;
    pf_http_reply_error(
        request,
        &(pf_http_fault){404, failed ? "video_failed" : "video_not_ready", NULL, 0},
        failed ? "the video failed and has no content"
               : "the video is still being made; ask for its status first");
    return false;
}

/* Reads what is about to be sent, so that it is in memory when the thread that sends
 * it, and answers others, asks for it.  Of a very long film the rest only begins to be
 * read. */
static void warm(const pf_reply *reply)
{
    char block[64 << 10];
    int64_t at = reply->offset, end = at + (int64_t)reply->bytes;
    int64_t stop = end - at > WARM_BYTES ? at + WARM_BYTES : end;
    while (at < stop) {
        ssize_t got = pread(reply->fd, block, sizeof block, at);
        if (got <= 0)
            return;                     /* sending will see the same */
        at += got;
    }
    if (at < end)
        posix_fadvise(reply->fd, at, end - at, POSIX_FADV_WILLNEED);
}

static void reply_content(pf_http_request *request, const variant *v)
{
    pf_server *server = pf_server_of(request);
    const char *film = pf_video_film_name(request->video);
    const char *ending = strrchr(film, '.');
    char *path = pf_video_file(server->output_dir, request->video->id,
                               v->file ? v->file : film);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    int reason = errno;
    pf_free(path);
    if (fd < 0) {
        bool gone = reason == ENOENT;
        pf_http_reply_error(request,
                            &(pf_http_fault){gone ? 404 : 503, gone ? "gone" : "busy",
                                             NULL, gone ? 0 : 2},
                            gone ? "the file is no longer there"
                                 : "the file cannot be opened now");
        return;
    }
    pf_http_set(request, "x-video-id", "%s", request->video->id);
    pf_http_set(request, "Cache-Control", "private, max-age=3600");
    pf_http_set(request, "Content-Disposition", "inline; filename=\"%s%s\"",
                request->video->id, v->file ? ".webp" : ending);
    const char *film_type = strcmp(ending, ".webm") == 0 ? "video/webm" : "video/mp4";
    /* What an id stands for never changes. */
    char tag[PF_VIDEO_ID_BYTES + 16];
    snprintf(tag, sizeof tag, "\"%s-%s\"", request->video->id, v->name);
    pf_http_reply_file(request, fd, v->type ? v->type : film_type, tag);
    if (request->reply.fd >= 0)
        warm(&request->reply);
}

static void content_work(pf_http_request *request)
{
    const variant *v = find_variant(request);
    if (v)
        reply_content(request, v);
}

void pf_api_content(pf_http_request *request)
{
    if (pf_api_find(request) && find_variant(request) && is_ready(request))
        pf_http_defer(request, PF_LANE_READ, content_work);
}

/* --- lists ------------------------------------------------------------------------ */

static bool refuse_list(pf_http_request *request, const char *name, const char *value,
                        const char *wanted)
{
    pf_http_reply_error(request, &(pf_http_fault){400, "invalid", name, 0},
                        "%s is \"%.60s\", but must be %s", name, value, wanted);
    return false;
}

static bool read_limit(pf_http_request *request, int *out)
{
    char *end = NULL;
    const char *value = pf_http_query(request, "limit");
    long limit = value ? strtol(value, &end, 10) : 20;
    if (value && (*value < '0' || *value > '9' || *end || limit < 1 ||
                  limit > PF_PAGE_MAX))
        return refuse_list(request, "limit", value, "a whole number from 1 to 100");
    *out = (int)limit;
    return true;
}

static bool read_order(pf_http_request *request, bool *ascending)
{
    const char *value = pf_http_query(request, "order");
    *ascending = value && strcmp(value, "asc") == 0;
    return !value || *ascending || strcmp(value, "desc") == 0 ||
           refuse_list(request, "order", value, "asc or desc");
}

static bool read_cursor(pf_http_request *request, const char *name, const char **out)
{
    const char *value = pf_http_query(request, name);
    *out = value ? value : "";
    return !value || pf_video_id_is_sound(value) ||
           refuse_list(request, name, value, "the id of a video");
}

static bool read_list_query(pf_http_request *request, pf_page_query *out)
{
    out->owner = request->owner;
    return read_limit(request, &out->limit) && read_order(request, &out->ascending) &&
           read_cursor(request, "after", &out->after) &&
           read_cursor(request, "before", &out->before);
}

/* The lock is taken anew for each video: a long page makes nobody wait. */
static json_t *list_json(pf_server *server, pf_video *const *page, int count, bool more)
{
    json_t *data = json_array();
    bool complete = true;
    for (int i = 0; i < count && complete; i++) {
        pthread_mutex_lock(&server->videos.lock);
        json_t *one = pf_video_json(page[i], server->model_name,
                                    server->options.retention);
        pthread_mutex_unlock(&server->videos.lock);
        complete = json_array_append_new(data, one) == 0;
    }
    if (!complete) {
        json_decref(data);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:s?, s:s?, s:b}", "object", "list", "data", data,
                     "first_id", count ? page[0]->id : NULL, "last_id",
                     count ? page[count - 1]->id : NULL, "has_more", more);
}

void pf_api_list(pf_http_request *request)
{
    pf_server *server = pf_server_of(request);
    pf_video *page[PF_PAGE_MAX];
    bool more = false;
    pf_page_query query;
    if (!read_list_query(request, &query))
        return;
    int count = pf_videos_page(&server->videos, &query, page, &more);
    pf_http_reply_json(request, 200, list_json(server, page, count, more));
    for (int i = 0; i < count; i++)
        pf_videos_release(&server->videos, page[i]);
}

/* --- models ----------------------------------------------------------------------- */

/* The model's purpose; lists are empty, and `about` is null, where it says nothing. */
static json_t *purpose_json(const pf_purpose *p)
{
    json_t *sizes = json_array(), *frames = json_array(), *languages = json_array();
    json_t *subjects = json_array();
    for (int i = 0; i < p->size_count; i++)
        json_array_append_new(sizes, json_sprintf("%dx%d", p->sizes[i].width,
                                                  p->sizes[i].height));
    for (int i = 0; i < p->num_frames_count; i++)
        json_array_append_new(frames, json_integer(p->num_frames[i]));
    for (int i = 0; i < p->language_count; i++)
        json_array_append_new(languages, json_string(p->languages[i]));
    for (int i = 0; i < p->subject_count; i++)
        json_array_append_new(subjects, json_string(p->subjects[i]));
    return json_pack("{s:s?, s:o, s:o, s:o, s:o}", "about", p->about, "sizes", sizes,
                     "num_frames", frames, "languages", languages, "subjects", subjects);
}

/* With what the page needs to offer sensible choices. */
static json_t *model_json(const pf_server *server)
{
    pf_request d;
    const pf_model_info *info = pf_engine_info(server->engine);
    pf_request_init(server->engine, &d);
    json_t *made_for = purpose_json(&info->made_for);
    json_t *defaults = json_pack(
        "{s:i, s:i, s:i, s:f, s:i, s:f}", "width", d.width, "height", d.height,
        "num_frames", d.num_frames, "fps", d.fps, "num_inference_steps",
        d.num_inference_steps, "guidance_scale", d.guidance_scale);
    return json_pack("{s:s, s:s, s:I, s:s, s:i, s:i, s:i, s:b, s:I, s:o, s:o}", "id",
                     server->model_name, "object", "model", "created",
                     (json_int_t)server->opened, "owned_by", "phonofilm",
                     "size_multiple", info->size_multiple, "frame_multiple",
                     info->frame_multiple, "sample_rate", info->sample_rate,
                     "without_picture", info->without_picture,
                     "max_upload_bytes", (json_int_t)server->options.max_upload,
                     "defaults", defaults, "made_for", made_for);
}

void pf_api_models(pf_http_request *request)
{
    pf_http_reply_json(request, 200,
                       json_pack("{s:s, s:[o]}", "object", "list", "data",
                                 model_json(pf_server_of(request))));
}

void pf_api_model(pf_http_request *request)
{
    const pf_server *server = pf_server_of(request);
    char name[sizeof server->model_name * 3];
    snprintf(name, sizeof name, "%s", request->path + strlen("/v1/models/"));
    pf_head_unescape(name, true);       /* a slash in it may be written as %2F */
    if (strcmp(name, server->model_name) == 0)
        pf_http_reply_json(request, 200, model_json(server));
    else
        pf_http_reply_error(request, &(pf_http_fault){404, "model_not_found", "model", 0},
                            "there is no model \"%.60s\"; this server has \"%s\"", name,
                            server->model_name);
}

/* --- metrics ---------------------------------------------------------------------- */

typedef struct text {
    char *data;
    size_t bytes;
} text;

static void add(FILE *out, const char *name, const char *kind, const char *help)
{
    fprintf(out, "# HELP phonofilm_%s %s\n# TYPE phonofilm_%s %s\n", name, help, name,
            kind);
}

static void print_videos(FILE *out, pf_server *server)
{
    pf_videos *v = &server->videos;
    pthread_mutex_lock(&v->lock);
    add(out, "videos_total", "counter", "Films by outcome since the start.");
    fprintf(out, "phonofilm_videos_total{outcome=\"accepted\"} %lld\n"
                 "phonofilm_videos_total{outcome=\"completed\"} %lld\n"
                 "phonofilm_videos_total{outcome=\"failed\"} %lld\n"
                 "phonofilm_videos_total{outcome=\"cancelled\"} %lld\n"
                 "phonofilm_videos_total{outcome=\"refused\"} %lld\n",
            (long long)v->accepted, (long long)v->completed, (long long)v->failed,
            (long long)v->cancelled, (long long)v->refused);
    add(out, "queue_length", "gauge", "Films that wait.");
    fprintf(out, "phonofilm_queue_length %d\n", v->queued);
    add(out, "running", "gauge", "1 while a film is being made.");
    fprintf(out, "phonofilm_running %d\n", v->running != NULL);
    add(out, "paused", "gauge", "1 while the queue stands still: no space, or no folder.");
    fprintf(out, "phonofilm_paused %d\n", v->paused[0] != '\0');
    add(out, "stored_videos", "gauge", "Videos that are known.");
    fprintf(out, "phonofilm_stored_videos %d\n", v->count);
    add(out, "film_seconds", "gauge", "Time that a film takes, lately.");
    fprintf(out, "phonofilm_film_seconds %.3f\n", v->mean_seconds);
    pthread_mutex_unlock(&v->lock);
}

static void print_http(FILE *out, pf_server *server)
{
    pf_http_counters c;
    pf_http_count(server->http, &c);
    add(out, "http_connections", "gauge", "Open connections.");
    fprintf(out, "phonofilm_http_connections %lld\n", (long long)c.connections);
    add(out, "http_dropped_total", "counter", "Connections dropped for being slow.");
    fprintf(out, "phonofilm_http_dropped_total %lld\n", (long long)c.dropped);
    add(out, "http_displaced_total", "counter",
        "Waiting connections closed to make room for others.");
    fprintf(out, "phonofilm_http_displaced_total %lld\n", (long long)c.displaced);
    add(out, "http_refused_total", "counter", "Connections for which there was no room.");
    fprintf(out, "phonofilm_http_refused_total %lld\n", (long long)c.refused);
    add(out, "http_replies_total", "counter", "Replies by class of status.");
    for (int i = 2; i < 6; i++)
        fprintf(out, "phonofilm_http_replies_total{class=\"%dxx\"} %lld\n", i,
                (long long)c.replies[i]);
    add(out, "uptime_seconds", "gauge", "Since the start.");
    fprintf(out, "phonofilm_uptime_seconds %.0f\n", pf_seconds() - server->began);
}

void pf_api_metrics(pf_http_request *request)
{
    pf_server *server = pf_server_of(request);
    text page = {0};
    FILE *out = open_memstream(&page.data, &page.bytes);
    if (out) {
        print_videos(out, server);
        print_http(out, server);
        if (fclose(out) != 0) {
            free(page.data);
            page.data = NULL;
        }
    }
    pf_http_reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                       page.data);
}
