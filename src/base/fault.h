/* SPDX-License-Identifier: Apache-2.0 */
/* Fault injection: tests make the Nth allocation, read, write, thread start or statement
 * fail.
 *
 * Unarmed it costs one relaxed atomic load.  Armed, every thread counts down the
 * same counter, so "the Nth" is the Nth of the process.
 */
#ifndef PF_BASE_FAULT_H
#define PF_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum pf_fault_kind {
    PF_FAULT_ALLOCATION,        /* pf_alloc and its kin, device memory */
    PF_FAULT_READ,              /* opening, mapping or reading a file */
    PF_FAULT_WRITE,             /* writing or renaming a file */
    PF_FAULT_THREAD,            /* starting a thread */
    PF_FAULT_BUSY,              /* a statement of a database */
    PF_FAULT_KINDS
} pf_fault_kind;

/* The `nth` event of this kind from now on fails once (1 = the next one);
 * 0 disarms.  `sticky` makes all later ones fail, too. */
void pf_fault_arm(pf_fault_kind kind, int64_t nth, bool sticky);

/* Events of this kind since the last pf_fault_arm of it (also with nth 0). */
int64_t pf_fault_count(pf_fault_kind kind);

/* Counts an event, and tells whether its caller must act as if it had failed. */
bool pf_fault_hit(pf_fault_kind kind);

#endif
