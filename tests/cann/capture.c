/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator's capture of graphs: what a stream is given is kept instead of done, and
 * done as often as one likes.  docs/ascend.md, "Graphs".  Versions without it leave this
 * file out.
 */
#include <stdlib.h>

#include "runtime.h"

static graph *find_graph(const void *handle)
{
    for (graph *g = emulator.graphs; g; g = g->next)
        if (g == handle && !g->capturing)
            return g;
    return NULL;
}

static int refuse_default(void)
{
    return cann_fail(ACL_ERROR_RT_STREAM_CAPTURE_IMPLICIT,
                     "the default stream has no part in a capture");
}

CANN_API aclError aclmdlRICaptureBegin(aclrtStream handle, int mode)
{
    ENTER_CONTEXT();
    if (!handle)
        return refuse_default();
    int code = cann_check_stream(handle);
    stream *s = handle;
    if (code == 0 && (mode < 0 || mode > 2))
        code = cann_fail(ACL_ERROR_RT_PARAM_INVALID, "capture mode %d", mode);
    if (code == 0 && s->capture)
        code = cann_fail(ACL_ERROR_RT_STREAM_CAPTURED, "the stream is captured already");
    if (code == 0 && s->error)
        code = cann_fail(s->error, "the stream has failed before with %d", s->error);
    if (code)
        return code;
    graph *g = calloc(1, sizeof *g);
    pthread_mutex_lock(&emulator.lock);
    *g = (graph){.next = emulator.graphs, .capturing = true,
                 .mode = (aclmdlRICaptureMode)mode, .thread = pthread_self()};
    g->last = &g->first;
    emulator.graphs = s->capture = g;
    pthread_mutex_unlock(&emulator.lock);
    return 0;
}

CANN_API aclError aclmdlRICaptureEnd(aclrtStream handle, aclmdlRI *out)
{
    ENTER_CONTEXT();
    int code = handle ? cann_check_stream(handle) : refuse_default();
    stream *s = handle;
    if (code)
        return code;
    if (!s->capture)
        return cann_fail(ACL_ERROR_RT_STREAM_NOT_CAPTURED, "the stream is not captured");
    if (!out)
        return cann_fail(ACL_ERROR_RT_PARAM_INVALID, "modelRI is NULL");
    pthread_mutex_lock(&emulator.lock);
    graph *g = s->capture;
    bool spoilt = g->spoilt;
    s->capture = NULL;
    g->capturing = false;
    *out = spoilt ? NULL : g;
    if (spoilt)
        cann_drop_graph(g);
    else
        emulator.counters.live_graphs++;
    pthread_mutex_unlock(&emulator.lock);
    return spoilt ? cann_fail(ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED,
                              "something that a capture does not allow has spoilt it")
                  : 0;
}

typedef struct replay_task {
    cann_task task;
    graph *g;
} replay_task;

static int run_replay(cann_task *task)
{
    int code = 0;
    for (cann_task *t = ((replay_task *)task)->g->first; t && code == 0; t = t->next)
        code = t->run(t);
    return code;
}

static void drop_replay(cann_task *task)
{
    ((replay_task *)task)->g->queued--;
    free(task);
}

/* The graph itself says what it needs. */
static bool replay_touches(const cann_task *task, const char *begin, const char *end)
{
    (void)task;
    (void)begin;
    (void)end;
    return false;
}

CANN_API aclError aclmdlRIExecuteAsync(aclmdlRI handle, aclrtStream where)
{
    ENTER_CONTEXT();
    int code = where ? cann_check_idle(where) : refuse_default();
    if (code)
        return code;
    pthread_mutex_lock(&emulator.lock);
    graph *g = find_graph(handle);
    pthread_mutex_unlock(&emulator.lock);
    if (!g)
        return cann_violation(ACL_ERROR_RT_INVALID_HANDLE, "no such graph");
    replay_task *t = calloc(1, sizeof *t);
    *t = (replay_task){{.run = run_replay, .drop = drop_replay, .touches = replay_touches}, g};
    g->queued++;
    emulator.counters.replays++;
    return cann_enqueue(where, &t->task);
}

CANN_API aclError aclmdlRIDestroy(aclmdlRI handle)
{
    ENTER_CONTEXT();
    pthread_mutex_lock(&emulator.lock);
    graph *g = find_graph(handle);
    bool queued = g && g->queued > 0;
    if (g && !queued) {
        cann_drop_graph(g);
        emulator.counters.live_graphs--;
    }
    pthread_mutex_unlock(&emulator.lock);
    if (!g)
        return cann_violation(ACL_ERROR_RT_INVALID_HANDLE, "no such graph");
    if (queued)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID,
                              "aclmdlRIDestroy while the graph is queued");
    return 0;
}
