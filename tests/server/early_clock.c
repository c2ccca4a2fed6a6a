/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded by a test of the program: its calendar clock is an hour ahead of the system's,
 * as if that one had been set back since it was read. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (syscall(SYS_clock_gettime, clock, out) != 0)
        return -1;
    if (clock == CLOCK_REALTIME)
        out->tv_sec += 3600;
    return 0;
}
