/* SPDX-License-Identifier: Apache-2.0 */
/* An open device: memory, copies and recordings, on top of a driver (driver.h).
 *
 * A device platform embeds a pf_device as the first member of its state, so that the slots
 * of device_table.c serve every device platform.  Kernels take scratch memory here and
 * launch by themselves.
 *
 *      host                     pinned                        device
 *
 *     tensors --- convert --> staging ====== copy =======>  blocks      (upload)
 *     tensors <-- memcpy ---- staging <===== copy ========  blocks      (download: drains)
 *     latents <-- memcpy ---- landing <===== copy, mark ==  blocks      (ticket: joins)
 *                             constants ==== graph =======> scratch     (recording)
 *
 *      pf_blocks    what the driver allocated; given back, kept, handed out again
 *        |-- scratch     a stack for one kernel call, begun anew by pf_device_enter
 *        |-- workspace   one block, of whichever operator runs
 *        `-- the rest    weights and the arena of pf_ops
 *
 * Order: kernels and copies go through PF_LANE_COMPUTE in the order of the calls.  A block
 * that is given back is therefore handed out again at once: its next user comes later in
 * the lane.  Only `release` and `unpin` of the driver need an empty lane.  Work on
 * PF_LANE_COPY is outside of that order; pf_device_mark and pf_device_follow put it in.
 *
 * Staging is filled from its start and empty again after a drain; small uploads wait for
 * nothing.  A ticket has a landing buffer and a mark of its own, which are used again once
 * it was waited for.
 *
 * Counting: a device whose driver counts (forecast.h) has no memory and copies nothing; its
 * scratch is one endless block, whose highest use goes to the tally.
 *
 * Errors go to the pf_error that pf_device_enter was given last.
 *
 * Thread-safety: one thread at a time uses a pf_device.  pf_device_workspace_bytes may be
 * called from any thread.
 */
#ifndef PF_PLATFORM_COMMON_DEVICE_H
#define PF_PLATFORM_COMMON_DEVICE_H

#include "platform/common/blocks.h"
#include "platform/common/driver.h"

enum {
    PF_SCRATCH_BLOCKS = 24,
    PF_TICKETS = 8,                 /* copies and marks under way at a time */
    PF_ALIGNMENT = 64,              /* of blocks, and of what shares one */
    PF_SLACK = 32                   /* bytes behind each scratch tensor that vector units
                                     * may fetch */
};

/* A stack of memory for one kernel call.  Where its need was predicted, it is one block. */
typedef struct pf_scratch_stack {
    struct {
        char *memory;
        int64_t bytes;
    } block[PF_SCRATCH_BLOCKS];
    int count, current;
    int64_t at;                     /* bytes used of the current block */
} pf_scratch_stack;

typedef struct pf_scratch_mark {
    int current;
    int64_t at;
} pf_scratch_mark;

/* Memory of one operator; the next one may use it, because it runs later. */
typedef struct pf_workspace {
    void *memory;
    _Atomic int64_t bytes;          /* also read by pf_device_workspace_bytes */
} pf_workspace;

typedef struct pf_staging {
    char *memory;                   /* pinned, or NULL while counting */
    int64_t used;                   /* bytes that the device may still read */
} pf_staging;

typedef enum pf_ticket_state {
    PF_TICKET_FREE,                 /* nobody waits; mark and landing are used again */
    PF_TICKET_QUEUED,
    PF_TICKET_ARRIVED,              /* the copy is in `landing`: the lane was drained */
    PF_TICKET_LOST                  /* the lane failed */
} pf_ticket_state;

/* A copy to the host, or a mark of a lane. */
typedef struct pf_ticket_slot {
    uint64_t number;
    pf_ticket_state state;
    pf_lane lane;
    void *mark;                     /* of the driver, or NULL: not made yet */
    char *landing;                  /* pinned, [room] */
    int64_t room;
    void *to;                       /* where `landing` goes when the ticket is waited for */
    int64_t bytes;
} pf_ticket_slot;

/* A graph of the driver, and pinned memory that its uploads read in every replay. */
struct pf_recording {
    pf_recording *next;
    void *graph;
    char *constants;
    int64_t used;                   /* bytes of it */
};

typedef struct pf_device {
    const pf_driver *driver;
    void *handle;                   /* of the driver */
    pf_tally *tally;                /* of the platform */
    pf_error *error;                /* of the entry that runs */
    bool counting;
    pf_blocks blocks;
    pf_scratch_stack scratch;
    pf_workspace workspace;
    pf_staging staging;
    pf_ticket_slot tickets[PF_TICKETS];
    uint64_t next_ticket;
    pf_recording *recordings;       /* that live */
    pf_recording *capturing;        /* the one that is being made, or NULL */
} pf_device;

/* --- device.c ------------------------------------------------------------------------
 * Opens a device over a driver whose handle works already.  A counting driver (`counting`)
 * has no memory.  On failure nothing stays allocated. */
pf_status pf_device_open(pf_device *d, const pf_driver *driver, void *handle,
                         pf_tally *tally, bool counting, pf_error *error);
/* Waits for the lanes and gives everything back to the driver; a device that is all zero is
 * left alone.  The driver's own handle stays open. */
void pf_device_close(pf_device *d);

/* Every entry of a platform's table begins with this: the device becomes current for the
 * calling thread, errors go to `error`, and scratch begins anew. */
