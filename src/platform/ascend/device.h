/* SPDX-License-Identifier: Apache-2.0 */
/* One open device: context, stream, memory, errors.  docs/ascend.md, "Memory".
 *
 * Everything goes through one stream, so that the order of calls is the order of
 * work: memory that is given back may be handed out at once, because whoever gets
 * it comes later in the stream.  Only what returns to CANN waits for the stream.
 */
#ifndef PF_PLATFORM_ASCEND_DEVICE_H
#define PF_PLATFORM_ASCEND_DEVICE_H

#include "platform/ascend/acl.h"
#include "platform/platform.h"

enum { ASCEND_BLOCKS = 4096, ASCEND_SCRATCH = 24 };

/* What the device is, filled when it opens. */
typedef struct ascend_facts {
    char soc[48];                       /* "Ascend910B1" */
    char version[64];                   /* "8.1.RC1", "unknown" */
    int64_t cube_cores, vector_cores, l2_bytes;
    bool conv_f32;                      /* convolutions without HF32 are accepted */
    bool mixed_products;                /* bf16 products with an f32 bias, into f32, */
    bool narrow_products;               /* and into bf16 */
    bool blocked_weights;               /* weights of linear layers are kept in NZ */
} ascend_facts;

typedef struct ascend_block {
    char *memory;
    int64_t bytes;
    bool used;
} ascend_block;

/* Memory of one kernel call, from the start again with the next.  Where it was foreseen,
 * one block is enough. */
typedef struct ascend_scratch {
    ascend_block block[ASCEND_SCRATCH];
    int count, current;
    int64_t at;                         /* in the current block; while counting, in all */
} ascend_scratch;

/* A copy to the host that is under way. */
typedef struct ascend_transfer {
    char *landing;                      /* pinned */
    int64_t room;
    aclrtEvent arrived;
    bool under_way;                     /* nothing has waited for it yet */
} ascend_transfer;

typedef struct ascend_cache ascend_cache;
typedef struct ascend_soc ascend_soc;

typedef struct ascend {
    const ascend_api *api;
    int device;
    bool device_set;
    aclrtContext context;
    aclrtStream stream;                 /* NULL: it could not be replaced yet */
    ascend_facts facts;
    bool fused;                         /* fused operators may be used */
    ascend_block *blocks;               /* [ASCEND_BLOCKS] given out or kept */
    int block_count;
    ascend_scratch scratch;
    void *workspace;                    /* of whichever operator runs */
    _Atomic int64_t workspace_bytes;    /* counters look at it from other threads */
    char *staging;                      /* pinned; what a recording reads is at its end */
    int64_t staged;                     /* bytes that the stream may still read */
    int64_t staged_for_good;            /* bytes that the recording reads */
    aclmdlRI graph;                     /* the recording, or NULL */
    bool recording;
    ascend_transfer transfers[PF_TRANSFERS];
    ascend_cache *cache;                /* of executors, launch.c */
    pf_tally *tally;                    /* the platform's */
    const ascend_soc *forecast;         /* kind of device that launches are counted for and
                                         * not run (forecast.h); NULL: they run */
    bool for_device;                    /* the forecast is for the device of `api` */
    uintptr_t next_address;             /* of the next block, in a forecast */
    pf_error *error;                    /* of the entry that runs */
} ascend;

static inline ascend *ascend_of(const pf_platform *platform)
{
    return platform->state;
}

/* Opens and closes; *out is NULL on failure.  With `forecast` there is no
 * device. */
pf_status ascend_device_open(int device, const ascend_soc *forecast, ascend **out,
                             pf_error *error);
/* One that counts what `a` would be given. */
pf_status ascend_counter_open(const ascend *a, ascend **out, pf_error *error);
void ascend_device_close(ascend *a);

/* Every entry of the table begins so: the device becomes the calling thread's,
 * messages go to `error`, and scratch memory begins anew. */
pf_status ascend_enter(ascend *a, pf_error *error);

/* PF_OK for 0, else an error with CANN's code, its meaning and its message. */
pf_status ascend_check(ascend *a, int code, const char *what);

/* The same for what was given to the stream.  If it did not take that because something
 * before has failed, that is the error, and the stream is new and empty. */
pf_status ascend_check_queued(ascend *a, int code, const char *what);

/* Waits for the stream.  After a failure the stream is new and empty. */
pf_status ascend_sync(ascend *a);

/* aclrtMalloc takes a multiple of the one, and the other. */
enum { ASCEND_BLOCK_UNIT = 32, ASCEND_BLOCK_EXTRA = 32 };

/* What a block of so many bytes costs the device. */
static inline int64_t ascend_block_bytes(int64_t bytes)
{
    return pf_block_bytes(&(pf_capabilities){.block_unit = ASCEND_BLOCK_UNIT,
                                             .block_extra = ASCEND_BLOCK_EXTRA}, bytes);
}

/* Blocks of device memory, 64-byte aligned, kept for the next who asks. */
pf_status ascend_allocate(ascend *a, int64_t bytes, void **out);
void ascend_release(ascend *a, void *memory);
/* What the device has, and what is kept here for the next. */
pf_status ascend_ask_free(ascend *a, int64_t *bytes);

/* `count` values of a host tensor, as F32 or BF16 on the device; in stream order. */
pf_status ascend_upload(ascend *a, void *device, pf_dtype dtype, const void *host,
                        pf_dtype from, int64_t count);
pf_status ascend_download(ascend *a, void *host, const void *device, int64_t bytes);

/* The same through an event: only who wants the bytes waits, and for nothing behind. */
pf_status ascend_transfer_begin(ascend *a, int number, const void *device, int64_t bytes);
pf_status ascend_transfer_end(ascend *a, int number, void *host, int64_t bytes);

/* Memory until the next ascend_enter, or until a rewind to before. */
pf_status ascend_scratch_take(ascend *a, int64_t bytes, void **out);
/* One block of `bytes` in place of what there is. */
pf_status ascend_scratch_reserve(ascend *a, int64_t bytes);

/* Memory of one operator: the next may have it, because it runs behind. */
pf_status ascend_workspace(ascend *a, int64_t bytes, void **out);

typedef struct ascend_mark {
    int current;
    int64_t at;
} ascend_mark;

ascend_mark ascend_scratch_mark(const ascend *a);
void ascend_scratch_rewind(ascend *a, ascend_mark mark);

/* Recording, record.c; platform.h has the rules. */
bool ascend_can_record(const ascend *a);
pf_status ascend_record_begin(ascend *a);
pf_status ascend_record_end(ascend *a, bool keep);
pf_status ascend_replay(ascend *a);
void ascend_record_drop(ascend *a);
/* A stream in place of one that has failed, empty. */
void ascend_renew_stream(ascend *a);

#endif
