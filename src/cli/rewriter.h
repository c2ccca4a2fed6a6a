/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of a chat model that rewrites prompts, for generate and serve, and what is told of
 * it.  docs/prompt-rewriting.md. */
#ifndef PF_CLI_REWRITER_H
#define PF_CLI_REWRITER_H

#include "chat/rewriter.h"
#include "cli/cli.h"

typedef struct rewriter_flags {
    const char *url, *model, *key_file;
    double seconds;                     /* 0: not given */
} rewriter_flags;

extern const cli_table rewriter_rows;   /* of a rewriter_flags */

/* Refuses flags without effect.  An exit code, after a message if it is not EXIT_DONE. */
int rewriter_check(const cli_parser *parser, const rewriter_flags *flags);

/* The options of flags with an address. */
pf_rewriter_options rewriter_options(const rewriter_flags *flags);

/* "server" as the address: beside --server, whose own chat model rewrites. */
bool rewriter_is_remote(const rewriter_flags *flags);

/* Asks for another prompt, if the request is sound, and puts it there: *out, to be freed with
 * pf_rewriter_free, or NULL where the user's words stay, and `why`.  An exit code, after a
 * message if it is not EXIT_DONE: the request is not sound, or `stop` asked for the end. */
int rewriter_rewrite(const cli_parser *parser, const pf_rewriter *rewriter,
                     pf_engine *engine, pf_request *request, const pf_chat_stop *stop,
                     char **out, pf_error *why);

/* Prints the rewritten prompt, or (also if `quiet`) why there is none; both NULL: nothing
 * was asked for. */
void rewriter_tell(const char *rewritten, const char *why, bool quiet);

#endif
