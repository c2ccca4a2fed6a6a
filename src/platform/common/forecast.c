/* SPDX-License-Identifier: Apache-2.0 */
/* Counting instead of computing.  See forecast.h. */
#include "platform/common/forecast.h"

/* --- the time of an operator --------------------------------------------------- */

double pf_device_kind_peak(const pf_device_kind *kind, pf_dtype dtype)
{
    double bf16 = kind->matrix_cores * kind->megahertz * 1e6 * kind->matrix_operations;
    return dtype == PF_BF16 ? bf16 : bf16 / 4.0;
}

static double vector_peak(const pf_device_kind *kind)
{
    return kind->vector_cores * kind->megahertz * 1e6 * kind->vector_operations;
}

void pf_forecast_add(const pf_device_kind *kind, const pf_work *work, pf_tally *tally)
{
    double elements = work->bytes / 4.0;
    double arithmetic = work->flops > 0.0
                            ? work->flops / pf_device_kind_peak(kind, work->dtype)
                            : elements / vector_peak(kind);
    double memory = work->bytes / kind->bytes_per_second;
    tally->launches++;
    tally->flops += work->flops;
    tally->bytes += work->bytes;
    tally->seconds += arithmetic > memory ? arithmetic : memory;
}

/* --- the driver ------------------------------------------------------------------ */

static const uintptr_t first_address = (uintptr_t)1 << 45, step = 4096;

/* Made-up addresses; there is a gap behind each block. */
static int allocate(void *handle, int64_t bytes, void **address)
{
    pf_counting *c = handle;
    *address = (void *)(first_address + c->next_address);
    c->next_address += ((uintptr_t)bytes / step + 2) * step;
    return 0;
}

static void release(void *handle, void *address)
{
    (void)handle, (void)address;
}

static int free_bytes(void *handle, int64_t *bytes)
{
    const pf_counting *c = handle;
    *bytes = c->kind->memory_bytes;
    return 0;
}

static int drain(void *handle, pf_lane lane)
{
    (void)handle, (void)lane;
    return 0;
}

const pf_driver pf_counting_driver = {
    .name = "forecast",
    .lanes = 1,
    .allocate = allocate,
    .release = release,
    .free_bytes = free_bytes,
    .drain = drain,
};
