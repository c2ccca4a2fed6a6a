/* SPDX-License-Identifier: Apache-2.0 */
/* The server: opening, threads, closing.
 *
 *     options -> folders -> store -> table of videos -> HTTP -> housekeeper, postmen, worker
 *
 * Closing goes the other way: nothing new begins, replies under way end, the running step
 * ends, what is not stored yet is stored.  See server.h and server_parts.h. */
#include "server/server.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "server/api.h"
#include "server/options.h"
#include "server/threads.h"

enum { MAX_PEM = 1 << 20, SPARE_FILES = 256, TOLD_FOLDERS = 20 };
static const double drain_seconds = 5.0;

/* --- folders and store -------------------------------------------------------------- */

static pf_status open_folders(pf_server *server, pf_error *error)
{
    const pf_server_options *o = &server->options;
    PF_TRY(pf_films_open(&server->films, server->output_dir, o->min_free, error));
    server->spool = pf_path_join(server->output_dir, "spool");
    if (!server->spool)
        return pf_fail_memory(error, "paths", 1);
    if (mkdir(server->spool, 0750) != 0 && !pf_path_is_folder(server->spool))
        return pf_fail_errno(error, errno, "cannot make the folder %s", server->spool);
    return PF_OK;
}

/* Refuses to make a new store where there are films: their store is missing. */
static pf_status check_presence(const pf_server *server, const char *path,
                                pf_error *error)
{
    struct stat info;
    bool present = stat(path, &info) == 0 && info.st_size > 0;
    if (present || !pf_films_exist(&server->films))
        return PF_OK;
    return pf_fail(error, PF_E_IO,
                   "%s is missing or empty, but there are films in %s/videos; put it back, "
                   "move them away, or run \"phonofilm jobs adopt\", which takes them in",
                   path, server->output_dir);
}

static void tell_unknown(const pf_server *server)
{
    const pf_films *films = &server->films;
    for (int i = 0; i < films->unknown_count && i < TOLD_FOLDERS; i++)
        pf_server_log(server, "%s/%s is unknown to the job store, and kept",
                      films->videos_dir, films->unknown[i]);
    if (films->unknown_count > 0)
        pf_server_log(server, "%d folders are unknown to the job store: stop the server "
                      "and run \"phonofilm jobs adopt -o %s\" to take them in",
                      films->unknown_count, server->output_dir);
}

static void tell_retention(const pf_server *server)
{
    double days = server->options.retention / 86400;
    if (days > 0)
        pf_server_log(server, "finished films are deleted after %.3g day%s, unless they are "
                      "starred (--retention)", days, days == 1 ? "" : "s");
    else
        pf_server_log(server, "finished films are kept (--retention)");
}

static pf_status open_store(pf_server *server, pf_error *error)
{
    uint8_t secret[PF_DIGEST_BYTES];
    char *path = pf_path_join(server->output_dir, "phonofilm.db");
    if (!path)
        return pf_fail_memory(error, "paths", 1);
    pf_status status = check_presence(server, path, error);
    if (status == PF_OK)
        status = pf_store_open(path, &server->store, error);
    pf_free(path);
    PF_TRY(status);
    PF_TRY(pf_store_secret(server->store, secret, error));
    server->has_keys = true;
    PF_TRY(pf_keys_open(&server->keys, server->options.key_file, secret, error));
    pf_videos_open(&server->videos, (pf_queue_limits){server->options.max_queue,
                                                      server->options.max_queue_per_key,
                                                      pf_keys_names(&server->keys)});
    server->has_videos = true;
    PF_TRY(pf_saving_open(&server->saving, &server->videos, server->store,
                          server->output_dir, error));
    server->has_saving = true;
    if (server->post.hosts)
        server->saving.announce = pf_webhook_announce;
    PF_TRY(pf_films_sort(&server->films, &server->videos, error));
    tell_unknown(server);
    tell_retention(server);
    return PF_OK;
}

/* --- threads ---------------------------------------------------------------------- */

/* Lowers the number of connections to the files that the system gives, less SPARE_FILES
 * for films. */
static void fit_connections(pf_server *server)
{
    struct rlimit limit;
    int *connections = &server->options.connections;
    rlim_t wanted = (rlim_t)*connections + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted)
        return;
    rlim_t files = limit.rlim_cur;
    *connections = (int)(files > 2 * SPARE_FILES ? files - SPARE_FILES : files / 2);
    pf_server_log(server, "%d connections, not more: the system gives %llu files "
                  "(ulimit -n)", *connections, (unsigned long long)files);
}

static bool promise(void *server, int64_t bytes)
{
    return pf_films_promise(&((pf_server *)server)->films, bytes);
}

static void redeem(void *server, int64_t bytes)
{
    pf_films_redeem(&((pf_server *)server)->films, bytes);
}

