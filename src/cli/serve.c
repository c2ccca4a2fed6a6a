/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm serve: flags to a server.  Man page: serve; docs/server.md. */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/default_model.h"
#include "cli/foreign.h"
#include "cli/machine.h"
#include "cli/process.h"
#include "cli/say.h"
#include "server/server.h"

enum { DEFAULT_PORT = 8000, DEFAULT_QUEUE = 32 };

typedef struct settings {
    const char *config;
    const char *model_path, *model_name;
    cli_machine machine;
    const char *host, *output_dir, *key_file, *tls_cert, *tls_key, *retention;
    const char *webhook_hosts, *webhook_secret_file, *picture_hosts;
    const char *proxies;
    int port, max_queue, max_queue_per_key, rate;
    int connections, client_connections, client_streams;
    double header_timeout, keep_alive;
    int64_t max_upload, retention_bytes, min_free;
    cli_list allow_origins;
    bool no_auth, quiet;
} settings;

#define AT(member) offsetof(settings, member)

static const cli_option options[] = {
    {CLI_GROUP, "Where", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "host", 0, "ADDRESS", AT(host), 0, 0, NULL,
     "Address to listen on (default: 127.0.0.1)"},
    {CLI_INTEGER, "port", 0, "N", AT(port), 0, 65535, NULL,
     "Port, 0 for any free one (default: 8000)"},
    {CLI_TEXT, "output-dir", 'o', "FOLDER", AT(output_dir), 0, 0, NULL,
     "Jobs and films, made if missing (default: films)"},
    {CLI_GROUP, "Who may use it", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "api-key-file", 0, "FILE", AT(key_file), 0, 0, NULL,
     "Lines NAME:KEY; each key sees its own films alone"},
    {CLI_SWITCH, "no-auth", 0, NULL, AT(no_auth), 0, 0, NULL,
     "Let everybody in although others than this machine can reach it"},
    {CLI_LIST, "allow-origin", 0, "ORIGIN", AT(allow_origins), 0, 0, NULL,
     "Let pages of https://app.example use it from their visitors' browsers; repeatable"},
    {CLI_TEXT, "tls-cert", 0, "FILE.pem", AT(tls_cert), 0, 0, NULL,
     "Certificate; with --tls-key"},
    {CLI_TEXT, "tls-key", 0, "FILE.pem", AT(tls_key), 0, 0, NULL, "Its key"},
    {CLI_GROUP, "Limits", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_INTEGER, "max-queue", 0, "N", AT(max_queue), 1, 1000, NULL,
     "Films that may wait; more are answered 429 (default: 32)"},
    {CLI_INTEGER, "max-queue-per-key", 0, "N", AT(max_queue_per_key), 1, 1000, NULL,
     "Of one key (default: half of --max-queue, where there are several keys)"},
    {CLI_BYTES, "max-upload", 0, "SIZE", AT(max_upload), 1, 0, NULL,
     "Of a picture (default: 20M)"},
    {CLI_INTEGER, "rate", 0, "N", AT(rate), 0, 100000, NULL,
     "Films a minute that a key may ask for, 0 for any (default: 60)"},
    {CLI_INTEGER, "connections", 0, "N", AT(connections), 16, 65000, NULL,
     "Open at a time (default: 2048)"},
    {CLI_INTEGER, "client-connections", 0, "N", AT(client_connections), 1, 65000, NULL,
     "Of them for one key, or one address that is no proxy's (default: a quarter)"},
    {CLI_INTEGER, "client-streams", 0, "N", AT(client_streams), 1, 65000, NULL,
     "Event streams and waiting requests of one key or address (default: 32)"},
    {CLI_TEXT, "trusted-proxies", 0, "ADDRESS,...", AT(proxies), 0, 0, NULL,
     "Whose X-Forwarded-For names the client; this machine's own always does"},
    {CLI_REAL, "keep-alive", 0, "SECONDS", AT(keep_alive), 1, 86400, NULL,
     "That an idle connection is kept; longer than a load balancer's (default: 620)"},
    {CLI_REAL, "header-timeout", 0, "SECONDS", AT(header_timeout), 0.1, 600, NULL,
     "Within which the head of a request must come (default: 15)"},
    {CLI_TEXT, "retention", 0, "TIME", AT(retention), 0, 0, NULL,
     "Finished films are deleted after 90s, 12h, 7d ..., unless they are starred; 0 keeps "
     "them (default: 0 without keys on loopback, else 7d)"},
    {CLI_BYTES, "retention-bytes", 0, "SIZE", AT(retention_bytes), 0, 0, NULL,
     "The oldest films that are not starred are deleted beyond this, 0 for no limit "
     "(default: 0)"},
    {CLI_BYTES, "min-free", 0, "SIZE", AT(min_free), 0, 0, NULL,
     "No films are taken with less disk than this (default: 256M)"},
    {CLI_GROUP, "Other hosts (none, unless they are listed)", 0, NULL, 0, 0, 0, NULL,
     NULL},
    {CLI_TEXT, "webhook-hosts", 0, "HOST,...", AT(webhook_hosts), 0, 0, NULL,
     "Where webhooks may be sent; HOST or HOST:PORT"},
    {CLI_TEXT, "webhook-secret-file", 0, "FILE", AT(webhook_secret_file), 0, 0, NULL,
     "Secret that signs them: 16 bytes or more, or whsec_ and Base64"},
    {CLI_TEXT, "picture-hosts", 0, "HOST,...", AT(picture_hosts), 0, 0, NULL,
     "Where first frames may be fetched by address"},
    {CLI_GROUP, "Model and machine", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "model-path", 'm', "FOLDER", AT(model_path), 0, 0, NULL,
     "Model folder (default: the model that comes with the program)"},
    {CLI_TEXT, "served-model-name", 0, "NAME", AT(model_name), 0, 0, NULL,
     "What the model is called (default: the folder's name)"},
    CLI_MACHINE_OPTIONS(AT(machine)),
    CLI_ENGINE_OPTIONS(AT(machine)),
    {CLI_GROUP, "This run", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "config", 0, "FILE.json", AT(config), 0, 0, NULL,
     "Settings from a file: names as here, with _ for -; flags win"},
    {CLI_SWITCH, "quiet", 'q', NULL, AT(quiet), 0, 0, NULL,
     "Print nothing but errors"},
};

