/* SPDX-License-Identifier: Apache-2.0 */
/* Services that handlers and threads of the server share: the log, sleeping, messages for
 * clients, stopping the queue, discarding films.  See server_parts.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/server_parts.h"

enum { COMPUTE_NICE = 3 };

void pf_server_log(const pf_server *server, const char *format, ...)
{
    char line[1024];
    va_list args;
    if (!server->options.log)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    server->options.log(server->options.log_user, line);
}

static const char *outward(const pf_error *error)
{
    switch (error->status) {
    case PF_E_ARGUMENT:
    case PF_E_INPUT:
    case PF_E_UNSUPPORTED:
    case PF_E_TOO_LARGE:
    case PF_E_CANCELLED: return error->message;     /* about the request itself */
    case PF_E_MEMORY: return "the server is out of memory";
    case PF_E_MODEL: return "the model of the server is damaged";
    case PF_E_NOT_FOUND: return "a file of the server is missing";
    case PF_E_IO: return "a file of the server cannot be read or written";
    case PF_E_NO_SPACE: return "the disk of the server is full";
    case PF_E_PLATFORM: return "the device of the server fails";
    default: return "the server fails";
    }
}

const char *pf_server_explain(const pf_server *server, const pf_error *error,
                              char room[sizeof ((pf_error *)0)->message])
{
    const char *folder = pf_engine_info(server->engine)->path, *told = outward(error);
    const char *rest = error->message + strlen(folder);
    bool of_model = (error->status == PF_E_MODEL || error->status == PF_E_IO) &&
                    strncmp(error->message, folder, strlen(folder)) == 0 && *rest == '/' &&
                    !strstr(rest, folder);
    if (!of_model)
        return told;
    snprintf(room, sizeof error->message, "%.60s: %.440s", told, rest + 1);
    return room;
}

bool pf_server_sleep(pf_server *server, double seconds)
{
    struct timespec end;
    double until = pf_seconds() + seconds;
    end.tv_sec = (time_t)until;
    end.tv_nsec = (long)((until - (double)end.tv_sec) * 1e9);
    pthread_mutex_lock(&server->tick);
    if (seconds > 0 && !atomic_load(&server->closing))
        pthread_cond_timedwait(&server->ticked, &server->tick, &end);
    pthread_mutex_unlock(&server->tick);
    return atomic_load(&server->closing);
}

void pf_server_open_ticks(pf_server *server)
{
    pthread_condattr_t clock;
    pthread_mutex_init(&server->tick, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&server->ticked, &clock);
    pthread_condattr_destroy(&clock);
}

void pf_server_close_ticks(pf_server *server)
{
    pthread_cond_destroy(&server->ticked);
    pthread_mutex_destroy(&server->tick);
}

void pf_server_wake(pf_server *server)
{
    pthread_mutex_lock(&server->tick);
    pthread_cond_broadcast(&server->ticked);
    pthread_mutex_unlock(&server->tick);
}

void pf_server_stop_queue(pf_server *server, const pf_trouble *trouble, const char *detail)
{
    const pf_trouble *before = atomic_exchange(&server->films.standing, trouble);
    if (before != trouble)
        pf_server_log(server, "the queue stands still: %s: %s", trouble->message, detail);
    pf_videos_pause(&server->videos, trouble->message);
}

void pf_server_resume_queue(pf_server *server)
{
    if (atomic_exchange(&server->films.standing, NULL))
        pf_server_log(server, "the queue goes on");
    pf_videos_pause(&server->videos, "");
}

pf_status pf_server_discard(pf_server *server, pf_video *video, pf_error *error)
{
    bool running = false;
    pf_video_mark_deleted(server->output_dir, video->id, true);
    pf_status status = pf_saving_remove(&server->saving, video, &running, error);
    if (status != PF_OK)
        pf_video_mark_deleted(server->output_dir, video->id, false);
    else if (!running)
        pf_video_remove_files(server->output_dir, video->id);
    return status;
}

int pf_server_client_connections(const pf_server *server)
{
    const pf_server_options *o = &server->options;
    return o->client_connections > 0 ? o->client_connections : o->connections / 4;
}

/* Nicer by 3: enough that threads that answer go first, and not so much that other programs
 * of the machine hold a film up, whose threads wait for each other thousands of times.
 * Not SCHED_BATCH, for the same reason. */
void pf_server_stand_back(void)
{
    setpriority(PRIO_PROCESS, (id_t)gettid(),
                getpriority(PRIO_PROCESS, 0) + COMPUTE_NICE);
}
