/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator's own test: each wrong use gets its documented code and a message, and a
 * process that leaves something behind ends with a verdict.  docs/ascend.md, "What the
 * emulator enforces".  Operators have a test of their own.
 */
#include <math.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "misuse.h"

/* --- the cases --------------------------------------------------------------------------- */

CASE(init_twice) { return aclInit(NULL); }
CASE(no_such_device) { return aclrtSetDevice(99); }
CASE(negative_device) { return aclrtSetDevice(-1); }
CASE(reset_of_unset) { return aclrtResetDevice(1); }
CASE(context_of_no_device)
{
    aclrtContext c;
    return aclrtCreateContext(&c, 9);
}
CASE(context_not_living) { return aclrtSetCurrentContext(memory); }
CASE(context_destroyed_twice)
{
    aclrtContext c;
    aclrtCreateContext(&c, 0);
    aclrtDestroyContext(c);
    aclrtSetDevice(0);
    return aclrtDestroyContext(c);
}
CASE(context_with_streams)
{
    aclrtContext c;
    aclrtStream s;
    aclrtCreateContext(&c, 0);
    aclrtCreateStream(&s);
    int code = aclrtDestroyContext(c);
    aclrtSetDevice(0);
    return code;
}
CASE(stream_of_another_context)
{
    aclrtContext c;
    aclrtCreateContext(&c, 0);
    int code = aclrtSynchronizeStream(stream);
    aclrtSetDevice(0);
    return code;
}
CASE(stream_not_living) { return aclrtSynchronizeStream(memory); }
CASE(stream_destroyed_twice)
{
    aclrtStream s;
    aclrtCreateStream(&s);
    aclrtDestroyStream(s);
    return aclrtDestroyStream(s);
}
CASE(stream_null) { return aclrtCreateStream(NULL); }
CASE(timeout_negative) { return aclrtSynchronizeStreamWithTimeout(stream, -7); }
CASE(event_null) { return aclrtCreateEvent(NULL); }
CASE(event_not_living) { return aclrtRecordEvent(memory, stream); }
CASE(event_destroyed_twice)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    aclrtDestroyEvent(e);
    return aclrtDestroyEvent(e);
}
CASE(event_not_recorded)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    int code = aclrtSynchronizeEvent(e);
    aclrtDestroyEvent(e);
    return code;
}
CASE(event_without_flag)
{
    aclrtEvent e;
    return aclrtCreateEventExWithFlag(&e, 0);
}
CASE(event_recorded_again)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    aclrtRecordEvent(e, stream);
    int code = aclrtRecordEvent(e, stream);
    aclrtDestroyEvent(e);
    return code;
}
CASE(event_timeout_negative)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    aclrtRecordEvent(e, stream);
    int code = aclrtSynchronizeEventWithTimeout(e, -7);
    aclrtDestroyEvent(e);
    return code;
}
CASE(malloc_nothing)
{
    void *m;
    return aclrtMalloc(&m, 0, 0);
}
CASE(malloc_policies_combined)
{
    void *m;
    return aclrtMalloc(&m, 64, 3 | 8);
}
CASE(malloc_too_much)
{
    void *m;
    return aclrtMalloc(&m, (size_t)1 << 50, 0);
}
CASE(malloc_host_nothing)
{
    void *m;
    return aclrtMallocHost(&m, 0);
}
CASE(free_of_middle) { return aclrtFree(memory + 64); }
CASE(free_twice)
{
    void *m;
    aclrtMalloc(&m, 64, 0);
    aclrtFree(m);
    return aclrtFree(m);
}
CASE(free_host_of_device) { return aclrtFreeHost(memory); }
CASE(free_while_queued)
{
    void *m;
    aclrtMalloc(&m, 4096, 0);
    plan_silu(F32(m, 8), F32(at(1), 8));
    launch_silu();
    return aclrtFree(m);
}
CASE(free_of_workspace_in_use)
{
    void *m;
    aclrtMalloc(&m, 4096, 0);
    silu_ready();
    aclnnSilu(m, workspace, executor, stream);
    return aclrtFree(m);
}
CASE(memory_of_no_kind)
{
    size_t a, b;
    return aclrtGetMemInfo(0, &a, &b);
}
CASE(capability_unknown)
{
    int64_t v;
    return aclGetDeviceCapability(0, 17, &v);
}
CASE(copy_too_long)
{
    char host[64] = {0};
    return aclrtMemcpy(memory, 32, host, 64, ACL_MEMCPY_HOST_TO_DEVICE);
}
CASE(copy_beyond_block)
{
    static char host[2 * ROOM];
    return aclrtMemcpy(memory, sizeof host, host, sizeof host, ACL_MEMCPY_HOST_TO_DEVICE);
}
/* Bytes that aclrtMalloc adds to a request are not the caller's. */
CASE(copy_into_slack)
{
    static char host[96];
    void *m;
    aclrtMalloc(&m, 64, 0);
    int code = aclrtMemcpy(m, 96, host, 96, ACL_MEMCPY_HOST_TO_DEVICE);
    aclrtFree(m);
    return code;
}
CASE(copy_of_wrong_kind)
{
    char host[64] = {0};
    return aclrtMemcpy(host, 64, host, 64, ACL_MEMCPY_DEVICE_TO_HOST);
}
CASE(copy_null) { return aclrtMemcpy(memory, 64, NULL, 64, ACL_MEMCPY_HOST_TO_DEVICE); }
CASE(copy_host_to_host_async)
{
    char a[64] = {0}, b[64] = {0};
    return aclrtMemcpyAsync(a, 64, b, 64, ACL_MEMCPY_HOST_TO_HOST, stream);
}
CASE(copy_on_device_unaligned)
{
    return aclrtMemcpyAsync(at(1) + 32, 64, at(0), 64, ACL_MEMCPY_DEVICE_TO_DEVICE, stream);
}
CASE(tensor_dead)
{
    aclTensor *x = F32(at(0), 8);
    aclDestroyTensor(x);
    return plan_silu(x, F32(at(1), 8));
}
CASE(tensor_destroyed_twice)
{
    aclTensor *x = F32(at(0), 8);
    aclDestroyTensor(x);
    return aclDestroyTensor(x);
}
CASE(tensor_of_list_destroyed)
{
    const aclTensor *x = F32(at(0), 8);
    aclDestroyTensorList(aclCreateTensorList(&x, 1));
    return aclDestroyTensor(x);
}
CASE(scalar_dead)
{
    aclScalar *s = number(1.0f);
    aclDestroyScalar(s);
    return aclnnAddGetWorkspaceSize(F32(at(0), 8), F32(at(1), 8), s, F32(at(2), 8),
                                    &workspace, &executor);
}
CASE(array_destroyed_twice)
{
    aclIntArray *a = ARRAY(1);
    aclDestroyIntArray(a);
    return aclDestroyIntArray(a);
}
CASE(tensor_null) { return plan_silu(NULL, F32(at(1), 8)); }
CASE(scalar_null)
{
    return aclnnAddGetWorkspaceSize(F32(at(0), 8), F32(at(1), 8), NULL, F32(at(2), 8),
                                    &workspace, &executor);
}
CASE(executor_null)
{
    return aclnnSiluGetWorkspaceSize(F32(at(0), 8), F32(at(1), 8), &workspace, NULL);
}
CASE(memory_unaligned) { return plan_silu(F32(at(0) + 4, 8), F32(at(1), 8)); }
CASE(memory_of_host)
{
    static _Alignas(64) char host[256];
    return plan_silu(F32(host, 8), F32(at(1), 8));
}
CASE(memory_too_short) { return plan_silu(F32(at(7), ROOM), F32(at(1), ROOM)); }
CASE(memory_of_slack)
{
    void *m;
    aclrtMalloc(&m, 64, 0);
    int code = plan_silu(F32(m, 24), F32(at(1), 24));
    aclrtFree(m);
    return code;
}
CASE(offset_negative)
{
    int64_t shape = 8;
    return plan_silu(aclCreateTensor(&shape, 1, ACL_FLOAT, NULL, -1, ACL_FORMAT_ND, &shape,
                                     1, at(0)), F32(at(1), 8));
}
CASE(view_beyond_storage)
{
    int64_t shape = 8, stride = 4, storage = 8;
    return plan_silu(aclCreateTensor(&shape, 1, ACL_FLOAT, &stride, 0, ACL_FORMAT_ND,
                                     &storage, 1, at(0)), F32(at(1), 8));
}
CASE(stride_negative)
{
    int64_t shape = 8, stride = -1, storage = 8;
    return plan_silu(aclCreateTensor(&shape, 1, ACL_FLOAT, &stride, 7, ACL_FORMAT_ND,
                                     &storage, 1, at(0)), F32(at(1), 8));
}
CASE(stride_zero)
{
    int64_t shape = 8, stride = 0, storage = 1;
    return plan_silu(aclCreateTensor(&shape, 1, ACL_FLOAT, &stride, 0, ACL_FORMAT_ND,
                                     &storage, 1, at(0)), F32(at(1), 8));
}
CASE(output_is_input) { return plan_silu(F32(at(0), 8), F32(at(0), 8)); }
/* Bytes that aclrtMalloc adds to a request are not the caller's. */
CASE(view_beyond_what_was_asked_for)
{
    void *small;
    aclrtMalloc(&small, 33, 0);
    int code = plan_silu(F32(small, 9), F32(at(1), 9));
    aclrtFree(small);
    return code;
}
CASE(copy_beyond_what_was_asked_for)
{
    static const char from[40];
    void *small;
    aclrtMalloc(&small, 33, 0);
    int code = aclrtMemcpy(small, 40, from, 40, ACL_MEMCPY_HOST_TO_DEVICE);
    aclrtFree(small);
    return code;
}
CASE(output_moved_to_input)
{
    aclTensor *x = F32(at(0), 8), *y = F32(at(1), 8);
    plan_silu(x, y);
    aclSetAclOpExecutorRepeatable(executor);
    launch_silu();
    aclSetOutputTensorAddr(executor, 0, y, at(0));
    int code = launch_silu();
    aclDestroyAclOpExecutor(executor);
    return code;
}
CASE(device_that_is_not_there)
{
    setenv("CANN_EMULATOR_DEVICES", "1", 1);
    int code = aclrtSetDevice(1);
    unsetenv("CANN_EMULATOR_DEVICES");
    return code;
}
CASE(output_overlaps_input) { return plan_silu(F32(at(0), 16), F32(at(0) + 32, 16)); }
CASE(launched_twice)
{
    silu_ready();
    launch_silu();
    return launch_silu();
}
CASE(launched_as_another)
{
    silu_ready();
    int code = aclnnMul(at(7), workspace, executor, stream);
    launch_silu();
    return code;
}
CASE(workspace_missing)
{
    silu_ready();
    int code = aclnnSilu(NULL, 0, executor, stream);
    launch_silu();
    return code;
}
CASE(workspace_unaligned)
{
    silu_ready();
    int code = aclnnSilu(at(7) + 8, workspace, executor, stream);
    launch_silu();
    return code;
}
CASE(repeatable_too_late)
{
    silu_ready();
    aclSetAclOpExecutorRepeatable(executor);
    launch_silu();
    int code = aclSetAclOpExecutorRepeatable(executor);
    aclDestroyAclOpExecutor(executor);
    return code;
}
CASE(destroy_of_single)
{
    silu_ready();
    int code = aclDestroyAclOpExecutor(executor);
    launch_silu();
    return code;
}
CASE(address_of_single)
{
    silu_ready();
    int code = aclSetInputTensorAddr(executor, 0, F32(at(0), 8), at(2));
    launch_silu();
    return code;
}
CASE(address_unaligned)
{
    silu_ready();
    aclSetAclOpExecutorRepeatable(executor);
    int code = aclSetInputTensorAddr(executor, 0, F32(at(0), 8), at(2) + 4);
    aclDestroyAclOpExecutor(executor);
    return code;
}
CASE(address_of_no_tensor)
{
    silu_ready();
    aclSetAclOpExecutorRepeatable(executor);
    int code = aclSetInputTensorAddr(executor, 3, F32(at(0), 8), at(2));
    aclDestroyAclOpExecutor(executor);
    return code;
}
CASE(list_address_of_tensor)
{
    const aclTensor *x = F32(at(0), 8);
    silu_ready();
    aclSetAclOpExecutorRepeatable(executor);
    int code = aclSetDynamicInputTensorAddr(executor, 0, 0, aclCreateTensorList(&x, 1),
                                            at(2));
    aclDestroyAclOpExecutor(executor);
    return code;
}
/* Capture. */
enum { GLOBAL = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL };

