/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the command line before argp parses it: unknown options, and how each was
 * spelled.  argp's own message for an unknown option names neither the one that was meant
 * nor the command to ask, and its errors name options by their long names alone. */
#ifndef PF_CLI_ARGUMENTS_H
#define PF_CLI_ARGUMENTS_H

#include "cli/cli.h"

/* Notes the long name of each option: messages use it until the option is given. */
void arguments_note_names(cli_parser *parser);

/* Notes for the option at `index` the first `length` bytes of `word`, as it was spelled. */
void arguments_note(cli_parser *parser, int index, const char *word, size_t length);

/* Goes through parser->words as getopt_long does and refuses an option that is not known,
 * with the one that was meant.  Leaves to argp what argp reports itself.  An exit code,
 * after a message. */
int arguments_check(const cli_parser *parser);

/* The names of all options, for suggestions; [CLI_MAX_OPTIONS], NULL for headings. */
void arguments_names(const cli_parser *parser, const char *names[CLI_MAX_OPTIONS]);

#endif
