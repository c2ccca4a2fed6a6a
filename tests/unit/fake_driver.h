/* SPDX-License-Identifier: Apache-2.0 */
/* A driver (platform/common/driver.h) over memory of the process, for tests.
 *
 * Queued work is done as late as a real device may do it: when somebody waits.  A missing
 * wait therefore shows old bytes.  Memory is fresh (0xff) when it is allocated.  Memory that
 * is given back while queued work or a graph needs it counts as a violation.
 */
#ifndef TESTS_UNIT_FAKE_DRIVER_H
#define TESTS_UNIT_FAKE_DRIVER_H

#include "platform/common/driver.h"

enum { FAKE_TASKS = 512, FAKE_BLOCKS = 8192, FAKE_GRAPH = 32 };
enum { FAKE_FAILED = 7, FAKE_NO_MEMORY = 12 };      /* codes */

typedef struct fake_task {
    pf_transfer copy;               /* bytes 0: wait for `mark` */
    pf_lane marked;
    uint64_t mark;
} fake_task;

typedef struct fake_lane {
    fake_task task[FAKE_TASKS];     /* a ring */
    uint64_t queued, done;
} fake_lane;

typedef struct fake_graph {
    fake_task task[FAKE_GRAPH];
    int count;
} fake_graph;

typedef struct fake_memory {
    char *begin;
    int64_t bytes;
    bool pinned;
} fake_memory;

typedef struct fake_device {
    fake_lane lane[PF_LANES];
    fake_memory memory[FAKE_BLOCKS];
    fake_graph *graph[FAKE_GRAPH];  /* that live */
    fake_graph *capturing;
    int blocks, graphs, marks;      /* that live */
    int64_t used, limit;            /* bytes of the device; limit 0: none */
    int64_t fail_at;                /* calls until one fails; 0: none does */
    int allocations, drains, joins, follows, renewals, settlements;
    int violations;
} fake_device;

/* Two lanes. */
extern const pf_driver fake_driver;

/* Does nothing of it live any more? */
bool fake_is_empty(const fake_device *f);

#endif