/* The code that `wrong` gets while a stream is captured. */
static int in_capture(int mode, int (*wrong)(void))
{
    aclmdlRI graph = NULL;
    aclmdlRICaptureBegin(stream, mode);
    int code = wrong();
    if (aclmdlRICaptureEnd(stream, &graph) == 0)
        aclmdlRIDestroy(graph);
    return code;
}

/* A captured Silu with its workspace at `space`. */
static aclmdlRI graph_of(char *x, char *space)
{
    aclmdlRI graph = NULL;
    if (aclmdlRICaptureBegin(stream, GLOBAL) != 0 || plan_silu(F32(x, 8), F32(at(1), 8)) != 0 ||
        aclnnSilu(space, workspace, executor, stream) != 0 ||
        aclmdlRICaptureEnd(stream, &graph) != 0)
        abort();
    return graph;
}

static int wait_for_stream(void) { return aclrtSynchronizeStream(stream); }
static int wait_in_time(void) { return aclrtSynchronizeStreamWithTimeout(stream, 100); }
static int ask_stream(void)
{
    int status;
    return aclrtStreamQuery(stream, &status);
}
static int begin_again(void) { return aclmdlRICaptureBegin(stream, GLOBAL); }
static int copy_now(void)
{
    char host[32] = {0};
    return aclrtMemcpy(at(0), 32, host, 32, ACL_MEMCPY_HOST_TO_DEVICE);
}
static int set_now(void) { return aclrtMemset(at(0), 32, 0, 32); }
static int copy_pageable(void)
{
    static char host[32];
    return aclrtMemcpyAsync(at(0), 32, host, 32, ACL_MEMCPY_HOST_TO_DEVICE, stream);
}
static int destroy_it(void) { return aclrtDestroyStream(stream); }
static int launch_when_spoilt(void)
{
    wait_for_stream();
    silu_ready();
    return launch_silu();
}
static int wait_for_event_of_capture(void)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    aclrtRecordEvent(e, stream);
    int code = aclrtSynchronizeEvent(e);
    aclrtDestroyEvent(e);
    return code;
}

