/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that platforms share: layers that are composed of their own kernels, and all that a
 * platform on the host has beside kernels.
 */
#ifndef PF_PLATFORM_COMMON_COMMON_H
#define PF_PLATFORM_COMMON_COMMON_H

#include "platform/platform.h"

/* Slots of PF_LAYER_LIST, by the platform's own kernels, and their scratch_bytes
 * (composed.c). */
#define COMMON_DECLARE(slot, type)                                             \
    pf_status pf_common_##slot(pf_platform *platform, const type *args, pf_error *error);
PF_LAYER_LIST(COMMON_DECLARE)
#undef COMMON_DECLARE
int64_t pf_common_scratch_bytes(pf_platform *platform, pf_kernel which, const void *args);

/* Scratch memory that is being handed out: `bytes` counts what is gone.  A layer lays out
 * its scratch in one function, which runs on pf_common_counter() to say how many bytes the
 * layer needs and on pf_common_cutter() to hand them out. */
static inline pf_scratch pf_common_cutter(pf_scratch all)
{
    return (pf_scratch){.memory = all.memory};
}

/* Its addresses are made up. */
static inline pf_scratch pf_common_counter(void)
{
    return (pf_scratch){.memory = (char *)(uintptr_t)64};
}

/* The next `bytes`, padded so that those behind them are 64-byte aligned. */
static inline void *pf_common_cut(pf_scratch *from, int64_t bytes)
{
    char *cut = from->memory + from->bytes;
    from->bytes += (bytes + 63) / 64 * 64;
    return cut;
}

static inline pf_tensor pf_common_cut_matrix(pf_scratch *from, pf_dtype dtype, int64_t rows,
                                             int64_t columns)
{
    int64_t bytes = pf_dtype_bytes(dtype, rows * columns);
    return pf_matrix(pf_common_cut(from, bytes), dtype, rows, columns);
}

/* Adds `plus` to x by the platform's own kernel, for norms that do not fuse it: args->x
 * becomes the sum, args->plus null. */
pf_status pf_common_sum_first(pf_platform *platform, pf_norm_args *args, pf_error *error);

/* Refuses a weight of another format than those that every platform multiplies: values
 * that convert to f32, with neither scales nor rotation (weight.c). */
pf_status pf_common_weight_check(const pf_platform *platform, const pf_weight_source *source,
                                 pf_error *error);

/* Fills the slots that a platform has left NULL: layers are composed; kernels are computed by
 * the reference if `hosted`, and otherwise the platform is refused (hosted.c). */
pf_status pf_common_complete(pf_platform *platform, bool hosted, pf_error *error);

/* Opens a platform on the host: the pool (0 threads: one for each processor available),
 * the table's memory, copies, weights and close, and the capabilities that do not depend
 * on kernels.  Kernels, ceilings and names are left to the platform (host.c). */
pf_status pf_common_host_open(pf_platform *out, int threads, pf_error *error);

/* Its `close`. */
void pf_common_host_close(pf_platform *platform);

#endif
