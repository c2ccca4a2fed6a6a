/* SPDX-License-Identifier: Apache-2.0 */
/* CANN's run time as a driver of common/driver.h: one context, one stream.  docs/ascend.md,
 * "Memory", "Graphs".
 */
#include "platform/ascend/executors.h"

enum { SYNC_MILLISECONDS = 600000 };

/* --- the stream ----------------------------------------------------------------------- */

/* Also replaces a stream that failed and could not be replaced at that time. */
static int enter(void *handle)
{
    ascend *a = handle;
    const ascend_api *f = a->api;
    int code = pf_ascend_called(a, "aclrtSetCurrentContext", f->aclrtSetCurrentContext(a->context));
    if (code != 0 || a->stream)
        return code;
    return pf_ascend_called(a, "aclrtCreateStream", f->aclrtCreateStream(&a->stream));
}

static int drain(void *handle, pf_lane lane)
{
    ascend *a = handle;
    (void)lane;
    if (!a->stream)
        return 0;
    return pf_ascend_called(a, "aclrtSynchronizeStreamWithTimeout",
                            a->api->aclrtSynchronizeStreamWithTimeout(a->stream,
                                                                      SYNC_MILLISECONDS));
}

/* Destroys the stream: after a failure it keeps failing. */
static void renew(void *handle, pf_lane lane)
{
    ascend *a = handle;
    const ascend_api *f = a->api;
    (void)lane;
    if (a->stream && f->aclrtDestroyStreamForce)
        f->aclrtDestroyStreamForce(a->stream);
    else if (a->stream)
        f->aclrtDestroyStream(a->stream);
    if (f->aclrtCreateStream(&a->stream) != 0)
        a->stream = NULL;
}

/* --- memory --------------------------------------------------------------------------- */

static int allocate(void *handle, int64_t bytes, void **address)
{
    ascend *a = handle;
    return pf_ascend_called(a, "aclrtMalloc", a->api->aclrtMalloc(address, (size_t)bytes,
                                                                  ACL_MALLOC_HUGE_FIRST));
}

static void release(void *handle, void *address)
{
    const ascend *a = handle;
    a->api->aclrtFree(address);
}

static int free_bytes(void *handle, int64_t *bytes)
{
    ascend *a = handle;
    size_t left = 0, total = 0;
    int code = a->api->aclrtGetMemInfo(ACL_HBM, &left, &total);
    *bytes = code == 0 ? (int64_t)left : 0;
    return pf_ascend_called(a, "aclrtGetMemInfo", code);
}

static int pin(void *handle, int64_t bytes, void **address)
{
    ascend *a = handle;
    return pf_ascend_called(a, "aclrtMallocHost", a->api->aclrtMallocHost(address, (size_t)bytes));
}

static void unpin(void *handle, void *address)
{
    const ascend *a = handle;
    a->api->aclrtFreeHost(address);
}

/* --- copies and events ---------------------------------------------------------------- */

static int copy(void *handle, pf_lane lane, const pf_transfer *what)
{
    ascend *a = handle;
    size_t bytes = (size_t)what->bytes;
    int kind = what->kind == PF_UPLOAD ? ACL_HOST_TO_DEVICE : ACL_DEVICE_TO_HOST;
    (void)lane;
    return pf_ascend_called(a, "aclrtMemcpyAsync",
                            a->api->aclrtMemcpyAsync(what->to, bytes, what->from, bytes, kind,
                                                     a->stream));
}

/* Events of aclrtCreateEventExWithFlag may be recorded again. */
static int mark(void *handle, pf_lane lane, void **event)
{
    ascend *a = handle;
    const ascend_api *f = a->api;
    int code = 0;
    (void)lane;
    if (!*event)
        code = pf_ascend_called(a, "aclrtCreateEventExWithFlag",
                                f->aclrtCreateEventExWithFlag(event, ACL_EVENT_SYNC));
    if (code != 0)
        return code;
    return pf_ascend_called(a, "aclrtRecordEvent", f->aclrtRecordEvent(*event, a->stream));
}

static void unmark(void *handle, void *event)
{
    const ascend *a = handle;
    a->api->aclrtDestroyEvent(event);
}

static int join(void *handle, void *event)
{
    ascend *a = handle;
    return pf_ascend_called(a, "aclrtSynchronizeEventWithTimeout",
                            a->api->aclrtSynchronizeEventWithTimeout(event, SYNC_MILLISECONDS));
}

/* --- graphs --------------------------------------------------------------------------- */

static int capture_begin(void *handle)
{
    ascend *a = handle;
    return pf_ascend_called(a, "aclmdlRICaptureBegin",
                            a->api->aclmdlRICaptureBegin(a->stream, ACL_CAPTURE_THREAD_LOCAL));
}

static int capture_end(void *handle, void **graph)
{
    ascend *a = handle;
    return pf_ascend_called(a, "aclmdlRICaptureEnd",
                            a->api->aclmdlRICaptureEnd(a->stream, graph));
}

static int run_graph(void *handle, void *graph)
{
    ascend *a = handle;
    return pf_ascend_called(a, "aclmdlRIExecuteAsync",
                            a->api->aclmdlRIExecuteAsync(graph, a->stream));
}

static void drop_graph(void *handle, void *graph)
{
    const ascend *a = handle;
    a->api->aclmdlRIDestroy(graph);
}

static void settled(void *handle)
{
    pf_ascend_executors_settle(handle);
}

/* --- the table ------------------------------------------------------------------------ */

static const pf_driver driver = {
    .name = "ascend", .lanes = 1,
    .block_unit = ASCEND_BLOCK_UNIT, .block_extra = ASCEND_BLOCK_EXTRA,
    .enter = enter, .allocate = allocate, .release = release, .free_bytes = free_bytes,
    .pin = pin, .unpin = unpin, .copy = copy, .mark = mark, .unmark = unmark, .join = join,
    .drain = drain, .renew = renew, .settled = settled, .explain = pf_ascend_explain,
};

void pf_ascend_driver_fill(const ascend_api *api, pf_driver *out)
{
    *out = driver;
    if (!api->aclmdlRICaptureBegin || !api->aclmdlRICaptureEnd ||
        !api->aclmdlRIExecuteAsync || !api->aclmdlRIDestroy)
        return;
    out->capture_begin = capture_begin;
    out->capture_end = capture_end;
    out->run_graph = run_graph;
    out->drop_graph = drop_graph;
}