CASE(capture_of_no_stream) { return aclmdlRICaptureBegin(NULL, GLOBAL); }
CASE(capture_of_dead_stream) { return aclmdlRICaptureBegin(memory, GLOBAL); }
CASE(capture_in_no_mode) { return aclmdlRICaptureBegin(stream, 3); }
CASE(capture_twice) { return in_capture(GLOBAL, begin_again); }
CASE(capture_waited_for) { return in_capture(GLOBAL, wait_for_stream); }
CASE(capture_relaxed_waited_for)
{
    return in_capture(ACL_MODEL_RI_CAPTURE_MODE_RELAXED, wait_in_time);
}
CASE(capture_asked) { return in_capture(GLOBAL, ask_stream); }
CASE(capture_device_waited_for) { return in_capture(GLOBAL, aclrtSynchronizeDevice); }
CASE(capture_event_inside) { return in_capture(GLOBAL, wait_for_event_of_capture); }
CASE(capture_event_before)
{
    aclrtEvent e;
    aclmdlRI graph;
    aclrtCreateEvent(&e);
    aclrtRecordEvent(e, stream);
    aclmdlRICaptureBegin(stream, GLOBAL);
    int code = aclrtSynchronizeEvent(e);
    aclmdlRICaptureEnd(stream, &graph);
    aclrtDestroyEvent(e);
    return code;
}
CASE(capture_copy) { return in_capture(GLOBAL, copy_now); }
CASE(capture_copy_of_own_thread)
{
    return in_capture(ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL, copy_now);
}
CASE(capture_copy_relaxed) { return in_capture(ACL_MODEL_RI_CAPTURE_MODE_RELAXED, copy_now); }
CASE(capture_set) { return in_capture(GLOBAL, set_now); }
CASE(capture_copy_pageable) { return in_capture(GLOBAL, copy_pageable); }
CASE(capture_stream_destroyed) { return in_capture(GLOBAL, destroy_it); }
CASE(capture_spoilt_launch) { return in_capture(GLOBAL, launch_when_spoilt); }
CASE(capture_spoilt_end)
{
    aclmdlRI graph = memory;
    aclmdlRICaptureBegin(stream, GLOBAL);
    wait_for_stream();
    int code = aclmdlRICaptureEnd(stream, &graph);
    return graph ? 0 : code;
}
CASE(capture_end_alone)
{
    aclmdlRI graph;
    return aclmdlRICaptureEnd(stream, &graph);
}
CASE(graph_not_living) { return aclmdlRIExecuteAsync(memory, stream); }
CASE(graph_on_no_stream)
{
    aclmdlRI graph = graph_of(at(0), at(7));
    int code = aclmdlRIExecuteAsync(graph, NULL);
    aclmdlRIDestroy(graph);
    return code;
}
CASE(graph_destroyed_twice)
{
    aclmdlRI graph = graph_of(at(0), at(7));
    aclmdlRIDestroy(graph);
    return aclmdlRIDestroy(graph);
}
CASE(graph_destroyed_while_queued)
{
    aclmdlRI graph = graph_of(at(0), at(7));
    aclmdlRIExecuteAsync(graph, stream);
    int code = aclmdlRIDestroy(graph);
    aclrtSynchronizeStream(stream);
    aclmdlRIDestroy(graph);
    return code;
}
CASE(graph_without_its_memory)
{
    void *m;
    aclrtMalloc(&m, 4096, 0);
    aclmdlRI graph = graph_of(m, at(7));
    int code = aclrtFree(m);
    aclmdlRIDestroy(graph);
    aclrtFree(m);
    return code;
}
CASE(graph_without_its_workspace)
{
    void *m;
    aclrtMalloc(&m, 4096, 0);
    aclmdlRI graph = graph_of(at(0), m);
    int code = aclrtFree(m);
    aclmdlRIDestroy(graph);
    aclrtFree(m);
    return code;
}
CASE(graph_without_its_upload)
{
    void *m;
    aclmdlRI graph;
    aclrtMallocHost(&m, 64);
    aclmdlRICaptureBegin(stream, GLOBAL);
    aclrtMemcpyAsync(at(0), 64, m, 64, ACL_MEMCPY_HOST_TO_DEVICE, stream);
    aclmdlRICaptureEnd(stream, &graph);
    int code = aclrtFreeHost(m);
    aclmdlRIDestroy(graph);
    aclrtFreeHost(m);
    return code;
}
CASE(set_beyond_block) { return aclrtMemset(memory, 2 * ROOM, 0, 2 * ROOM); }

