/* The progress line.  See cli.h. */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

enum { BAR = 24 };

static bool drawn;

static void print_time(double seconds)
{
    if (seconds < 0)
        return;
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        fprintf(stderr, ", %ld h %02ld min left", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        fprintf(stderr, ", %ld min %02ld s left", s / 60, s % 60);
    else
        fprintf(stderr, ", %ld s left", s);
}

void cli_show_progress(void *user, const pf_progress *progress)
{
    (void)user;
    if (!isatty(STDERR_FILENO))
        return;
    int full = (int)(progress->fraction * BAR + 0.5);
    fputs("\r\033[K[", stderr);
    for (int i = 0; i < BAR; i++)
        fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %3.0f %%  %s", 100.0 * progress->fraction, progress->stage);
    if (progress->steps > 0)
        fprintf(stderr, " %d of %d", progress->step, progress->steps);
    print_time(progress->seconds_left);
    fflush(stderr);
    drawn = true;
}

void cli_end_progress(void)
{
    if (drawn)
        fputs("\r\033[K", stderr);
    drawn = false;
}
