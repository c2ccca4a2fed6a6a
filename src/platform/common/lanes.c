/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for the lanes of a device, and ordering one behind the other.  See device.h.
 *
 *     PF_LANE_COPY      copy   copy   |mark
 *                                      \ follow
 *     PF_LANE_COMPUTE   kernel          `-> kernel that reads what was copied
 */
#include "platform/common/device.h"

static void settle(pf_device *d)
{
    d->staging.used = 0;
    for (int i = 0; i < PF_TICKETS; i++)
        if (d->tickets[i].state == PF_TICKET_QUEUED)
            d->tickets[i].state = PF_TICKET_ARRIVED;
    if (!d->recordings && d->driver->settled)
        d->driver->settled(d->handle);
}

pf_status pf_device_drain(pf_device *d)
{
    pf_status status = PF_OK;
    if (d->capturing)
        return pf_fail(d->error, PF_E_INTERNAL, "%s: a wait while kernels are recorded",
                       d->driver->name);
    d->tally->waits++;
    for (int lane = 0; lane < d->driver->lanes; lane++) {
        int code = d->driver->drain(d->handle, (pf_lane)lane);
        if (code != 0 && status == PF_OK)
            status = pf_device_check(d, code, "waiting for the stream");
        if (code != 0)
            pf_device_renew(d, (pf_lane)lane);
    }
    settle(d);
    return status;
}

void pf_device_renew(pf_device *d, pf_lane lane)
{
    for (int i = 0; i < PF_TICKETS; i++)
        if (d->tickets[i].lane == lane && d->tickets[i].state == PF_TICKET_QUEUED)
            d->tickets[i].state = PF_TICKET_LOST;
    if (d->driver->renew)
        d->driver->renew(d->handle, lane);
}

/* The lane that does the work of `lane`. */
static pf_lane lane_of(const pf_device *d, pf_lane lane)
{
    return (int)lane < d->driver->lanes ? lane : PF_LANE_COMPUTE;
}

pf_status pf_device_mark(pf_device *d, pf_lane lane, pf_ticket *out)
{
    *out = (pf_ticket){0};
    if (d->counting)
        return PF_OK;
    return pf_device_put_mark(d, pf_device_take_ticket(d, lane_of(d, lane)), out);
}

/* A ticket that has no slot any more may have been given up before its work was done: then
 * a new mark of the other lane stands for it. */
pf_status pf_device_follow(pf_device *d, pf_lane lane, pf_ticket ticket)
{
    lane = lane_of(d, lane);
    if (d->driver->lanes == 1 || ticket.number == 0)
        return PF_OK;
    const pf_ticket_slot *slot = pf_device_find_ticket(d, ticket);
    if (!slot) {
        pf_lane other = lane == PF_LANE_COMPUTE ? PF_LANE_COPY : PF_LANE_COMPUTE;
        PF_TRY(pf_device_mark(d, other, &ticket));
        slot = pf_device_find_ticket(d, ticket);
    }
    if (slot->state != PF_TICKET_QUEUED)
        return PF_OK;
    return pf_device_check_queued(d, d->driver->follow(d->handle, lane, slot->mark), NULL);
}
