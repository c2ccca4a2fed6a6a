/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on standard error, and names on standard output. */
#ifndef PF_CLI_SAY_H
#define PF_CLI_SAY_H

#include "phonofilm_status.h"

/* Prints "phonofilm: MESSAGE" on a line; what others wrote is made harmless to terminals. */
void cli_say(const char *format, ...) PF_PRINTF(1, 2);

/* Prints the name of a file on standard output: as it is for programs, escaped on a
 * terminal; then `end`. */
void cli_print_name(const char *name, const char *end);

#endif
