/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator of CANN: state that its libraries share, and the questions of tests.
 *
 * Wrong use never "just works": it gets the documented code and a message
 * (aclGetRecentErrMsg), and what CANN leaves undefined counts as a violation too.
 * A process that ends with violations, or with a handle or a block that was never
 * given back, says so on standard error and exits with CANN_EXIT.
 *
 * Environment: CANN_EMULATOR_SOC (Ascend910B1), CANN_EMULATOR_DEVICES (2),
 * CANN_EMULATOR_MEMORY (bytes on the device), CANN_EMULATOR_FAIL (CALL:NTH:CODE),
 * CANN_EMULATOR_REPORT (counters at exit), CANN_EMULATOR_LENIENT (tests of wrong use: no
 * verdict at exit).
 */
#ifndef PF_TESTS_CANN_EMULATOR_H
#define PF_TESTS_CANN_EMULATOR_H

#include "acl.h"

enum { CANN_EXIT = 97 };

/* Everything countable.  `live_` counters are 0 at a clean end. */
#define CANN_COUNTERS(X)                                                       \
    X(launches) X(syncs) X(uploads) X(downloads) X(upload_bytes)               \
    X(download_bytes) X(allocations) X(bytes) X(peak_bytes) X(violations)      \
    X(live_tensors) X(live_scalars) X(live_arrays) X(live_lists)               \
    X(live_executors) X(live_streams) X(live_contexts) X(live_blocks)          \
    X(live_host_blocks) X(fused_attention) X(fused_rope) X(matmuls)            \
    X(convolutions) X(blocked_products) X(reused_executors) X(event_waits)     \
    X(live_events) X(recorded) X(replays) X(live_graphs)

typedef struct cann_counters {
#define CANN_COUNTER_MEMBER(name) int64_t name;
    CANN_COUNTERS(CANN_COUNTER_MEMBER)
#undef CANN_COUNTER_MEMBER
} cann_counters;

/* For tests, found with dlsym: the counters; the nth call of `call` from now on
 * returns `code` (an execution fault of an operator shows when the stream is
 * synchronised); nth 0 disarms. */
CANN_API cann_counters *cann_emulator_counters(void);
CANN_API void cann_emulator_fail(const char *call, int64_t nth, int code);
/* Calls until then; 0: it has failed, or nothing is armed. */
CANN_API int64_t cann_emulator_left(void);
/* The device has so many bytes from now on; 0: as at the start. */
CANN_API void cann_emulator_limit(int64_t bytes);

/* --- between the libraries ---------------------------------------------------- */

CANN_API int cann_fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A misuse where CANN promises nothing. */
CANN_API int cann_violation(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Each entry begins with one of these: the code to return, or 0. */
CANN_API int cann_enter(const char *call);              /* initialised */
CANN_API int cann_enter_context(const char *call);      /* and with a context */
CANN_API bool cann_injected(const char *call, int *code);

/* A piece of queued work; `run` gives the stream's error or 0, `drop` frees. */
typedef struct cann_task {
    struct cann_task *next;
    int (*run)(struct cann_task *task);
    void (*drop)(struct cann_task *task);
    bool fails;                         /* it will, and the stream with it */
    /* Does it still need this block? */
    bool (*touches)(const struct cann_task *task, const char *begin, const char *end);
} cann_task;

CANN_API int cann_enqueue(aclrtStream stream, cann_task *task);

/* Bytes from `address` to the end of what was asked for with its device block, rounded up
 * to 32; -1 outside of any. */
CANN_API int64_t cann_room_behind(const void *address);

/* Where the emulator itself finds what is at a device address; others stay. */
CANN_API void *cann_alias(const void *address);

#endif
