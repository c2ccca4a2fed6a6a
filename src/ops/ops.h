/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: what model code is written in.
 *
 * Each operation checks shapes and dtypes once, counts its work, and calls the
 * platform's kernel.  A `pf_ops` is the place where a component computes: the
 * platform, the numerics, an arena for tensors, the tap and the cancel flag.
 *
 * Dry runs: with `dry` set, the same model code runs without memory.  Every
 * prediction of memory and time is such a run, so predictions cannot drift away
 * from the film.  Four members decide who is given the kernels:
 *
 *     dry    counter  tap    kernels go to      tensors          used for
 *     -----  -------  -----  -----------------  ---------------  -----------------
 *     false  -        NULL   the platform, or   device memory    films
 *                            its recording
 *     false  -        set    the platform       device memory    goldens, taps:
 *                                                                never recorded
 *     true   NULL     -      nobody             made-up          checks, predictions
 *                                               addresses        on the host
 *     true   set      -      the counter: its   made-up          predictions of
 *                            tally grows        addresses        devices
 *
 * A recording exists where capabilities.records is set (pf_ops_records).  Shapes
 * are checked, and bytes, FLOPs and launches counted, in all of them.
 *
 * Thread-safety: a pf_ops belongs to one thread.  Several may share a platform as far as that
 * allows (platform.h); a dry one always may.
 *
 * Errors: a wrong shape is PF_E_INTERNAL, as it is a fault of model code; all other failures
 * are the platform's.  After a failure tensors may be left in the arena: whoever opened the
 * pf_ops releases it.
 */
#ifndef PF_OPS_OPS_H
#define PF_OPS_OPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "platform/platform.h"

/* --- where a component computes --------------------------------------------- */

/* Sees a named value inside a component; `value` is a device tensor, valid only
 * during the call. */
typedef struct pf_tap {
    void (*see)(void *user, const char *name, const pf_tensor *value);
    void *user;
} pf_tap;

/* Cost of operations as algorithms have it: operands read and written once, whatever a kernel
 * does.  For predictions and progress, not for accounts. */
typedef struct pf_cost {
    double flops;                   /* a multiply-add is two */
    double bytes;                   /* read and written by kernels */
    int64_t launches;
} pf_cost;

/* The cost of all operations since `before`. */
static inline pf_cost pf_cost_since(const pf_cost *now, const pf_cost *before)
{
    return (pf_cost){now->flops - before->flops, now->bytes - before->bytes,
                     now->launches - before->launches};
}

typedef struct pf_arena_block {
    char *memory;                   /* device memory */
    int64_t bytes, used;
} pf_arena_block;

enum { PF_ARENA_BLOCKS = 64 };

typedef struct pf_ops {
    pf_platform *platform;
    pf_numerics numerics;
    bool dry;
    pf_platform *counter;           /* pf_platform_open_counter, or NULL */
    pf_error *error;                /* where the operations write their messages */
    const atomic_bool *cancel;      /* or NULL */
    /* Fails if a mapped weight file can no longer be read.  Called after a read fault in any
     * mapped file; or NULL. */
    pf_status (*check_files)(void *user, pf_error *error);
    void *files_user;
    unsigned losses;                /* pf_guard_losses at the last check_files */
    const pf_tap *tap;              /* or NULL */
    pf_cost cost;
    pf_arena_block block[PF_ARENA_BLOCKS];
    int blocks;                     /* blocks that exist */
    int current;                    /* block that allocates */
    int64_t in_use, peak;           /* bytes, also counted in a dry run */
} pf_ops;

/* `error` must outlive ops.  No memory is taken yet. */
void pf_ops_init(pf_ops *ops, pf_platform *platform, pf_numerics numerics,
                 bool dry, pf_error *error);

/* Releases all device memory.  A pf_ops of zeros has none. */
void pf_ops_release(pf_ops *ops);

/* Takes the blocks for `bytes` (from a dry run's `peak`) and `own` bytes for kernels (from
 * its counter's tally), so that nothing is allocated later. */
pf_status pf_ops_reserve(pf_ops *ops, int64_t bytes, int64_t own);

/* A position of the arena; a value, good until an earlier mark is rewound to. */
typedef struct pf_mark {
    int current;
    int64_t used, in_use;
} pf_mark;

/* Everything made after pf_ops_mark is given back by pf_ops_rewind.  Marks nest like a stack.
 * Kernels that were launched before may still use that memory: later ones wait for them. */
