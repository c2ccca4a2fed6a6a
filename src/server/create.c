/* SPDX-License-Identifier: Apache-2.0 */
/* Creating videos: POST /v1/videos, /v1/videos/sync and /v1/videos/{id}/remix.
 *
 * Runs in the create lane: it may wait for the engine's check and for the disk.  A
 * picture by address is fetched in a lane of its own, whose threads may wait for other
 * hosts, and pictures are decoded in a third, which may take seconds of the processor;
 * after that the create lane, which has one thread, goes on.  The answer comes
 * when the job and its pictures are on disk, so that a client that has it can rely on
 * it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "media/picture.h"
#include "server/job_file.h"
#include "server/outbound.h"
#include "server/server_parts.h"

/* A creation on its way. */
typedef struct creation {
    pf_http_request *request;
    pf_server *server;
    pf_fields fields;
    pf_order order;
    pf_video *original;                 /* of a remix */
    char hash[PF_DIGEST_HEX];
    pf_image first, last;               /* sizes of the pictures; their pixels are gone */
    char notes[2][PF_PICTURE_NOTE_BYTES];       /* what was passed over in them, or "" */
    double predicted_seconds;
    pf_http_handler next;               /* when the film is accepted */
} creation;

static void refuse(creation *c, int status, const char *code, const pf_error *error,
                   const char *param)
{
    pf_http_reply_error(c->request,
                        &(pf_http_fault){status, code, param && param[0] ? param : NULL,
                                         0},
                        "%s", error->message);
}

/* --- before anything is read ------------------------------------------------------ */

static bool may_ask(creation *c)
{
    pf_server *server = c->server;
    int wait = pf_keys_take(&server->keys, c->request->owner, server->options.rate);
    if (wait > 0) {
        pf_http_reply_error(c->request,
                            &(pf_http_fault){429, "rate_limit_exceeded", NULL, wait},
                            "this key may make %d films a minute; try again in %d s",
                            server->options.rate, wait);
        return false;
    }
    return true;
}

/* With room for all films that were accepted, and `bytes` more. */
static bool disk_is_fine(creation *c, int64_t bytes)
{
    pf_server *server = c->server;
    bytes += pf_videos_expected_bytes(&server->videos);
    const pf_trouble *trouble = pf_films_look(&server->films, server->store, bytes);
    if (trouble)
        pf_http_reply_error(c->request, &trouble->fault, "%s", trouble->message);
    return !trouble;
}

/* What was accepted before is told, however little room there is by now. */
static bool has_room(creation *c)
{
    pf_server *server = c->server;
    pf_error error = {0};
    int retry = 0;
    if (atomic_load(&server->closing)) {
        pf_http_reply_error(c->request, &(pf_http_fault){503, "closing", NULL, 5},
                            "the server is stopping");
        return false;
    }
    if (!disk_is_fine(c, 0))
        return false;
    if (pf_videos_check_room(&server->videos, c->request->owner, &retry, &error) == PF_OK)
        return true;
    pf_http_reply_error(c->request, &(pf_http_fault){429, "queue_full", NULL, retry},
                        "%s", error.message);
    return false;
}

/* --- the fields ------------------------------------------------------------------- */

/* "text/x; charset=utf-8" is text/x. */
static bool is_type(const char *header, const char *type)
{
    size_t length = strlen(type);
    return header && strncasecmp(header, type, length) == 0 &&
           strchr("; \t", header[length]);
}

static bool read_fields(creation *c)
{
    pf_http_request *r = c->request;
    pf_error error = {0};
    pf_status status;
    const char *type = pf_http_header(r, "Content-Type");
    size_t most = (size_t)c->server->options.max_upload;
    const char *body = r->body ? r->body : "";
    if (is_type(type, "multipart/form-data")) {
        status = pf_fields_from_multipart(body, r->body_bytes, type, most, &c->fields,
                                          &error);
    } else if (is_type(type, "application/json")) {
        status = pf_fields_from_json(body, r->body_bytes, most, &c->fields, &error);
    } else {
        pf_http_reply_error(r, &(pf_http_fault){415, "media_type", "Content-Type", 0},
                            "Content-Type is \"%.80s\", but must be multipart/form-data "
                            "or application/json", type ? type : "");
        return false;
    }
    if (status == PF_OK)
        return true;
    if (status == PF_E_MEMORY)
        pf_api_reply_failure(r, &error);
    else
        refuse(c, 400, "invalid", &error, c->fields.wrong);
    return false;
}

