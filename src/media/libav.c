/* SPDX-License-Identifier: Apache-2.0 */
/* FFmpeg's errors as ours.  See libav.h. */
#include "media/libav.h"

#include <errno.h>
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <stdarg.h>
#include <stdio.h>

void pf_libav_quiet(void)
{
    av_log_set_level(AV_LOG_QUIET);
}

pf_status pf_libav_fail(pf_error *error, pf_status status, int code,
                        const char *format, ...)
{
    char what[384], reason[AV_ERROR_MAX_STRING_SIZE] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (code == AVERROR(ENOMEM))
        return pf_fail(error, PF_E_MEMORY, "%s: out of memory", what);
    if (code == AVERROR(ENOSPC))
        return pf_fail(error, PF_E_NO_SPACE, "%s: no space left", what);
    if (av_strerror(code, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", code);
    return pf_fail(error, status, "%s: %s", what, reason);
}
