/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of one instruction set: included by the files that are compiled
 * once per set, with PF_ISA as its name.  A kernel that is not listed here is the
 * reference's.
 */
#ifndef PF_PLATFORM_CPU_KERNELS_H
#define PF_PLATFORM_CPU_KERNELS_H

#include "platform/cpu/cpu.h"

/* X(slot, argument type) */
#define PF_CPU_KERNEL_LIST(X)                           \
    X(linear, pf_linear_args)                           \
    X(attention, pf_attention_args)                     \
    X(norm, pf_norm_args)                               \
    X(conv, pf_conv_args)                               \
    X(conv_transposed, pf_conv_transposed_args)         \
    X(channel_norm, pf_channel_norm_args)               \
    X(snake, pf_snake_args)                             \
    X(unary, pf_unary_args)                             \
    X(add, pf_add_args)                                 \
    X(copy, pf_copy_args)                               \
    X(fill, pf_fill_args)                               \
    X(upsample, pf_upsample_args)

#define PF_CPU_DECLARE(slot, type) \
    pf_status PF_CPU(slot)(pf_platform *platform, const type *args, pf_error *error);
PF_CPU_KERNEL_LIST(PF_CPU_DECLARE)
#undef PF_CPU_DECLARE

int64_t PF_CPU(weight_bytes)(pf_platform *platform, const pf_weight_source *source,
                             pf_multiply multiply);
pf_status PF_CPU(weight_fill)(pf_platform *platform, const pf_weight_source *source,
                              pf_multiply multiply, void *memory, pf_weight *out,
                              pf_error *error);
void PF_CPU(weight_release)(pf_platform *platform, pf_weight *weight);

pf_status PF_CPU(ceilings)(pf_platform *platform, double seconds,
                           pf_ceilings *out, pf_error *error);

#endif
