/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations that the files of the run time share: libascendcl.so or libacl_rt.so. */
#ifndef PF_TESTS_CANN_RUNTIME_H
#define PF_TESTS_CANN_RUNTIME_H

#include <pthread.h>

#include "emulator.h"

enum { DEVICES = 2 };

typedef struct block {
    struct block *next;                 /* by address */
    char *memory;
    size_t asked;
    size_t bytes;                       /* of that, rounded up, and slack */
    size_t room;                        /* with guards */
} block;

typedef struct host_block {
    struct host_block *next;
    char *memory;
    size_t bytes;
} host_block;

typedef struct context {
    struct context *next;
    int device;
    bool is_default;
} context;

/* Tasks that were captured, to be run as often as one likes. */
typedef struct graph {
    struct graph *next;                 /* of all that live, the captured included */
    cann_task *first, **last;
    bool capturing, spoilt;
    aclmdlRICaptureMode mode;
    pthread_t thread;                   /* that captures */
    int64_t queued;                     /* replays that have not run */
} graph;

typedef struct stream {
    struct stream *next;
    context *owner;
    cann_task *first, **last;
    int64_t queued, done;               /* tasks so far */
    int64_t doomed;                     /* the one that will fail, or 0 */
    int error;                          /* sticky */
    graph *capture;                     /* what it is given belongs to that */
} stream;

/* Recorded: complete once `where` has done so many tasks. */
typedef struct event {
    struct event *next;
    stream *where;                      /* NULL: not recorded */
    int64_t behind;
    bool captured;                      /* recorded in a capture: it never happens */
    bool again;                         /* may be recorded once more */
    bool recorded;
} event;

typedef struct emulator_state {
    pthread_mutex_t lock;
    bool initialised, finalised;
    bool taken_down;                    /* the process exits, its objects are gone */
    char *region, *alias;               /* as the caller and as we see it */
    size_t region_bytes, limit;         /* mapped; what counts as there */
    block *blocks;
    host_block *host_blocks;
    context *contexts;
    stream *streams;
    event *events;
    graph *graphs;
    int uses[DEVICES];
    cann_counters counters;
    char fail_call[64];
    int64_t fail_nth;
    int fail_code;
    bool lenient;
} emulator_state;

extern emulator_state emulator;

/* A living stream of this thread's context; and one that may be waited for. */
int cann_check_stream(const void *handle);
int cann_check_idle(const void *handle);
/* With the lock held. */
void cann_drop_graph(graph *gone);

#define ENTER()                                                                \
    do {                                                                       \
        int entered_ = cann_enter(__func__);                                   \
        if (entered_)                                                          \
            return entered_;                                                   \
    } while (0)
#define ENTER_CONTEXT()                                                        \
    do {                                                                       \
        int entered_ = cann_enter_context(__func__);                           \
        if (entered_)                                                          \
            return entered_;                                                   \
    } while (0)

#endif