/* Faults by injection. */
CASE(injected_allocation)
{
    void *m;
    cann_emulator_fail("aclrtMalloc", 1, 207001);
    return aclrtMalloc(&m, 64, 0);
}
CASE(injected_on_the_core)
{
    aclrtStream own, before = stream;
    aclrtCreateStream(&own);
    stream = own;
    cann_emulator_fail("aclnnSilu", 1, 507015);
    silu_ready();
    launch_silu();
    stream = before;
    int code = aclrtSynchronizeStream(own);
    aclrtDestroyStream(own);
    return code;
}

static const wrong_use cases[] = {
#define USE(code, name) {#name, code, name}
    USE(100002, init_twice), USE(107001, no_such_device), USE(107001, negative_device),
    USE(107001, reset_of_unset), USE(100000, context_of_no_device),
    USE(107017, context_not_living), USE(107017, context_destroyed_twice),
    USE(107017, context_with_streams), USE(107003, stream_of_another_context),
    USE(107017, stream_not_living), USE(107017, stream_destroyed_twice),
    USE(100000, stream_null), USE(107000, timeout_negative), USE(100000, event_null),
    USE(107017, event_not_living), USE(107017, event_destroyed_twice),
    USE(107000, event_not_recorded), USE(107000, event_timeout_negative),
    USE(107000, event_without_flag), USE(107000, event_recorded_again),
    USE(107000, malloc_nothing), USE(107000, malloc_policies_combined),
    USE(207001, malloc_too_much), USE(107000, malloc_host_nothing),
    USE(107000, free_of_middle), USE(107000, free_twice), USE(107000, free_host_of_device),
    USE(107000, free_while_queued), USE(107000, free_of_workspace_in_use),
    USE(207000, memory_of_no_kind), USE(100000, capability_unknown),
    USE(107000, copy_too_long), USE(107000, copy_beyond_block),
    USE(107000, copy_into_slack), USE(107000, copy_of_wrong_kind), USE(107000, copy_null),
    USE(207000, copy_host_to_host_async), USE(200003, copy_on_device_unaligned),
    USE(161002, tensor_dead), USE(161002, tensor_destroyed_twice),
    USE(161002, tensor_of_list_destroyed), USE(161002, scalar_dead),
    USE(161002, array_destroyed_twice), USE(161001, tensor_null), USE(161001, scalar_null),
    USE(161001, executor_null), USE(161002, memory_unaligned), USE(161002, memory_of_host),
    USE(161002, memory_too_short), USE(161002, memory_of_slack),
    USE(161001, offset_negative), USE(161002, view_beyond_storage),
    USE(161002, stride_negative), USE(161002, stride_zero), USE(161002, output_is_input),
    USE(161002, view_beyond_what_was_asked_for), USE(107000, copy_beyond_what_was_asked_for),
    USE(161002, output_moved_to_input), USE(107001, device_that_is_not_there),
    USE(161002, output_overlaps_input), USE(161002, launched_twice),
    USE(161002, launched_as_another), USE(161002, workspace_missing),
    USE(161002, workspace_unaligned), USE(161002, repeatable_too_late),
    USE(161002, destroy_of_single), USE(161002, address_of_single),
    USE(161002, address_unaligned), USE(161002, address_of_no_tensor),
    USE(161002, list_address_of_tensor), USE(107031, capture_of_no_stream),
    USE(107017, capture_of_dead_stream), USE(107000, capture_in_no_mode),
    USE(107027, capture_twice), USE(107027, capture_waited_for),
    USE(107027, capture_relaxed_waited_for), USE(107027, capture_asked),
    USE(107027, capture_device_waited_for), USE(107028, capture_event_inside),
    USE(107027, capture_event_before), USE(107030, capture_copy),
    USE(107030, capture_copy_of_own_thread), USE(0, capture_copy_relaxed),
    USE(107030, capture_set), USE(107030, capture_copy_pageable),
    USE(107027, capture_stream_destroyed), USE(361001, capture_spoilt_launch),
    USE(507903, capture_spoilt_end), USE(107029, capture_end_alone),
    USE(107017, graph_not_living), USE(107031, graph_on_no_stream),
    USE(107017, graph_destroyed_twice), USE(107000, graph_destroyed_while_queued),
    USE(107000, graph_without_its_memory), USE(107000, graph_without_its_workspace),
    USE(107000, graph_without_its_upload), USE(107000, set_beyond_block),
    USE(207001, injected_allocation), USE(507015, injected_on_the_core),
#undef USE
};

