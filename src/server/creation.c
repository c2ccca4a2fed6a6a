/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a creation.  See creation.h. */
#include "server/creation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "server/job_file.h"
#include "server/known.h"
#include "server/outbound.h"

static void refuse(pf_creation *c, int status, const char *code, const pf_error *error,
                   const char *param)
{
    pf_http_reply_error(c->request,
                        &(pf_http_fault){status, code, param && param[0] ? param : NULL,
                                         0},
                        "%s", error->message);
}

/* --- before anything is read ------------------------------------------------------ */

bool pf_creation_may_ask(pf_creation *c)
{
    pf_server *server = c->server;
    int wait = pf_keys_take(&server->keys, c->context->owner, server->options.rate);
    if (wait > 0) {
        pf_http_reply_error(c->request,
                            &(pf_http_fault){429, "rate_limit_exceeded", NULL, wait},
                            "this key may make %d films a minute; try again in %d s",
                            server->options.rate, wait);
        return false;
    }
    return true;
}

/* Checks the disk for room for all accepted films and `bytes` more. */
static bool disk_is_fine(pf_creation *c, int64_t bytes)
{
    pf_server *server = c->server;
    bytes += pf_videos_expected_bytes(&server->videos);
    const pf_trouble *trouble = pf_films_look(&server->films, server->store, bytes);
    if (trouble)
        pf_http_reply_error(c->request, &trouble->fault, "%s", trouble->message);
    return !trouble;
}

bool pf_creation_has_room(pf_creation *c)
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
    if (pf_videos_check_room(&server->videos, c->context->owner, &retry, &error) == PF_OK)
        return true;
    pf_http_reply_error(c->request, &(pf_http_fault){429, "queue_full", NULL, retry},
                        "%s", error.message);
    return false;
}

/* --- the fields ------------------------------------------------------------------- */

/* Compares without parameters: "text/x; charset=utf-8" is text/x. */
static bool is_type(const char *header, const char *type)
{
    size_t length = strlen(type);
    return header && strncasecmp(header, type, length) == 0 &&
           strchr("; \t", header[length]);
}

bool pf_creation_read_fields(pf_creation *c)
{
    pf_http_request *r = c->request;
    pf_error error = {0};
    pf_status status;
    const char *type = pf_http_header(r, "Content-Type");
    size_t most = (size_t)c->server->options.max_upload;
    const char *body = r->body.data ? r->body.data : "";
    if (is_type(type, "multipart/form-data")) {
        status = pf_fields_from_multipart(body, r->body.bytes, type, most, &c->fields,
                                          &error);
    } else if (is_type(type, "application/json")) {
        status = pf_fields_from_json(body, r->body.bytes, most, &c->fields, &error);
    } else {
        pf_http_reply_error(r, &(pf_http_fault){415, "media_type", "Content-Type", 0},
                            "Content-Type is \"%.80s\", but must be multipart/form-data "
                            "or application/json", type ? type : "");
        return false;
    }
    if (status == PF_OK)
        return true;
    if (status == PF_E_MEMORY)
        pf_api_reply_failure(c->context, &error);
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

bool pf_creation_is_repeated(pf_creation *c)
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
    c->context->video = pf_videos_find_idempotent(&c->server->videos, c->context->owner, key);
    if (!c->context->video)
        return false;
    if (strcmp(c->context->video->idempotency_hash, c->hash) != 0)
        pf_http_reply_error(r, &(pf_http_fault){409, "idempotency_mismatch",
                                                "Idempotency-Key", 0},
                            "this Idempotency-Key came with another request before");
    return true;
}

/* --- pictures --------------------------------------------------------------------- */

static pf_status fetch(pf_creation *c, pf_picture_source *source, pf_error *error)
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

/* Reads a picture of the original, for a remix. */
static pf_status read_original(pf_creation *c, const char *name, pf_picture_source *source,
                               pf_error *error)
{
    char *data = NULL;
    char *path = pf_video_file(c->server->output_dir, c->original->id, name);
    if (!path)
        return pf_fail_memory(error, name, 1);
    pf_status status = pf_read_file(path, PF_PICTURE_MAX_BYTES, &data, &source->bytes,
                                    error);
    pf_free(path);
    if (status == PF_E_INPUT)           /* too large now, though not when it was sent */
        status = error->status = PF_E_IO;
    source->owned = (uint8_t *)data;
    source->data = source->owned;
    return status;
}

