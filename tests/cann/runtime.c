/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator's run time: libascendcl.so.  docs/ascend.md, "The interface".
 *
 * Device memory is mapped twice: at the addresses that the caller sees, which no
 * host code may touch, and at others, where the emulator works.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime.h"

enum { GUARD = 64, ALIGN = 64, SLACK = 32, POISON = 0xff, GUARD_BYTE = 0xa5 };

emulator_state emulator = {.lock = PTHREAD_MUTEX_INITIALIZER};
static _Thread_local context *current;
static _Thread_local char message[512];

/* --- errors --------------------------------------------------------------------- */

int cann_fail(int code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    return code;
}

int cann_violation(int code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    emulator.counters.violations++;
    if (!emulator.lenient)
        fprintf(stderr, "cann: violation: %s\n", message);
    return code;
}

CANN_API const char *aclGetRecentErrMsg(void)
{
    static _Thread_local char shown[640];
    if (!message[0])
        return NULL;
    snprintf(shown, sizeof shown, "EZ9999: Inner Error!\nEZ9999: [PID: %d] %s\n"
             "        TraceBack (most recent call last):\n", (int)getpid(), message);
    message[0] = '\0';
    return shown;
}

cann_counters *cann_emulator_counters(void)
{
    return &emulator.counters;
}

void cann_emulator_fail(const char *call, int64_t nth, int code)
{
    pthread_mutex_lock(&emulator.lock);
    snprintf(emulator.fail_call, sizeof emulator.fail_call, "%s", call ? call : "");
    emulator.fail_nth = nth;
    emulator.fail_code = code;
    pthread_mutex_unlock(&emulator.lock);
}

int64_t cann_emulator_left(void)
{
    return emulator.fail_nth;
}

void cann_emulator_limit(int64_t bytes)
{
    pthread_mutex_lock(&emulator.lock);
    emulator.limit = bytes > 0 ? (size_t)bytes : emulator.region_bytes;
    pthread_mutex_unlock(&emulator.lock);
}

bool cann_injected(const char *call, int *code)
{
    if (emulator.fail_nth <= 0)
        return false;
    pthread_mutex_lock(&emulator.lock);
    bool hit = emulator.fail_nth > 0 && strcmp(call, emulator.fail_call) == 0 &&
               --emulator.fail_nth == 0;
    if (hit)
        *code = emulator.fail_code;
    pthread_mutex_unlock(&emulator.lock);
    return hit;
}

int cann_enter(const char *call)
{
    int code;
    if (!emulator.initialised)
        return cann_fail(ACL_ERROR_UNINITIALIZE, "%s before aclInit", call);
    if (cann_injected(call, &code))
        return cann_fail(code, "%s fails by injection", call);
    return 0;
}

int cann_enter_context(const char *call)
{
    int code = cann_enter(call);
    if (code == 0 && !current)
        return cann_fail(ACL_ERROR_RT_CONTEXT_NULL, "%s: this thread has no context",
                         call);
    return code;
}

/* --- the end of the process ------------------------------------------------------- */

static void read_environment(void)
{
    const char *fail = getenv("CANN_EMULATOR_FAIL");
    long long nth;
    int code;
    char call[64];
    emulator.lenient = getenv("CANN_EMULATOR_LENIENT") != NULL;
    if (fail && sscanf(fail, "%63[^:]:%lld:%d", call, &nth, &code) == 3)
        cann_emulator_fail(call, nth, code);
}