enum { CASES = sizeof cases / sizeof cases[0] };

/* --- right uses ------------------------------------------------------------------------ */

/* Calls that have to work, and their results. */
static void right_use(void)
{
    float values[8] = {0, 1, -1, 2, -2, 3, -3, 4}, results[8] = {0};
    expect("an upload", aclrtMemcpy(at(0), 32, values, 32, ACL_MEMCPY_HOST_TO_DEVICE), 0);
    silu_ready();
    expect("a launch", launch_silu(), 0);
    aclrtMemcpy(results, 32, at(1), 32, ACL_MEMCPY_DEVICE_TO_HOST);
    expect("what is queued has not happened", results[0] == results[0], 0);
    expect("a wait", aclrtSynchronizeStream(stream), 0);
    aclrtMemcpy(results, 32, at(1), 32, ACL_MEMCPY_DEVICE_TO_HOST);
    expect("the result", results[1] < 0.731f || results[1] > 0.7311f, 0);
}

static float silu_of(float x)
{
    float out[8];
    aclrtSynchronizeStream(stream);
    aclrtMemcpy(out, 32, at(1), 32, ACL_MEMCPY_DEVICE_TO_HOST);
    printf("  silu of %g is %g\n", (double)x, (double)out[1]);
    return out[1];
}

