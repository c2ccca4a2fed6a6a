/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that kernels need themselves: the scratch stack and the workspace.  See device.h.
 *
 *     block 0   |used by earlier calls|====  at ->        |
 *     block 1   |                                         |    where one is not enough
 */
#include "platform/common/device.h"

static const int64_t smallest_scratch = (int64_t)16 << 20;
static const int64_t smallest_workspace = (int64_t)1 << 20;

static int64_t padded(int64_t bytes)
{
    return (bytes + PF_SLACK + PF_ALIGNMENT - 1) / PF_ALIGNMENT * PF_ALIGNMENT;
}

static pf_status add_block(pf_device *d, int64_t bytes)
{
    pf_scratch_stack *s = &d->scratch;
    void *memory;
    if (s->count == PF_SCRATCH_BLOCKS)
        return pf_fail(d->error, PF_E_MEMORY,
                       "out of memory: one kernel needs more than %d blocks of scratch",
                       PF_SCRATCH_BLOCKS);
    PF_TRY(pf_device_allocate(d, bytes, &memory));
    s->block[s->count].memory = memory;
    s->block[s->count++].bytes = bytes;
    return PF_OK;
}

pf_status pf_device_scratch(pf_device *d, int64_t bytes, void **out)
{
    pf_scratch_stack *s = &d->scratch;
    bytes = padded(bytes);
    while (s->current < s->count && s->block[s->current].bytes - s->at < bytes) {
        s->current++;
        s->at = 0;
    }
    if (s->current == s->count)
        PF_TRY(add_block(d, bytes > smallest_scratch ? bytes : smallest_scratch));
    *out = s->block[s->current].memory + s->at;
    s->at += bytes;
    if (d->counting && s->at > d->tally->own_bytes)
        d->tally->own_bytes = s->at;
    return PF_OK;
}

pf_scratch_mark pf_device_scratch_mark(const pf_device *d)
{
    return (pf_scratch_mark){d->scratch.current, d->scratch.at};
}

void pf_device_scratch_rewind(pf_device *d, pf_scratch_mark mark)
{
    d->scratch.current = mark.current;
    d->scratch.at = mark.at;
}

static void drop_scratch(pf_device *d)
{
    for (int i = 0; i < d->scratch.count; i++)
        pf_device_release(d, d->scratch.block[i].memory);
    d->scratch = (pf_scratch_stack){0};
}

/* A large block needs contiguous memory, so kept blocks go first where they are most of it. */
pf_status pf_device_scratch_reserve(pf_device *d, int64_t bytes)
{
    if (d->counting)
        return PF_OK;
    drop_scratch(d);
    if (bytes == 0)
        return PF_OK;
    if (pf_device_is_crowded(d))
        pf_device_trim(d);
    return add_block(d, bytes);
}

void pf_device_scratch_endless(pf_device *d)
{
    d->scratch.block[0].memory = (char *)((uintptr_t)1 << 40);
    d->scratch.block[0].bytes = INT64_MAX;
    d->scratch.count = 1;
}

pf_status pf_device_workspace(pf_device *d, int64_t bytes, void **out)
{
    pf_workspace *w = &d->workspace;
    if (w->bytes < bytes) {
        int64_t room = smallest_workspace;
        while (room < bytes)
            room *= 2;
        pf_device_release(d, w->memory);
        w->memory = NULL;
        w->bytes = 0;
        PF_TRY(pf_device_allocate(d, room, &w->memory));
        w->bytes = room;
    }
    *out = w->memory;
    return PF_OK;
}

int64_t pf_device_workspace_bytes(const pf_device *d)
{
    return d->workspace.bytes;
}
