/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm serve: a video service over one engine.  docs/server.md.
 *
 *     pf_server_open(&options, engine, &server, &error);     // accepts and works
 *     ... until a signal ...
 *     pf_server_close(server);                               // drains, keeps jobs
 */
#ifndef PF_SERVER_SERVER_H
#define PF_SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/rewriter.h"
#include "phonofilm.h"

typedef struct pf_server pf_server;

typedef struct pf_server_options {
    const char *host;                   /* address to listen on */
    int port;                           /* 0: any free one */
    const char *output_dir;             /* jobs and films; made if missing */
    const char *model_name;             /* NULL: the name of the model's folder */
    const char *key_file;               /* NAME:KEY lines; NULL: no keys */
    bool no_auth;                       /* without keys beyond loopback, too */
    const char *const *allow_origins;   /* [allow_origin_count] of other pages that may
                                         * use it: "https://app.example" */
    int allow_origin_count;
    const char *tls_cert, *tls_key;     /* PEM files, both or none */
    int max_queue;                      /* films that wait */
    int max_queue_per_key;              /* of one key; 0: half of them, of several keys */
    int64_t max_upload;                 /* bytes of a picture */
    double retention;                   /* seconds a finished film is kept; 0: always;
                                         * below 0: always without keys on loopback,
                                         * else 7 days */
    int64_t retention_bytes;            /* of all finished films that are not starred; 0:
                                         * no limit */
    int64_t min_free;                   /* bytes of disk that stay free */
    int rate;                           /* films a minute and key; 0: no limit */
    int connections;                    /* open at a time */
    int client_connections;             /* of these, for one address or key; 0: a quarter */
    int client_streams;                 /* event streams, and requests that wait for a
                                         * film, of one address or key */
    double keep_seconds;                /* that an idle connection is kept */
    const char *proxies;                /* addresses of trusted ones; NULL: loopback */
    double header_seconds;              /* for the head of a request */
    const char *webhook_hosts;          /* "a.example,b.example"; NULL: none */
    const char *webhook_secret_file;
    const char *picture_hosts;          /* where pictures may be fetched; NULL: none */
    const pf_rewriter_options *rewriter;        /* of prompts; NULL: none */
    /* Takes a line of the log, from any thread; NULL drops them. */
    void (*log)(void *user, const char *line);
    void *log_user;
} pf_server_options;

/* Opens the job store, goes on with what was interrupted, and listens.  The engine
 * must stay open until pf_server_close.  Fails with PF_E_ARGUMENT, PF_E_IO ... */
pf_status pf_server_open(const pf_server_options *options, pf_engine *engine,
                         pf_server **out, pf_error *error);

/* From now on the calling thread, and each that it starts, stands back for the threads
 * that answer requests: for those that compute.  The one that opens the engine should
 * call it first. */
void pf_server_stand_back(void);

int pf_server_port(const pf_server *server);

/* Ends replies and the running step, stores what is needed to go on, and frees.
 * Takes a few seconds at most.  NULL is fine. */
void pf_server_close(pf_server *server);

#endif