/* --- Idempotency-Key -------------------------------------------------------------- */

static bool is_sound_key(const char *key)
{
    size_t bytes = 0;
    while (key[bytes] > ' ' && key[bytes] <= '~')
        bytes++;
    return bytes > 0 && bytes < PF_IDEMPOTENCY_BYTES && key[bytes] == '\0';
}

/* True when the request was made before (its video is the request's then), or is
 * wrong: there is a reply. */
static bool is_repeated(creation *c)
{
    pf_http_request *r = c->request;
    uint8_t digest[PF_DIGEST_BYTES];
    const char *key = pf_http_header(r, "Idempotency-Key");
    if (!key)
        return false;
    if (!is_sound_key(key)) {
        pf_http_reply_error(r, &(pf_http_fault){400, "invalid", "Idempotency-Key", 0},
                            "Idempotency-Key must have 1 to %d characters of ASCII, "
                            "without blanks", PF_IDEMPOTENCY_BYTES - 1);
        return true;
    }
    pf_fields_digest(&c->fields, c->original ? c->original->id : "", digest);
    pf_hex_encode(digest, sizeof digest, c->hash);
    r->video = pf_videos_find_idempotent(&c->server->videos, r->owner, key);
    if (!r->video)
        return false;
    if (strcmp(r->video->idempotency_hash, c->hash) != 0)
        pf_http_reply_error(r, &(pf_http_fault){409, "idempotency_mismatch",
                                                "Idempotency-Key", 0},
                            "this Idempotency-Key came with another request before");
    return true;
}

/* --- pictures --------------------------------------------------------------------- */

static pf_status fetch(creation *c, pf_picture_source *source, pf_error *error)
{
    const char *hosts = c->server->picture_hosts;
    char *data = NULL;
    if (!source->url)
        return PF_OK;
    if (!hosts)
        return pf_fail(error, PF_E_INPUT,
                       "%s is an address, but this server fetches no pictures; send "
                       "the file, or a data: URI", source->field);
    const pf_outbound way = {hosts, &c->server->closing};
    PF_TRY(pf_outbound_get(&way, source->url, (size_t)c->server->options.max_upload,
                           &data, &source->bytes, error));
    source->owned = (uint8_t *)data;
    source->data = source->owned;
    return PF_OK;
}

/* Bytes of a picture that are not those of the request: a remix keeps the files. */
static pf_status read_original(creation *c, const char *name, pf_picture_source *source,
                               pf_error *error)
{
    char *data = NULL;
    char *path = pf_video_file(c->server->output_dir, c->original->id, name);
    if (!path)
        return pf_fail_memory(error, name, 1);
    pf_status status = pf_read_file(path, PF_PICTURE_MAX_BYTES, &data, &source->bytes,
                                    error);
    pf_free(path);
    if (status == PF_E_INPUT)           /* it was small enough when it came */
        status = error->status = PF_E_IO;
    source->owned = (uint8_t *)data;
    source->data = source->owned;
    return status;
}

/* Checks that it is a picture, and its size, which is all that is checked before the film is
 * made: pixels, of which there may be 192 MB, are not kept. */
static pf_status decode(const pf_picture_source *source, pf_image *image, char *note,
                        pf_error *error)
{
    pf_picture picture = {0};
    if (!source->data)
        return PF_OK;
    PF_TRY(pf_picture_decode(source->data, source->bytes,
                             source->field ? source->field : "the picture", &picture,
                             error));
    *image = (pf_image){source->data, picture.width, picture.height, 3 * picture.width};
    memcpy(note, picture.note, sizeof picture.note);
    pf_picture_free(&picture);
    return PF_OK;
}

/* --- the check -------------------------------------------------------------------- */

/* Notes about the pictures join the warnings of the film. */
static void add_notes(const creation *c, pf_warnings *warnings)
{
    const int room = (int)(sizeof warnings->text / sizeof warnings->text[0]);
    for (int i = 0; i < 2; i++)
        if (c->notes[i][0] && warnings->count < room)
            snprintf(warnings->text[warnings->count++], sizeof warnings->text[0], "%s",
                     c->notes[i]);
}

