/* Reference platform: memory, which is the host's, and weights, which stay where
 * they were loaded.
 */
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "platform/reference/kernels.h"

/* --- blocks ----------------------------------------------------------------- */

static pf_status allocate(pf_platform *platform, int64_t bytes, void **out,
                          pf_error *error)
{
    (void)platform;
    *out = pf_alloc((size_t)bytes);
    if (!*out)
        return pf_fail_memory(error, "tensors", (unsigned long long)bytes);
    return PF_OK;
}

static void release(pf_platform *platform, void *memory)
{
    (void)platform;
    pf_free(memory);
}

static pf_status upload(pf_platform *platform, void *device, const void *host,
                        int64_t bytes, pf_error *error)
{
    (void)platform;
    (void)error;
    if (bytes > 0)
        memcpy(device, host, (size_t)bytes);
    return PF_OK;
}

static pf_status download(pf_platform *platform, void *host, const void *device,
                          int64_t bytes, pf_error *error)
{
    return upload(platform, host, device, bytes, error);
}

static pf_status download_begin(pf_platform *platform, int number, void *host,
                                const void *device, int64_t bytes, bool *there,
                                pf_error *error)
{
    (void)number;
    *there = true;
    return download(platform, host, device, bytes, error);
}

static pf_status download_end(pf_platform *platform, int number, void *host,
                              int64_t bytes, pf_error *error)
{
    (void)platform, (void)number, (void)host, (void)bytes, (void)error;
    return PF_OK;
}

/* --- weights ---------------------------------------------------------------- */

static pf_status weight_prepare(pf_platform *platform, pf_weight_kind kind,
                                pf_math math, const pf_tensor *source,
                                pf_weight *out, pf_error *error)
{
    (void)platform;
    (void)error;
    *out = (pf_weight){.kind = kind, .math = math, .source = *source};
    return PF_OK;
}

static int64_t weight_bytes(pf_platform *platform, pf_weight_kind kind,
                            pf_math math, const pf_tensor *source)
{
    (void)platform;
    (void)kind;
    (void)math;
    (void)source;
    return 0;
}

static void weight_release(pf_platform *platform, pf_weight *weight)
{
    (void)platform;
    *weight = (pf_weight){0};
}

void reference_fill_memory(pf_platform_table *table)
{
    table->allocate = allocate;
    table->release = release;
    table->upload = upload;
    table->download = download;
    table->download_begin = download_begin;
    table->download_end = download_end;
    table->weight_prepare = weight_prepare;
    table->weight_bytes = weight_bytes;
    table->weight_release = weight_release;
}

/* --- how much there is ------------------------------------------------------ */

int64_t reference_available_memory(void)
{
    pf_machine machine;
    pf_machine_read(NULL, &machine);
    return least(machine.memory, least(machine.address_space, machine.data));
}
