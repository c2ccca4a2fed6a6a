/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded by a test of the program: its clocks run thirty times as fast. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPEED = 30 };

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (syscall(SYS_clock_gettime, clock, out) != 0)
        return -1;
    long long nanoseconds = (long long)SPEED * out->tv_nsec;
    out->tv_sec = SPEED * out->tv_sec + nanoseconds / 1000000000;
    out->tv_nsec = nanoseconds % 1000000000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