/* Checks that the source is a picture, and finds its size, which is all that the engine's
 * check needs.  Pixels, up to 192 MB of them, are not kept. */
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
static void add_notes(const pf_creation *c, pf_warnings *warnings)
{
    const int room = (int)(sizeof warnings->text / sizeof warnings->text[0]);
    for (int i = 0; i < 2; i++)
        if (c->notes[i][0] && warnings->count < room)
            snprintf(warnings->text[warnings->count++], sizeof warnings->text[0], "%s",
                     c->notes[i]);
}

static pf_status check_with_engine(pf_creation *c, pf_error *error)
{
    pf_request request = PF_INIT(pf_request);
    pf_prediction prediction = PF_INIT(pf_prediction);
    pf_warnings warnings = PF_INIT(pf_warnings);
    pf_settings_request(c->order.settings, c->server->engine, &request);
    request.first_frame = c->first;
    request.last_frame = c->last;
    pf_status status = pf_request_check(c->server->engine, &request, &prediction, error);
    if (status != PF_OK) {
        pf_known_blame(&c->fields, error->field, c->order.wrong);
        return status;
    }
    c->predicted_seconds = prediction.seconds;
    PF_TRY(pf_settings_complete(c->order.settings, &prediction, error));
    PF_TRY(pf_request_warnings(c->server->engine, &request, &warnings, error));
    if (c->rewritten && warnings.prompt_tokens > warnings.most_tokens)
        return pf_fail(error, PF_E_INPUT,
                       "the chat model's answer has %lld tokens, but %lld are read",
                       (long long)warnings.prompt_tokens, (long long)warnings.most_tokens);
    add_notes(c, &warnings);
    return pf_settings_warn(c->order.settings, &warnings, error);
}

static bool webhook_is_allowed(pf_creation *c)
{
    const char *url =
        json_string_value(json_object_get(c->order.settings, "webhook_url"));
    if (!url || pf_outbound_allows(c->server->post.hosts, url))
        return true;
    pf_http_reply_error(c->request, &(pf_http_fault){400, "invalid", "webhook_url", 0},
                        "webhook_url is on a host that this server sends no webhooks to");
    return false;
}

static void refuse_order(pf_creation *c, const pf_error *error)
{
    if (error->status == PF_E_CANCELLED)
        pf_http_reply_error(c->request, &(pf_http_fault){503, "closing", NULL, 5}, "%s",
                            error->message);
    else if (error->status == PF_E_TOO_LARGE)
        refuse(c, 400, "too_large", error, c->order.wrong);
    else if (pf_status_http(error->status) == 400)
        refuse(c, 400, "invalid", error, c->order.wrong);
    else
        pf_api_reply_failure(c->context, error);
}

bool pf_creation_fetch_pictures(pf_creation *c)
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

bool pf_creation_decode_pictures(pf_creation *c)
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

bool pf_creation_is_sound(pf_creation *c)
{
    pf_error error = {0};
    pf_status status = check_with_engine(c, &error);
    if (status != PF_OK && c->rewritten && pf_status_http(status) == 400) {
        char why[sizeof error.message];
        memcpy(why, error.message, sizeof why);
        status = pf_creation_keep_words(c, why, &error);
        if (status == PF_OK)
            status = check_with_engine(c, &error);
    }
    if (status == PF_OK && c->rewritten)
        atomic_fetch_add(&c->server->rewritten, 1);
    if (status == PF_OK)
        return webhook_is_allowed(c);
    refuse_order(c, &error);
    return false;
}

/* --- the order -------------------------------------------------------------------- */

/* Rewriting needs a chat model. */
static bool rewriting_is_possible(pf_creation *c)
{
    if (!c->order.rewrite || c->server->rewriter)
        return true;
    pf_http_reply_error(c->request, &(pf_http_fault){400, "invalid", "rewrite", 0},
                        "rewrite is true, but this server has no chat model that rewrites "
                        "prompts; leave it out");
    return false;
}

bool pf_creation_read_order(pf_creation *c)
{
    pf_error error = {0};
    pf_status status = pf_order_read(&c->fields, c->server->engine, c->server->model_name,
                                     &c->order, &error);
    if (status == PF_OK)
        return rewriting_is_possible(c);
    if (status == PF_E_ARGUMENT)
        refuse(c, 400, "invalid", &error, c->order.wrong);
    else
        pf_api_reply_failure(c->context, &error);
    return false;
}

