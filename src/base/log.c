/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings.  See log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void pf_warn(const pf_log *log, const char *format, ...)
{
    char line[512];
    va_list args;
    if (!log || !log->sink)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->sink(log->user, line);
}