static int64_t print_counters(bool all)
{
    int64_t left = emulator.counters.violations;
#define CANN_PRINT(name)                                                       \
    if (strncmp(#name, "live_", 5) == 0)                                       \
        left += emulator.counters.name;                                        \
    if (all || (strncmp(#name, "live_", 5) == 0 && emulator.counters.name))    \
        fprintf(stderr, "cann: %s %lld\n", #name, (long long)emulator.counters.name);
    CANN_COUNTERS(CANN_PRINT)
#undef CANN_PRINT
    return left;
}

__attribute__((destructor)) static void finish(void)
{
    if (emulator.lenient)
        return;
    int64_t left = print_counters(getenv("CANN_EMULATOR_REPORT") != NULL);
    if (emulator.initialised)
        left += 1 + 0 * fprintf(stderr, "cann: aclFinalize was not called\n");
    if (left == 0)
        return;
    fprintf(stderr, "cann: %lld violations or leaks at the end\n", (long long)left);
    _exit(CANN_EXIT);
}

/* --- initialisation, devices, contexts ---------------------------------------------- */

static void take_down(void)
{
    emulator.taken_down = true;
}

/* As CANN does with objects that it builds when they are first used: they go when the
 * process exits, the last built first. */
static void build(void)
{
    atexit(take_down);
}

CANN_API aclError aclInit(const char *config)
{
    int code;
    (void)config;
    if (emulator.finalised)
        return cann_violation(ACL_ERROR_REPEAT_INITIALIZE,
                              "aclInit once more after aclFinalize");
    if (emulator.initialised)
        return cann_fail(ACL_ERROR_REPEAT_INITIALIZE, "aclInit for the second time");
    read_environment();
    if (cann_injected(__func__, &code))
        return cann_fail(code, "aclInit fails by injection");
    const char *memory = getenv("CANN_EMULATOR_MEMORY");
    emulator.region_bytes = memory ? strtoull(memory, NULL, 10) : (size_t)4 << 30;
    emulator.limit = emulator.region_bytes;
    int file = memfd_create("cann", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)emulator.region_bytes) != 0)
        return cann_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no room for the region");
    emulator.region = mmap(NULL, emulator.region_bytes, PROT_NONE,
                           MAP_SHARED | MAP_NORESERVE, file, 0);
    emulator.alias = mmap(NULL, emulator.region_bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_NORESERVE, file, 0);
    close(file);
    if (emulator.region == MAP_FAILED || emulator.alias == MAP_FAILED)
        return cann_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no room for the region");
    emulator.initialised = true;
    build();
    return 0;
}

CANN_API aclError aclFinalize(void)
{
    if (emulator.taken_down)
        return cann_violation(ACL_ERROR_INTERNAL, "aclFinalize when the objects that it "
                              "needs are gone: it may not be called from destructors");
    if (!emulator.initialised)
        return cann_fail(ACL_ERROR_REPEAT_FINALIZE, "aclFinalize without aclInit");
    emulator.initialised = false;
    emulator.finalised = true;
    return 0;
}

#if CANN_PROFILE > 80

typedef struct aclCANNPackageVersion {
    char version[128], major[64], minor[64], release[64], patch[64], reserved[128];
} aclCANNPackageVersion;

/* name 0: CANN as a whole. */
CANN_API aclError aclsysGetCANNVersion(int name, aclCANNPackageVersion *version)
{
    if (name != 0 || !version)
        return cann_fail(ACL_ERROR_INVALID_PARAM, "package %d is not emulated", name);
    memset(version, 0, sizeof *version);
    snprintf(version->version, sizeof version->version, "%d.%d.RC1", CANN_PROFILE / 10,
             CANN_PROFILE % 10);
    return 0;
}

#endif

CANN_API const char *aclrtGetSocName(void)
{
    const char *name = getenv("CANN_EMULATOR_SOC");
    return name ? name : "Ascend910B1";
}

static int device_count(void)
{
    const char *devices = getenv("CANN_EMULATOR_DEVICES");
    int count = devices ? atoi(devices) : DEVICES;
    return count < DEVICES ? count : DEVICES;
}

CANN_API aclError aclrtGetDeviceCount(uint32_t *count)
{
    ENTER();
    *count = (uint32_t)device_count();
    return 0;
}

#if CANN_PROFILE > 80

/* info: 0 cube cores, 1 vector cores, 2 bytes of L2. */
CANN_API aclError aclGetDeviceCapability(uint32_t device, int info, int64_t *value)
{
    static const int64_t values[] = {24, 48, (int64_t)192 << 20};
    ENTER();
    if (device >= DEVICES || info < 0 || info > 2)
        return cann_fail(ACL_ERROR_INVALID_PARAM, "no such device or information");
    *value = values[info];
    return 0;
}

#endif

static context *add_context(int device, bool is_default)
{
    context *c = calloc(1, sizeof *c);
    *c = (context){emulator.contexts, device, is_default};
    emulator.contexts = c;
    emulator.counters.live_contexts++;
    return c;
}

static context *find_default(int device)
{
    for (context *c = emulator.contexts; c; c = c->next)
        if (c->is_default && c->device == device)
            return c;
    return NULL;
}

static bool is_context(const void *handle)
{
    for (context *c = emulator.contexts; c; c = c->next)
        if (c == handle)
            return true;
    return false;
}

static void remove_context(context *gone)
{
    for (context **at = &emulator.contexts; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            break;
        }
    if (current == gone)
        current = NULL;
    free(gone);
    emulator.counters.live_contexts--;
}

CANN_API aclError aclrtSetDevice(int32_t device)
{
    static pthread_once_t first = PTHREAD_ONCE_INIT;
    ENTER();
    pthread_once(&first, build);
    if (device < 0 || device >= device_count())
        return cann_fail(ACL_ERROR_RT_INVALID_DEVICEID, "device %d of %d", device,
                         device_count());
    pthread_mutex_lock(&emulator.lock);
    context *c = find_default(device);
    if (!c)
        c = add_context(device, true);
    emulator.uses[device]++;
    current = c;
    pthread_mutex_unlock(&emulator.lock);
    return 0;
}

CANN_API aclError aclrtResetDevice(int32_t device)
{
    ENTER();
    if (device < 0 || device >= DEVICES || emulator.uses[device] == 0)
        return cann_fail(ACL_ERROR_RT_INVALID_DEVICEID, "device %d is not set", device);
    pthread_mutex_lock(&emulator.lock);
    if (--emulator.uses[device] == 0)
        remove_context(find_default(device));
    pthread_mutex_unlock(&emulator.lock);
    return 0;
}

CANN_API aclError aclrtCreateContext(aclrtContext *out, int32_t device)
{
    ENTER();
    if (!out || device < 0 || device >= device_count())
        return cann_fail(ACL_ERROR_INVALID_PARAM, "no context of device %d", device);
    pthread_mutex_lock(&emulator.lock);
    *out = current = add_context(device, false);
    pthread_mutex_unlock(&emulator.lock);
    return 0;
}

CANN_API aclError aclrtDestroyContext(aclrtContext handle)
{
    ENTER();
    pthread_mutex_lock(&emulator.lock);
    bool known = is_context(handle) && !((context *)handle)->is_default;
    bool used = false;
    for (stream *s = emulator.streams; s; s = s->next)
        used = used || s->owner == handle;
    if (known && !used)
        remove_context(handle);
    pthread_mutex_unlock(&emulator.lock);
    if (!known)
        return cann_violation(ACL_ERROR_RT_INVALID_HANDLE, "no such context");
    if (used)
        return cann_violation(ACL_ERROR_RT_INVALID_HANDLE,
                              "the context still has streams");
    return 0;
}

CANN_API aclError aclrtSetCurrentContext(aclrtContext handle)
{
    ENTER();
    pthread_mutex_lock(&emulator.lock);
    bool known = is_context(handle);
    if (known)
        current = handle;
    pthread_mutex_unlock(&emulator.lock);
    if (!known)
        return cann_violation(ACL_ERROR_RT_INVALID_HANDLE, "no such context");
    return 0;
}

CANN_API aclError aclrtGetCurrentContext(aclrtContext *out)
{
    ENTER_CONTEXT();
    *out = current;
    return 0;
}

/* --- streams ------------------------------------------------------------------------ */

static stream *find_stream(const void *handle)
{
    for (stream *s = emulator.streams; s; s = s->next)
        if (s == handle)
            return s;
    return NULL;
}

int cann_check_stream(const void *handle)
{
    pthread_mutex_lock(&emulator.lock);
    stream *s = find_stream(handle);
    pthread_mutex_unlock(&emulator.lock);
    if (!s)
        return cann_violation(ACL_ERROR_RT_INVALID_HANDLE, "no such stream");
    if (s->owner != current)
        return cann_fail(ACL_ERROR_RT_STREAM_CONTEXT,
                         "the stream is not of this thread's context");
    return 0;
}

/* Nothing of a stream that captures may be waited for or asked: it would tell about
 * work that is not done.  Who tries spoils the capture. */
static int check_waiting(const stream *s)
{
    if (!s->capture)
        return 0;
    s->capture->spoilt = true;
    return cann_fail(ACL_ERROR_RT_STREAM_CAPTURED, "the stream is being captured");
}

/* A stream that may be waited for. */
int cann_check_idle(const void *handle)
{
    int code = cann_check_stream(handle);
    return code ? code : check_waiting(handle);
}

/* Calls that work at once (aclrtMemcpy ...) while something is captured. */
static int check_unsafe(const char *call)
{
    bool refused = false;
    pthread_mutex_lock(&emulator.lock);
    for (graph *g = emulator.graphs; g; g = g->next) {
        bool own = pthread_equal(g->thread, pthread_self());
        if (!g->capturing || g->mode == ACL_MODEL_RI_CAPTURE_MODE_RELAXED ||
            (g->mode == ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL && !own))
            continue;
        g->spoilt = refused = true;
    }
    pthread_mutex_unlock(&emulator.lock);
    if (!refused)
        return 0;
    return cann_fail(ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT,
                     "%s while a stream is captured in this mode", call);
}

CANN_API aclError aclrtCreateStream(aclrtStream *out)
{
    ENTER_CONTEXT();
    if (!out)
        return cann_fail(ACL_ERROR_INVALID_PARAM, "stream is NULL");
    stream *s = calloc(1, sizeof *s);
    pthread_mutex_lock(&emulator.lock);
    *s = (stream){.next = emulator.streams, .owner = current};
    s->last = &s->first;
    emulator.streams = s;
    emulator.counters.live_streams++;
    pthread_mutex_unlock(&emulator.lock);
    *out = s;
    return 0;
}

static void drop_queue(stream *s)
{
    while (s->first) {
        cann_task *task = s->first;
        s->first = task->next;
        task->drop(task);
    }
    s->last = &s->first;
    s->done = s->queued;
}

/* Runs what is queued, in order, until `count` tasks are done or one fails, which
 * stays. */
static int run_until(stream *s, int64_t count)
{
    pthread_mutex_lock(&emulator.lock);
    while (s->first && s->error == 0 && s->done < count) {
        cann_task *task = s->first;
        s->error = task->run(task);
        s->first = task->next;
        s->done++;
        task->drop(task);
    }
    if (!s->first || s->error)
        drop_queue(s);
    int error = s->error;
    pthread_mutex_unlock(&emulator.lock);
    return error ? cann_fail(error, "an operator of the stream failed with %d", error)
                 : 0;
}

static int run_queue(stream *s)
{
    return run_until(s, s->queued);
}

void cann_drop_graph(graph *gone)
{
    for (graph **at = &emulator.graphs; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            break;
        }
    while (gone->first) {
        cann_task *task = gone->first;
        gone->first = task->next;
        task->drop(task);
    }
    free(gone);
}

static aclError destroy_stream(aclrtStream handle, bool force)
{
    int code = cann_check_stream(handle);
    if (code)
        return code;
    stream *s = handle;
    if (!force && s->capture)
        return cann_violation(ACL_ERROR_RT_STREAM_CAPTURED,
                              "the stream is destroyed while it is captured");
    if (!force && s->first && s->error == 0)
        run_queue(s);
    pthread_mutex_lock(&emulator.lock);
    drop_queue(s);
    if (s->capture)
        cann_drop_graph(s->capture);
    for (event *e = emulator.events; e; e = e->next)
        if (e->where == s)
            e->where = NULL;
    for (stream **at = &emulator.streams; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
    emulator.counters.live_streams--;
    pthread_mutex_unlock(&emulator.lock);
    free(s);
    return 0;
}

CANN_API aclError aclrtDestroyStream(aclrtStream handle)
{
    ENTER_CONTEXT();
    return destroy_stream(handle, false);
}

#if CANN_PROFILE > 80

CANN_API aclError aclrtDestroyStreamForce(aclrtStream handle)
{
    ENTER_CONTEXT();
    return destroy_stream(handle, true);
}

#endif

CANN_API aclError aclrtSynchronizeStream(aclrtStream handle)
{
    ENTER_CONTEXT();
    int code = cann_check_idle(handle);
    if (code)
        return code;
    emulator.counters.syncs++;
    return run_queue(handle);
}

CANN_API aclError aclrtSynchronizeStreamWithTimeout(aclrtStream handle, int32_t ms)
{
    ENTER_CONTEXT();
    if (ms < -1)
        return cann_fail(ACL_ERROR_RT_PARAM_INVALID, "a time-out of %d ms", ms);
    int code = cann_check_idle(handle);
    if (code)
        return code;
    emulator.counters.syncs++;
    return run_queue(handle);
}

/* *status: 0 all is done, 1 it is not. */
CANN_API aclError aclrtStreamQuery(aclrtStream handle, int *status)
{
    ENTER_CONTEXT();
    int code = cann_check_idle(handle);
    if (code == 0)
        *status = ((stream *)handle)->first != NULL;
    return code;
}

CANN_API aclError aclrtSynchronizeDevice(void)
{
    ENTER_CONTEXT();
    int code = 0;
    for (stream *s = emulator.streams; s && code == 0; s = s->next)
        if (s->owner->device == current->device)
            code = check_waiting(s);
    for (stream *s = emulator.streams; s && code == 0; s = s->next)
        if (s->owner->device == current->device)
            code = run_queue(s);
    emulator.counters.syncs += code == 0;
    return code;
}

/* A task that fails shows when the stream is waited for, or when so many are queued
 * behind it that the device has come to it: then what comes next is refused. */
enum { BEHIND = 16 };

int cann_enqueue(aclrtStream handle, cann_task *task)
{
    int code = cann_check_stream(handle);
    stream *s = handle;
    if (code == 0 && s->doomed && s->queued - s->doomed >= BEHIND)
        run_until(s, s->queued);
    if (code == 0 && s->error)
        code = cann_fail(s->error, "the stream has failed before with %d", s->error);
    if (code == 0 && s->capture && s->capture->spoilt)
        code = cann_fail(ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED, "the capture is spoilt");
    if (code) {
        task->drop(task);
        return code;
    }
    pthread_mutex_lock(&emulator.lock);
    task->next = NULL;
    if (s->capture) {
        *s->capture->last = task;
        s->capture->last = &task->next;
        emulator.counters.recorded++;
    } else {
        *s->last = task;
        s->last = &task->next;
        s->queued++;
        s->doomed = s->doomed || !task->fails ? s->doomed : s->queued;
    }
    pthread_mutex_unlock(&emulator.lock);
    return 0;
}

/* --- events ------------------------------------------------------------------------- */

static event *find_event(const void *handle)
{
    for (event *e = emulator.events; e; e = e->next)
        if (e == handle)
            return e;
    return NULL;
}

static int check_event(const void *handle)
{
    pthread_mutex_lock(&emulator.lock);
    event *e = find_event(handle);
    pthread_mutex_unlock(&emulator.lock);
    return e ? 0 : cann_violation(ACL_ERROR_RT_INVALID_HANDLE, "no such event");
}

static aclError create_event(aclrtEvent *out, bool again)
{
    if (!out)
        return cann_fail(ACL_ERROR_INVALID_PARAM, "event is NULL");
    event *e = calloc(1, sizeof *e);
    pthread_mutex_lock(&emulator.lock);
    *e = (event){.next = emulator.events, .again = again};
    emulator.events = e;
    emulator.counters.live_events++;
    pthread_mutex_unlock(&emulator.lock);
    *out = e;
    return 0;
}

CANN_API aclError aclrtCreateEvent(aclrtEvent *out)
{
    ENTER_CONTEXT();
    return create_event(out, false);
}

/* flag: 1 for streams to wait for, 2 for progress, 8 for times; or several. */
CANN_API aclError aclrtCreateEventExWithFlag(aclrtEvent *out, uint32_t flag)
{
    ENTER_CONTEXT();
    if (flag == 0 || (flag & ~11u) != 0)
        return cann_fail(ACL_ERROR_RT_PARAM_INVALID, "an event with flag %u", flag);
    return create_event(out, true);
}

CANN_API aclError aclrtDestroyEvent(aclrtEvent handle)
{
    ENTER_CONTEXT();
    int code = check_event(handle);
    if (code)
        return code;
    pthread_mutex_lock(&emulator.lock);
    for (event **at = &emulator.events; *at; at = &(*at)->next)
        if (*at == handle) {
            *at = (*at)->next;
            break;
        }
    emulator.counters.live_events--;
    pthread_mutex_unlock(&emulator.lock);
    free(handle);
    return 0;
}

CANN_API aclError aclrtRecordEvent(aclrtEvent handle, aclrtStream where)
{
    ENTER_CONTEXT();
    int code = check_event(handle);
    if (code == 0)
        code = cann_check_stream(where);
    if (code)
        return code;
    event *e = handle;
    stream *s = where;
    if (s->error)
        return cann_fail(s->error, "the stream has failed before with %d", s->error);
    if (e->recorded && !e->again)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID, "an event is recorded again, but "
                              "is not of aclrtCreateEventExWithFlag");
    e->recorded = true;
    e->where = s;
    e->behind = s->queued;
    e->captured = s->capture != NULL;
    return 0;
}

/* Work behind the event stays queued. */
static aclError wait_for_event(aclrtEvent handle)
{
    int code = check_event(handle);
    if (code)
        return code;
    event *e = handle;
    if (!e->where)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID, "the event was not recorded");
    if (e->where->capture)
        code = check_waiting(e->where);
    if (e->captured)
        code = cann_fail(ACL_ERROR_RT_EVENT_CAPTURED, "the event belongs to a capture");
    if (code)
        return code;
    emulator.counters.event_waits++;
    return run_until(e->where, e->behind);
}

CANN_API aclError aclrtSynchronizeEvent(aclrtEvent handle)
{
    ENTER_CONTEXT();
    return wait_for_event(handle);
}

CANN_API aclError aclrtSynchronizeEventWithTimeout(aclrtEvent handle, int32_t ms)
{
    ENTER_CONTEXT();
    if (ms < -1)
        return cann_fail(ACL_ERROR_RT_PARAM_INVALID, "a time-out of %d ms", ms);
    return wait_for_event(handle);
}

/* --- device memory -------------------------------------------------------------------- */

static block *find_block(const char *address)
{
    for (block *b = emulator.blocks; b; b = b->next)
        if (address >= b->memory && address < b->memory + b->bytes)
            return b;
    return NULL;
}

int64_t cann_room_behind(const void *address)
{
    pthread_mutex_lock(&emulator.lock);
    block *b = find_block(address);
    int64_t room =
        b ? (int64_t)(b->memory + b->asked - (const char *)address) : -1;
    pthread_mutex_unlock(&emulator.lock);
    return room;
}

static bool in_region(const void *address)
{
    return emulator.region && (const char *)address >= emulator.region &&
           (const char *)address < emulator.region + emulator.region_bytes;
}

void *cann_alias(const void *address)
{
    if (!in_region(address))
        return (void *)(uintptr_t)address;
    return emulator.alias + ((const char *)address - emulator.region);
}

/* First fit; NULL when no gap is wide enough. */
static block *place_block(size_t asked, size_t bytes)
{
    size_t room = (GUARD + bytes + GUARD + ALIGN - 1) / ALIGN * ALIGN;
    char *at = emulator.region;
    block **link = &emulator.blocks;
    for (; *link; link = &(*link)->next) {
        if ((size_t)((*link)->memory - GUARD - at) >= room)
            break;
        at = (*link)->memory - GUARD + (*link)->room;
    }
    if ((size_t)(emulator.region + emulator.region_bytes - at) < room)
        return NULL;
    block *b = calloc(1, sizeof *b);
    *b = (block){*link, at + GUARD, asked, bytes, room};
    *link = b;
    memset(cann_alias(at), GUARD_BYTE, room);
    memset(cann_alias(b->memory), POISON, bytes);
    return b;
}

CANN_API aclError aclrtMalloc(void **out, size_t size, int policy)
{
    ENTER_CONTEXT();
    if (!out || size == 0 || policy < 0 || policy > 7)
        return cann_fail(ACL_ERROR_RT_PARAM_INVALID,
                         "aclrtMalloc of %zu bytes with policy %d", size, policy);
    size_t bytes = (size + 31) / 32 * 32 + SLACK;
    pthread_mutex_lock(&emulator.lock);
    bool fits = emulator.counters.bytes + (int64_t)bytes <= (int64_t)emulator.limit;
    block *b = fits ? place_block(size, bytes) : NULL;
    if (b) {
        cann_counters *c = &emulator.counters;
        c->live_blocks++;
        c->allocations++;
        c->bytes += (int64_t)bytes;
        c->peak_bytes = c->bytes > c->peak_bytes ? c->bytes : c->peak_bytes;
    }
    pthread_mutex_unlock(&emulator.lock);
    if (!b)
        return cann_fail(ACL_ERROR_RT_MEMORY_ALLOCATION,
                         "%zu bytes are more than the device has left", size);
    *out = b->memory;
    return 0;
}

static bool guards_hold(const block *b)
{
    const unsigned char *front = cann_alias(b->memory - GUARD);
    const unsigned char *back = cann_alias(b->memory + b->bytes);
    bool whole = true;
    for (int i = 0; i < GUARD; i++)
        whole = whole && front[i] == GUARD_BYTE && back[i] == GUARD_BYTE;
    return whole;
}

static bool any_touches(const cann_task *first, const char *memory, size_t bytes)
{
    for (const cann_task *t = first; t; t = t->next)
        if (t->touches(t, memory, memory + bytes))
            return true;
    return false;
}

/* The user that still needs this memory; NULL: nobody. */
static const char *needed_by(const char *memory, size_t bytes)
{
    for (stream *s = emulator.streams; s; s = s->next)
        if (any_touches(s->first, memory, bytes))
            return "an operator or a copy that is queued";
    for (graph *g = emulator.graphs; g; g = g->next)
        if (any_touches(g->first, memory, bytes))
            return "a graph that lives";
    return NULL;
}

CANN_API aclError aclrtFree(void *memory)
{
    ENTER_CONTEXT();
    pthread_mutex_lock(&emulator.lock);
    block **link = &emulator.blocks;
    while (*link && (*link)->memory != memory)
        link = &(*link)->next;
    block *b = *link;
    const char *who = b ? needed_by(b->memory, b->bytes) : NULL;
    bool whole = !b || guards_hold(b);
    if (b && !who) {
        *link = b->next;
        emulator.counters.live_blocks--;
        emulator.counters.bytes -= (int64_t)b->bytes;
        free(b);
    }
    pthread_mutex_unlock(&emulator.lock);
    if (!b)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID,
                              "aclrtFree of what aclrtMalloc did not give");
    if (who)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID, "aclrtFree of what %s needs",
                              who);
    if (!whole)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID,
                              "an operator wrote beside the block");
    return 0;
}

