/* SPDX-License-Identifier: Apache-2.0 */
/* The description of a job beside its film.  See job_file.h. */
#include "server/job_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/settings.h"

enum { MOST_BYTES = 4 << 20, VERSION = 1 };
static const char file_name[] = "job.json";
static const char *const statuses[] = {"queued", "in_progress", "completed", "failed"};

/* --- writing ---------------------------------------------------------------------- */

static json_t *to_json(const pf_video *v)
{
    return json_pack(
        "{s:i, s:s, s:s, s:s, s:b, s:f, s:f, s:f, s:f, s:f, s:I, s:s, s:s, s:s, s:s, s:s,"
        " s:O}",
        "version", VERSION, "id", v->id, "owner", v->owner, "status", statuses[v->status],
        "starred", v->starred, "created", v->created, "started", v->started, "completed",
        v->completed, "run_seconds", v->run_seconds, "fraction", v->fraction, "bytes",
        (json_int_t)v->bytes, "error_code", v->error_code, "error_message",
        v->error_message, "remixed_from", v->remixed_from, "idempotency_key",
        v->idempotency_key, "idempotency_hash", v->idempotency_hash, "settings",
        v->settings);
}

pf_status pf_job_file_write(const char *folder, const pf_video *video, pf_error *error)
{
    json_t *object = to_json(video);
    char *text = object ? json_dumps(object, JSON_INDENT(1)) : NULL;
    char *path = pf_path_join(folder, file_name);
    json_decref(object);
    pf_status status = text && path ? pf_write_file(path, text, strlen(text), error)
                                    : pf_fail_memory(error, file_name, 1);
    free(text);
    pf_free(path);
    return status;
}

/* --- reading ---------------------------------------------------------------------- */

typedef struct reading {
    const json_t *object;
    const char *name;
    pf_error *error;
} reading;

static pf_status read_text(const reading *r, const char *key, char *out, size_t room)
{
    const char *text = "";
    PF_TRY(pf_json_string(r->object, r->name, key, &text, r->error));
    if (strlen(text) >= room)
        return pf_fail(r->error, PF_E_INPUT, "%s: %s has %zu bytes, but must have %zu at "
                       "most", r->name, key, strlen(text), room - 1);
    snprintf(out, room, "%s", text);
    return PF_OK;
}

static pf_status read_real(const reading *r, const char *key, double *out)
{
    return pf_json_real(r->object, r->name, key, 0, 1e12, out, r->error);
}

static pf_status read_status(const reading *r, pf_video_status *out)
{
    const char *text = "";
    PF_TRY(pf_json_string(r->object, r->name, "status", &text, r->error));
    for (int i = 0; i < (int)(sizeof statuses / sizeof statuses[0]); i++)
        if (strcmp(statuses[i], text) == 0) {
            *out = (pf_video_status)i;
            return PF_OK;
        }
    return pf_fail(r->error, PF_E_INPUT, "%s: status is \"%.40s\", but must be queued, "
                   "in_progress, completed or failed", r->name, text);
}

static pf_status read_settings(const reading *r, pf_video *v)
{
    json_t *settings = json_object_get(r->object, "settings");
    if (!json_is_object(settings) || !pf_settings_are_complete(settings))
        return pf_fail(r->error, PF_E_INPUT, "%s: settings are not those of a film",
                       r->name);
    v->settings = json_incref(settings);
    return PF_OK;
}

static pf_status read_times(const reading *r, pf_video *v)
{
    PF_TRY(read_real(r, "created", &v->created));
    PF_TRY(read_real(r, "started", &v->started));
    PF_TRY(read_real(r, "completed", &v->completed));
    PF_TRY(read_real(r, "run_seconds", &v->run_seconds));
    return read_real(r, "fraction", &v->fraction);
}

static pf_status read_members(const reading *r, pf_video *v)
{
    int64_t version = 0;
    PF_TRY(pf_json_int(r->object, r->name, "version", VERSION, VERSION, &version, r->error));
    PF_TRY(pf_json_require(r->object, r->name, "version", r->error));
    PF_TRY(read_text(r, "id", v->id, sizeof v->id));
    if (!pf_video_id_is_sound(v->id))
        return pf_fail(r->error, PF_E_INPUT, "%s: id is \"%.60s\", but must be the id of a "
                       "video", r->name, v->id);
    PF_TRY(read_text(r, "owner", v->owner, sizeof v->owner));
    PF_TRY(read_status(r, &v->status));
    PF_TRY(pf_json_bool(r->object, r->name, "starred", &v->starred, r->error));
    PF_TRY(read_times(r, v));
    PF_TRY(pf_json_int(r->object, r->name, "bytes", 0, INT64_MAX, &v->bytes, r->error));
    PF_TRY(read_text(r, "error_code", v->error_code, sizeof v->error_code));
    PF_TRY(read_text(r, "error_message", v->error_message, sizeof v->error_message));
    PF_TRY(read_text(r, "remixed_from", v->remixed_from, sizeof v->remixed_from));
    PF_TRY(read_text(r, "idempotency_key", v->idempotency_key, sizeof v->idempotency_key));
    PF_TRY(read_text(r, "idempotency_hash", v->idempotency_hash,
                     sizeof v->idempotency_hash));
    return read_settings(r, v);
}

static pf_status read_object(const reading *r, pf_video **out)
{
    if (!json_is_object(r->object))
        return pf_fail(r->error, PF_E_INPUT, "%s is not a JSON object", r->name);
    pf_video *video = pf_video_new();
    if (!video)
        return pf_fail_memory(r->error, "video", sizeof *video);
    pf_status status = read_members(r, video);
    if (status == PF_OK) {
        *out = video;
        return PF_OK;
    }
    json_decref(video->settings);
    pf_free(video);
    return status;
}

/* Turns PF_E_MODEL of the JSON reader into PF_E_INPUT: the file is no part of a model. */
static pf_status as_input(pf_status status, pf_error *error)
{
    if (status == PF_E_MODEL && error)
        error->status = PF_E_INPUT;
    return status == PF_E_MODEL ? PF_E_INPUT : status;
}

pf_status pf_job_file_parse(const char *text, size_t bytes, const char *name,
                            pf_video **out, pf_error *error)
{
    json_t *object = NULL;
    *out = NULL;
    pf_status status = pf_json_parse(text, bytes, name, &object, error);
    if (status == PF_OK)
        status = read_object(&(reading){object, name, error}, out);
    json_decref(object);
    return as_input(status, error);
}

pf_status pf_job_file_read(const char *folder, pf_video **out, pf_error *error)
{
    char *text = NULL, *path = pf_path_join(folder, file_name);
    size_t bytes = 0;
    *out = NULL;
    if (!path)
        return pf_fail_memory(error, file_name, 1);
    pf_status status = pf_read_file(path, MOST_BYTES, &text, &bytes, error);
    if (status == PF_OK)
        status = pf_job_file_parse(text, bytes, path, out, error);
    pf_free(text);
    pf_free(path);
    return status;
}
