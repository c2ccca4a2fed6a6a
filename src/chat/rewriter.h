/* SPDX-License-Identifier: Apache-2.0 */
/* The rewriter of prompts: a chat model that is told what MOVA wants and given the user's
 * words.  docs/prompt-rewriting.md, which also has the system text.
 *
 *     pf_rewriter_open     flags -> address, model, key, seconds
 *     pf_rewriter_ask      words -> chat.h -> answer.h -> prompt, or a sentence
 *
 * Thread-safety: an open rewriter is only read; any number of threads may ask.
 */
#ifndef PF_CHAT_REWRITER_H
#define PF_CHAT_REWRITER_H

#include "chat/chat.h"

typedef struct pf_rewriter pf_rewriter;

typedef struct pf_rewriter_options {
    const char *url;                    /* as pf_chat_address takes it */
    const char *model;                  /* its name there */
    const char *key_file;               /* NULL: PHONOFILM_REWRITE_KEY, which may be unset */
    double seconds;                     /* for an answer */
} pf_rewriter_options;

#define PF_REWRITER_SECONDS 30.0        /* the usual time limit */

/* PF_E_ARGUMENT, PF_E_INPUT, PF_E_NOT_FOUND ... with a sentence that never has the key. */
pf_status pf_rewriter_open(const pf_rewriter_options *options, pf_rewriter **out,
                           pf_error *error);
/* Overwrites the key.  NULL is fine. */
void pf_rewriter_close(pf_rewriter *rewriter);

/* Rewrites; pf_rewriter_free(*out).  PF_E_CANCELLED: `stop` (or NULL) asked for it.  Any other
 * failure leaves the user's own words, and `error` has the sentence that tells why. */
pf_status pf_rewriter_ask(const pf_rewriter *rewriter, const char *words,
                          const pf_chat_stop *stop, char **out, pf_error *error);

/* Frees a rewritten prompt; for callers without base/memory.h. */
void pf_rewriter_free(char *prompt);

/* The system text. */
const char *pf_rewriter_system(void);

#endif
