/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with a server over HTTP: its address, the key, and one request after the
 * other.  Signals break a request off.
 *
 *     signal ------> session_interrupted
 *                          |
 *     session_call -> curl: stop_early asks for it several times a second
 */
#ifndef PF_CLI_REMOTE_SESSION_H
#define PF_CLI_REMOTE_SESSION_H

#include <curl/curl.h>
#include <signal.h>
#include <time.h>

#include "cli/cli.h"
#include "media/part_file.h"

enum { SESSION_PATIENCE_SECONDS = 60 /* for a server that does not answer */ };

typedef struct session {
    const char *server;                 /* "http://127.0.0.1:8000" */
    const char *key_file;               /* with an API key, or NULL: PHONOFILM_API_KEY */
    CURL *curl;
    struct curl_slist *headers;
    char base[512];                     /* the server without a path behind it */
    char key[544];                      /* the header with it */
    bool asking;                        /* a film is asked for: see session_call */
    time_t interrupted_at;              /* while it was asked for; 0: not yet */
    char *reply;                        /* [reply_bytes] and a NUL */
    size_t reply_bytes;
    long status;                        /* HTTP; 0: no answer */
    char why[CURL_ERROR_SIZE];
    pf_part_file film;
    pf_error film_error;
} session;

/* Number of the signal that broke a request off, or 0. */
extern volatile sig_atomic_t session_interrupted;

/* Fills what follows `key_file` and catches signals.  An exit code, after a message if it is
 * not EXIT_DONE; session_close in any case. */
int session_open(session *s);
void session_close(session *s);

/* Sends METHOD to PATH with a body or NULL.  True when the server answered, with any status;
 * s->status and s->reply hold the answer until the next call.  With `asking` a signal still
 * waits a few seconds for the answer, so that the film can be cancelled by its id. */
bool session_call(session *s, const char *method, const char *path, curl_mime *body);

/* GET of PATH into `film`, an open part of a file; true when that is whole. */
bool session_fetch(session *s, const char *path);

/* The server's own sentence, and an exit code. */
int session_refuse(session *s);

/* Prints a sentence, below the progress line. */
void session_complain(const char *text);

/* Seconds by the clock that nobody sets, from 1. */
time_t session_seconds(void);

#endif