static pf_status check_with_engine(creation *c, pf_error *error)
{
    pf_request request;
    pf_prediction prediction;
    pf_warnings warnings;
    pf_settings_request(c->order.settings, c->server->engine, &request);
    request.first_frame = c->first;
    request.last_frame = c->last;
    pf_status status = pf_request_check(c->server->engine, &request, &prediction, error);
    if (status != PF_OK) {
        pf_settings_blame(&c->fields, error->field, c->order.wrong);
        return status;
    }
    c->predicted_seconds = prediction.seconds;
    PF_TRY(pf_settings_complete(c->order.settings, &prediction, error));
    PF_TRY(pf_request_warnings(c->server->engine, &request, &warnings, error));
    add_notes(c, &warnings);
    return pf_settings_warn(c->order.settings, &warnings, error);
}

static bool webhook_is_allowed(creation *c)
{
    const char *url =
        json_string_value(json_object_get(c->order.settings, "webhook_url"));
    if (!url || pf_outbound_allows(c->server->webhook_hosts, url))
        return true;
    pf_http_reply_error(c->request, &(pf_http_fault){400, "invalid", "webhook_url", 0},
                        "webhook_url is on a host that this server sends no webhooks to");
    return false;
}

static void refuse_order(creation *c, const pf_error *error)
{
    if (error->status == PF_E_CANCELLED)
        pf_http_reply_error(c->request, &(pf_http_fault){503, "closing", NULL, 5}, "%s",
                            error->message);
    else if (error->status == PF_E_TOO_LARGE)
        refuse(c, 400, "too_large", error, c->order.wrong);
    else if (pf_status_http(error->status) == 400)
        refuse(c, 400, "invalid", error, c->order.wrong);
    else
        pf_api_reply_failure(c->request, error);
}

/* The pictures by address, of which there may be none. */
static bool pictures_come(creation *c)
{
    pf_error error = {0};
    pf_picture_source *const sources[] = {&c->order.first, &c->order.last};
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        if (fetch(c, sources[i], &error) == PF_OK)
            continue;
        snprintf(c->order.wrong, sizeof c->order.wrong, "%s", sources[i]->field);
        refuse_order(c, &error);
        return false;
    }
    return true;
}

static bool pictures_are_sound(creation *c)
{
    pf_error error = {0};
    const pf_picture_source *wrong = &c->order.first;
    pf_status status = decode(wrong, &c->first, c->notes[0], &error);
    if (status == PF_OK) {
        wrong = &c->order.last;
        status = decode(wrong, &c->last, c->notes[1], &error);
    }
    if (status == PF_OK)
        return true;
    if (wrong->field)
        snprintf(c->order.wrong, sizeof c->order.wrong, "%s", wrong->field);
    refuse_order(c, &error);
    return false;
}

static bool order_is_sound(creation *c)
{
    pf_error error = {0};
    if (check_with_engine(c, &error) == PF_OK)
        return webhook_is_allowed(c);
    refuse_order(c, &error);
    return false;
}

/* --- to the disk ------------------------------------------------------------------ */

static pf_status write_picture(creation *c, const char *id, const char *name,
                               const pf_picture_source *source, pf_error *error)
{
    if (!source->data)
        return PF_OK;
    char *path = pf_video_file(c->server->output_dir, id, name);
    if (!path)
        return pf_fail_memory(error, name, 1);
    pf_status status = pf_write_file(path, source->data, source->bytes, error);
    pf_free(path);
    return status;
}

/* `name` is the folder's until the store knows the video. */
static pf_status write_files(creation *c, const char *name, const pf_video *video,
                             pf_error *error)
{
    char *folder = pf_video_folder(c->server->output_dir, name);
    if (!folder)
        return pf_fail_memory(error, "folder", 1);
    pf_status status = PF_OK;
    if (mkdir(folder, 0700) != 0)
        status = pf_fail_errno(error, errno, "cannot make the folder of the video");
    if (status == PF_OK)
        status = write_picture(c, name, "first", &c->order.first, error);
    if (status == PF_OK)
        status = write_picture(c, name, "last", &c->order.last, error);
    if (status == PF_OK)
        status = pf_job_file_write(folder, video, error);
    pf_free(folder);
    return status;
}

