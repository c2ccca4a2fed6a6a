/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets: copies to the host that may be under way while the next work is queued, and marks
 * of lanes.  See device.h.
 *
 *     FREE --begin--> QUEUED --wait--> FREE
 *                       |--drain----> ARRIVED --wait--> FREE
 *                       `--failure--> LOST -----wait--> FREE, and an error
 *
 * A slot whose ticket nobody waits for, because its film has failed, is taken again when no
 * other is free.
 */
#include <string.h>

#include "platform/common/device.h"

pf_ticket_slot *pf_device_find_ticket(pf_device *d, pf_ticket ticket)
{
    for (int i = 0; i < PF_TICKETS; i++)
        if (d->tickets[i].state != PF_TICKET_FREE && d->tickets[i].number == ticket.number)
            return &d->tickets[i];
    return NULL;
}

pf_ticket_slot *pf_device_take_ticket(pf_device *d, pf_lane lane)
{
    pf_ticket_slot *slot = &d->tickets[0];
    for (int i = 0; i < PF_TICKETS && slot->state != PF_TICKET_FREE; i++)
        if (d->tickets[i].state == PF_TICKET_FREE || d->tickets[i].number < slot->number)
            slot = &d->tickets[i];
    slot->state = PF_TICKET_FREE;
    slot->lane = lane;
    slot->to = NULL;
    slot->bytes = 0;
    return slot;
}

pf_status pf_device_put_mark(pf_device *d, pf_ticket_slot *slot, pf_ticket *out)
{
    int code = d->driver->mark(d->handle, slot->lane, &slot->mark);
    PF_TRY(pf_device_check_queued(d, code, NULL));
    slot->state = PF_TICKET_QUEUED;
    slot->number = d->next_ticket++;
    *out = (pf_ticket){slot->number};
    return PF_OK;
}

/* Landing memory is as large as the largest copy that the slot had. */
static pf_status make_landing(pf_device *d, pf_ticket_slot *slot, int64_t bytes)
{
    void *memory = NULL;
    if (slot->room >= bytes)
        return PF_OK;
    if (slot->landing) {
        PF_TRY(pf_device_drain(d));     /* a copy that was given up may still be queued */
        d->driver->unpin(d->handle, slot->landing);
    }
    slot->landing = NULL;
    slot->room = 0;
    PF_TRY(pf_device_check(d, d->driver->pin(d->handle, bytes, &memory), NULL));
    slot->landing = memory;
    slot->room = bytes;
    return PF_OK;
}

pf_status pf_device_download_begin(pf_device *d, void *host, const void *device,
                                   int64_t bytes, pf_ticket *out)
{
    *out = (pf_ticket){0};
    if (d->counting || bytes == 0)
        return PF_OK;
    pf_ticket_slot *slot = pf_device_take_ticket(d, PF_LANE_COMPUTE);
    PF_TRY(make_landing(d, slot, bytes));
    int code = d->driver->copy(d->handle, PF_LANE_COMPUTE, &(pf_transfer){
        .kind = PF_DOWNLOAD, .to = slot->landing, .from = device, .bytes = bytes});
    PF_TRY(pf_device_check_queued(d, code, "a download"));
    slot->to = host;
    slot->bytes = bytes;
    return pf_device_put_mark(d, slot, out);
}

static pf_status arrive(pf_device *d, pf_ticket_slot *slot)
{
    if (slot->state == PF_TICKET_LOST)
        return pf_fail(d->error, PF_E_PLATFORM,
                       "%s: the copy was lost when earlier work failed", d->driver->name);
    if (slot->state == PF_TICKET_ARRIVED)
        return PF_OK;
    return pf_device_check(d, d->driver->join(d->handle, slot->mark),
                           "waiting for a download");
}

pf_status pf_device_wait(pf_device *d, pf_ticket ticket)
{
    if (ticket.number == 0)
        return PF_OK;
    pf_ticket_slot *slot = pf_device_find_ticket(d, ticket);
    if (!slot)
        return pf_fail(d->error, PF_E_INTERNAL,
                       "%s: the ticket %llu was waited for already, or given up",
                       d->driver->name, (unsigned long long)ticket.number);
    pf_ticket_state state = slot->state;
    pf_status status = arrive(d, slot);
    slot->state = PF_TICKET_FREE;
    if (status == PF_OK && slot->to)
        memcpy(slot->to, slot->landing, (size_t)slot->bytes);
    if (status != PF_OK && state == PF_TICKET_QUEUED)
        pf_device_renew(d, slot->lane);
    return status;
}