/* A graph does nothing until it is replayed, and then reads its memory anew, that of
 * the host included. */
static void right_capture(void)
{
    void *pinned;
    aclmdlRI graph = NULL;
    aclrtMallocHost(&pinned, 64);
    float *values = pinned;
    values[1] = 1.0f;
    aclrtMemset(at(1), 32, 0, 32);
    expect("a capture", aclmdlRICaptureBegin(stream, GLOBAL), 0);
    aclrtMemcpyAsync(at(0), 32, pinned, 32, ACL_MEMCPY_HOST_TO_DEVICE, stream);
    silu_ready();
    expect("a captured launch", launch_silu(), 0);
    expect("the end of a capture", aclmdlRICaptureEnd(stream, &graph), 0);
    expect("nothing happened", silu_of(1.0f) != 0.0f, 0);
    aclmdlRIExecuteAsync(graph, stream);
    float one = silu_of(1.0f);
    expect("the first replay", one < 0.731f || one > 0.7311f, 0);
    values[1] = 2.0f;
    aclmdlRIExecuteAsync(graph, stream);
    float two = silu_of(2.0f);
    expect("the second replay", two < 1.7615f || two > 1.7617f, 0);
    expect("the end of the graph", aclmdlRIDestroy(graph), 0);
    aclrtFreeHost(pinned);
}

