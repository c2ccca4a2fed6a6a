/* SPDX-License-Identifier: Apache-2.0 */
/* generate --server: a film by a running server.  No engine is opened here: neither model
 * nor device needs to be on this machine. */
#ifndef PF_CLI_REMOTE_H
#define PF_CLI_REMOTE_H

#include <stdbool.h>

/* A field of the request (docs/server.md); its text is a file's path if `is_file`. */
typedef struct remote_field {
    const char *name;
    char value[24];
    const char *text;                   /* instead of `value`, or NULL */
    bool is_file;
} remote_field;

typedef struct remote_request {
    const char *server;                 /* "http://127.0.0.1:8000" */
    const char *key_file;               /* an API key, or NULL: PHONOFILM_API_KEY */
    const remote_field *fields;
    int field_count;
    const char *film_path;
    /* The sentence that refuses if the server's model wants a picture; NULL: the film has
     * one, or is to have none. */
    const char *picture_is_missing;
    bool rewrites;                      /* the server is to ask its chat model first */
    bool quiet;
} remote_request;

/* Asks for the film, shows its progress and fetches it.  Ctrl-C asks whether the
 * server is to stop, too.  An exit code, after a message if it is not EXIT_DONE. */
int remote_generate(const remote_request *request);

#endif
