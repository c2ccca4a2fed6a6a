/* SPDX-License-Identifier: Apache-2.0 */
/* Videos and models: retrieve, list, change, cancel, delete.  See api.h, docs/server.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "server/api.h"

/* --- one video -------------------------------------------------------------------- */

void pf_api_retrieve(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    if (pf_api_find(c))
        pf_api_reply_video(c, 200);
}

static void delete_work(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    pf_error error = {0};
    if (pf_server_discard(c->server, c->video, &error) != PF_OK) {
        pf_api_reply_failure(c, &error);
        return;
    }
    pf_http_reply_json(request, 200,
                       json_pack("{s:s, s:s, s:b}", "id", c->video->id, "object",
                                 "video.deleted", "deleted", 1));
}

void pf_api_delete(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    if (pf_api_find(c))
        pf_http_defer(request, PF_API_LANE_EDIT, delete_work);
}

/* {"starred": true}; false after a 400. */
static bool read_star(pf_http_request *request, bool *starred)
{
    json_t *body = NULL;
    pf_json_parse(request->body.data ? request->body.data : "", request->body.bytes, "the body",
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
    pf_api_context *c = pf_api_context_of(request);
    pf_error error = {0};
    bool starred;
    if (!read_star(request, &starred))
        return;
    if (pf_saving_star(&c->server->saving, c->video, starred, &error) !=
        PF_OK)
        pf_api_reply_failure(c, &error);
    else
        pf_api_reply_video(c, 200);
}

void pf_api_change(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    if (pf_api_find(c))
        pf_http_defer(request, PF_API_LANE_EDIT, change_work);
}

static void cancel_work(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    pf_server *server = c->server;
    pf_error error = {0};
    pf_cancelling how = pf_saving_cancel(&server->saving, c->video, &error);
    if (how == PF_CANCEL_DONE)
        pf_video_remove_state(server->output_dir, c->video->id);
    pf_server_wake(server);             /* a postman may have a webhook to deliver */
    if (error.status != PF_OK)
        pf_api_reply_failure(c, &error);
    else if (how != PF_CANCEL_LATE)
        pf_api_reply_video(c, 200);
    else
        pf_http_reply_error(request, &(pf_http_fault){409, "already_done", NULL, 0},
                            "the video is at its end and cannot be cancelled");
}

void pf_api_cancel(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    if (pf_api_find(c))
        pf_http_defer(request, PF_API_LANE_EDIT, cancel_work);
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
    pf_api_context *c = pf_api_context_of(request);
    out->owner = c->owner;
    return read_limit(request, &out->limit) && read_order(request, &out->ascending) &&
           read_cursor(request, "after", &out->after) &&
           read_cursor(request, "before", &out->before);
}

/* Takes the lock anew for each video, so that a long page makes nobody wait. */
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
    pf_api_context *c = pf_api_context_of(request);
    pf_server *server = c->server;
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

/* The model, with its limits and defaults, from which the page makes its choices. */
static json_t *model_json(const pf_server *server)
{
    pf_request d = PF_INIT(pf_request);
    const pf_model_info *info = pf_engine_info(server->engine);
    pf_request_init(server->engine, &d);
    json_t *made_for = purpose_json(&info->made_for);
    json_t *defaults = json_pack(
        "{s:i, s:i, s:i, s:f, s:i, s:f}", "width", d.width, "height", d.height,
        "num_frames", d.num_frames, "fps", d.fps, "num_inference_steps",
        d.num_inference_steps, "guidance_scale", d.guidance_scale);
    return json_pack("{s:s, s:s, s:I, s:s, s:i, s:i, s:i, s:b, s:b, s:I, s:o, s:o}", "id",
                     server->model_name, "object", "model", "created",
                     (json_int_t)server->opened, "owned_by", "phonofilm",
                     "size_multiple", info->size_multiple, "frame_multiple",
                     info->frame_multiple, "sample_rate", info->sample_rate,
                     "without_picture", info->without_picture,
                     "rewrites_prompts", server->rewriter != NULL,
                     "max_upload_bytes", (json_int_t)server->options.max_upload,
                     "defaults", defaults, "made_for", made_for);
}

void pf_api_models(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    pf_http_reply_json(request, 200,
                       json_pack("{s:s, s:[o]}", "object", "list", "data",
                                 model_json(c->server)));
}

void pf_api_model(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    const pf_server *server = c->server;
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
