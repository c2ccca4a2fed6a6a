/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded by a test of the program: its calendar clock is ten years ahead as soon as the
 * file CLOCK_JUMPS is there. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { AHEAD = 10 * 365 * 86400 };

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const char *path = getenv("CLOCK_JUMPS");
    if (syscall(SYS_clock_gettime, clock, out) != 0)
        return -1;
    if (clock == CLOCK_REALTIME && path && access(path, F_OK) == 0)
        out->tv_sec += AHEAD;
    return 0;
}
