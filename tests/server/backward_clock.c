/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded by a test of the program: its calendar clock runs backwards. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static time_t begun;

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (syscall(SYS_clock_gettime, clock, out) != 0)
        return -1;
    if (clock != CLOCK_REALTIME)
        return 0;
    if (begun == 0)
        begun = out->tv_sec;
    out->tv_sec = 2 * begun - out->tv_sec;
    out->tv_nsec = 999999999 - out->tv_nsec;
    return 0;
}
