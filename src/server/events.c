/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of a video's events (text/event-stream).
 *
 * An event is what the video is now, not what has happened: a reader that is slow, or
 * that comes back after a break, misses nothing that still matters, and nothing is
 * queued for it.
 *     event: status    the video's object
 *     event: preview   {"step", "frames", "width", "height", "image"}: a strip of
 *                      small pictures, side by side, as a data: URI
 * The stream ends after the status completed or failed, or with
 *     event: deleted   {"id"}
 */
#include <stdlib.h>
#include <string.h>

#include "server/api.h"

static void set_pending(pf_event_stream *stream, char *text)
{
    free(stream->pending);
    stream->pending = text;
    stream->pending_bytes = text ? strlen(text) : 0;
    stream->pending_sent = 0;
}

/* The text of an event, free(); NULL when out of memory. */
static char *event_text(const char *name, uint64_t version, const char *data)
{
    char *text = NULL;
    if (!data || asprintf(&text, "id: %llu\nevent: %s\ndata: %s\n\n",
                          (unsigned long long)version, name, data) < 0)
        return NULL;
    return text;
}

/* Locked: the event of the video as it is now, made once for all readers. */
static char *status_event(pf_server *server, pf_video *video)
{
    if (!video->event || video->event_version != video->version) {
        json_t *object = video->deleted
                             ? json_pack("{s:s}", "id", video->id)
                             : pf_video_json(video, server->model_name,
                                             server->options.retention);
        char *data = object ? json_dumps(object, JSON_COMPACT) : NULL;
        free(video->event);
        video->event = event_text(video->deleted ? "deleted" : "status", video->version,
                                  data);
        video->event_version = video->version;
        free(data);
        json_decref(object);
    }
    return video->event ? strdup(video->event) : NULL;
}

/* Locked: the next event, or NULL when there is nothing new. */
static char *next_event(pf_api_context *c)
{
    pf_event_stream *stream = &c->stream;
    pf_video *video = c->video;
    if (video->preview && video->preview_version != stream->seen_preview &&
        video->status == PF_VIDEO_RUNNING) {
        stream->seen_preview = video->preview_version;
        return strdup(video->preview);
    }
    if (video->version == c->seen_version)
        return NULL;
    c->seen_version = video->version;
    stream->last = video->deleted || video->status >= PF_VIDEO_COMPLETED;
    return status_event(c->server, video);
}

/* Takes the lock and fills `pending`; false at the end of the stream. */
static bool refill(pf_api_context *c)
{
    pf_videos *videos = &c->server->videos;
    if (c->stream.last)
        return false;
    pthread_mutex_lock(&videos->lock);
    bool closing = videos->closing;
    set_pending(&c->stream, next_event(c));
    pthread_mutex_unlock(&videos->lock);
    return c->stream.pending || !closing;
}

static ssize_t pull_event(pf_http_request *request, char *out, size_t room)
{
    pf_api_context *c = pf_api_context_of(request);
    pf_event_stream *stream = &c->stream;
    while (stream->pending_sent == stream->pending_bytes) {
        if (!refill(c))
            return -1;
        if (!stream->pending && pf_api_sleep(c))
            return 0;
    }
    size_t left = stream->pending_bytes - stream->pending_sent;
    size_t bytes = left < room ? left : room;
    memcpy(out, stream->pending + stream->pending_sent, bytes);
    stream->pending_sent += bytes;
    return (ssize_t)bytes;
}

void pf_api_events(pf_http_request *request)
{
    pf_api_context *c = pf_api_context_of(request);
    if (!pf_api_find(c) || !pf_api_take_place(c, PF_PLACE_STREAM))
        return;
    pf_http_reply_stream(request, "text/event-stream", pull_event);
    pf_http_set(request, "X-Accel-Buffering", "no");
}
