/* SPDX-License-Identifier: Apache-2.0 */
/* Copies through pinned memory.  See device.h.
 *
 *     |uploads that the device may still read| free            |      32 MiB
 *      0                                      used
 *
 * Small uploads, such as those of a denoising step, take the next free part and wait for
 * nothing.  When no useful part is left the lanes are drained, and all of it is free again.
 */
#include <string.h>

#include "platform/common/device.h"

enum { SMALLEST_PIECE = 1 << 16 };      /* values; a smaller rest of staging is not used */

static const int64_t staging_bytes = (int64_t)32 << 20;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

pf_status pf_device_open_staging(pf_device *d)
{
    void *memory = NULL;
    PF_TRY(pf_device_check(d, d->driver->pin(d->handle, staging_bytes, &memory), NULL));
    d->staging.memory = memory;
    return PF_OK;
}

static pf_status queue_upload(pf_device *d, void *device, const char *pinned, int64_t bytes)
{
    int code = d->driver->copy(d->handle, PF_LANE_COMPUTE, &(pf_transfer){
        .kind = PF_UPLOAD, .to = device, .from = pinned, .bytes = bytes});
    return pf_device_check_queued(d, code, "an upload");
}

static pf_status upload_constants(pf_device *d, void *device, pf_dtype dtype,
                                  const void *host, pf_dtype from, int64_t count)
{
    char *memory;
    PF_TRY(pf_device_constants(d, pf_dtype_bytes(dtype, count), &memory));
    pf_convert(host, from, count, memory, dtype);
    return queue_upload(d, device, memory, pf_dtype_bytes(dtype, count));
}

/* Uploads a piece through the free part of staging. */
static pf_status upload_piece(pf_device *d, char *device, pf_dtype dtype, const char *host,
                              pf_dtype from, int64_t count)
{
    char *stage = d->staging.memory + d->staging.used;
    int64_t bytes = pf_dtype_bytes(dtype, count);
    if (!d->counting) {
        pf_convert(host, from, count, stage, dtype);
        PF_TRY(queue_upload(d, device, stage, bytes));
    }
    d->staging.used += (bytes + PF_ALIGNMENT - 1) / PF_ALIGNMENT * PF_ALIGNMENT;
    return PF_OK;
}

pf_status pf_device_upload(pf_device *d, void *device, pf_dtype dtype, const void *host,
                           pf_dtype from, int64_t count)
{
    const char *source = host;
    char *to = device;
    if (d->capturing)
        return upload_constants(d, device, dtype, host, from, count);
    while (count > 0) {
        int64_t room = pf_dtype_fits(dtype, staging_bytes - d->staging.used);
        if (room < least(count, SMALLEST_PIECE)) {
            PF_TRY(pf_device_drain(d));
            continue;
        }
        int64_t here = least(count, room);
        PF_TRY(upload_piece(d, to, dtype, source, from, here));
        source += pf_dtype_bytes(from, here);
        to += pf_dtype_bytes(dtype, here);
        count -= here;
    }
    return PF_OK;
}

/* Downloads a piece for which there is room in staging. */
static pf_status download_piece(pf_device *d, char *host, const char *device, int64_t bytes)
{
    char *stage = d->staging.memory + d->staging.used;
    int code = d->driver->copy(d->handle, PF_LANE_COMPUTE, &(pf_transfer){
        .kind = PF_DOWNLOAD, .to = stage, .from = device, .bytes = bytes});
    PF_TRY(pf_device_check_queued(d, code, "a download"));
    PF_TRY(pf_device_drain(d));
    memcpy(host, stage, (size_t)bytes);
    return PF_OK;
}

pf_status pf_device_download(pf_device *d, void *host, const void *device, int64_t bytes)
{
    char *to = host;
    const char *from = device;
    if (d->counting)
        return bytes > 0 ? pf_device_drain(d) : PF_OK;
    while (bytes > 0) {
        int64_t here = least(bytes, staging_bytes);
        if (d->staging.used + here > staging_bytes)
            PF_TRY(pf_device_drain(d));
        PF_TRY(download_piece(d, to, from, here));
        to += here;
        from += here;
        bytes -= here;
    }
    return PF_OK;
}