pf_mark pf_ops_mark(const pf_ops *ops);
void pf_ops_rewind(pf_ops *ops, pf_mark mark);

/* Uninitialised F32 tensors in the arena, contiguous, 64-byte aligned.  PF_E_MEMORY: the
 * platform has no more, or none in one piece. */
pf_status pf_ops_tensor(pf_ops *ops, int rank, const int64_t *shape,
                        pf_tensor *out);
/* Uninitialised keys and values that attend will find there, of capabilities.keys where
 * bf16 is multiplied. */
pf_status pf_ops_keys(pf_ops *ops, int rank, const int64_t *shape, pf_tensor *out);
pf_status pf_ops_matrix(pf_ops *ops, int64_t rows, int64_t columns,
                        pf_tensor *out);
/* Rows of activations that kernels take as [hidden] (kernels.h). */
pf_status pf_ops_hidden(pf_ops *ops, int64_t rows, int64_t columns, pf_tensor *out);
/* Scratch memory of a layer (kernels.h), in the arena. */
pf_status pf_ops_scratch(pf_ops *ops, int64_t bytes, pf_scratch *out);
/* A feature map [C, T, H, W] in the platform's layout. */
pf_status pf_ops_map(pf_ops *ops, int64_t channels, int64_t frames,
                     int64_t height, int64_t width, pf_tensor *out);
/* A map as tokens [T*H*W, C] (rows in the order t, h, w): a view where the layout
 * allows it, else a copy. */
pf_status pf_ops_map_tokens(pf_ops *ops, const pf_tensor *map, pf_tensor *out);
/* A view of tokens [T*H*W, C] as a channels-last map. */
pf_tensor pf_tokens_as_map(const pf_tensor *tokens, int64_t frames,
                           int64_t height, int64_t width);

/* Gives a rotary table [P, D/2] the form that the platform wants, in the arena. */
pf_status pf_ops_rope_table(pf_ops *ops, pf_rope_form form, pf_rope_table *table);

/* Contiguous host memory to and from a contiguous device tensor (F32).  Both return when the
 * copy is done; a download waits for all kernels before it.  A dry run copies nothing. */
pf_status pf_ops_upload(pf_ops *ops, const pf_tensor *to, const float *from);
pf_status pf_ops_download(pf_ops *ops, float *to, const pf_tensor *from);

/* Starts a copy to the host, which pf_ops_wait ends; until then `to` must stay.  Work that
 * comes between, such as that of the next step, need not wait for the copy.  A ticket with
 * number 0 is done already. */
pf_status pf_ops_download_begin(pf_ops *ops, float *to, const pf_tensor *from,
                                pf_ticket *ticket);
pf_status pf_ops_wait(pf_ops *ops, pf_ticket ticket);

/* May the kernels of a step be recorded once and replayed (platform.h, record_begin)? */
static inline bool pf_ops_records(const pf_ops *ops)
{
    return ops->platform->capabilities.records && !ops->dry && !ops->tap;
}
/* Kernels between begin and end are kept with their addresses and not run. */
pf_status pf_ops_record_begin(pf_ops *ops);
/* Drops the recording where `out` is NULL. */
pf_status pf_ops_record_end(pf_ops *ops, pf_recording **out);
/* Runs the recorded kernels; `cost`, which is theirs, is added to ops->cost. */
pf_status pf_ops_replay(pf_ops *ops, pf_recording *recording, const pf_cost *cost);
/* Releases a recording, or NULL.  A replay may still run. */
void pf_ops_record_drop(pf_ops *ops, pf_recording *recording);

/* Fails with PF_E_CANCELLED once the flag is set, or as check_files does. */
pf_status pf_ops_poll(pf_ops *ops);

/* Shows a value to the tap, if one is set; never in a dry run. */
void pf_ops_tap(pf_ops *ops, const pf_tensor *value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline bool pf_ops_tapped(const pf_ops *ops)
{
    return ops->tap != NULL && !ops->dry;
}

/* --- the operations --------------------------------------------------------- */

/* pf_op_SLOT(ops, &(pf_SLOT_args){...}) for the kernels of kernels.h, which has the
 * formulas.  `numerics` and `scratch` of the arguments are set here: leave them out. */
#define PF_OP_DECLARE(slot, type) pf_status pf_op_##slot(pf_ops *ops, const type *args);
PF_SINGLE_KERNEL_LIST(PF_OP_DECLARE)
PF_LAYER_LIST(PF_OP_DECLARE)
#undef PF_OP_DECLARE

#endif