/* attribute: 1 is HBM; 0 (DDR) is empty on these devices. */
CANN_API aclError aclrtGetMemInfo(int attribute, size_t *free_bytes, size_t *total)
{
    ENTER_CONTEXT();
    if (attribute != 1)
        return cann_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                         "these devices have HBM (1) only, not %d", attribute);
    pthread_mutex_lock(&emulator.lock);
    *total = emulator.limit;
    *free_bytes = emulator.limit - (size_t)emulator.counters.bytes;
    pthread_mutex_unlock(&emulator.lock);
    return 0;
}

/* --- pinned host memory ------------------------------------------------------------------ */

CANN_API aclError aclrtMallocHost(void **out, size_t size)
{
    ENTER_CONTEXT();
    if (!out || size == 0)
        return cann_fail(ACL_ERROR_RT_PARAM_INVALID, "aclrtMallocHost of %zu bytes",
                         size);
    host_block *b = calloc(1, sizeof *b);
    b->memory = aligned_alloc(ALIGN, (size + ALIGN - 1) / ALIGN * ALIGN);
    if (!b->memory) {
        free(b);
        return cann_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no host memory");
    }
    b->bytes = size;
    memset(b->memory, POISON, size);
    pthread_mutex_lock(&emulator.lock);
    b->next = emulator.host_blocks;
    emulator.host_blocks = b;
    emulator.counters.live_host_blocks++;
    pthread_mutex_unlock(&emulator.lock);
    *out = b->memory;
    return 0;
}

