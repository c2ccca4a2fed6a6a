/* SPDX-License-Identifier: Apache-2.0 */
/* The server: opening, threads, closing.  See server.h and server_parts.h. */
#include "server/server.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "server/server_parts.h"

enum { MAX_PEM = 1 << 20, MAX_SECRET = 4096, SPARE_FILES = 256, COMPUTE_NICE = 3,
       TOLD_FOLDERS = 20 };
static const double drain_seconds = 5.0, usual_retention = 7 * 86400.0;

/* --- small things ----------------------------------------------------------------- */

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

const char *pf_server_outward(const pf_error *error)
{
    switch (error->status) {
    case PF_E_ARGUMENT:
    case PF_E_INPUT:
    case PF_E_UNSUPPORTED:
    case PF_E_TOO_LARGE:
    case PF_E_CANCELLED: return error->message;     /* of what was asked for */
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
    const char *folder = pf_engine_info(server->engine)->path, *told = pf_server_outward(error);
    const char *rest = error->message + strlen(folder);
    bool of_model = (error->status == PF_E_MODEL || error->status == PF_E_IO) &&
                    strncmp(error->message, folder, strlen(folder)) == 0 && *rest == '/' &&
                    !strstr(rest, folder);
    if (!of_model)
        return told;
    snprintf(room, sizeof error->message, "%.60s: %.440s", told, rest + 1);
    return room;
}

bool pf_server_pause(pf_server *server, double seconds)
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

/* Sleeps by the clock that nobody sets. */
static void init_ticked(pf_server *server)
{
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&server->ticked, &clock);
    pthread_condattr_destroy(&clock);
}

void pf_server_poke(pf_server *server)
{
    pthread_mutex_lock(&server->tick);
    pthread_cond_broadcast(&server->ticked);
    pthread_mutex_unlock(&server->tick);
}

void pf_server_stand_still(pf_server *server, const pf_trouble *trouble, const char *detail)
{
    const pf_trouble *before = atomic_exchange(&server->films.standing, trouble);
    if (before != trouble)
        pf_server_log(server, "the queue stands still: %s: %s", trouble->message, detail);
    pf_videos_pause(&server->videos, trouble->message);
}

void pf_server_go_on(pf_server *server)
{
    if (atomic_exchange(&server->films.standing, NULL))
        pf_server_log(server, "the queue goes on");
    pf_videos_pause(&server->videos, "");
}

pf_status pf_server_discard(pf_server *server, pf_video *video, pf_error *error)
{
    bool running = false;
    pf_video_mark_deleted(server->output_dir, video->id, true);
    pf_status status = pf_videos_remove(&server->videos, video, &running, error);
    if (status != PF_OK)
        pf_video_mark_deleted(server->output_dir, video->id, false);
    else if (!running)
        pf_video_remove_files(server->output_dir, video->id);
    return status;
}

/* A little nicer: enough that whoever answers goes first, and not so much that other
 * programs of the machine hold a film up (its threads wait for each other thousands of
 * times).  Not SCHED_BATCH for the same reason. */
void pf_server_stand_back(void)
{
    setpriority(PRIO_PROCESS, (id_t)gettid(),
                getpriority(PRIO_PROCESS, 0) + COMPUTE_NICE);
}

int pf_server_client_connections(const pf_server *server)
{
    const pf_server_options *o = &server->options;
    return o->client_connections > 0 ? o->client_connections : o->connections / 4;
}

int pf_server_port(const pf_server *server)
{
    return pf_http_port(server->http);
}

/* --- options ---------------------------------------------------------------------- */

/* Is the address of this machine alone? */
static pf_status find_scope(pf_server *server, const char *host, pf_error *error)
{
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, NULL, NULL, &found);
    if (code != 0)
        return pf_fail(error, PF_E_ARGUMENT, "host is \"%s\", but must be an address: %s",
                       host, gai_strerror(code));
    if (found->ai_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, found->ai_addr, sizeof v4);
        server->loopback = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    } else if (found->ai_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, found->ai_addr, sizeof v6);
        server->loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    freeaddrinfo(found);
    return PF_OK;
}

