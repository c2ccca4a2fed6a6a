/* SPDX-License-Identifier: Apache-2.0 */
/* Time slices.  See slice.h. */
#include "server/http/slice.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc has no sched_setattr; the structure is the kernel's (sched_setattr(2)). */
void pf_slice_ask(uint64_t nanoseconds)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } slice = {.size = sizeof slice, .policy = SCHED_OTHER, .runtime = nanoseconds,
               .nice = getpriority(PRIO_PROCESS, 0)};
    if (sched_getscheduler(0) == SCHED_OTHER)
        syscall(SYS_sched_setattr, 0, &slice, 0);
}
