/* Housekeeping, every second: slow connections, old films, films that nobody waits for,
 * a full disk, and a sign of life for those who read events. */
#include "base/clock.h"
#include "base/memory.h"
#include "server/server_parts.h"

enum { EVERY_RETENTION = 5, EVERY_SIGN = 15 };
static const double expiry_seconds = 0.5;

/* --- retention -------------------------------------------------------------------- */

static bool is_done(const pf_video *v)
{
    return v->status >= PF_VIDEO_COMPLETED;
}

/* The oldest one that is beyond its age, or that goes to make room; NULL: none. */
static pf_video *find_expired(pf_server *server)
{
    const pf_server_options *o = &server->options;
    pf_videos *videos = &server->videos;
    pf_video *expired = NULL, *oldest = NULL;
    double now = pf_now();
    int64_t bytes = 0;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->count; i++) {
        pf_video *v = videos->list[i];
        if (!is_done(v))
            continue;
        bytes += v->bytes;
        if (!oldest && v->bytes > 0)
            oldest = v;
        if (!expired && o->retention > 0 && v->completed + o->retention <= now)
            expired = v;
    }
    if (!expired && o->retention_bytes > 0 && bytes > o->retention_bytes)
        expired = oldest;
    if (expired)
        expired->references++;
    pthread_mutex_unlock(&videos->lock);
    return expired;
}

/* Deletes what has expired, but not for long: there is other work.  True when there
 * may be more. */
static bool expire(pf_server *server)
{
    pf_video *video;
    double end = pf_seconds() + expiry_seconds;
    while ((video = find_expired(server)) != NULL) {
        bool running = false;
        pf_status status = pf_videos_remove(&server->videos, video, &running, NULL);
        if (status == PF_OK) {
            pf_video_remove_files(server->output_dir, video->id);
            pf_server_log(server, "%s expired", video->id);
        }
        pf_videos_release(&server->videos, video);
        if (status != PF_OK)
            return false;
        if (pf_seconds() >= end)
            return true;
    }
    return false;
}

/* --- films that nobody waits for ---------------------------------------------------- */

static void cancel_abandoned(pf_server *server)
{
    pf_video *video;
    pf_error error = {0};
    while (error.status == PF_OK &&
           (video = pf_videos_find_abandoned(&server->videos)) != NULL) {
        pf_server_log(server, "%s is cancelled: its client is gone", video->id);
        if (pf_videos_cancel(&server->videos, video, &error) == PF_CANCEL_DONE)
            pf_video_remove_state(server->output_dir, video->id);
        pf_videos_release(&server->videos, video);
        pf_server_poke(server);         /* there may be a webhook */
    }
}

/* --- space ------------------------------------------------------------------------ */

static void look_for_space(pf_server *server)
{
    pthread_mutex_lock(&server->videos.lock);
    bool paused = server->videos.paused[0] != '\0';
    pthread_mutex_unlock(&server->videos.lock);
    if (!paused || pf_server_folder_is_gone(server) || pf_server_disk_is_full(server))
        return;
    pf_server_log(server, "the queue goes on");
    pf_videos_pause(&server->videos, "");
}

/* Readers of events hear that the server is there; ones that are gone are noticed. */
static void give_sign(pf_server *server)
{
    pf_videos *videos = &server->videos;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->count; i++)
        if (videos->list[i]->waiters)
            pf_videos_touch(videos->list[i]);
    pthread_mutex_unlock(&videos->lock);
}

void *pf_housekeeping_run(void *argument)
{
    pf_server *server = argument;
    bool more = false;
    for (unsigned second = 0; !atomic_load(&server->closing); second++) {
        pf_http_watch(server->http);
        if (more || second % EVERY_RETENTION == 0)
            more = expire(server);
        cancel_abandoned(server);
        pf_videos_save_again(&server->videos);
        look_for_space(server);
        if (second % EVERY_SIGN == EVERY_SIGN - 1)
            give_sign(server);
        pf_server_pause(server, 1.0);
    }
    return NULL;
}