static pf_status check_proxies(const char *list, pf_error *error)
{
    pf_address address;
    while (list && *list) {
        size_t length = strcspn(list, ",");
        if (!pf_address_parse(list, length, &address))
            return pf_fail(error, PF_E_ARGUMENT,
                           "trusted_proxies has \"%.*s\", but must be addresses such as "
                           "192.0.2.1, with commas between them",
                           (int)(length < 60 ? length : 60), list);
        list += length + (list[length] == ',');
    }
    return PF_OK;
}

static pf_status check_options(pf_server *server, pf_error *error)
{
    const pf_server_options *o = &server->options;
    PF_TRY(find_scope(server, o->host, error));
    if (!server->loopback && !o->key_file && !o->no_auth)
        return pf_fail(error, PF_E_ARGUMENT,
                       "host is %s, which others can reach: give a file of API keys, or "
                       "say no_auth to let everybody in", o->host);
    if (o->key_file && o->no_auth)
        return pf_fail(error, PF_E_ARGUMENT,
                       "no_auth has no effect with a file of API keys; leave one out");
    if (!o->tls_cert != !o->tls_key)
        return pf_fail(error, PF_E_ARGUMENT,
                       "tls_cert and tls_key must be given together");
    if (!o->webhook_hosts != !o->webhook_secret_file)
        return pf_fail(error, PF_E_ARGUMENT,
                       "webhook_hosts and webhook_secret_file must be given together");
    PF_TRY(check_proxies(o->proxies, error));
    if (o->port < 0 || o->port > 65535)
        return pf_fail(error, PF_E_ARGUMENT, "port is %d, but must be 0 to 65535",
                       o->port);
    if (o->max_queue_per_key > o->max_queue)
        return pf_fail(error, PF_E_ARGUMENT,
                       "max_queue_per_key is %d, but must be at most max_queue, %d",
                       o->max_queue_per_key, o->max_queue);
    if (o->max_queue_per_key > 0 && !o->key_file)
        return pf_fail(error, PF_E_ARGUMENT,
                       "max_queue_per_key is %d, but has no effect without a file of API "
                       "keys", o->max_queue_per_key);
    /* One's own films on one's own machine stay. */
    if (o->retention < 0)
        server->options.retention =
            server->loopback && !o->key_file ? 0 : usual_retention;
    return PF_OK;
}

static pf_status copy_text(char **out, const char *text, pf_error *error)
{
    *out = text ? pf_strdup(text) : NULL;
    return !text || *out ? PF_OK : pf_fail_memory(error, "options", strlen(text));
}

/* The last part of a path, without what follows it. */
static const char *last_part(const char *path, size_t *length)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    *length = end - begin;
    return path + begin;
}

/* Clients see it in JSON and say it in a field. */
static pf_status name_model(pf_server *server, pf_error *error)
{
    const char *name = server->options.model_name;
    size_t length = name ? strlen(name) : 0, printable = 0;
    if (!name)
        name = last_part(pf_engine_info(server->engine)->path, &length);
    while (printable < length && (unsigned char)name[printable] >= ' ')
        printable++;
    if (length == 0 || length >= sizeof server->model_name || printable < length ||
        !pf_utf8_is_valid(name, length))
        return pf_fail(error, PF_E_ARGUMENT,
                       "served_model_name is \"%.40s\", but must have 1 to %zu bytes of "
                       "text", name, sizeof server->model_name - 1);
    memcpy(server->model_name, name, length);
    return PF_OK;
}

static pf_status read_webhook_secret(pf_server *server, pf_error *error)
{
    const char *path = server->options.webhook_secret_file;
    char *text = NULL;
    if (!path)
        return PF_OK;
    PF_TRY(pf_read_text(path, MAX_SECRET, &text, NULL, error));
    text[strcspn(text, "\r\n")] = '\0';
    bool encoded = strncmp(text, "whsec_", 6) == 0;
    size_t bytes = strlen(text);
    server->webhook_secret = pf_alloc(bytes + 3);
    int64_t length = -1;
    if (server->webhook_secret && encoded) {
        length = pf_base64_decode(text + 6, bytes - 6, server->webhook_secret);
    } else if (server->webhook_secret) {
        memcpy(server->webhook_secret, text, bytes);
        length = (int64_t)bytes;
    }
    explicit_bzero(text, bytes);
    pf_free(text);
    server->webhook_secret_bytes = length > 0 ? (size_t)length : 0;
    if (length >= 16)
        return PF_OK;
    return pf_fail(error, PF_E_INPUT,
                   "%s must hold a secret of 16 bytes or more, or whsec_ and Base64",
                   path);
}

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

