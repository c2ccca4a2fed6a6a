/* SPDX-License-Identifier: Apache-2.0 */
/* The platform seam: everything that the rest of the library knows about the
 * machine it computes on.
 *
 * A platform is a table of functions and a few plain facts.  `reference` is the
 * definition of right (scalar, straight from docs/model); `cpu` takes its table
 * and overrides what it does faster.  Callers go through src/ops, which has
 * checked shapes and dtypes: a kernel may assert them but never judges them.
 *
 *     ops, model      ask for kernels (kernels.h) and weights (weight.h)
 *        |
 *     platform.h      the table: kernels, memory, copies, recordings, weights
 *        |
 *     registry/       opens a platform by its name, or the first that works here
 *        |
 *     ascend/  cpu/  reference/        each fills a table
 *         \     |      /
 *         common/                      composed layers, memory of the host, devices
 */
#ifndef PF_PLATFORM_PLATFORM_H
#define PF_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/thread.h"
#include "platform/kernels.h"

typedef struct pf_platform pf_platform;

/* Filled once when the platform opens; plain facts, never asked "who are you". */
typedef struct pf_capabilities {
    char name[16];                  /* "reference", "cpu" */
    char isa[32];                   /* "avx512bf16", "avx2", "scalar", "Ascend910B1" */
    char device[96];                /* "AMD EPYC 9B14", for people */
    int threads;
    int64_t memory_bytes;           /* available to this process when the platform opened */
    bool own_memory;                /* memory_bytes are a device's, not the process's */
    bool records;                   /* record_begin may be called */
    unsigned multiplies;            /* bits 1 << PF_MULTIPLY_...: number formats that it
                                     * has instructions for */

    /* Dtypes under numerics that multiply bf16; F32 under all others. */
    pf_dtype hidden;                /* activations between kernels: F32, or BF16 where that
                                     * is faster (pf_hidden_dtype) */
    pf_dtype keys;                  /* keys and values that attend finds in `kept` */
    pf_dtype products;              /* BF16: a product may be rounded to that before its
                                     * bias is added */

    /* Sizes and layouts that model code chooses. */
    bool maps_channels_last;        /* layout of feature maps */
    int table_columns;              /* of a rotary table, for each pair: 1 or 2 */
    int64_t feed_rows;              /* rows of a feed-forward at a time; 0: all, and the
                                     * norm in front of it adds what attention gave */
    int64_t together_bytes;         /* most bytes of tokens with which several prompts go
                                     * through the towers in one pass */
    bool bias_is_fused;             /* attend adds a bias of the scores without further
                                     * kernels */

    /* Memory: tensors and the blocks that they lie in. */
    int tensor_slack;               /* bytes that must be readable behind each tensor, for
                                     * vector units that fetch whole units */
    int block_unit, block_extra;    /* granularity of `allocate`: n bytes cost
                                     * round_up(n, block_unit) + block_extra; 0: n */
    int64_t most_block_bytes;       /* largest block of `allocate`; 0: no bound */
} pf_capabilities;

/* Device memory that n bytes cost, in as many blocks as they need. */
static inline int64_t pf_block_bytes(const pf_capabilities *c, int64_t bytes)
{
    int64_t unit = c->block_unit > 0 ? c->block_unit : 1;
    int64_t most = c->most_block_bytes > 0 ? c->most_block_bytes : bytes;
    int64_t cost = 0;
    for (; bytes > 0; bytes -= most) {
        int64_t here = bytes < most ? bytes : most;
        cost += (here + unit - 1) / unit * unit + c->block_extra;
    }
    return cost;
}

/* --- the table -------------------------------------------------------------- */

typedef enum pf_transfer_kind { PF_UPLOAD, PF_DOWNLOAD } pf_transfer_kind;

/* A copy of contiguous bytes between host memory and memory of the platform. */
typedef struct pf_transfer {
    pf_transfer_kind kind;
    void *to;
    const void *from;
    int64_t bytes;
} pf_transfer;

/* A copy that may be under way.  Number 0: the copy is done. */
typedef struct pf_ticket {
    uint64_t number;
} pf_ticket;

/* Kernels that were recorded, with their addresses (record_begin). */
typedef struct pf_recording pf_recording;

/* Speed of register-only loops on all threads, in 1e9 operations (a multiply-add
 * is two) per second; 0 where the instruction set lacks it. */
typedef struct pf_ceilings {
    double f32, bf16, int8;
} pf_ceilings;

