/* SPDX-License-Identifier: Apache-2.0 */
/* A call of a chat model over HTTP: POST of JSON to /v1/chat/completions, as OpenAI's
 * interface has it and vLLM, llama.cpp and Ollama take it.
 *
 *     body -> libcurl: one host, no redirects, no proxy, TLS verified -> answer, bounded
 *                | several times a second: stop->asked()
 *
 * Failures are sentences about "the chat model": they name no host and repeat nothing that
 * the host has said, because clients of a server read them and a host may echo the key.
 */
#ifndef PF_CHAT_CHAT_H
#define PF_CHAT_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum {
    PF_CHAT_URL_BYTES = 1024,           /* of an address, with the NUL */
    PF_CHAT_ANSWER_BYTES = 64 << 10     /* of an answer, at most */
};

/* Writes the whole address of the chat completions into `out`: /v1/chat/completions is
 * added to http://host:8000, /chat/completions to http://host:8000/v1; an address that ends
 * so stays as it is.  PF_E_ARGUMENT: no http(s) address, one with a user's name, or one that
 * is too long. */
pf_status pf_chat_address(const char *url, char out[PF_CHAT_URL_BYTES], pf_error *error);

/* Ends a call that is under way. */
typedef struct pf_chat_stop {
    bool (*asked)(void *user);          /* called by the calling thread */
    void *user;
} pf_chat_stop;

typedef struct pf_chat_call {
    const char *url;                    /* of pf_chat_address */
    const char *key;                    /* or NULL */
    double seconds;                     /* for the whole call */
    const char *body;                   /* JSON */
    const pf_chat_stop *stop;           /* or NULL */
} pf_chat_call;

/* Calls; pf_free(*out), which has *bytes bytes.  PF_E_CANCELLED: stopped; PF_E_INPUT: no
 * answer with status 200. */
pf_status pf_chat_ask(const pf_chat_call *call, char **out, size_t *bytes,
                      pf_error *error);

#endif
