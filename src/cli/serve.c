/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm serve: flags to a server.  Man page: serve; docs/server.md.
 *
 *     main thread     process_block: signals wait  ->  process_wait  ->  pf_server_close
 *       engine's      opened on a thread of lower priority, which its threads inherit
 *       server's      connections, worker ... (src/server/server.h)
 *
 * Signals are blocked before any thread starts, so that every thread inherits that and the
 * main thread alone receives them.  Order at the end: server, engine, parser, because the
 * server's worker uses the engine, and both use strings of the parser. */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/default_model.h"
#include "cli/foreign.h"
#include "cli/process.h"
#include "cli/rewriter.h"
#include "cli/say.h"
#include "cli/shared_flags.h"
#include "server/server.h"

enum { DEFAULT_PORT = 8000, DEFAULT_QUEUE = 32 };

/* Texts that are NULL and numbers that are 0 leave the choice to the server, but for those
 * that cli_serve sets. */
typedef struct settings {
    const char *config;
    const char *model_path, *model_name;
    cli_machine machine;
    const char *host, *output_dir, *key_file, *tls_cert, *tls_key, *retention;
    const char *webhook_hosts, *webhook_secret_file, *picture_hosts;
    const char *proxies;
    rewriter_flags rewriter;
    int port, max_queue, max_queue_per_key, rate;
    int connections, client_connections, client_streams;
    double header_timeout, keep_alive;
    int64_t max_upload, retention_bytes, min_free;
    cli_list allow_origins;
    bool no_auth, quiet;
} settings;

#define AT(member) offsetof(settings, member)

static const cli_option options[] = {
    {.kind = CLI_GROUP, .name = "Where"},
    {.kind = CLI_TEXT, .name = "host", .argument = "ADDRESS", .offset = AT(host),
     .help = "Address to listen on (default: 127.0.0.1)"},
    {.kind = CLI_INTEGER, .name = "port", .argument = "N", .offset = AT(port), .low = 0,
     .high = 65535, .help = "Port, 0 for any free one (default: 8000)"},
    {.kind = CLI_TEXT, .name = "output-dir", .key = 'o', .argument = "FOLDER",
     .offset = AT(output_dir),
     .help = "Jobs and films, made if missing (default: films)"},
    {.kind = CLI_GROUP, .name = "Who may use it"},
    {.kind = CLI_TEXT, .name = "api-key-file", .argument = "FILE", .offset = AT(key_file),
     .help = "Lines NAME:KEY; each key sees its own films alone"},
    {.kind = CLI_SWITCH, .name = "no-auth", .offset = AT(no_auth),
     .help = "Let everybody in although others than this machine can reach it"},
    {.kind = CLI_LIST, .name = "allow-origin", .argument = "ORIGIN",
     .offset = AT(allow_origins),
     .help = "Let pages of https://app.example use it from their visitors' browsers; "
             "repeatable"},
    {.kind = CLI_TEXT, .name = "tls-cert", .argument = "FILE.pem", .offset = AT(tls_cert),
     .help = "Certificate; with --tls-key"},
    {.kind = CLI_TEXT, .name = "tls-key", .argument = "FILE.pem", .offset = AT(tls_key),
     .help = "Its key"},
    {.kind = CLI_GROUP, .name = "Limits"},
    {.kind = CLI_INTEGER, .name = "max-queue", .argument = "N", .offset = AT(max_queue),
     .low = 1, .high = 1000,
     .help = "Films that may wait; more are answered 429 (default: 32)"},
    {.kind = CLI_INTEGER, .name = "max-queue-per-key", .argument = "N",
     .offset = AT(max_queue_per_key), .low = 1, .high = 1000,
     .help = "Of one key (default: half of --max-queue, where there are several keys)"},
    {.kind = CLI_BYTES, .name = "max-upload", .argument = "SIZE", .offset = AT(max_upload),
     .low = 1, .help = "Of a picture (default: 20M)"},
    {.kind = CLI_INTEGER, .name = "rate", .argument = "N", .offset = AT(rate), .low = 0,
     .high = 100000,
     .help = "Films a minute that a key may ask for, 0 for any (default: 60)"},
    {.kind = CLI_INTEGER, .name = "connections", .argument = "N", .offset = AT(connections),
     .low = 16, .high = 65000, .help = "Open at a time (default: 2048)"},
    {.kind = CLI_INTEGER, .name = "client-connections", .argument = "N",
     .offset = AT(client_connections), .low = 1, .high = 65000,
     .help = "Of them for one key, or one address that is no proxy's (default: a "
             "quarter)"},
    {.kind = CLI_INTEGER, .name = "client-streams", .argument = "N",
     .offset = AT(client_streams), .low = 1, .high = 65000,
     .help = "Event streams and waiting requests of one key or address (default: 32)"},
    {.kind = CLI_TEXT, .name = "trusted-proxies", .argument = "ADDRESS,...",
     .offset = AT(proxies),
     .help = "Whose X-Forwarded-For names the client; this machine's own always does"},
    {.kind = CLI_REAL, .name = "keep-alive", .argument = "SECONDS",
     .offset = AT(keep_alive), .low = 1, .high = 86400,
     .help = "That an idle connection is kept; longer than a load balancer's (default: "
             "620)"},
    {.kind = CLI_REAL, .name = "header-timeout", .argument = "SECONDS",
     .offset = AT(header_timeout), .low = 0.1, .high = 600,
     .help = "Within which the head of a request must come (default: 15)"},
    {.kind = CLI_TEXT, .name = "retention", .argument = "TIME", .offset = AT(retention),
     .help = "Finished films are deleted after 90s, 12h, 7d ..., unless they are "
             "starred; 0 keeps them (default: 0 without keys on loopback, else 7d)"},
    {.kind = CLI_BYTES, .name = "retention-bytes", .argument = "SIZE",
     .offset = AT(retention_bytes),
     .help = "The oldest films that are not starred are deleted beyond this, 0 for no "
             "limit (default: 0)"},
    {.kind = CLI_BYTES, .name = "min-free", .argument = "SIZE", .offset = AT(min_free),
     .help = "No films are taken with less disk than this (default: 256M)"},
    {.kind = CLI_GROUP, .name = "Other hosts (none, unless they are listed)"},
    {.kind = CLI_TEXT, .name = "webhook-hosts", .argument = "HOST,...",
     .offset = AT(webhook_hosts),
     .help = "Where webhooks may be sent; HOST or HOST:PORT"},
    {.kind = CLI_TEXT, .name = "webhook-secret-file", .argument = "FILE",
     .offset = AT(webhook_secret_file),
     .help = "Secret that signs them: 16 bytes or more, or whsec_ and Base64"},
    {.kind = CLI_TEXT, .name = "picture-hosts", .argument = "HOST,...",
     .offset = AT(picture_hosts),
     .help = "Where first frames may be fetched by address"},
    {.kind = CLI_GROUP, .name = "A chat model that rewrites prompts"},
    {.kind = CLI_ROWS, .rows = &rewriter_rows, .offset = AT(rewriter)},
    {.kind = CLI_GROUP, .name = "Model and machine"},
    {.kind = CLI_ROWS, .rows = &cli_model_rows, .offset = AT(model_path)},
    {.kind = CLI_TEXT, .name = "served-model-name", .argument = "NAME",
     .offset = AT(model_name),
     .help = "What the model is called (default: the folder's name)"},
    {.kind = CLI_ROWS, .rows = &cli_machine_rows, .offset = AT(machine)},
    {.kind = CLI_ROWS, .rows = &cli_engine_rows, .offset = AT(machine)},
    {.kind = CLI_GROUP, .name = "This run"},
    {.kind = CLI_TEXT, .name = "config", .argument = "FILE.json", .offset = AT(config),
     .help = "Settings from a file: names as here, with _ for -; flags win"},
    {.kind = CLI_ROWS, .rows = &cli_quiet_rows, .offset = AT(quiet)},
};

