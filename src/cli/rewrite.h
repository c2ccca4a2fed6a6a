/* SPDX-License-Identifier: Apache-2.0 */
/* A command line in the spellings of other programs, rewritten into ours: '_' for '-',
 * switches with a value (--flag true, --flag=false, --no-flag), and other programs' flags
 * (foreign.h).
 *
 *     --num_frames=97          --num-frames=97
 *     --dry-run false          (nothing; off[])
 *     --tp-size 1              (nothing: asks for nothing)
 *     --tp-size 4              refused, with what to use instead
 *
 * argp then sees our own spellings alone.  How each was written is noted for messages
 * (cli_flag). */
#ifndef PF_CLI_REWRITE_H
#define PF_CLI_REWRITE_H

#include "cli/cli.h"

/* Fills parser->words and parser->off; says each refused flag on a line of its own.  An
 * exit code. */
int cli_rewrite(cli_parser *parser, int argc, char **argv);

/* Rewrites a member of a --config file: adds our own flags, or none, to parser->words.
 * An exit code; EXIT_DONE with *known false when no program has such a setting. */
int cli_rewrite_setting(cli_parser *parser, const char *key, const char *value, bool *known);

void cli_words_free(cli_words *words);

#endif