typedef struct pf_platform_table {
#define PF_KERNEL_SLOT(slot, type) \
    pf_status (*slot)(pf_platform *platform, const type *args, pf_error *error);
    PF_KERNEL_LIST(PF_KERNEL_SLOT)
#undef PF_KERNEL_SLOT

    /* Bytes of pf_scratch that the layer `which` needs for a call with `args`; 0 for all
     * other kernels.  Addresses are compared, never read through.  Memory that the platform
     * keeps for its kernels (see reserve) is not part of it. */
    int64_t (*scratch_bytes)(pf_platform *platform, pf_kernel which, const void *args);

    /* Device memory, 64-byte aligned, uninitialised. */
    pf_status (*allocate)(pf_platform *platform, int64_t bytes, void **out,
                          pf_error *error);
    void (*release)(pf_platform *platform, void *memory);

    /* Copies `what`, ordered behind all kernels and copies so far; later kernels see the
     * result of a copy to the device.  The host memory of a copy to the device may be changed
     * when the call returns.  A copy to the host with a `ticket` is only started: later
     * kernels need not wait for it, and the host memory is filled, and must stay, until
     * `wait` returns.  With `ticket` NULL it is filled when the call returns.  A ticket is
     * waited for once, before seven later ones are taken, or never. */
    pf_status (*transfer)(pf_platform *platform, const pf_transfer *what,
                          pf_ticket *ticket, pf_error *error);
    pf_status (*wait)(pf_platform *platform, pf_ticket ticket, pf_error *error);

    /* Preallocates `bytes` of scratch memory for kernels, in place of any earlier
     * reservation, so that no kernel allocates while a step runs.  NULL: kernels need none. */
    pf_status (*reserve)(pf_platform *platform, int64_t bytes, pf_error *error);

    /* Fills *out with a counter, a platform that computes nothing and has no memory: its
     * kernels may be called with any addresses, from any thread, and its tally grows by what
     * `platform` would need for them.  `out` has the table and the capabilities of `platform`
     * already.  NULL where `reserve` is NULL. */
    pf_status (*open_counter)(const pf_platform *platform, pf_platform *out,
                              pf_error *error);

    /* Called only where capabilities.records.  Kernels and copies to the device between begin
     * and end are not run but kept, with their addresses; `replay` runs them, and copies the
     * same values again.  Their memory stays with its owner until `record_drop`.  Several
     * recordings may live, but only one at a time is made, on one thread, and no copy or
     * kernel may be under way when it begins.  record_end gives a recording only if all went
     * well; with `out` NULL it throws the recording away.  record_drop of NULL does nothing. */
    pf_status (*record_begin)(pf_platform *platform, pf_error *error);
    pf_status (*record_end)(pf_platform *platform, pf_recording **out, pf_error *error);
    pf_status (*replay)(pf_platform *platform, pf_recording *recording, pf_error *error);
    void (*record_drop)(pf_platform *platform, pf_recording *recording);

    /* Bytes of the platform's own form of a weight, from kinds, shapes and dtypes alone;
     * 0: it multiplies the source where it lies.  Needs no weight that could be filled. */
    int64_t (*weight_bytes)(pf_platform *platform, const pf_weight_source *source,
                            pf_multiply multiply);

    /* Bytes that weight_fill takes from `allocate` beside the weight's own until it returns;
     * NULL: none, for every weight. */
    int64_t (*weight_room)(pf_platform *platform, const pf_weight_source *source,
                           pf_multiply multiply);

    /* Makes *out from a source that outlives it, in `memory` of weight_bytes (from
     * `allocate`), or, where `memory` is NULL, in memory that it allocates itself and
     * weight_release gives back.  PF_E_UNSUPPORTED: a format that the platform does not
     * multiply.  *out is undefined on failure. */
    pf_status (*weight_fill)(pf_platform *platform, const pf_weight_source *source,
                             pf_multiply multiply, void *memory, pf_weight *out,
                             pf_error *error);
    void (*weight_release)(pf_platform *platform, pf_weight *weight);

    /* Runs the ceiling loops for about `seconds` of processor time each, so that other
     * programs on the machine hardly change the result. */
    pf_status (*ceilings)(pf_platform *platform, double seconds,
                          pf_ceilings *out, pf_error *error);

    void (*close)(pf_platform *platform);
} pf_platform_table;

/* Work that a device was given so far; platforms that compute on the host leave it 0.
 * Members behind `waits` are filled by counters only. */