pf_status pf_device_enter(pf_device *d, pf_error *error);

/* PF_OK for code 0, otherwise the driver's sentence about it. */
pf_status pf_device_check(pf_device *d, int code, const char *doing);
/* pf_device_check for what was queued on PF_LANE_COMPUTE.  Where the lane refused it because
 * earlier work had failed, that failure is the error, and the lane is renewed. */
pf_status pf_device_check_queued(pf_device *d, int code, const char *doing);

/* --- lanes.c -------------------------------------------------------------------------
 * Waits until all lanes are empty.  After a failure they are renewed and empty. */
pf_status pf_device_drain(pf_device *d);
/* Drops what is queued on a lane that has failed; its tickets are lost. */
void pf_device_renew(pf_device *d, pf_lane lane);
/* A ticket for all that is queued on the lane so far. */
pf_status pf_device_mark(pf_device *d, pf_lane lane, pf_ticket *out);
/* Makes all later work of the lane run behind the ticket's work. */
pf_status pf_device_follow(pf_device *d, pf_lane lane, pf_ticket ticket);

/* --- device_blocks.c -----------------------------------------------------------------
 * A block of device memory, 64-byte aligned.  A kept block of exactly so many bytes is
 * handed out again, so that what was predicted is what is used.  When memory is short, all
 * kept blocks go back to the driver first. */
pf_status pf_device_allocate(pf_device *d, int64_t bytes, void **out);
/* Keeps the block for the next one who asks.  While recordings live, which hold its address,
 * nobody else gets it.  NULL is fine. */
void pf_device_release(pf_device *d, void *memory);
/* Gives kept blocks back to the driver, after a drain. */
void pf_device_trim(pf_device *d);
/* Bytes free on the device, those of kept blocks included. */
pf_status pf_device_free_bytes(pf_device *d, int64_t *bytes);
/* Do kept blocks have more bytes than the driver has left? */
bool pf_device_is_crowded(pf_device *d);

/* --- scratch.c -----------------------------------------------------------------------
 * Memory until the next pf_device_enter, or until a rewind to an earlier mark. */
pf_status pf_device_scratch(pf_device *d, int64_t bytes, void **out);
pf_scratch_mark pf_device_scratch_mark(const pf_device *d);
void pf_device_scratch_rewind(pf_device *d, pf_scratch_mark mark);
/* Replaces all scratch blocks by a single one of `bytes`; 0: by none. */
pf_status pf_device_scratch_reserve(pf_device *d, int64_t bytes);
/* A block that never ends and has no memory, for counting. */
void pf_device_scratch_endless(pf_device *d);

/* At least `bytes` of workspace, until the next call. */
pf_status pf_device_workspace(pf_device *d, int64_t bytes, void **out);
/* The largest workspace so far. */
int64_t pf_device_workspace_bytes(const pf_device *d);

/* --- staging.c -----------------------------------------------------------------------
 * Takes the pinned memory, which stays until the device closes. */
pf_status pf_device_open_staging(pf_device *d);
/* `count` values of a host tensor become F32 or BF16 (or stay what they are) on the device,
 * in the order of PF_LANE_COMPUTE.  `host` has been read when the call returns.  While
 * something is recorded, every replay uploads the same values again. */
pf_status pf_device_upload(pf_device *d, void *device, pf_dtype dtype, const void *host,
                           pf_dtype from, int64_t count);
/* `host` is filled when the call returns, and the lanes are empty. */
pf_status pf_device_download(pf_device *d, void *host, const void *device, int64_t bytes);

/* --- tickets.c -----------------------------------------------------------------------
 * Starts a copy to `host`, ordered behind all that PF_LANE_COMPUTE was given; what it is
 * given later need not wait for the copy.  `host` is filled by pf_device_wait.  With
 * PF_TICKETS others under way the oldest is given up: waiting for it is then an error. */
pf_status pf_device_download_begin(pf_device *d, void *host, const void *device,
                                   int64_t bytes, pf_ticket *out);
pf_status pf_device_wait(pf_device *d, pf_ticket ticket);

/* A free slot, or that of the oldest ticket, which is given up. */
pf_ticket_slot *pf_device_take_ticket(pf_device *d, pf_lane lane);
/* Puts the slot's mark behind all that its lane was given, and gives it a number. */
pf_status pf_device_put_mark(pf_device *d, pf_ticket_slot *slot, pf_ticket *out);
/* The slot of a ticket, or NULL: done or given up. */
pf_ticket_slot *pf_device_find_ticket(pf_device *d, pf_ticket ticket);

/* --- recordings.c: platform.h, record_begin ------------------------------------------ */

bool pf_device_records(const pf_device *d);
pf_status pf_device_record_begin(pf_device *d);
pf_status pf_device_record_end(pf_device *d, pf_recording **out);
pf_status pf_device_replay(pf_device *d, const pf_recording *recording);
void pf_device_record_drop(pf_device *d, pf_recording *recording);
/* Pinned memory that every replay of the recording under way reads; it is filled once. */
pf_status pf_device_constants(pf_device *d, int64_t bytes, char **out);

/* --- device_table.c ------------------------------------------------------------------ */

static inline pf_device *pf_device_of(const pf_platform *platform)
{
    return platform->state;
}

/* The table's memory, copies and recordings. */
void pf_device_fill_table(pf_platform_table *table);

#endif
