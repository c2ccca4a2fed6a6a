/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of the platform's table that every device platform has alike.  See device.h. */
#include "platform/common/device.h"

static pf_status allocate(pf_platform *platform, int64_t bytes, void **out,
                          pf_error *error)
{
    pf_device *d = pf_device_of(platform);
    PF_TRY(pf_device_enter(d, error));
    return pf_device_allocate(d, bytes, out);
}

static void release(pf_platform *platform, void *memory)
{
    pf_device_release(pf_device_of(platform), memory);
}

static pf_status transfer(pf_platform *platform, const pf_transfer *what,
                          pf_ticket *ticket, pf_error *error)
{
    pf_device *d = pf_device_of(platform);
    PF_TRY(pf_device_enter(d, error));
    if (ticket)
        *ticket = (pf_ticket){0};
    if (what->kind == PF_UPLOAD)
        return pf_device_upload(d, what->to, PF_U8, what->from, PF_U8, what->bytes);
    if (ticket)
        return pf_device_download_begin(d, what->to, what->from, what->bytes, ticket);
    return pf_device_download(d, what->to, what->from, what->bytes);
}

static pf_status wait(pf_platform *platform, pf_ticket ticket, pf_error *error)
{
    pf_device *d = pf_device_of(platform);
    PF_TRY(pf_device_enter(d, error));
    return pf_device_wait(d, ticket);
}

static pf_status reserve(pf_platform *platform, int64_t bytes, pf_error *error)
{
    pf_device *d = pf_device_of(platform);
    PF_TRY(pf_device_enter(d, error));
    return pf_device_scratch_reserve(d, bytes);
}

static pf_status record_begin(pf_platform *platform, pf_error *error)
{
    pf_device *d = pf_device_of(platform);
    PF_TRY(pf_device_enter(d, error));
    return pf_device_record_begin(d);
}

static pf_status record_end(pf_platform *platform, pf_recording **out, pf_error *error)
{
    pf_device *d = pf_device_of(platform);
    if (out)
        *out = NULL;
    PF_TRY(pf_device_enter(d, error));
    return pf_device_record_end(d, out);
}

static pf_status replay(pf_platform *platform, pf_recording *recording, pf_error *error)
{
    pf_device *d = pf_device_of(platform);
    PF_TRY(pf_device_enter(d, error));
    return pf_device_replay(d, recording);
}

static void record_drop(pf_platform *platform, pf_recording *recording)
{
    pf_device *d = pf_device_of(platform);
    if (!recording)
        return;
    pf_device_enter(d, NULL);
    pf_device_record_drop(d, recording);
}

void pf_device_fill_table(pf_platform_table *table)
{
    table->allocate = allocate;
    table->release = release;
    table->transfer = transfer;
    table->wait = wait;
    table->reserve = reserve;
    table->record_begin = record_begin;
    table->record_end = record_end;
    table->replay = replay;
    table->record_drop = record_drop;
}