CANN_API aclError aclrtFreeHost(void *memory)
{
    ENTER_CONTEXT();
    pthread_mutex_lock(&emulator.lock);
    host_block **link = &emulator.host_blocks;
    while (*link && (*link)->memory != memory)
        link = &(*link)->next;
    host_block *b = *link;
    const char *who = b ? needed_by(b->memory, b->bytes) : NULL;
    if (b && !who) {
        *link = b->next;
        emulator.counters.live_host_blocks--;
    }
    pthread_mutex_unlock(&emulator.lock);
    if (!b)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID,
                              "aclrtFreeHost of what aclrtMallocHost did not give");
    if (who)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID, "aclrtFreeHost of what %s needs",
                              who);
    free(b->memory);
    free(b);
    return 0;
}

static bool is_pinned(const char *address, size_t bytes)
{
    for (host_block *b = emulator.host_blocks; b; b = b->next)
        if (address >= b->memory && address + bytes <= b->memory + b->bytes)
            return true;
    return false;
}

/* --- copies ------------------------------------------------------------------------------ */

typedef struct copy_task {
    cann_task task;
    void *to;
    const void *from;
    size_t bytes;
} copy_task;

static int check_copy(const copy_task *c, size_t room, int kind)
{
    if (!c->to || !c->from || c->bytes > room || kind < 0 || kind > 3)
        return cann_fail(ACL_ERROR_RT_PARAM_INVALID,
                         "a copy of %zu bytes into %zu, kind %d", c->bytes, room, kind);
    bool to_device = kind == ACL_MEMCPY_HOST_TO_DEVICE || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    bool from_device =
        kind == ACL_MEMCPY_DEVICE_TO_HOST || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    if (in_region(c->to) != to_device || in_region(c->from) != from_device)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID,
                              "a copy of kind %d between the wrong memories", kind);
    if ((to_device && cann_room_behind(c->to) < (int64_t)c->bytes) ||
        (from_device && cann_room_behind(c->from) < (int64_t)c->bytes))
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID,
                              "a copy of %zu bytes leaves its block", c->bytes);
    return 0;
}

