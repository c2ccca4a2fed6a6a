/* SPDX-License-Identifier: Apache-2.0 */
/* A driver over memory of the process.  See fake_driver.h. */
#include "fake_driver.h"

#include <stdlib.h>
#include <string.h>

/* The call that was armed fails. */
static bool fails(fake_device *f)
{
    return f->fail_at > 0 && --f->fail_at == 0;
}

bool fake_is_empty(const fake_device *f)
{
    return f->blocks == 0 && f->graphs == 0 && f->marks == 0 && f->used == 0 &&
           f->violations == 0 && !f->capturing;
}

/* --- queued work ---------------------------------------------------------------- */

static fake_task *task_of(fake_lane *lane, uint64_t number)
{
    return &lane->task[number % FAKE_TASKS];
}

static void run_until(fake_device *f, pf_lane which, uint64_t end)
{
    fake_lane *lane = &f->lane[which];
    while (lane->done < end) {
        const fake_task *t = task_of(lane, lane->done++);
        if (t->copy.bytes > 0)
            memmove(t->copy.to, t->copy.from, (size_t)t->copy.bytes);
        else
            run_until(f, t->marked, t->mark);
    }
}

static void queue(fake_device *f, pf_lane which, fake_task task)
{
    fake_lane *lane = &f->lane[which];
    if (lane->queued - lane->done == FAKE_TASKS)
        run_until(f, which, lane->done + 1);
    *task_of(lane, lane->queued++) = task;
}

static bool touches(const fake_task *t, const fake_memory *m)
{
    const char *end = m->begin + m->bytes;
    return t->copy.bytes > 0 &&
           (((const char *)t->copy.to >= m->begin && (const char *)t->copy.to < end) ||
            ((const char *)t->copy.from >= m->begin && (const char *)t->copy.from < end));
}

static bool is_needed(fake_device *f, const fake_memory *m)
{
    for (int which = 0; which < PF_LANES; which++)
        for (uint64_t n = f->lane[which].done; n < f->lane[which].queued; n++)
            if (touches(task_of(&f->lane[which], n), m))
                return true;
    for (int i = 0; i < f->graphs; i++)
        for (int k = 0; k < f->graph[i]->count; k++)
            if (touches(&f->graph[i]->task[k], m))
                return true;
    return false;
}

/* --- memory --------------------------------------------------------------------- */

static int take(fake_device *f, int64_t bytes, bool pinned, void **address)
{
    size_t room = ((size_t)bytes + 63) / 64 * 64;
    if (fails(f))
        return FAKE_FAILED;
    if (!pinned && f->limit > 0 && f->used + bytes > f->limit)
        return FAKE_NO_MEMORY;
    if (f->blocks == FAKE_BLOCKS || !(*address = aligned_alloc(64, room)))
        return FAKE_NO_MEMORY;
    memset(*address, 0xff, room);
    f->memory[f->blocks++] = (fake_memory){*address, bytes, pinned};
    f->used += pinned ? 0 : bytes;
    f->allocations++;
    return 0;
}

static void give(void *handle, void *address)
{
    fake_device *f = handle;
    int i = f->blocks - 1;
    while (i >= 0 && f->memory[i].begin != (char *)address)
        i--;
    if (i < 0 || is_needed(f, &f->memory[i])) {
        f->violations++;
        return;
    }
    f->used -= f->memory[i].pinned ? 0 : f->memory[i].bytes;
    f->memory[i] = f->memory[--f->blocks];
    free(address);
}

static int allocate(void *handle, int64_t bytes, void **address)
{
    return take(handle, bytes, false, address);
}

static int pin(void *handle, int64_t bytes, void **address)
{
    return take(handle, bytes, true, address);
}

static int free_bytes(void *handle, int64_t *bytes)
{
    fake_device *f = handle;
    *bytes = f->limit - f->used;
    return fails(f) ? FAKE_FAILED : 0;
}

/* --- lanes ------------------------------------------------------------------------ */

typedef struct fake_mark {
    pf_lane lane;
    uint64_t number;
} fake_mark;

static int enter(void *handle)
{
    return fails(handle) ? FAKE_FAILED : 0;
}

