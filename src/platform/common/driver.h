/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of a device: its run time as a table of calls, which common/device.h builds
 * memory, copies and recordings on.
 *
 * A device platform (CANN, CUDA, Vulkan) fills one table and passes a handle of its own as
 * the first argument of every call.  Each call is one call of the run time, or very few:
 * nothing here caches, counts or decides.
 *
 *     kernels of ascend/, cuda/     launch on the lane PF_LANE_COMPUTE by themselves
 *        |
 *     pf_device (device.h)          blocks, scratch, staging, tickets, recordings
 *        |
 *     pf_driver                     allocate, copy, mark, join, capture, explain
 *        |
 *     CANN, CUDA, Vulkan            opened at run time by the platform
 *
 * Lane: a queue of the device that works in order (CANN and CUDA: a stream).  Lanes run
 * beside one another; `mark` and `follow` order one behind the other.  Whatever is queued
 * may still be running when the call returns.
 *
 * Errors: calls return the run time's own code, 0 is success.  After a failure `explain`
 * turns the code into a pf_status and one sentence.  No call may leave anything allocated
 * when it fails.
 *
 * Thread-safety: one thread at a time uses a handle, but not always the same thread: `enter`
 * comes first whenever a thread begins.  Different handles are independent.
 */
#ifndef PF_PLATFORM_COMMON_DRIVER_H
#define PF_PLATFORM_COMMON_DRIVER_H

#include "platform/platform.h"

typedef enum pf_lane {
    PF_LANE_COMPUTE,                /* kernels, and copies that kernels wait for */
    PF_LANE_COPY,                   /* copies beside kernels; PF_LANE_COMPUTE where `lanes`
                                     * is 1 */
    PF_LANES
} pf_lane;

typedef struct pf_driver {
    const char *name;               /* of the platform, for messages */
    int lanes;                      /* that work side by side: 1, or PF_LANES */
    int block_unit, block_extra;    /* allocation granularity, see pf_capabilities */

    /* Makes the device current for the calling thread and replaces lanes that `renew` could
     * not.  Never called between capture_begin and capture_end.  NULL: nothing to do. */
    int (*enter)(void *handle);

    /* --- memory ---
     * Device memory, 64-byte aligned, uninitialised.  The host never follows the address,
     * it only adds to it.  `release` is called for memory that no queued work needs. */
    int (*allocate)(void *handle, int64_t bytes, void **address);
    void (*release)(void *handle, void *address);

    /* Bytes that `allocate` could give to this process now. */
    int (*free_bytes)(void *handle, int64_t *bytes);

    /* Pinned host memory, which copies read and write while the host goes on; `unpin` is
     * called when no queued copy and no graph needs it. */
    int (*pin)(void *handle, int64_t bytes, void **address);
    void (*unpin)(void *handle, void *address);

    /* --- lanes ---
     * Queues one copy of at least one byte behind all that is queued on the lane.  The
     * host's side is pinned memory. */
    int (*copy)(void *handle, pf_lane lane, const pf_transfer *what);

    /* Puts a mark behind all that is queued on the lane.  *mark is NULL, and is then made, or
     * an earlier mark that nothing waits for any more, which is moved.  A mark that was made
     * stays in *mark even if the call fails; `unmark` frees it. */
    int (*mark)(void *handle, pf_lane lane, void **mark);
    void (*unmark)(void *handle, void *mark);

    /* Makes all later work of the lane run behind the mark; the host does not wait.
     * NULL where `lanes` is 1. */
    int (*follow)(void *handle, pf_lane lane, void *mark);

    /* The host waits for the mark, or for all that is queued on the lane.  A failure of work
     * that was queued before is reported here at the latest. */
    int (*join)(void *handle, void *mark);
    int (*drain)(void *handle, pf_lane lane);

    /* After a failure: drops what is queued on the lane and puts an empty lane in its place,
     * now or in the next `enter`.  NULL: lanes that failed cannot be used again. */
    void (*renew)(void *handle, pf_lane lane);

    /* --- recordings ---
     * Between begin and end the lane PF_LANE_COMPUTE keeps what it is given instead of
     * running it.  The lane is empty at the beginning, and neither it nor its marks may be
     * waited for before the end.  A graph that run_graph was given may still be running when
     * that returns; drop_graph is called when it is not.
     * All four are NULL where the run time cannot record. */
    int (*capture_begin)(void *handle);
    int (*capture_end)(void *handle, void **graph);
    int (*run_graph)(void *handle, void *graph);
    void (*drop_graph)(void *handle, void *graph);

    /* All lanes are empty and no recording lives: whatever the platform keeps for queued work
     * may go.  NULL: it keeps nothing. */
    void (*settled)(void *handle);

    /* The sentence about a code that is not 0, which the latest failed call returned: what
     * failed (`doing`, "an upload", or NULL: the run time's name of that call), the code, its
     * meaning and the run time's own text.  PF_E_MEMORY where memory was short, otherwise
     * PF_E_PLATFORM.  With `error` NULL only the status is wanted, and the run time keeps its
     * text. */
    pf_status (*explain)(void *handle, int code, const char *doing, pf_error *error);
} pf_driver;

#endif