static void count_copy(const copy_task *c, int kind)
{
    if (kind == ACL_MEMCPY_HOST_TO_DEVICE) {
        emulator.counters.uploads++;
        emulator.counters.upload_bytes += (int64_t)c->bytes;
    } else if (kind == ACL_MEMCPY_DEVICE_TO_HOST) {
        emulator.counters.downloads++;
        emulator.counters.download_bytes += (int64_t)c->bytes;
    }
}

static int run_copy(cann_task *task)
{
    const copy_task *c = (const copy_task *)task;
    memcpy(cann_alias(c->to), cann_alias(c->from), c->bytes);
    return 0;
}

static void drop_copy(cann_task *task)
{
    free(task);
}

static bool copy_touches(const cann_task *task, const char *begin, const char *end)
{
    const copy_task *c = (const copy_task *)task;
    const char *to = c->to, *from = c->from;
    return (to < end && to + c->bytes > begin) || (from < end && from + c->bytes > begin);
}

/* At once and behind no stream's back: what is queued has not happened yet. */
CANN_API aclError aclrtMemcpy(void *to, size_t room, const void *from, size_t bytes,
                              int kind)
{
    ENTER_CONTEXT();
    copy_task c = {.to = to, .from = from, .bytes = bytes};
    int code = check_copy(&c, room, kind);
    if (code == 0)
        code = check_unsafe("aclrtMemcpy");
    if (code)
        return code;
    pthread_mutex_lock(&emulator.lock);
    run_copy(&c.task);
    count_copy(&c, kind);
    pthread_mutex_unlock(&emulator.lock);
    return 0;
}

