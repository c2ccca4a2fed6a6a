/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, entering and closing a device, and its errors.  See device.h. */
#include "platform/common/device.h"

pf_status pf_device_check(pf_device *d, int code, const char *doing)
{
    return code == 0 ? PF_OK : d->driver->explain(d->handle, code, doing, d->error);
}

pf_status pf_device_check_queued(pf_device *d, int code, const char *doing)
{
    pf_status status = pf_device_check(d, code, doing);
    if (status == PF_OK || d->capturing)
        return status;
    pf_status before = pf_device_drain(d);
    return before != PF_OK ? before : status;
}

/* The device is current already while something is captured, and may not be asked then. */
pf_status pf_device_enter(pf_device *d, pf_error *error)
{
    d->error = error;
    pf_device_scratch_rewind(d, (pf_scratch_mark){0, 0});
    if (d->capturing || !d->driver->enter)
        return PF_OK;
    return pf_device_check(d, d->driver->enter(d->handle), NULL);
}

pf_status pf_device_open(pf_device *d, const pf_driver *driver, void *handle,
                         pf_tally *tally, bool counting, pf_error *error)
{
    *d = (pf_device){.driver = driver, .handle = handle, .tally = tally, .error = error,
                     .counting = counting, .next_ticket = 1};
    if (!counting)
        return pf_device_open_staging(d);
    pf_device_scratch_endless(d);
    return PF_OK;
}

static void close_tickets(pf_device *d)
{
    for (int i = 0; i < PF_TICKETS; i++) {
        pf_ticket_slot *slot = &d->tickets[i];
        if (slot->mark)
            d->driver->unmark(d->handle, slot->mark);
        if (slot->landing)
            d->driver->unpin(d->handle, slot->landing);
        *slot = (pf_ticket_slot){0};
    }
}

static void close_blocks(pf_device *d)
{
    for (int i = 0; i < d->blocks.count; i++)
        d->driver->release(d->handle, d->blocks.all[i].memory);
    pf_blocks_close(&d->blocks);
}

void pf_device_close(pf_device *d)
{
    if (!d->driver)
        return;
    pf_device_enter(d, NULL);
    while (d->recordings)
        pf_device_record_drop(d, d->recordings);
    pf_device_drain(d);
    close_blocks(d);
    close_tickets(d);
    if (d->staging.memory)
        d->driver->unpin(d->handle, d->staging.memory);
    *d = (pf_device){0};
}