/* Pictures change nothing in the warnings. */
void pf_creation_look(pf_creation *c)
{
    pf_request request = PF_INIT(pf_request);
    pf_warnings warnings = PF_INIT(pf_warnings);
    pf_error error = {0};
    pf_settings_request(c->order.settings, c->server->engine, &request);
    request.text_only = true;
    if (pf_request_warnings(c->server->engine, &request, &warnings, &error) != PF_OK) {
        pf_known_blame(&c->fields, error.field, c->order.wrong);
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

/* --- a remix ---------------------------------------------------------------------- */

static bool is_of_remix(const pf_field *field)
{
    static const char *const names[] = {"prompt", "seed", "rewrite", PF_SETTINGS_REWRITTEN};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(field->name, names[i]) == 0)
            return true;
    return field->kind == PF_FIELD_NULL;
}

/* The rewritten prompt of the original goes with its words; others may come with theirs. */
static void take_prompts(const pf_creation *c, json_t *settings)
{
    json_t *prompt = json_object_get(c->order.settings, "prompt");
    json_t *rewritten = json_object_get(c->order.settings, PF_SETTINGS_REWRITTEN);
    bool same = json_equal(prompt, json_object_get(settings, "prompt"));
    json_object_del(settings, PF_SETTINGS_REWRITE_ERROR);
    json_object_set(settings, "prompt", prompt);
    if (rewritten)
        json_object_set(settings, PF_SETTINGS_REWRITTEN, rewritten);
    else if (!same || c->order.rewrite)
        json_object_del(settings, PF_SETTINGS_REWRITTEN);
}

bool pf_creation_take_remix(pf_creation *c)
{
    for (int i = 0; i < c->fields.count; i++) {
        const pf_field *field = &c->fields.list[i];
        if (is_of_remix(field))
            continue;
        pf_http_reply_error(c->request, &(pf_http_fault){400, "unknown", field->name, 0},
                            "%s is not a field of a remix, which takes prompt, seed, "
                            "rewrite and rewritten_prompt", field->name);
        return false;
    }
    /* Prompts and seed are checked as those of a new film are. */
    if (!pf_creation_read_order(c))
        return false;
    json_t *settings = json_copy(c->original->settings);
    take_prompts(c, settings);
    const char *url = json_string_value(json_object_get(settings, "webhook_url"));
    if (url && !pf_outbound_allows(c->server->post.hosts, url))
        json_object_del(settings, "webhook_url");   /* no longer allowed */
    if (pf_fields_find(&c->fields, "seed"))
        json_object_set(settings, "seed", json_object_get(c->order.settings, "seed"));
    json_decref(c->order.settings);
    c->order.settings = settings;
    if (pf_settings_are_complete(settings))
        return true;
    pf_error error = {0};
    pf_fail_memory(&error, "settings", 1);
    pf_api_reply_failure(c->context, &error);
    return false;
}

bool pf_creation_take_pictures(pf_creation *c)
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
    if (status == PF_E_NOT_FOUND)       /* the original was deleted meanwhile */
        pf_http_reply_error(c->request, &(pf_http_fault){404, "gone", NULL, 0},
                            "the picture of the original is no longer there");
    else
        pf_api_reply_failure(c->context, &error);
    return false;
}

/* --- to the disk ------------------------------------------------------------------ */

static pf_status write_picture(pf_creation *c, const char *id, const char *name,
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

/* Writes pictures and job.json into the folder `name`, which has this name until the store
 * knows the video. */
static pf_status write_files(pf_creation *c, const char *name, const pf_video *video,
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

static pf_video *make_video(pf_creation *c)
{
    const char *key = pf_http_header(c->request, "Idempotency-Key");
    pf_video *video = pf_video_new();
    if (!video || !pf_videos_new_id(&c->server->videos, video->id)) {
        pf_free(video);
        return NULL;
    }
    snprintf(video->owner, sizeof video->owner, "%s", c->context->owner);
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

void pf_creation_accept(pf_creation *c)
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
        pf_api_reply_failure(c->context, &error);
        return;
    }
    char fresh[PF_VIDEO_FRESH_BYTES];
    pf_video_fresh_name(video->id, fresh);
    video->references++;                /* the request's, and the table's */
    pf_status status = write_files(c, fresh, video, &error);
    if (status == PF_OK)
        status = pf_saving_add(&c->server->saving, video, &error);
    if (status == PF_OK) {
        c->context->video = video;
        return;
    }
    pf_video_remove_files(c->server->output_dir, fresh);
    json_decref(video->settings);
    pf_free(video);
    pf_api_reply_failure(c->context, &error);
}

void pf_creation_free(pf_creation *c)
{
    pf_videos_release(&c->server->videos, c->original);
    pf_order_free(&c->order);
    pf_fields_free(&c->fields);
    pf_free(c);
}