/* At once, too. */
CANN_API aclError aclrtMemset(void *to, size_t room, int32_t value, size_t bytes)
{
    ENTER_CONTEXT();
    if (bytes > room)
        return cann_fail(ACL_ERROR_RT_PARAM_INVALID, "aclrtMemset of %zu bytes into %zu",
                         bytes, room);
    if (cann_room_behind(to) < (int64_t)bytes)
        return cann_violation(ACL_ERROR_RT_PARAM_INVALID,
                              "aclrtMemset of %zu bytes leaves its block", bytes);
    int code = check_unsafe("aclrtMemset");
    if (code == 0)
        memset(cann_alias(to), value, bytes);
    return code;
}

CANN_API aclError aclrtMemcpyAsync(void *to, size_t room, const void *from,
                                   size_t bytes, int kind, aclrtStream handle)
{
    ENTER_CONTEXT();
    copy_task *c = calloc(1, sizeof *c);
    *c = (copy_task){.task = {.run = run_copy, .drop = drop_copy, .touches = copy_touches},
                     .to = to, .from = from, .bytes = bytes};
    int code = check_copy(c, room, kind);
    if (code == 0 && kind == ACL_MEMCPY_HOST_TO_HOST)
        code = cann_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "an async copy host to host");
    if (code == 0 && kind == ACL_MEMCPY_DEVICE_TO_DEVICE &&
        (((uintptr_t)to | (uintptr_t)from) & 63u) != 0)
        code = cann_violation(ACL_ERROR_UNALIGNED,
                              "an async copy on the device off 64-byte alignment");
    bool pageable = (kind == ACL_MEMCPY_HOST_TO_DEVICE && !is_pinned(from, bytes)) ||
                    (kind == ACL_MEMCPY_DEVICE_TO_HOST && !is_pinned(to, bytes));
    if (code == 0 && pageable)
        code = check_unsafe("aclrtMemcpyAsync of pageable memory");
    if (code) {
        free(c);
        return code;
    }
    count_copy(c, kind);
    code = cann_enqueue(handle, &c->task);
    if (code || !pageable)
        return code;
    emulator.counters.syncs++;              /* it returns after the copy */
    return run_queue(handle);
}