static pf_video *make_video(creation *c)
{
    const char *key = pf_http_header(c->request, "Idempotency-Key");
    pf_video *video = pf_video_new();
    if (!video || !pf_videos_new_id(&c->server->videos, video->id)) {
        pf_free(video);
        return NULL;
    }
    snprintf(video->owner, sizeof video->owner, "%s", c->request->owner);
    snprintf(video->idempotency_key, sizeof video->idempotency_key, "%s", key ? key : "");
    memcpy(video->idempotency_hash, c->hash, sizeof c->hash);
    if (c->original)
        memcpy(video->remixed_from, c->original->id, sizeof video->remixed_from);
    video->settings = json_incref(c->order.settings);
    video->created = pf_now();
    video->bytes = (int64_t)(c->order.first.bytes + c->order.last.bytes);
    video->predicted_seconds = c->predicted_seconds;
    return video;
}

static void accept_video(creation *c)
{
    pf_error error = {0};
    const json_t *settings = c->order.settings;
    int64_t pictures = (int64_t)(c->order.first.bytes + c->order.last.bytes);
    if (!disk_is_fine(c, pictures + pf_video_expected_bytes(settings) +
                             pf_video_expected_latents(settings)))
        return;
    pf_video *video = make_video(c);
    if (!video) {
        pf_fail_memory(&error, "video", sizeof *video);
        pf_api_reply_failure(c->request, &error);
        return;
    }
    char fresh[PF_VIDEO_FRESH_BYTES];
    pf_video_fresh_name(video->id, fresh);
    video->references++;                /* the request's, and the table's */
    pf_status status = write_files(c, fresh, video, &error);
    if (status == PF_OK)
        status = pf_videos_add(&c->server->videos, video, &error);
    if (status == PF_OK) {
        c->request->video = video;
        return;
    }
    pf_video_remove_files(c->server->output_dir, fresh);
    json_decref(video->settings);
    pf_free(video);
    pf_api_reply_failure(c->request, &error);
}

/* --- the three ways --------------------------------------------------------------- */

static void clean_up(creation *c)
{
    pf_videos_release(&c->server->videos, c->original);
    pf_order_free(&c->order);
    pf_fields_free(&c->fields);
    pf_free(c);
}

void pf_api_drop_creation(pf_http_request *request)
{
    if (request->creation)
        clean_up(request->creation);
    request->creation = NULL;
}

static creation *begin(pf_http_request *request, pf_http_handler next)
{
    creation *c = pf_calloc(1, sizeof *c);
    pf_error error = {0};
    if (!c) {
        pf_fail_memory(&error, "request", sizeof *c);
        pf_api_reply_failure(request, &error);
        return NULL;
    }
    c->request = request;
    c->server = pf_server_of(request);
    c->next = next;
    request->creation = c;
    return c;
}

/* There is a reply, or the accepted video in the request. */
static void end(creation *c)
{
    pf_http_request *request = c->request;
    pf_http_handler next = c->next;
    pf_api_drop_creation(request);
    if (request->reply.status == 0)
        next(request);
}

static bool read_order(creation *c)
{
    pf_error error = {0};
    pf_status status = pf_order_read(&c->fields, c->server->engine, c->server->model_name,
                                     &c->order, &error);
    if (status == PF_OK)
        return true;
    if (status == PF_E_ARGUMENT)
        refuse(c, 400, "invalid", &error, c->order.wrong);
    else
        pf_api_reply_failure(c->request, &error);
    return false;
}

/* In the create lane again.  Meanwhile others have come. */
static void go_on_work(pf_http_request *request)
{
    creation *c = request->creation;
    if (!is_repeated(c) && has_room(c) && order_is_sound(c))
        accept_video(c);
    end(c);
}

static void go_on(pf_http_request *request)
{
    pf_http_defer(request, PF_LANE_CREATE, go_on_work);
}

static void decode_work(pf_http_request *request)
{
    if (pictures_are_sound(request->creation))
        request->handler = go_on;
}

static void go_and_decode(pf_http_request *request)
{
    pf_http_defer(request, PF_LANE_DECODE, decode_work);
}