static void *ask_for_memory(void *nothing)
{
    size_t a, b;
    expect("a thread without a context", aclrtGetMemInfo(1, &a, &b), 107002);
    return nothing;
}

/* The context of this thread is not that of another. */
static void another_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, ask_for_memory, NULL) != 0)
        abort();
    pthread_join(thread, NULL);
}

/* A workspace means nothing once its operator has run. */
static void used_workspace_is_nothing(void)
{
    float values[8] = {0};
    aclrtMemset(at(7), 32, 0, 32);
    silu_ready();
    launch_silu();
    aclrtSynchronizeStream(stream);
    aclrtMemcpy(values, 32, at(7), 32, ACL_MEMCPY_DEVICE_TO_HOST);
    expect("a used workspace", isnan(values[0]) == 0, 0);
}

/* --- what a process may not leave ------------------------------------------------------- */

static void leave_tensor(void) { F32(at(0), 8); }
static void leave_scalar(void) { number(1.0f); }
static void leave_array(void) { ARRAY(1); }
static void leave_list(void)
{
    const aclTensor *x = F32(at(0), 8);
    aclCreateTensorList(&x, 1);
}
static void leave_executor(void)
{
    aclTensor *x = F32(at(0), 8), *y = F32(at(1), 8);
    plan_silu(x, y);
    aclDestroyTensor(x);
    aclDestroyTensor(y);
}
static void leave_stream(void)
{
    aclrtStream s;
    aclrtCreateStream(&s);
}
static void leave_event(void)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
}
static void leave_block(void)
{
    void *m;
    aclrtMalloc(&m, 64, 0);
}
static void leave_host_block(void)
{
    void *m;
    aclrtMallocHost(&m, 64);
}
static void leave_graph(void)
{
    aclmdlRI graph;
    aclmdlRICaptureBegin(stream, GLOBAL);
    aclmdlRICaptureEnd(stream, &graph);
}
static void leave_device(void) { aclrtSetDevice(1); }
static void leave_nothing(void) {}

