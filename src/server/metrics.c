/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the server's counters, as Prometheus reads them.  See api.h. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "server/api.h"

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
    fprintf(out, "phonofilm_queue_length %d\n", v->queue.waiting);
    add(out, "running", "gauge", "1 while a film is being made.");
    fprintf(out, "phonofilm_running %d\n", v->queue.running != NULL);
    add(out, "paused", "gauge", "1 while the queue stands still: no space, or no folder.");
    fprintf(out, "phonofilm_paused %d\n", v->paused[0] != '\0');
    add(out, "stored_videos", "gauge", "Videos that are known.");
    fprintf(out, "phonofilm_stored_videos %d\n", v->all.count);
    add(out, "film_seconds", "gauge", "Time that a film takes, lately.");
    fprintf(out, "phonofilm_film_seconds %.3f\n", v->queue.mean_seconds);
    pthread_mutex_unlock(&v->lock);
}

static void print_rewrites(FILE *out, pf_server *server)
{
    add(out, "rewrites_total", "counter", "Prompts given to the chat model, by outcome.");
    fprintf(out, "phonofilm_rewrites_total{outcome=\"rewritten\"} %lld\n"
                 "phonofilm_rewrites_total{outcome=\"failed\"} %lld\n",
            atomic_load(&server->rewritten), atomic_load(&server->not_rewritten));
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
    pf_api_context *c = pf_api_context_of(request);
    pf_server *server = c->server;
    text page = {0};
    FILE *out = open_memstream(&page.data, &page.bytes);
    if (out) {
        print_videos(out, server);
        print_rewrites(out, server);
        print_http(out, server);
        if (fclose(out) != 0) {
            free(page.data);
            page.data = NULL;
        }
    }
    pf_http_reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                       page.data);
}
