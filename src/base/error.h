/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a pf_error, and passing a failure on.  docs/design.md, "Errors".
 *
 * A sentence is written where the failure is understood, once; callers above pass the status
 * on with PF_TRY.  All functions give the status back, so that a refusal is
 * one statement.  Nothing is allocated: failing works when memory is what failed.
 *
 * Thread-safety: an error belongs to one thread; the functions have no state.
 */
#ifndef PF_BASE_ERROR_H
#define PF_BASE_ERROR_H

#include <stddef.h>

#include "phonofilm_status.h"

/* Writes the message to `error` (may be NULL) and returns `status`.  The message is
 * escaped; one that is too long loses its middle, as it ends with the reason. */
pf_status pf_fail(pf_error *error, pf_status status, const char *format, ...)
    PF_PRINTF(3, 4);

/* pf_fail with the text of `errno` at the end; ENOMEM and ENOSPC choose their status,
 * ENOENT and ENOTDIR become PF_E_NOT_FOUND, ENAMETOOLONG and ELOOP PF_E_ARGUMENT,
 * anything else PF_E_IO. */
pf_status pf_fail_errno(pf_error *error, int error_number,
                        const char *format, ...) PF_PRINTF(3, 4);

/* pf_fail about a setting of a film, with whose name the sentence should begin. */
pf_status pf_fail_field(pf_error *error, pf_status status, const char *field,
                        const char *format, ...) PF_PRINTF(4, 5);

/* PF_E_MEMORY: "out of memory: WHAT (N bytes)". */
pf_status pf_fail_memory(pf_error *error, const char *what, unsigned long long bytes);

/* Makes any text harmless to terminals and logs: one line of UTF-8, with \n, \t,
 * \r and \xHH for control characters and for bytes that are no UTF-8.  Ends between
 * characters when `out` is too small.  Gives `out`. */
char *pf_escape(const char *text, char *out, size_t bytes);

/* Returns from the calling function when the expression fails. */
#define PF_TRY(expression)                      \
    do {                                        \
        pf_status try_status_ = (expression);   \
        if (try_status_ != PF_OK)               \
            return try_status_;                 \
    } while (0)

#endif