static void fetch_work(pf_http_request *request)
{
    if (pictures_come(request->creation))
        request->handler = go_and_decode;
}

static void go_and_fetch(pf_http_request *request)
{
    pf_http_defer(request, PF_LANE_FETCH, fetch_work);
}

/* On to the lanes that its pictures need, or to its end. */
static void proceed(creation *c, bool sound)
{
    const pf_order *order = &c->order;
    if (sound && (order->first.url || order->last.url)) {
        c->request->handler = go_and_fetch;
        return;
    }
    if (sound && (order->first.data || order->last.data)) {
        c->request->handler = go_and_decode;
        return;
    }
    if (sound && order_is_sound(c))
        accept_video(c);
    end(c);
}

static void create(pf_http_request *request, pf_http_handler next)
{
    creation *c = begin(request, next);
    if (c)
        proceed(c, may_ask(c) && read_fields(c) && !is_repeated(c) && has_room(c) &&
                       read_order(c));
}

/* What was accepted is answered 200, whatever happens: when there is no memory for
 * the whole answer, with what a client needs to ask again. */
static void reply_accepted(pf_http_request *request)
{
    const pf_video *v = request->video;
    pf_api_reply_video(request, 200);
    if (request->reply.status == 200)
        return;
    int bytes = snprintf(
        request->spare, sizeof request->spare,
        "{\"id\":\"%s\",\"object\":\"video\",\"model\":\"%s\",\"status\":\"queued\","
        "\"progress\":0,\"created_at\":%lld,\"completed_at\":null,\"expires_at\":null,"
        "\"starred\":false,\"seconds\":\"\",\"size\":\"\",\"prompt\":null,"
        "\"remixed_from_video_id\":null,\"error\":null,\"warnings\":[],"
        "\"settings\":{}}",
        v->id, pf_server_of(request)->model_name, (long long)v->created);
    pf_http_reply_data(request, 200, "application/json", request->spare, (size_t)bytes);
}

static void create_work(pf_http_request *request)
{
    create(request, reply_accepted);
}

void pf_api_create(pf_http_request *request)
{
    pf_http_defer(request, PF_LANE_CREATE, create_work);
}

/* --- only looking -------------------------------------------------------------------- */

/* Warnings of a film of these fields.  Its pictures change nothing in them. */
static void look(creation *c)
{
    pf_request request;
    pf_warnings warnings;
    pf_error error = {0};
    pf_settings_request(c->order.settings, c->server->engine, &request);
    request.text_only = true;
    if (pf_request_warnings(c->server->engine, &request, &warnings, &error) != PF_OK) {
        pf_settings_blame(&c->fields, error.message, c->order.wrong);
        refuse_order(c, &error);
        return;
    }
    pf_http_reply_json(
        c->request, 200,
        json_pack("{s:s, s:o, s:I, s:I, s:I}", "object", "video.check", "warnings",
                  pf_warnings_json(&warnings), "prompt_tokens",
                  (json_int_t)warnings.prompt_tokens, "negative_prompt_tokens",
                  (json_int_t)warnings.negative_prompt_tokens, "most_tokens",
                  (json_int_t)warnings.most_tokens));
}

static void check_work(pf_http_request *request)
{
    creation *c = begin(request, NULL);
    if (!c)
        return;
    if (read_fields(c) && read_order(c))
        look(c);
    end(c);
}

void pf_api_check(pf_http_request *request)
{
    pf_http_defer(request, PF_LANE_CREATE, check_work);
}

/* --- sync ------------------------------------------------------------------------- */