static pf_status open_http(pf_server *server, pf_error *error)
{
    const pf_server_options *o = &server->options;
    char *cert = NULL, *key = NULL;
    pf_status status = PF_OK;
    if (o->tls_cert)
        status = pf_read_text(o->tls_cert, MAX_PEM, &cert, NULL, error);
    if (status == PF_OK && o->tls_key)
        status = pf_read_text(o->tls_key, MAX_PEM, &key, NULL, error);
    if (status == PF_OK)
        status = pf_http_open(
            &(pf_http_options){
                .host = server->host, .port = o->port, .tls_cert = cert, .tls_key = key,
                .disk = {server->spool, promise, redeem, server},
                .connections = o->connections,
                .header_seconds = o->header_seconds,
                .client_connections = pf_server_client_connections(server),
                .keep_seconds = o->keep_seconds, .proxies = server->proxies,
                .route = pf_routes_choose, .dress = pf_routes_dress,
                .release = pf_routes_release,
                .context_bytes = sizeof(pf_api_context),
                .lane_threads = pf_api_lane_threads, .lanes = PF_API_LANES,
                .app = server},
            &server->http, error);
    if (key)
        explicit_bzero(key, strlen(key));
    pf_free(cert);
    pf_free(key);
    return status;
}

static pf_status start(pthread_t *thread, bool *started, void *(*run)(void *),
                       pf_server *server, pf_error *error)
{
    *started = !pf_fault_hit(PF_FAULT_THREAD) &&
               pthread_create(thread, NULL, run, server) == 0;
    return *started ? PF_OK
                    : pf_fail(error, PF_E_MEMORY, "a thread of the server does not start");
}

static pf_status open_parts(pf_server *server, pf_error *error)
{
    PF_TRY(pf_options_take(server, error));
    PF_TRY(open_folders(server, error));
    PF_TRY(open_store(server, error));
    fit_connections(server);
    PF_TRY(open_http(server, error));
    pf_server_threads *t = &server->threads;
    PF_TRY(start(&t->housekeeper, &t->has_housekeeper, pf_housekeeping_run, server, error));
    for (int i = 0; i < PF_HANDS && server->post.hosts; i++)
        PF_TRY(start(&t->postmen[i], &t->has_postman[i], pf_webhook_run, server, error));
    return start(&t->worker, &t->has_worker, pf_worker_run, server, error);
}

pf_status pf_server_open(const pf_server_options *options, pf_engine *engine,
                         pf_server **out, pf_error *error)
{
    *out = NULL;
    pf_server *server = pf_calloc(1, sizeof *server);
    if (!server)
        return pf_fail_memory(error, "server", sizeof *server);
    server->options = *options;
    server->engine = engine;
    server->opened = pf_now();
    server->began = pf_seconds();
    pthread_mutex_init(&server->post.lock, NULL);
    pf_places_open(&server->places);
    pf_server_open_ticks(server);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pf_status status = open_parts(server, error);
    if (status != PF_OK) {
        pf_server_close(server);
        return status;
    }
    *out = server;
    return PF_OK;
}

static void join(pthread_t thread, bool started)
{
    if (started)
        pthread_join(thread, NULL);
}

static void free_parts(pf_server *server)
{
    if (server->has_saving)
        pf_saving_close(&server->saving);
    if (server->has_videos)
        pf_videos_close(&server->videos);
    if (server->has_keys)
        pf_keys_close(&server->keys);
    pf_places_close(&server->places);
    pf_store_close(server->store);
    if (server->post.secret)
        explicit_bzero(server->post.secret, server->post.secret_bytes);
    pf_free(server->post.secret);
    pf_films_close(&server->films);
    pf_free(server->output_dir);
    pf_free(server->host);
    pf_free(server->spool);
    pf_free(server->post.hosts);
    pf_free(server->picture_hosts);
    pf_rewriter_close(server->rewriter);
    pf_free(server->proxies);
    pf_server_close_ticks(server);
    pthread_mutex_destroy(&server->post.lock);
    pf_free(server);
}

void pf_server_close(pf_server *server)
{
    if (!server)
        return;
    atomic_store(&server->closing, true);
    pf_server_wake(server);
    if (server->has_videos)
        pf_videos_shut(&server->videos);
    join(server->threads.housekeeper, server->threads.has_housekeeper);
    if (server->http)
        pf_http_close(server->http, drain_seconds);
    join(server->threads.worker, server->threads.has_worker);
    for (int i = 0; i < PF_HANDS; i++)
        join(server->threads.postmen[i], server->threads.has_postman[i]);
    if (server->has_saving)
        pf_saving_retry(&server->saving, NULL);
    curl_global_cleanup();
    free_parts(server);
}

int pf_server_port(const pf_server *server)
{
    return pf_http_port(server->http);
}
