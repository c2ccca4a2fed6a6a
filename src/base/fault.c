/* SPDX-License-Identifier: Apache-2.0 */
/* Fault injection.  See fault.h.
 *
 * A test runs an operation with nth = 1, 2, 3 ... until it succeeds, and so makes every
 * allocation, read or write in it fail once.  `seen` is counted by all threads: with several,
 * the order of events is theirs, but each number is hit once. */
#include "base/fault.h"

#include <stdatomic.h>

typedef struct fault {
    atomic_bool armed;          /* counting at all */
    atomic_bool sticky;
    _Atomic int64_t nth;        /* 0: count only */
    _Atomic int64_t seen;
} fault;

static fault faults[PF_FAULT_KINDS];

void pf_fault_arm(pf_fault_kind kind, int64_t nth, bool sticky)
{
    fault *f = &faults[kind];
    atomic_store(&f->seen, 0);
    atomic_store(&f->nth, nth);
    atomic_store(&f->sticky, sticky);
    atomic_store(&f->armed, true);
}

int64_t pf_fault_count(pf_fault_kind kind)
{
    return atomic_load(&faults[kind].seen);
}

bool pf_fault_hit(pf_fault_kind kind)
{
    fault *f = &faults[kind];
    if (!atomic_load_explicit(&f->armed, memory_order_relaxed))
        return false;
    int64_t seen = atomic_fetch_add(&f->seen, 1) + 1;
    int64_t nth = atomic_load(&f->nth);
    if (nth == 0)
        return false;
    return seen == nth || (seen > nth && atomic_load(&f->sticky));
}
