/* SPDX-License-Identifier: Apache-2.0 */
/* FFmpeg's libraries for all of media/: silenced, and their errors as ours. */
#ifndef PF_MEDIA_LIBAV_H
#define PF_MEDIA_LIBAV_H

#include "base/error.h"

/* FFmpeg prints to standard error by default; after this it does not, in the whole
 * process.  Cheap, so that every way into FFmpeg calls it; any thread. */
void pf_libav_quiet(void);

/* "WHAT: FFmpeg's reason"; out of memory and a full disk choose their status,
 * anything else takes `status`. */
pf_status pf_libav_fail(pf_error *error, pf_status status, int code,
                        const char *format, ...) PF_PRINTF(4, 5);

#endif
