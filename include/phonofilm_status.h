/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm_status.h - status codes and error messages of libphonofilm.
 *
 * The codes, their texts (pf_status_text) and their HTTP statuses (pf_status_http) are made
 * from one list.  A fallible function returns a pf_status and, unless that is PF_OK, has
 * written one sentence to the pf_error that the caller passed: the field, its value and what
 * would be accepted.  Every function takes NULL for the pf_error.
 *
 * Programs decide by `status` and `field`.  The sentence is for people, and its wording may
 * change in any version.
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

/* The list of statuses: X(symbol, text, HTTP status).
 *
 * E_ARGUMENT     a member of a request, or an option, is wrong
 * E_INPUT        a picture, a prompt or a file of latents is wrong
 * E_MODEL        weights, configuration or tokenizer are wrong or were damaged
 * E_UNSUPPORTED  well-formed, but not done by this version or on this platform
 * E_NOT_FOUND    a file, a folder or a tensor is missing
 * E_IO           the system refused to read or write
 * E_NO_SPACE     the disk is full
 * E_MEMORY       memory is short now; the same call may succeed later
 * E_TOO_LARGE    the film needs more memory than the machine, the device or memory_limit
 *                can ever give it
 * E_PLATFORM     a device or its driver failed
 * E_CANCELLED    pf_job_cancel was called, or a sink returned this
 * E_INTERNAL     an error of the library itself */
#define PF_STATUS_LIST(X)                       \
    X(OK, "ok", 200)                            \
    X(E_ARGUMENT, "invalid argument", 400)      \
    X(E_INPUT, "invalid input data", 400)       \
    X(E_MODEL, "invalid model", 500)            \
    X(E_UNSUPPORTED, "not supported", 400)      \
    X(E_NOT_FOUND, "not found", 404)            \
    X(E_IO, "input/output error", 500)          \
    X(E_NO_SPACE, "no space left", 507)         \
    X(E_MEMORY, "out of memory", 503)           \
    X(E_TOO_LARGE, "too large", 400)            \
    X(E_PLATFORM, "platform failure", 500)      \
    X(E_CANCELLED, "cancelled", 499)            \
    X(E_INTERNAL, "internal error", 500)

/* PF_OK is 0, PF_E_ARGUMENT 1, and so on in the order of the list. */
typedef enum pf_status {
#define PF_STATUS_ENUM(symbol, text, http) PF_##symbol,
    PF_STATUS_LIST(PF_STATUS_ENUM)
#undef PF_STATUS_ENUM
    PF_STATUS_COUNT
} pf_status;

/* The message of the call that failed.  Complete: members are never added within a soname.
 *
 * Zero-initialise one, or reuse one: a failing call overwrites it, a successful call leaves
 * it alone.
 * Thread-safety: one per thread; the library keeps no pointer to it after a call. */
typedef struct pf_error {
    pf_status status;
    /* A sentence of UTF-8 without control characters, ended by a NUL. */
    char message[512];
    /* The setting or member that is wrong, as the library calls it ("num_frames"); the
     * sentence then begins with it.  "": the failure is about none. */
    char field[32];
} pf_error;

/* @return the general text of a status ("invalid argument"), valid for ever; never NULL.
 * Thread-safety: any thread. */
PF_API const char *pf_status_text(pf_status status);

/* @return the HTTP status that a server answers with, 200..599; 500 for a number that is no
 * status.
 * Thread-safety: any thread. */
PF_API int pf_status_http(pf_status status);

#ifdef __cplusplus
}
#endif
#endif
