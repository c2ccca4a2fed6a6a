/* SPDX-License-Identifier: Apache-2.0 */
/* A video: references, files, JSON.  See video.h. */
#include "server/video.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "server/settings.h"

double pf_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

pf_video *pf_video_new(void)
{
    pf_video *video = pf_calloc(1, sizeof *video);
    if (video) {
        video->references = 1;
        video->version = 1;
        video->seconds_left = -1;
    }
    return video;
}

void pf_video_drop(pf_video *video)
{
    if (--video->references > 0)
        return;
    json_decref(video->settings);
    free(video->event);
    free(video->preview);
    pf_free(video);
}

void pf_video_touch(pf_video *video)
{
    video->version++;
    while (video->waiters) {
        pf_waiter *waiter = video->waiters;
        video->waiters = waiter->next;
        waiter->wake(waiter);
    }
}

void pf_video_set_outcome(pf_video *video, const char *code, const char *message,
                          double completed)
{
    video->status = code[0] ? PF_VIDEO_FAILED : PF_VIDEO_COMPLETED;
    video->completed = completed;
    video->interrupted = false;
    snprintf(video->error_code, sizeof video->error_code, "%s", code);
    snprintf(video->error_message, sizeof video->error_message, "%s", message);
}

/* --- files ------------------------------------------------------------------------ */

char *pf_video_folder(const char *output_dir, const char *id)
{
    return pf_format("%s/videos/%s", output_dir, id);
}

char *pf_video_file(const char *output_dir, const char *id, const char *name)
{
    return pf_format("%s/videos/%s/%s", output_dir, id, name);
}

const char *pf_video_film_name(const pf_video *video)
{
    const char *format =
        json_string_value(json_object_get(video->settings, "format"));
    return format && strcmp(format, "webm") == 0 ? "film.webm" : "film.mp4";
}

char *pf_video_state(const char *output_dir, const char *id)
{
    return pf_video_file(output_dir, id, "state.safetensors");
}

void pf_video_remove_state(const char *output_dir, const char *id)
{
    char *path = pf_video_state(output_dir, id);
    if (path)
        unlink(path);
    pf_free(path);
}

void pf_video_remove_files(const char *output_dir, const char *id)
{
    char *folder = pf_video_folder(output_dir, id);
    DIR *dir = folder ? opendir(folder) : NULL;
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    if (folder)
        rmdir(folder);
    pf_free(folder);
}

void pf_video_fresh_name(const char *id, char out[PF_VIDEO_FRESH_BYTES])
{
    snprintf(out, PF_VIDEO_FRESH_BYTES, "%s.new", id);
}

pf_status pf_video_settle(const char *output_dir, const char *id, pf_error *error)
{
    char name[PF_VIDEO_FRESH_BYTES];
    pf_video_fresh_name(id, name);
    char *from = pf_video_folder(output_dir, name), *to = pf_video_folder(output_dir, id);
    pf_status status = from && to ? PF_OK : pf_fail_memory(error, "paths", 1);
    if (status == PF_OK && rename(from, to) != 0)
        status = pf_fail_errno(error, errno, "cannot name the folder of the video");
    pf_free(from);
    pf_free(to);
    return status;
}

static const char deleted_mark[] = "deleted";

void pf_video_mark_deleted(const char *output_dir, const char *id, bool deleted)
{
    char *path = pf_video_file(output_dir, id, deleted_mark);
    int fd = path && deleted ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    if (path && !deleted)
        unlink(path);
    pf_free(path);
}

/* Pixels of all frames. */
static double pixels_of(const json_t *settings)
{
    static const char *const factors[] = {"width", "height", "num_frames"};
    double pixels = 1;
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        pixels *= json_number_value(json_object_get(settings, factors[i]));
    return pixels;
}

int64_t pf_video_expected_bytes(const json_t *settings)
{
    const double bytes_per_pixel = 0.15;        /* for films of many details */
    return (64 << 10) + (int64_t)(bytes_per_pixel * pixels_of(settings));
}

/* 16 channels of F32 for 4 frames of 8x8 pixels, twice. */
int64_t pf_video_expected_latents(const json_t *settings)
{
    return (int64_t)(2 * 0.25 * pixels_of(settings));
}

bool pf_video_is_marked_deleted(const char *output_dir, const char *id)
{
    char *path = pf_video_file(output_dir, id, deleted_mark);
    bool marked = path && pf_path_is_file(path);
    pf_free(path);
    return marked;
}