/* Called again with every change of the video. */
static void wait_for_film(pf_http_request *request)
{
    pf_server *server = pf_server_of(request);
    pf_video *video = request->video;
    char message[sizeof video->error_message], code[sizeof video->error_code];
    pf_video_status status;
    bool closing, deleted;
    do {
        pthread_mutex_lock(&server->videos.lock);
        status = video->status;
        deleted = video->deleted;
        closing = server->videos.closing;
        request->seen_version = video->version;
        memcpy(message, video->error_message, sizeof message);
        memcpy(code, video->error_code, sizeof code);
        pthread_mutex_unlock(&server->videos.lock);
        if (status >= PF_VIDEO_COMPLETED || closing || deleted)
            break;
    } while (!pf_http_sleep(request, &server->videos));
    if (deleted) {
        pf_http_reply_error(request, &(pf_http_fault){409, "deleted", NULL, 0},
                            "the film was deleted while it was waited for");
    } else if (status == PF_VIDEO_COMPLETED) {
        memcpy(request->video_id, video->id, sizeof request->video_id);
        pf_videos_release(&server->videos, video);
        request->video = NULL;
        pf_api_content(request);
    } else if (status == PF_VIDEO_FAILED) {
        bool cancelled = strcmp(code, "cancelled") == 0;
        pf_http_reply_error(request, &(pf_http_fault){cancelled ? 409 : 500, code, NULL, 0},
                            "%s", message);
    } else if (closing) {
        pf_http_reply_error(request, &(pf_http_fault){503, "closing", NULL, 0},
                            "the server is stopping; %s goes on when it is back",
                            video->id);
    }
}

/* A client that goes away wants no film any longer, unless its Idempotency-Key says
 * that it may come back. */
static void begin_waiting(pf_http_request *request)
{
    request->waiter.alone = !pf_http_header(request, "Idempotency-Key");
    request->handler = wait_for_film;
}

static void sync_work(pf_http_request *request)
{
    create(request, begin_waiting);
}

void pf_api_sync(pf_http_request *request)
{
    if (pf_api_content_query_is_sound(request) &&
        pf_routes_take_place(request, PF_PLACE_STREAM))
        pf_http_defer(request, PF_LANE_CREATE, sync_work);
}

/* --- remix ------------------------------------------------------------------------ */

/* The original's settings with another prompt, and perhaps another seed. */
static bool take_remix(creation *c)
{
    for (int i = 0; i < c->fields.count; i++) {
        const pf_field *field = &c->fields.list[i];
        if (strcmp(field->name, "prompt") == 0 || strcmp(field->name, "seed") == 0 ||
            field->kind == PF_FIELD_NULL)
            continue;
        pf_http_reply_error(c->request, &(pf_http_fault){400, "unknown", field->name, 0},
                            "%s is not a field of a remix, which takes prompt and seed",
                            field->name);
        return false;
    }
    /* Read alone, they are checked as those of a new film are. */
    if (!read_order(c))
        return false;
    json_t *settings = json_copy(c->original->settings);
    json_object_set(settings, "prompt", json_object_get(c->order.settings, "prompt"));
    const char *url = json_string_value(json_object_get(settings, "webhook_url"));
    if (url && !pf_outbound_allows(c->server->webhook_hosts, url))
        json_object_del(settings, "webhook_url");   /* it was allowed once */
    if (pf_fields_find(&c->fields, "seed"))
        json_object_set(settings, "seed", json_object_get(c->order.settings, "seed"));
    json_decref(c->order.settings);
    c->order.settings = settings;
    if (pf_settings_are_complete(settings))
        return true;
    pf_error error = {0};
    pf_fail_memory(&error, "settings", 1);
    pf_api_reply_failure(c->request, &error);
    return false;
}

static bool take_pictures(creation *c)
{
    pf_error error = {0};
    pf_status status = PF_OK;
    const json_t *settings = c->order.settings;
    if (json_is_true(json_object_get(settings, "picture")))
        status = read_original(c, "first", &c->order.first, &error);
    if (status == PF_OK && json_is_true(json_object_get(settings, "last_picture")))
        status = read_original(c, "last", &c->order.last, &error);
    if (status == PF_OK)
        return true;
    if (status == PF_E_NOT_FOUND)       /* it was deleted meanwhile */
        pf_http_reply_error(c->request, &(pf_http_fault){404, "gone", NULL, 0},
                            "the picture of the original is no longer there");
    else
        pf_api_reply_failure(c->request, &error);
    return false;
}

static void remix_work(pf_http_request *request)
{
    creation *c = begin(request, reply_accepted);
    if (!c)
        return;
    c->original = request->video;
    request->video = NULL;
    proceed(c, may_ask(c) && read_fields(c) && !is_repeated(c) && has_room(c) &&
                   take_remix(c) && take_pictures(c));
}

void pf_api_remix(pf_http_request *request)
{
    if (pf_api_find(request))
        pf_http_defer(request, PF_LANE_CREATE, remix_work);
}
