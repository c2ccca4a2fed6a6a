/* Filling a pf_error, and passing a failure on.  docs: DESIGN "Errors". */
#ifndef PF_BASE_ERROR_H
#define PF_BASE_ERROR_H

#include "phonofilm_status.h"

/* Writes the message to `error` (may be NULL) and returns `status`. */
pf_status pf_fail(pf_error *error, pf_status status, const char *format, ...)
    PF_PRINTF(3, 4);

/* The same with the text of `errno`; ENOMEM and ENOSPC choose their status,
 * ENOENT becomes PF_E_NOT_FOUND, anything else PF_E_IO. */
pf_status pf_fail_errno(pf_error *error, int error_number,
                        const char *format, ...) PF_PRINTF(3, 4);

/* PF_E_MEMORY: "out of memory: WHAT (N bytes)". */
pf_status pf_fail_memory(pf_error *error, const char *what, unsigned long long bytes);

/* Returns from the calling function when the expression fails. */
#define PF_TRY(expression)                      \
    do {                                        \
        pf_status try_status_ = (expression);   \
        if (try_status_ != PF_OK)               \
            return try_status_;                 \
    } while (0)

#endif
