/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that platforms share: layers that are composed of their own kernels, and all that a
 * platform on the host has beside kernels.
 */
#ifndef PF_PLATFORM_COMMON_COMMON_H
#define PF_PLATFORM_COMMON_COMMON_H

#include "platform/platform.h"

/* Slots of PF_LAYER_LIST, by the platform's own kernels (composed.c). */
#define COMMON_DECLARE(slot, type)                                             \
    pf_status common_##slot(pf_platform *platform, const type *args, pf_error *error);
PF_LAYER_LIST(COMMON_DECLARE)
#undef COMMON_DECLARE

/* Adds `plus` to x by the platform's own kernel, for norms that do not fuse it: args->x
 * becomes the sum, args->plus null. */
pf_status common_sum_first(pf_platform *platform, pf_norm_args *args, pf_error *error);

/* Opens a platform on the host: the pool (0 threads: one for each processor available),
 * the table's memory, copies, weights and close, and the capabilities that do not depend
 * on kernels.  Kernels, ceilings and names are left to the platform (host.c). */
pf_status common_host_open(pf_platform *out, int threads, pf_error *error);

/* Its `close`. */
void common_host_close(pf_platform *platform);

#endif