const cli_table cli_serve_table = {options, sizeof options / sizeof options[0]};

static void log_line(void *user, const char *line)
{
    (void)user;
    cli_say("%s", line);
}

/* "12h" to seconds; negative when it is no such thing. */
static double parse_time(const char *text)
{
    static const char units[] = "smhd";
    static const double seconds[] = {1, 60, 3600, 86400};
    char *end;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : units;
    if (end == text || !(value >= 0) || value > 1e9 || !unit || (*end && end[1]))
        return -1;
    return value * seconds[unit - units];
}

/* --- the engine ------------------------------------------------------------------- */

typedef struct opening {
    pf_engine_options options;
    pf_engine *engine;
    pf_status status;
    pf_error error;
} opening;

/* The engine's threads inherit their priority from the one that opens it. */
static void *open_engine(void *argument)
{
    opening *o = argument;
    pf_server_stand_back();
    o->status = pf_engine_open(&o->options, &o->engine, &o->error);
    return NULL;
}

static int start_engine(const settings *s, opening *o)
{
    pthread_t thread;
    o->options = cli_engine_options(&s->machine, s->model_path, s->quiet);
    if (pthread_create(&thread, NULL, open_engine, o) != 0) {
        fprintf(stderr, "phonofilm: no thread starts\n");
        return EXIT_FAILED;
    }
    pthread_join(thread, NULL);
    return o->status == PF_OK ? EXIT_DONE : cli_fail(o->status, &o->error);
}

/* --- serving ---------------------------------------------------------------------- */

/* Without standard output nobody wants to know; one that fails is told at the end. */
static void announce(const settings *s, int port)
{
    bool bracket = strchr(s->host, ':') != NULL;
    printf("phonofilm serves %s on %s://%s%s%s:%d\n", s->model_path,
           s->tls_cert ? "https" : "http", bracket ? "[" : "", s->host,
           bracket ? "]" : "", port);
    if (fflush(stdout) != 0 && errno == EBADF)
        clearerr(stdout);
}

static int serve(const settings *s, const sigset_t *set, pf_engine *engine)
{
    pf_server *server;
    pf_error error = {0};
    const pf_server_options server_options = {
        .host = s->host, .port = s->port, .output_dir = s->output_dir,
        .model_name = s->model_name, .key_file = s->key_file, .no_auth = s->no_auth,
        .allow_origins = s->allow_origins.items,
        .allow_origin_count = s->allow_origins.count,
        .tls_cert = s->tls_cert, .tls_key = s->tls_key, .max_queue = s->max_queue,
        .max_queue_per_key = s->max_queue_per_key, .max_upload = s->max_upload,
        .retention = s->retention ? parse_time(s->retention) : -1,
        .retention_bytes = s->retention_bytes, .min_free = s->min_free, .rate = s->rate,
        .connections = s->connections, .client_connections = s->client_connections,
        .client_streams = s->client_streams, .proxies = s->proxies,
        .keep_seconds = s->keep_alive, .header_seconds = s->header_timeout,
        .webhook_hosts = s->webhook_hosts, .webhook_secret_file = s->webhook_secret_file,
        .picture_hosts = s->picture_hosts, .log = s->quiet ? NULL : log_line,
    };
    pf_status status = pf_server_open(&server_options, engine, &server, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
    announce(s, pf_server_port(server));
    process_wait(set);
    pf_server_close(server);
    return EXIT_DONE;
}

static int check(settings *s)
{
    if (!s->model_path)
        s->model_path = cli_default_model("--model-path");
    if (!s->model_path)
        return EXIT_WRONG;
    if (s->retention && parse_time(s->retention) < 0) {
        cli_say("--retention is %s, but must be a time such as 90s, "
                "30m, 12h or 7d", s->retention);
        return EXIT_WRONG;
    }
    return EXIT_DONE;
}

int cli_serve(int argc, char **argv)
{
    settings s = {
        .host = "127.0.0.1", .port = DEFAULT_PORT, .output_dir = "films",
        .max_queue = DEFAULT_QUEUE, .max_upload = 20 << 20, .rate = 60,
        .connections = 2048, .client_streams = 32, .keep_alive = 620,
        .header_timeout = 15, .min_free = 256 << 20,
    };
    cli_parser parser = {
        .options = options,
        .count = (int)(sizeof options / sizeof options[0]),
        .commands = FOREIGN_SERVE,
        .settings = &s,
        .usage = "",
        .summary = "Makes films for others: a page for people and the /v1/videos "
                   "interface for programs.\v"
                   "Example: phonofilm serve --model-path MOVA-360p",
    };
    sigset_t set;
    opening o = {.engine = NULL};
    int code = cli_parse(&parser, argc, argv);
    if (code == EXIT_DONE && s.config)
        code = cli_parse_config(&parser, s.config);
    if (code == EXIT_DONE)
        code = check(&s);
    if (code == EXIT_DONE) {
        process_block(&set);
        code = start_engine(&s, &o);
    }
    if (code == EXIT_DONE)
        code = serve(&s, &set, o.engine);
    pf_engine_close(o.engine);
    cli_parser_close(&parser);
    return code;
}