bool pf_video_id_is_sound(const char *id)
{
    size_t length = strlen(id);
    return length > 6 && length < PF_VIDEO_ID_BYTES && strncmp(id, "video_", 6) == 0 &&
           strspn(id + 6, "0123456789abcdef") == length - 6;
}

/* --- as JSON ---------------------------------------------------------------------- */

/* Sets a member; *complete becomes false when there is no memory for it. */
static void set(json_t *object, const char *key, json_t *value, bool *complete)
{
    if (json_object_set_new(object, key, value) != 0)
        *complete = false;
}

static json_t *time_json(double time)
{
    return time > 0 ? json_integer((json_int_t)time) : json_null();
}

static int progress_of(const pf_video *video)
{
    int percent = (int)(100.0 * video->fraction);
    if (video->status == PF_VIDEO_COMPLETED)
        return 100;
    return percent < 0 ? 0 : percent > 99 ? 99 : percent;
}

static void set_live(json_t *o, const pf_video *video, bool *complete)
{
    if (video->status == PF_VIDEO_QUEUED)
        set(o, "queue_position", json_integer(video->position), complete);
    if (video->status != PF_VIDEO_RUNNING)
        return;
    set(o, "stage", json_string(video->stage[0] ? video->stage : "waiting"), complete);
    set(o, "step", json_integer(video->step), complete);
    set(o, "steps", json_integer(video->steps), complete);
    set(o, "seconds_left",
        video->seconds_left >= 0 ? json_real(video->seconds_left) : json_null(),
        complete);
}

static json_t *error_json(const pf_video *video)
{
    if (video->status != PF_VIDEO_FAILED)
        return json_null();
    return json_pack("{s:s, s:s}", "code", video->error_code, "message",
                     video->error_message);
}

static void set_past(json_t *o, const pf_video *video, double retention, bool *complete)
{
    bool done = video->status >= PF_VIDEO_COMPLETED;
    bool expires = done && retention > 0 && !video->starred;
    set(o, "created_at", time_json(video->created), complete);
    set(o, "started_at", time_json(video->started), complete);
    set(o, "completed_at", time_json(video->completed), complete);
    set(o, "expires_at", time_json(expires ? video->completed + retention : 0), complete);
    set(o, "starred", json_boolean(video->starred), complete);
    set(o, "remixed_from_video_id",
        video->remixed_from[0] ? json_string(video->remixed_from) : json_null(),
        complete);
    set(o, "error", error_json(video), complete);
    if (done)
        set(o, "inference_time_s", json_real(video->run_seconds), complete);
}

/* Settings as clients see them and may send them again: what else is told of the film stands
 * beside them. */
static json_t *settings_json(json_t *settings)
{
    if (!json_object_get(settings, PF_SETTINGS_WARNINGS) &&
        !json_object_get(settings, PF_SETTINGS_REWRITE_ERROR))
        return json_incref(settings);
    json_t *shown = json_copy(settings);
    json_object_del(shown, PF_SETTINGS_WARNINGS);
    json_object_del(shown, PF_SETTINGS_REWRITE_ERROR);
    return shown;
}

/* A member of the settings, or null. */
static json_t *text_json(const json_t *settings, const char *member)
{
    json_t *text = json_object_get(settings, member);
    return text ? json_incref(text) : json_null();
}

static json_t *warnings_json(const json_t *settings)
{
    json_t *warnings = json_object_get(settings, PF_SETTINGS_WARNINGS);
    return warnings ? json_incref(warnings) : json_array();
}

json_t *pf_video_json(const pf_video *video, const char *model_name, double retention)
{
    static const char *const names[] = {"queued", "in_progress", "completed", "failed"};
    json_t *s = video->settings;
    char size[32];
    bool complete = true;
    snprintf(size, sizeof size, "%dx%d",
             (int)json_integer_value(json_object_get(s, "width")),
             (int)json_integer_value(json_object_get(s, "height")));
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:O, s:s, s:O, s:o, s:o, s:o, s:o}", "id", video->id, "object",
        "video", "model", model_name, "status", names[video->status], "progress",
        progress_of(video), "seconds", json_object_get(s, "seconds"), "size", size,
        "prompt", json_object_get(s, "prompt"), PF_SETTINGS_REWRITTEN,
        text_json(s, PF_SETTINGS_REWRITTEN), PF_SETTINGS_REWRITE_ERROR,
        text_json(s, PF_SETTINGS_REWRITE_ERROR), "warnings", warnings_json(s), "settings",
        settings_json(s));
    if (!object)
        return NULL;
    set_past(object, video, retention, &complete);
    set_live(object, video, &complete);
    if (complete)
        return object;
    json_decref(object);
    return NULL;
}
