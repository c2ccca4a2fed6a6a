/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/videos/{id}/content: the film, its thumbnail or its sheet of frames.
 *
 * The read lane opens the file and reads its beginning, so that the loop, which sends it
 * and answers others meanwhile, finds it in memory.  See api.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "server/api.h"

enum { WARM_BYTES = 32 << 20 };

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
    pf_api_context *c = pf_api_context_of(request);
    pf_server *server = c->server;
    pthread_mutex_lock(&server->videos.lock);
    pf_video_status status = c->video->status;
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

/* Reads the first WARM_BYTES into the page cache, so that the loop does not wait for the
 * disk while it sends.  The rest of a longer film is prefetched only. */
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
    pf_api_context *c = pf_api_context_of(request);
    pf_server *server = c->server;
    const char *film = pf_video_film_name(c->video);
    const char *ending = strrchr(film, '.');
    char *path = pf_video_file(server->output_dir, c->video->id,
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
    pf_http_set(request, "x-video-id", "%s", c->video->id);
    pf_http_set(request, "Cache-Control", "private, max-age=3600");
    pf_http_set(request, "Content-Disposition", "inline; filename=\"%s%s\"",
                c->video->id, v->file ? ".webp" : ending);
    const char *film_type = strcmp(ending, ".webm") == 0 ? "video/webm" : "video/mp4";
    /* The file of an id never changes. */
    char tag[PF_VIDEO_ID_BYTES + 16];
    snprintf(tag, sizeof tag, "\"%s-%s\"", c->video->id, v->name);
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
    pf_api_context *c = pf_api_context_of(request);
    if (pf_api_find(c) && find_variant(request) && is_ready(request))
        pf_http_defer(request, PF_API_LANE_READ, content_work);
}
