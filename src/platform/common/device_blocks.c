/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of device memory: kept for the next one who asks, or given back.  See device.h. */
#include "base/fault.h"
#include "platform/common/device.h"

void pf_device_trim(pf_device *d)
{
    char *memory;
    if (d->blocks.kept_count == 0 || pf_device_drain(d) != PF_OK)
        return;
    while ((memory = pf_blocks_drop(&d->blocks)))
        d->driver->release(d->handle, memory);
}

static int64_t block_bytes(const pf_device *d, int64_t bytes)
{
    return pf_block_bytes(&(pf_capabilities){.block_unit = d->driver->block_unit,
                                             .block_extra = d->driver->block_extra}, bytes);
}

static int64_t kept_bytes(const pf_device *d)
{
    int64_t kept = 0;
    for (int i = 0; i < d->blocks.kept_count; i++)
        kept += block_bytes(d, d->blocks.kept[i].bytes);
    return kept;
}

pf_status pf_device_free_bytes(pf_device *d, int64_t *bytes)
{
    *bytes = 0;
    PF_TRY(pf_device_check(d, d->driver->free_bytes(d->handle, bytes), NULL));
    *bytes += kept_bytes(d);
    return PF_OK;
}

/* Would giving the kept blocks back more than double the free memory? */
bool pf_device_is_crowded(pf_device *d)
{
    int64_t free_bytes = 0;
    d->driver->free_bytes(d->handle, &free_bytes);
    return kept_bytes(d) > free_bytes;
}

static bool is_short(pf_device *d, int code)
{
    return code != 0 && d->driver->explain(d->handle, code, NULL, NULL) == PF_E_MEMORY;
}

static pf_status fail_short(pf_device *d, int64_t bytes)
{
    int64_t left = 0;
    d->driver->free_bytes(d->handle, &left);
    return pf_fail(d->error, PF_E_MEMORY,
                   "out of memory: the device has %lld bytes left, but %lld are needed",
                   (long long)(left + kept_bytes(d)), (long long)bytes);
}

/* A new block; there is room for it in the list. */
static pf_status allocate_new(pf_device *d, int64_t bytes, void **out)
{
    int code = d->driver->allocate(d->handle, bytes, out);
    if (is_short(d, code)) {
        pf_device_trim(d);
        code = d->driver->allocate(d->handle, bytes, out);
    }
    if (is_short(d, code))
        return fail_short(d, bytes);
    PF_TRY(pf_device_check(d, code, NULL));
    pf_blocks_add(&d->blocks, *out, bytes);
    return PF_OK;
}

pf_status pf_device_allocate(pf_device *d, int64_t bytes, void **out)
{
    *out = NULL;
    bytes = bytes > 0 ? bytes : PF_ALIGNMENT;
    if (d->capturing)                   /* recorded addresses may not move later */
        return pf_fail(d->error, PF_E_INTERNAL,
                       "%s: %lld bytes of memory are needed while kernels are recorded",
                       d->driver->name, (long long)bytes);
    if (pf_fault_hit(PF_FAULT_ALLOCATION) || !pf_blocks_reserve(&d->blocks))
        return pf_fail_memory(d->error, "device memory", (unsigned long long)bytes);
    *out = pf_blocks_take(&d->blocks, bytes);
    return *out ? PF_OK : allocate_new(d, bytes, out);
}

void pf_device_release(pf_device *d, void *memory)
{
    if (memory)
        pf_blocks_give(&d->blocks, memory, d->recordings || d->capturing);
}