static int copy(void *handle, pf_lane lane, const pf_transfer *what)
{
    fake_device *f = handle;
    if (fails(f))
        return FAKE_FAILED;
    if (lane == PF_LANE_COMPUTE && f->capturing)
        f->capturing->task[f->capturing->count++] = (fake_task){.copy = *what};
    else
        queue(f, lane, (fake_task){.copy = *what});
    return 0;
}

static int mark(void *handle, pf_lane lane, void **out)
{
    fake_device *f = handle;
    if (fails(f))
        return FAKE_FAILED;
    if (!*out) {
        *out = malloc(sizeof(fake_mark));
        f->marks++;
    }
    *(fake_mark *)*out = (fake_mark){lane, f->lane[lane].queued};
    return 0;
}

static void unmark(void *handle, void *address)
{
    fake_device *f = handle;
    f->marks--;
    free(address);
}

static int follow(void *handle, pf_lane lane, void *address)
{
    fake_device *f = handle;
    const fake_mark *m = address;
    if (fails(f))
        return FAKE_FAILED;
    f->follows++;
    queue(f, lane, (fake_task){.marked = m->lane, .mark = m->number});
    return 0;
}

static int join(void *handle, void *address)
{
    fake_device *f = handle;
    const fake_mark *m = address;
    f->violations += f->capturing != NULL;
    if (fails(f))
        return FAKE_FAILED;
    f->joins++;
    run_until(f, m->lane, m->number);
    return 0;
}

static int drain(void *handle, pf_lane lane)
{
    fake_device *f = handle;
    f->violations += f->capturing != NULL;
    if (fails(f))
        return FAKE_FAILED;
    f->drains++;
    run_until(f, lane, f->lane[lane].queued);
    return 0;
}

static void renew(void *handle, pf_lane lane)
{
    fake_device *f = handle;
    f->renewals++;
    f->lane[lane].done = f->lane[lane].queued;
}

/* --- recordings ------------------------------------------------------------------- */

static int capture_begin(void *handle)
{
    fake_device *f = handle;
    if (fails(f))
        return FAKE_FAILED;
    f->capturing = calloc(1, sizeof *f->capturing);
    return 0;
}

static int capture_end(void *handle, void **graph)
{
    fake_device *f = handle;
    fake_graph *made = f->capturing;
    f->capturing = NULL;
    if (fails(f)) {
        free(made);
        return FAKE_FAILED;
    }
    f->graph[f->graphs++] = made;
    *graph = made;
    return 0;
}

static int run_graph(void *handle, void *graph)
{
    fake_device *f = handle;
    const fake_graph *g = graph;
    if (fails(f))
        return FAKE_FAILED;
    for (int i = 0; i < g->count; i++)
        queue(f, PF_LANE_COMPUTE, g->task[i]);
    return 0;
}

static void drop_graph(void *handle, void *graph)
{
    fake_device *f = handle;
    int i = f->graphs - 1;
    while (i >= 0 && f->graph[i] != graph)
        i--;
    if (i < 0 || f->lane[PF_LANE_COMPUTE].done < f->lane[PF_LANE_COMPUTE].queued) {
        f->violations++;
        return;
    }
    f->graph[i] = f->graph[--f->graphs];
    free(graph);
}

static void settled(void *handle)
{
    fake_device *f = handle;
    f->settlements++;
    for (int lane = 0; lane < PF_LANES; lane++)
        f->violations += f->lane[lane].done < f->lane[lane].queued;
}

static pf_status explain(void *handle, int code, const char *doing, pf_error *error)
{
    pf_status status = code == FAKE_NO_MEMORY ? PF_E_MEMORY : PF_E_PLATFORM;
    (void)handle;
    return pf_fail(error, status, "fake: %s failed with %d", doing ? doing : "a call", code);
}

const pf_driver fake_driver = {
    .name = "fake", .lanes = PF_LANES,
    .enter = enter, .allocate = allocate, .release = give, .free_bytes = free_bytes,
    .pin = pin, .unpin = give, .copy = copy, .mark = mark, .unmark = unmark,
    .follow = follow, .join = join, .drain = drain, .renew = renew,
    .capture_begin = capture_begin, .capture_end = capture_end, .run_graph = run_graph,
    .drop_graph = drop_graph, .settled = settled, .explain = explain,
};