static const struct {
    const char *what;
    void (*leave)(void);
} left[] = {
#define LEFT(what) {#what, leave_##what}
    LEFT(nothing), LEFT(tensor), LEFT(scalar), LEFT(array), LEFT(list), LEFT(executor),
    LEFT(stream), LEFT(event), LEFT(block), LEFT(host_block), LEFT(graph), LEFT(device),
};

enum { ALL_LEFT = sizeof left / sizeof left[0] };

static void finalise(void)
{
    aclFinalize();
}

enum { FINALISE_AT_ONCE, FINALISE_TOO_LATE, NEVER_FINALISE };

/* How a process ends that does one thing wrong and else nothing. */
static int verdict_on(void (*leave)(void), int finalises)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        void *block = NULL;
        unsetenv("CANN_EMULATOR_LENIENT");
        if (finalises == FINALISE_TOO_LATE)
            atexit(finalise);           /* behind everything that is built from here on */
        aclInit(NULL);
        aclrtSetDevice(0);
        aclrtCreateStream(&stream);
        aclrtMalloc(&block, ROOM, 0);
        memory = block;
        leave();
        aclrtSetDevice(0);
        aclrtFree(memory);
        aclrtDestroyStream(stream);
        aclrtResetDevice(0);
        aclrtResetDevice(0);
        if (finalises == FINALISE_AT_ONCE)
            aclFinalize();
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* Each on its own: before this process has initialised anything. */
static void verdicts(void)
{
    for (int i = 0; i < ALL_LEFT; i++) {
        int verdict = verdict_on(left[i].leave, FINALISE_AT_ONCE);
        expect(left[i].what, verdict != (i == 0 ? 0 : CANN_EXIT), 0);
    }
    expect("finalised too late",
           verdict_on(leave_nothing, FINALISE_TOO_LATE) != CANN_EXIT, 0);
    expect("never finalised", verdict_on(leave_nothing, NEVER_FINALISE) != CANN_EXIT, 0);
}

static void before_anything(void)
{
    uint32_t count;
    size_t a, b;
    expect("a call before aclInit", aclrtGetDeviceCount(&count), 100001);
    expect("finalising before aclInit", aclFinalize(), 100037);
    expect("aclInit", aclInit(NULL), 0);
    expect("no context", aclrtGetMemInfo(1, &a, &b), 107002);
}

int main(void)
{
    verdicts();
    before_anything();
    make_ready();
    right_use();
    right_capture();
    used_workspace_is_nothing();
    another_thread();
    run_cases(cases, CASES);
    expect("the end", aclFinalize(), 0);
    expect("aclInit after the end", aclInit(NULL), 100002);
    printf("%d wrong uses, %d failures\n", CASES + ALL_LEFT + 6, failures);
    return failures > 0;
}