typedef struct pf_tally {
    int64_t launches, waits;
    double flops, bytes;
    double seconds;                 /* sum over operators of the time that arithmetic or
                                     * memory needs at least, whichever is longer */
    int64_t own_bytes;              /* peak of the kernels' scratch memory: the argument
                                     * of `reserve` */
    int64_t fixed_bytes;            /* memory that the platform holds beside that, always */
} pf_tally;

struct pf_platform {
    pf_platform_table table;
    pf_capabilities capabilities;
    pf_tally tally;
    pf_pool *pool;                  /* of platforms that compute on the host, or NULL */
    pf_platform *fallback;          /* computes missing kernels (options.hosted), or NULL */
    void *state;                    /* the platform's own */
};

/* Dtype of activations between kernels under these numerics.  The residual stream, the
 * statistics of norms and latents are F32 always. */
static inline pf_dtype pf_hidden_dtype(const pf_platform *platform, pf_numerics numerics)
{
    bool narrow = numerics.multiply != PF_MULTIPLY_F32 && !numerics.round_bf16;
    return narrow ? platform->capabilities.hidden : PF_F32;
}

/* Synchronous copies of contiguous bytes. */
static inline pf_status pf_platform_upload(pf_platform *platform, void *device,
                                           const void *host, int64_t bytes,
                                           pf_error *error)
{
    return platform->table.transfer(platform, &(pf_transfer){
        .kind = PF_UPLOAD, .to = device, .from = host, .bytes = bytes}, NULL, error);
}

static inline pf_status pf_platform_download(pf_platform *platform, void *host,
                                             const void *device, int64_t bytes,
                                             pf_error *error)
{
    return platform->table.transfer(platform, &(pf_transfer){
        .kind = PF_DOWNLOAD, .to = host, .from = device, .bytes = bytes}, NULL, error);
}

/* --- opening ---------------------------------------------------------------- */

typedef struct pf_platform_options {
    const char *name;               /* of the registry; NULL or "auto": the first
                                     * that opens here */
    const char *isa;                /* "avx512bf16" "avx512" "avx2" "neon" "scalar":
                                     * the highest that may be used; NULL: all */
    int threads;                    /* 0: one for each available processor.  Must be 0
                                     * where a device computes */
    int device;                     /* number of the device, where there are several */
    const char *forecast;           /* a kind of device that need not be here: kernels are
                                     * counted, not computed; NULL: compute */
    bool graph;                     /* record steps and replay them */
    bool hosted;                    /* the reference computes kernels that the platform
                                     * lacks, on copies: for tests, and to bring a new
                                     * platform up.  No engine sets it, so an installed
                                     * program refuses such a platform */
} pf_platform_options;

/* Opens the platform of that name, or the first of the registry that works on this machine.
 * An option that has no effect on it is PF_E_ARGUMENT.  *out is NULL on failure; release
 * with pf_platform_close. */
pf_status pf_platform_open(const pf_platform_options *options,
                           pf_platform **out, pf_error *error);
/* Opens a counter of its own beside `platform`, which must outlive it: see open_counter.
 * *out is NULL where there is none. */
pf_status pf_platform_open_counter(const pf_platform *platform, pf_platform **out,
                                   pf_error *error);
void pf_platform_close(pf_platform *platform);

/* A row of the registry (registry/registry.c): facts that are known before a platform opens.
 * Messages about options are made from them. */
typedef struct pf_platform_entry {
    const char *name;
    bool has_devices;               /* options.device chooses one, options.threads has no
                                     * effect and options.isa no meaning */
    bool forecasts;                 /* takes options.forecast */
    const char *kinds;              /* words of options.forecast, "910B1|A3", if it does */
    const char *assumptions;        /* sentences that its forecasts rest on; a line break
                                     * between paragraphs */
    bool records;                   /* takes options.graph */
    bool last_resort;               /* "auto" never chooses it */
    const char *isas;               /* words of options.isa, best first, "avx2|scalar"; NULL:
                                     * it has none */
    /* Fills *out, which is zeroed; slots of kernels that the platform lacks stay NULL.  On
     * failure nothing is left open, and the error says what this machine lacks. */
    pf_status (*open)(pf_platform *out, const pf_platform_options *options,
                      pf_error *error);
} pf_platform_entry;

/* All rows, in order of preference. */
const pf_platform_entry *pf_platform_entries(int *count);

#endif
