/* SPDX-License-Identifier: Apache-2.0 */
/* Messages.  See say.h. */
#include "cli/say.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "media/part_file.h"

enum { MAX_MESSAGE = 1 << 14 };         /* bytes; paths in it may have 4096 each */

void cli_say(const char *format, ...)
{
    char raw[MAX_MESSAGE], safe[2 * MAX_MESSAGE];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    fprintf(stderr, "phonofilm: %s\n", pf_escape(raw, safe, sizeof safe));
}

void cli_print_name(const char *name, const char *end)
{
    char safe[2 * MAX_MESSAGE];
    bool terminal = isatty(STDOUT_FILENO);
    printf("%s%s", terminal ? pf_escape(name, safe, sizeof safe) : name, end);
}
