/* SPDX-License-Identifier: Apache-2.0 */
/* How a call can be cut among ranks: a kernel must give the same bits for a row, head,
 * query, frame or position however many of them stand beside it in the call.
 * docs/model/numerics.md#ranks.
 */
#ifndef PF_TESTS_KERNELS_CUTS_H
#define PF_TESTS_KERNELS_CUTS_H

#include "platform/group.h"
#include "trial.h"

/* An axis of a slot's calls. */
typedef struct kernel_cut {
    const char *axis;
    /* Units of the axis in this call; 0 or 1: this call is not cut. */
    int64_t (*units)(const kernel_args *whole);
    /* Narrows a copy of the whole call's arguments to the units of one share. */
    void (*narrow)(kernel_args *part, pf_share share);
} kernel_cut;

enum { CUTS_MOST = 3 };

typedef struct kernel_cuts {
    kernel_cut cuts[CUTS_MOST];         /* those with a name */
    const char *whole;                  /* why calls of this slot are never cut, or NULL */
} kernel_cuts;

/* Every slot has one: main.c makes the table from PF_KERNEL_LIST. */
#define KERNEL_CUTS_DECLARE(slot, type) extern const kernel_cuts cuts_##slot;
PF_KERNEL_LIST(KERNEL_CUTS_DECLARE)
#undef KERNEL_CUTS_DECLARE

#endif