const cli_table cli_serve_table = CLI_TABLE(options);

static void log_line(void *user, const char *line)
{
    (void)user;
    cli_say("%s", line);
}

/* "12h" to seconds; negative when the text is no time. */
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

/* The engine's threads inherit their priority from the one that opens it: films stand back
 * behind the connections, so that the server answers while it computes. */
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

/* Serves until a signal comes; closing stops the film under way, which the next start goes
 * on with. */
static int serve(const settings *s, const cli_parser *parser, const sigset_t *set,
                 pf_engine *engine)
{
    pf_server *server;
    pf_error error = {0};
    const pf_rewriter_options rewriter = rewriter_options(&s->rewriter);
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
        .picture_hosts = s->picture_hosts,
        .rewriter = s->rewriter.url ? &rewriter : NULL, .log = s->quiet ? NULL : log_line,
    };
    pf_status status = pf_server_open(&server_options, engine, &server, &error);
    if (status != PF_OK)
        return cli_fail_request(parser, status, &error);
    announce(s, pf_server_port(server));
    process_wait(set);
    pf_server_close(server);
    return EXIT_DONE;
}

static int check(settings *s, const cli_parser *parser)
{
    if (rewriter_check(parser, &s->rewriter) != EXIT_DONE)
        return EXIT_WRONG;
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
        .table = &cli_serve_table,
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
        code = check(&s, &parser);
    if (code == EXIT_DONE) {
        process_block(&set);
        code = start_engine(&s, &o);
    }
    if (code == EXIT_DONE)
        code = serve(&s, &parser, &set, o.engine);
    pf_engine_close(o.engine);
    cli_parser_close(&parser);
    return code;
}
