/* Messages on standard error. */
#ifndef PF_CLI_SAY_H
#define PF_CLI_SAY_H

#include "phonofilm_status.h"

/* Prints "phonofilm: MESSAGE" on a line; what others wrote is made harmless to terminals. */
void cli_say(const char *format, ...) PF_PRINTF(1, 2);

#endif
