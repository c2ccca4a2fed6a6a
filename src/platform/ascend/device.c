/* SPDX-License-Identifier: Apache-2.0 */
/* One open device.  See device.h. */
#include "platform/ascend/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "platform/ascend/launch.h"
#include "platform/ascend/library.h"
#include "platform/ascend/forecast.h"

enum { ALIGNMENT = 64, SLACK = 32, CHUNK = 1 << 16, SYNC_MILLISECONDS = 600000 };

static const int64_t staging_bytes = (int64_t)32 << 20;
static const int64_t staging_for_good = (int64_t)1 << 20;       /* behind it */
static const int64_t smallest_scratch = (int64_t)16 << 20;
static const int64_t smallest_workspace = (int64_t)1 << 20;

/* --- errors ----------------------------------------------------------------------- */

static const char *meaning_of(int code)
{
    static const struct {
        int code;
        const char *meaning;
    } list[] = {
        {161001, "a null pointer"}, {161002, "an invalid parameter"},
        {361001, "the run time refused"}, {561000, "an internal error"},
        {561001, "no shape follows from the inputs"},
        {561002, "no tiling for this shape"}, {561003, "no kernel for it"},
        {561101, "no executor could be made"}, {561103, "a null pointer inside"},
        {561107, "the operator packages are not found"},
        {561112, "the kernel package is not installed"},
        {100000, "an invalid parameter"}, {100001, "not initialised"},
        {107000, "an invalid parameter"}, {107001, "no such device"},
        {107002, "no context"}, {107003, "the stream is not of this context"},
        {107017, "an invalid handle"}, {107019, "a wait timed out"},
        {107020, "a task timed out"}, {107027, "the stream is being captured"},
        {107029, "the stream is not being captured"},
        {107030, "not while a stream is captured"}, {507903, "the capture was spoilt"},
        {200002, "no such device"}, {200003, "an unaligned address"},
        {200005, "an invalid handle"}, {200006, "not supported here"},
        {207000, "not supported here"},
        {500000, "an internal error"}, {500003, "the run time failed"},
        {ACL_BAD_ALLOC, "out of memory"}, {ACL_OUT_OF_MEMORY, "out of device memory"},
        {ACL_DEVICE_OUT_OF_MEMORY, "out of device memory"},
        {507000, "an internal error"}, {507011, "a recorded graph failed"},
        {507014, "an AI core timed out"}, {507015, "an exception on an AI core"},
        {507018, "an exception on an AI CPU"}, {507034, "a vector core timed out"},
        {507035, "an exception on a vector core"},
        {507046, "waiting for the stream timed out"}, {507899, "the driver failed"},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (list[i].code == code)
            return list[i].meaning;
    return "a CANN error";
}

static bool is_memory(int code)
{
    return code == ACL_OUT_OF_MEMORY || code == ACL_DEVICE_OUT_OF_MEMORY ||
           code == ACL_BAD_ALLOC;
}

/* CANN's text has several lines, indented; of a long one the end goes, between two
 * characters of UTF-8. */
static void take_detail(const char *text, char *out, size_t room)
{
    size_t used = 0;
    for (const char *at = text; at && *at; at++) {
        bool space = strchr(" \t\r\n", *at) != NULL;
        if (space && (used == 0 || out[used - 1] == ' '))
            continue;
        if (used + 1 == room) {
            while (used > 0 && ((unsigned char)*at & 0xc0u) == 0x80u)
                at = &out[--used];
            break;
        }
        out[used++] = space ? ' ' : *at;
    }
    if (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
}

pf_status ascend_check(ascend *a, int code, const char *what)
{
    char detail[256];
    if (code == 0)
        return PF_OK;
    take_detail(a->api->aclGetRecentErrMsg(), detail, sizeof detail);
    return pf_fail(a->error, is_memory(code) ? PF_E_MEMORY : PF_E_PLATFORM,
                   "ascend: %s failed with %d (%s)%s%s", what, code, meaning_of(code),
                   detail[0] ? ": " : "", detail);
}

pf_status ascend_check_queued(ascend *a, int code, const char *what)
{
    pf_status status = ascend_check(a, code, what);
    if (status == PF_OK || a->recording)
        return status;
    pf_status before = ascend_sync(a);
    return before != PF_OK ? before : status;
}

pf_status ascend_enter(ascend *a, pf_error *error)
{
    a->error = error;
    ascend_scratch_rewind(a, (ascend_mark){0, 0});
    if (a->forecast || a->recording)        /* the context is the thread's already */
        return PF_OK;
    PF_TRY(ascend_check(a, a->api->aclrtSetCurrentContext(a->context),
                        "aclrtSetCurrentContext"));
    if (a->stream)
        return PF_OK;
    return ascend_check(a, a->api->aclrtCreateStream(&a->stream), "aclrtCreateStream");
}

/* --- the stream --------------------------------------------------------------------- */

/* A stream that has failed keeps failing: it is replaced. */
void ascend_renew_stream(ascend *a)
{
    const ascend_api *f = a->api;
    if (f->aclrtDestroyStreamForce)
        f->aclrtDestroyStreamForce(a->stream);
    else
        f->aclrtDestroyStream(a->stream);
    if (f->aclrtCreateStream(&a->stream) != 0)
        a->stream = NULL;
}

pf_status ascend_sync(ascend *a)
{
    if (a->recording)
        return pf_fail(a->error, PF_E_INTERNAL, "ascend: a wait while kernels are recorded");
    a->staged = 0;
    if (a->tally)
        a->tally->waits++;
    if (a->forecast)
        return PF_OK;
    int code = a->api->aclrtSynchronizeStreamWithTimeout(a->stream, SYNC_MILLISECONDS);
    pf_status status = ascend_check(a, code, "waiting for the stream");
    if (status != PF_OK)
        ascend_renew_stream(a);
    for (int i = 0; i < PF_TRANSFERS && status == PF_OK; i++)
        a->transfers[i].under_way = false;
    if (!a->graph)
        ascend_cache_settle(a);
    return status;
}

/* --- blocks --------------------------------------------------------------------------- */

static void free_block(ascend *a, int i)
{
    a->api->aclrtFree(a->blocks[i].memory);
    a->blocks[i] = a->blocks[--a->block_count];
}

/* Returns every block that nobody uses. */
static void trim(ascend *a)
{
    bool waited = false;
    for (int i = a->block_count - 1; i >= 0; i--) {
        if (a->blocks[i].used)
            continue;
        if (!waited && ascend_sync(a) != PF_OK)
            return;
        waited = true;
        free_block(a, i);
    }
}

/* A kept block of this size, so that what was foreseen is what is used; -1: none. */
static int find_kept(const ascend *a, int64_t bytes)
{
    for (int i = 0; i < a->block_count; i++)
        if (!a->blocks[i].used && a->blocks[i].bytes == bytes)
            return i;
    return -1;
}

static int64_t kept_bytes(const ascend *a)
{
    int64_t kept = 0;
    for (int i = 0; i < a->block_count; i++)
        kept += a->blocks[i].used ? 0 : ascend_block_bytes(a->blocks[i].bytes);
    return kept;
}

/* CANN's code. */
static int count_free(const ascend *a, int64_t *bytes)
{
    size_t free_bytes = 0, total = 0;
    int code = a->forecast ? 0 : a->api->aclrtGetMemInfo(ACL_HBM, &free_bytes, &total);
    *bytes = a->forecast     ? a->forecast->memory_bytes
             : code == 0 ? (int64_t)free_bytes + kept_bytes(a)
                         : 0;
    return code;
}

static int64_t free_bytes(const ascend *a)
{
    int64_t bytes;
    count_free(a, &bytes);
    return bytes;
}

pf_status ascend_ask_free(ascend *a, int64_t *bytes)
{
    return ascend_check(a, count_free(a, bytes), "aclrtGetMemInfo");
}

static int malloc_block(ascend *a, int64_t bytes, void **out)
{
    return a->api->aclrtMalloc(out, (size_t)bytes, ACL_MALLOC_HUGE_FIRST);
}

pf_status ascend_allocate(ascend *a, int64_t bytes, void **out)
{
    *out = NULL;
    bytes = bytes > 0 ? bytes : ALIGNMENT;
    if (a->forecast) {
        *out = (void *)a->next_address;
        a->next_address += (uintptr_t)((bytes + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        return PF_OK;
    }
    if (a->recording)                   /* what is recorded may not move later */
        return pf_fail(a->error, PF_E_INTERNAL,
                       "ascend: %lld bytes are asked for while kernels are recorded",
                       (long long)bytes);
    if (pf_fault_hit(PF_FAULT_ALLOCATION))
        return pf_fail_memory(a->error, "device memory", (unsigned long long)bytes);
    int kept = find_kept(a, bytes);
    if (kept >= 0) {
        a->blocks[kept].used = true;
        *out = a->blocks[kept].memory;
        return PF_OK;
    }
    if (a->block_count == ASCEND_BLOCKS)
        trim(a);
    if (a->block_count == ASCEND_BLOCKS)
        return pf_fail(a->error, PF_E_INTERNAL, "ascend: more than %d blocks of memory",
                       ASCEND_BLOCKS);
    int code = malloc_block(a, bytes, out);
    if (is_memory(code)) {
        trim(a);
        code = malloc_block(a, bytes, out);
    }
    if (is_memory(code))
        return pf_fail(a->error, PF_E_MEMORY,
                       "out of memory: the device has %lld bytes left, but %lld are "
                       "needed", (long long)free_bytes(a), (long long)bytes);
    PF_TRY(ascend_check(a, code, "aclrtMalloc"));
    a->blocks[a->block_count++] = (ascend_block){*out, bytes, true};
    return PF_OK;
}

void ascend_release(ascend *a, void *memory)
{
    for (int i = 0; i < a->block_count; i++)
        if (a->blocks[i].memory == memory)
            a->blocks[i].used = false;
}

/* --- scratch ---------------------------------------------------------------------------- */

static int64_t padded(int64_t bytes)
{
    return (bytes + SLACK + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

pf_status ascend_scratch_take(ascend *a, int64_t bytes, void **out)
{
    ascend_scratch *s = &a->scratch;
    bytes = padded(bytes);
    if (a->forecast) {
        *out = (void *)(a->next_address + (uintptr_t)s->at);
        s->at += bytes;
        if (s->at > a->tally->own_bytes)
            a->tally->own_bytes = s->at;
        return PF_OK;
    }
    while (s->current < s->count && s->block[s->current].bytes - s->at < bytes) {
        s->current++;
        s->at = 0;
    }
    if (s->current == s->count) {
        int64_t room = bytes > smallest_scratch ? bytes : smallest_scratch;
        void *memory;
        if (s->count == ASCEND_SCRATCH)
            return pf_fail(a->error, PF_E_MEMORY,
                           "out of memory: one kernel needs more than %d blocks of "
                           "scratch", ASCEND_SCRATCH);
        PF_TRY(ascend_allocate(a, room, &memory));
        s->block[s->count++] = (ascend_block){memory, room, true};
    }
    *out = s->block[s->current].memory + s->at;
    s->at += bytes;
    return PF_OK;
}

static void drop_scratch(ascend *a)
{
    ascend_scratch *s = &a->scratch;
    for (int i = 0; i < s->count; i++)
        ascend_release(a, s->block[i].memory);
    *s = (ascend_scratch){0};
}

pf_status ascend_scratch_reserve(ascend *a, int64_t bytes)
{
    void *memory;
    drop_scratch(a);
    if (bytes == 0 || a->forecast)
        return PF_OK;
    if (2 * kept_bytes(a) > free_bytes(a))   /* large blocks want one piece each */
        trim(a);
    PF_TRY(ascend_allocate(a, bytes, &memory));
    a->scratch.block[a->scratch.count++] = (ascend_block){memory, bytes, true};
    return PF_OK;
}

pf_status ascend_workspace(ascend *a, int64_t bytes, void **out)
{
    if (a->workspace_bytes < bytes) {
        int64_t room = smallest_workspace;
        while (room < bytes)
            room *= 2;
        ascend_release(a, a->workspace);
        a->workspace = NULL;
        a->workspace_bytes = 0;
        PF_TRY(ascend_allocate(a, room, &a->workspace));
        a->workspace_bytes = room;
    }
    *out = a->workspace;
    return PF_OK;
}

ascend_mark ascend_scratch_mark(const ascend *a)
{
    return (ascend_mark){a->scratch.current, a->scratch.at};
}

void ascend_scratch_rewind(ascend *a, ascend_mark mark)
{
    a->scratch.current = mark.current;
    a->scratch.at = mark.at;
}

/* --- copies ------------------------------------------------------------------------------- */

static pf_status queue_upload(ascend *a, void *device, const char *stage, int64_t bytes)
{
    return ascend_check_queued(a, a->api->aclrtMemcpyAsync(device, (size_t)bytes, stage,
                               (size_t)bytes, ACL_HOST_TO_DEVICE, a->stream),
                               "an upload");
}

/* Every replay reads it again: it gets memory that nothing else is written to. */
static pf_status upload_for_good(ascend *a, void *device, pf_dtype dtype, const void *host,
                                 pf_dtype from, int64_t count)
{
    int64_t bytes = pf_dtype_bytes(dtype, count);
    char *stage = a->staging + staging_bytes + a->staged_for_good;
    if (a->staged_for_good + bytes > staging_for_good)
        return pf_fail(a->error, PF_E_UNSUPPORTED,
                       "ascend: %lld bytes are uploaded while kernels are recorded, but "
                       "there is room for %lld", (long long)bytes,
                       (long long)(staging_for_good - a->staged_for_good));
    pf_convert(host, from, count, stage, dtype);
    a->staged_for_good += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return queue_upload(a, device, stage, bytes);
}

/* Through pinned memory, which a later wait for the stream makes free again: small
 * uploads, such as those of a denoising step, wait for nothing. */
pf_status ascend_upload(ascend *a, void *device, pf_dtype dtype, const void *host,
                        pf_dtype from, int64_t count)
{
    const char *source = host;
    char *to = device;
    if (a->recording)
        return upload_for_good(a, device, dtype, host, from, count);
    while (count > 0) {
        int64_t room = pf_dtype_fits(dtype, staging_bytes - a->staged);
        if (room < (count < CHUNK ? count : CHUNK)) {
            PF_TRY(ascend_sync(a));
            continue;
        }
        int64_t here = count < room ? count : room, bytes = pf_dtype_bytes(dtype, here);
        char *stage = a->staging + a->staged;
        if (!a->forecast) {
            pf_convert(source, from, here, stage, dtype);
            PF_TRY(queue_upload(a, to, stage, bytes));
        }
        a->staged += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        source += pf_dtype_bytes(from, here);
        to += bytes;
        count -= here;
    }
    return PF_OK;
}

pf_status ascend_download(ascend *a, void *host, const void *device, int64_t bytes)
{
    char *to = host;
    const char *from = device;
    while (bytes > 0) {
        int64_t here = bytes < staging_bytes ? bytes : staging_bytes;
        if (a->staged + here > staging_bytes)
            PF_TRY(ascend_sync(a));
        if (a->forecast)
            return ascend_sync(a);
        char *stage = a->staging + a->staged;
        PF_TRY(ascend_check_queued(a, a->api->aclrtMemcpyAsync(stage, (size_t)here, from,
                                   (size_t)here, ACL_DEVICE_TO_HOST, a->stream),
                                   "a download"));
        PF_TRY(ascend_sync(a));
        memcpy(to, stage, (size_t)here);
        to += here;
        from += here;
        bytes -= here;
    }
    return PF_OK;
}

/* The memory that `number` lands in, and its event; made when it is first used. */
static pf_status prepare_transfer(ascend *a, ascend_transfer *t, int64_t bytes)
{
    const ascend_api *f = a->api;
    void *memory = NULL;
    if (t->room < bytes) {
        if (t->landing) {
            PF_TRY(ascend_sync(a));
            f->aclrtFreeHost(t->landing);
        }
        *t = (ascend_transfer){.arrived = t->arrived};
        PF_TRY(ascend_check(a, f->aclrtMallocHost(&memory, (size_t)bytes),
                            "aclrtMallocHost"));
        t->landing = memory;
        t->room = bytes;
    }
    if (t->arrived)
        return PF_OK;
    return ascend_check(a, f->aclrtCreateEventExWithFlag(&t->arrived, ACL_EVENT_SYNC),
                        "aclrtCreateEventExWithFlag");
}

pf_status ascend_transfer_begin(ascend *a, int number, const void *device, int64_t bytes)
{
    ascend_transfer *t = &a->transfers[number];
    if (a->forecast || bytes == 0)
        return PF_OK;
    PF_TRY(prepare_transfer(a, t, bytes));
    PF_TRY(ascend_check_queued(a, a->api->aclrtMemcpyAsync(t->landing, (size_t)t->room,
                               device, (size_t)bytes, ACL_DEVICE_TO_HOST, a->stream),
                               "a download"));
    t->under_way = true;
    return ascend_check_queued(a, a->api->aclrtRecordEvent(t->arrived, a->stream),
                               "aclrtRecordEvent");
}

pf_status ascend_transfer_end(ascend *a, int number, void *host, int64_t bytes)
{
    ascend_transfer *t = &a->transfers[number];
    if (a->forecast || bytes == 0)
        return PF_OK;
    int code = t->under_way ? a->api->aclrtSynchronizeEventWithTimeout(
                                  t->arrived, SYNC_MILLISECONDS) : 0;
    t->under_way = false;
    pf_status status = ascend_check(a, code, "waiting for a download");
    if (status != PF_OK)
        ascend_renew_stream(a);
    else
        memcpy(host, t->landing, (size_t)bytes);
    return status;
}

static void close_transfers(ascend *a)
{
    for (int i = 0; i < PF_TRANSFERS; i++) {
        if (a->transfers[i].arrived)
            a->api->aclrtDestroyEvent(a->transfers[i].arrived);
        if (a->transfers[i].landing)
            a->api->aclrtFreeHost(a->transfers[i].landing);
    }
}

/* --- opening ------------------------------------------------------------------------------- */

/* bf16 is what the weights are in: devices without it are refused. */
static pf_status check_soc(ascend *a)
{
    const char *name = a->api->aclrtGetSocName();
    snprintf(a->facts.soc, sizeof a->facts.soc, "%s", name ? name : "unknown");
    if (strncmp(a->facts.soc, "Ascend910B", 10) == 0 ||
        strncmp(a->facts.soc, "Ascend910_93", 12) == 0)
        return PF_OK;
    return pf_fail(a->error, PF_E_UNSUPPORTED,
                   "ascend: the device is %s, but must be Ascend910B or Ascend910_93 "
                   "(others have no bf16)", a->facts.soc);
}

static pf_status check_device(ascend *a)
{
    uint32_t count = 0;
    PF_TRY(ascend_check(a, a->api->aclrtGetDeviceCount(&count), "aclrtGetDeviceCount"));
    if (a->device >= 0 && (uint32_t)a->device < count)
        return PF_OK;
    if (count == 0)
        return pf_fail(a->error, PF_E_PLATFORM,
                       "ascend: CANN is installed, but finds no device");
    return pf_fail(a->error, PF_E_ARGUMENT,
                   "device is %d, but this machine has %u (0 to %d)", a->device,
                   count, (int)count - 1);
}

static int64_t capability(const ascend *a, int info)
{
    int64_t value = 0;
    if (!a->api->aclGetDeviceCapability ||
        a->api->aclGetDeviceCapability((uint32_t)a->device, info, &value) != 0)
        return 0;
    return value;
}

static void read_facts(ascend *a)
{
    acl_package_version version;
    memset(&version, 0, sizeof version);
    snprintf(a->facts.version, sizeof a->facts.version, "unknown");
    if (a->api->aclsysGetCANNVersion && a->api->aclsysGetCANNVersion(0, &version) == 0)
        snprintf(a->facts.version, sizeof a->facts.version, "%.63s", version.version);
    a->facts.cube_cores = capability(a, ACL_CUBE_CORES);
    a->facts.vector_cores = capability(a, ACL_VECTOR_CORES);
    a->facts.l2_bytes = capability(a, ACL_L2_BYTES);
}

static pf_status open_parts(ascend *a)
{
    const ascend_api *f = a->api;
    void *staging = NULL;
    PF_TRY(check_device(a));
    PF_TRY(check_soc(a));
    PF_TRY(ascend_check(a, f->aclrtSetDevice(a->device), "aclrtSetDevice"));
    a->device_set = true;
    pf_status status = ascend_check(a, f->aclrtCreateContext(&a->context, a->device),
                                    "aclrtCreateContext");
    if (status == PF_OK)
        status = ascend_check(a, f->aclrtCreateStream(&a->stream), "aclrtCreateStream");
    if (status == PF_OK)
        status = ascend_check(a, f->aclrtMallocHost(&staging,
                              (size_t)(staging_bytes + staging_for_good)),
                              "aclrtMallocHost");
    a->staging = staging;
    if (status == PF_OK)
        status = ascend_cache_create(&a->cache, a->error);
    if (status == PF_OK)
        read_facts(a);
    return status;
}

pf_status ascend_device_open(int device, const ascend_soc *forecast, ascend **out,
                             pf_error *error)
{
    *out = NULL;
    const ascend_api *api = NULL;
    if (!forecast)
        PF_TRY(ascend_library(&api, error));
    ascend *a = pf_calloc(1, sizeof *a);
    ascend_block *blocks = pf_calloc(ASCEND_BLOCKS, sizeof *blocks);
    if (!a || !blocks) {
        pf_free(a);
        pf_free(blocks);
        return pf_fail_memory(error, "ascend platform", sizeof *a);
    }
    *a = (ascend){.api = api, .device = device, .blocks = blocks, .error = error,
                  .forecast = forecast, .next_address = (uintptr_t)1 << 40};
    if (forecast)
        snprintf(a->facts.soc, sizeof a->facts.soc, "%s", forecast->name);
    pf_status status = forecast ? PF_OK : open_parts(a);
    if (status != PF_OK) {
        ascend_device_close(a);
        return status;
    }
    *out = a;
    return PF_OK;
}

pf_status ascend_counter_open(const ascend *a, ascend **out, pf_error *error)
{
    const ascend_soc *forecast = a->forecast ? a->forecast : ascend_soc_like(a->facts.soc);
    PF_TRY(ascend_device_open(a->device, forecast, out, error));
    (*out)->api = a->api;
    (*out)->for_device = !a->forecast || a->for_device;
    (*out)->facts = a->facts;
    (*out)->fused = a->fused;
    return PF_OK;
}

void ascend_device_close(ascend *a)
{
    const ascend_api *f = a->api;
    if (a->context) {
        ascend_enter(a, NULL);
        ascend_record_drop(a);
        if (a->stream)
            ascend_sync(a);
        if (a->cache)
            ascend_cache_destroy(a);
        while (a->block_count > 0)
            free_block(a, a->block_count - 1);
        close_transfers(a);
        if (a->staging)
            f->aclrtFreeHost(a->staging);
        if (a->stream)
            f->aclrtDestroyStream(a->stream);
        f->aclrtDestroyContext(a->context);
    }
    if (a->device_set) {
        f->aclrtResetDevice(a->device);
        ascend_library_rest();
    }
    pf_free(a->blocks);
    pf_free(a);
}
