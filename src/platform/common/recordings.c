/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings: kernels that are kept as a graph of the driver and replayed.  See device.h and
 * platform.h, record_begin.
 *
 * Between begin and end PF_LANE_COMPUTE keeps what it is given, and neither it nor its marks
 * may be waited for.  It is empty at the beginning, so that a lane whose capture fails is
 * renewed without loss.
 *
 * A recording holds addresses.  As long as one lives, blocks that are given back are held
 * (blocks.h), and executors of the platform stay (driver.h, settled).
 */
#include "base/memory.h"
#include "platform/common/device.h"

static const int64_t constants_bytes = (int64_t)1 << 20;

bool pf_device_records(const pf_device *d)
{
    return d->driver->capture_begin != NULL;
}

static void free_recording(pf_device *d, pf_recording *r)
{
    if (r->graph)
        d->driver->drop_graph(d->handle, r->graph);
    if (r->constants)
        d->driver->unpin(d->handle, r->constants);
    pf_free(r);
}

static pf_status begin_capture(pf_device *d, pf_recording *r)
{
    void *memory = NULL;
    PF_TRY(pf_device_check(d, d->driver->pin(d->handle, constants_bytes, &memory), NULL));
    r->constants = memory;
    return pf_device_check(d, d->driver->capture_begin(d->handle), NULL);
}

pf_status pf_device_record_begin(pf_device *d)
{
    pf_recording *r = pf_calloc(1, sizeof *r);
    if (!r)
        return pf_fail_memory(d->error, "recording", sizeof *r);
    pf_status status = begin_capture(d, r);
    if (status == PF_OK)
        d->capturing = r;
    else
        free_recording(d, r);
    return status;
}

pf_status pf_device_constants(pf_device *d, int64_t bytes, char **out)
{
    pf_recording *r = d->capturing;
    if (r->used + bytes > constants_bytes)
        return pf_fail(d->error, PF_E_UNSUPPORTED,
                       "%s: %lld bytes are uploaded while kernels are recorded, but there "
                       "is room for %lld", d->driver->name, (long long)bytes,
                       (long long)(constants_bytes - r->used));
    *out = r->constants + r->used;
    r->used += (bytes + PF_ALIGNMENT - 1) / PF_ALIGNMENT * PF_ALIGNMENT;
    return PF_OK;
}

/* Frees the held blocks when the last recording is gone. */
static void let_go(pf_device *d)
{
    if (!d->recordings)
        pf_blocks_unhold(&d->blocks);
}

pf_status pf_device_record_end(pf_device *d, pf_recording **out)
{
    pf_recording *r = d->capturing;
    int code = d->driver->capture_end(d->handle, &r->graph);
    d->capturing = NULL;
    pf_status status = pf_device_check(d, code, NULL);
    if (status != PF_OK)
        pf_device_renew(d, PF_LANE_COMPUTE);
    if (status == PF_OK && out) {
        r->next = d->recordings;
        d->recordings = *out = r;
        return PF_OK;
    }
    free_recording(d, r);
    let_go(d);
    return status;
}

pf_status pf_device_replay(pf_device *d, const pf_recording *recording)
{
    d->tally->launches++;
    return pf_device_check(d, d->driver->run_graph(d->handle, recording->graph), NULL);
}

/* The graph may still be running. */
void pf_device_record_drop(pf_device *d, pf_recording *recording)
{
    pf_recording **at = &d->recordings;
    while (*at && *at != recording)
        at = &(*at)->next;
    if (!*at)
        return;
    pf_device_drain(d);
    *at = recording->next;
    free_recording(d, recording);
    let_go(d);
}
