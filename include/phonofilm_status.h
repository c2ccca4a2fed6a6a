/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes and error messages of libphonofilm.
 *
 * One list makes the codes, their texts (`pf_status_text`) and their HTTP
 * statuses (`pf_status_http`).  Every fallible function returns a `pf_status`
 * and, when it is not PF_OK, has written one clear sentence to the `pf_error`
 * that the caller passed: it names the field, the value and what would be
 * accepted.  Passing NULL for the error is allowed everywhere.
 */
#ifndef PHONOFILM_STATUS_H
#define PHONOFILM_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PF_API __attribute__((visibility("default")))
#define PF_PRINTF(format_at, first_at) \
    __attribute__((format(printf, format_at, first_at)))
#else
#define PF_API
#define PF_PRINTF(format_at, first_at)
#endif

/* X(symbol, text, HTTP status) */
#define PF_STATUS_LIST(X)                                                   \
    X(OK, "ok", 200)                                                        \
    X(E_ARGUMENT, "invalid argument", 400)      /* a request field is wrong */ \
    X(E_INPUT, "invalid input data", 400)       /* picture, prompt, latents */ \
    X(E_MODEL, "invalid model", 500)            /* weights, config, tokenizer */ \
    X(E_UNSUPPORTED, "not supported", 400)      /* known, but not done here */ \
    X(E_NOT_FOUND, "not found", 404)            /* file, folder, tensor */  \
    X(E_IO, "input/output error", 500)          /* the system refused */    \
    X(E_NO_SPACE, "no space left", 507)         /* disk full */             \
    X(E_MEMORY, "out of memory", 503)           /* now; later it may do */  \
    X(E_TOO_LARGE, "too large", 400)            /* a film, for this machine */ \
    X(E_PLATFORM, "platform failure", 500)      /* device or its driver */  \
    X(E_CANCELLED, "cancelled", 499)            /* by pf_job_cancel */      \
    X(E_INTERNAL, "internal error", 500)        /* a bug of ours */

typedef enum pf_status {
#define PF_STATUS_ENUM(symbol, text, http) PF_##symbol,
    PF_STATUS_LIST(PF_STATUS_ENUM)
#undef PF_STATUS_ENUM
    PF_STATUS_COUNT
} pf_status;

/* The message of the call that failed.  Zero-initialise it, or reuse one: each
 * failing call overwrites it, a successful one leaves it alone. */
typedef struct pf_error {
    pf_status status;
    char message[512];          /* UTF-8, NUL-terminated, one sentence */
    char field[32];             /* the setting that is wrong, as the library calls it
                                 * ("num_frames"), with which the sentence then begins;
                                 * "": it is about none */
} pf_error;

/* The general text of a status, never NULL; valid for ever. */
PF_API const char *pf_status_text(pf_status status);

/* The HTTP status that a server answers with, 200..599. */
PF_API int pf_status_http(pf_status status);

#ifdef __cplusplus
}
#endif
#endif