/* Films without a store are not those of a new server. */
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
    PF_TRY(pf_videos_open(
        &server->videos, server->store, server->output_dir,
        (pf_queue_limits){server->options.max_queue, server->options.max_queue_per_key,
                          pf_keys_names(&server->keys)},
        error));
    server->has_videos = true;
    if (server->options.webhook_hosts)
        server->videos.announce = pf_webhook_announce;
    PF_TRY(pf_films_sort(&server->films, &server->videos, error));
    tell_unknown(server);
    tell_retention(server);
    return PF_OK;
}

/* --- threads ---------------------------------------------------------------------- */

/* A connection is a file: as many as the system gives, less those that films need. */
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
                .spool = server->spool, .connections = o->connections,
                .header_seconds = o->header_seconds,
                .client_connections = pf_server_client_connections(server),
                .keep_seconds = o->keep_seconds, .proxies = server->proxies,
                .route = pf_routes_choose, .dress = pf_routes_dress,
                .done = pf_routes_done, .promise = promise, .redeem = redeem,
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
    const pf_server_options *o = &server->options;
    PF_TRY(check_options(server, error));
    PF_TRY(pf_origins_open(&server->origins, o->allow_origins, o->allow_origin_count,
                           error));
    PF_TRY(name_model(server, error));
    PF_TRY(copy_text(&server->output_dir, o->output_dir, error));
    PF_TRY(copy_text(&server->host, o->host, error));
    PF_TRY(copy_text(&server->webhook_hosts, o->webhook_hosts, error));
    PF_TRY(copy_text(&server->picture_hosts, o->picture_hosts, error));
    PF_TRY(copy_text(&server->proxies, o->proxies, error));
    PF_TRY(read_webhook_secret(server, error));
    PF_TRY(open_folders(server, error));
    PF_TRY(open_store(server, error));
    fit_connections(server);
    PF_TRY(open_http(server, error));
    PF_TRY(start(&server->housekeeper, &server->has_housekeeper, pf_housekeeping_run,
                 server, error));
    for (int i = 0; i < PF_HANDS && o->webhook_hosts; i++)
        PF_TRY(start(&server->postmen[i], &server->has_postman[i], pf_webhook_run, server,
                     error));
    return start(&server->worker, &server->has_worker, pf_worker_run, server, error);
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
    pthread_mutex_init(&server->tick, NULL);
    pthread_mutex_init(&server->post, NULL);
    pf_places_open(&server->places);
    init_ticked(server);
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
    if (server->has_videos)
        pf_videos_close(&server->videos);
    if (server->has_keys)
        pf_keys_close(&server->keys);
    pf_places_close(&server->places);
    pf_store_close(server->store);
    if (server->webhook_secret)
        explicit_bzero(server->webhook_secret, server->webhook_secret_bytes);
    pf_free(server->webhook_secret);
    pf_films_close(&server->films);
    pf_free(server->output_dir);
    pf_free(server->host);
    pf_free(server->spool);
    pf_free(server->webhook_hosts);
    pf_free(server->picture_hosts);
    pf_free(server->proxies);
    pthread_cond_destroy(&server->ticked);
    pthread_mutex_destroy(&server->tick);
    pthread_mutex_destroy(&server->post);
    pf_free(server);
}

void pf_server_close(pf_server *server)
{
    if (!server)
        return;
    atomic_store(&server->closing, true);
    pf_server_poke(server);
    if (server->has_videos)
        pf_videos_shut(&server->videos);
    join(server->housekeeper, server->has_housekeeper);
    if (server->http)
        pf_http_close(server->http, drain_seconds);
    join(server->worker, server->has_worker);
    for (int i = 0; i < PF_HANDS; i++)
        join(server->postmen[i], server->has_postman[i]);
    if (server->has_videos)
        pf_videos_save_again(&server->videos, NULL);
    curl_global_cleanup();
    free_parts(server);
}
