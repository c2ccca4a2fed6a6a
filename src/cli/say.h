/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on standard error, and names on standard output. */
#ifndef PF_CLI_SAY_H
#define PF_CLI_SAY_H

#include "phonofilm_status.h"

/* Prints "phonofilm: MESSAGE" on a line of standard error.  Control characters are escaped:
 * names and texts of others must not steer the terminal. */
void cli_say(const char *format, ...) PF_PRINTF(1, 2);

/* Prints the name of a file on standard output, then `end`: escaped on a terminal, byte for
 * byte elsewhere, because programs read it. */
void cli_print_name(const char *name, const char *end);

#endif
