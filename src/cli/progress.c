/* The progress line.  See cli.h. */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

enum { BAR = 24 };

static bool drawn;

void cli_duration(double seconds, char out[CLI_DURATION_BYTES])
{
    const double most = 1e12;
    long s = (long)(seconds < most ? seconds + 0.5 : most);
    long minutes = (s + 30) / 60, hours = (s + 1800) / 3600;
    if (s < 60)
        snprintf(out, CLI_DURATION_BYTES, "%ld s", s);
    else if (s < 3600)
        snprintf(out, CLI_DURATION_BYTES, "%ld min %02ld s", s / 60, s % 60);
    else if (minutes < 24 * 60)
        snprintf(out, CLI_DURATION_BYTES, "%ld h %02ld min", minutes / 60, minutes % 60);
    else
        snprintf(out, CLI_DURATION_BYTES, "%ld day%s %ld h", hours / 24,
                 hours < 48 ? "" : "s", hours % 24);
}

static void print_time(double seconds)
{
    char text[CLI_DURATION_BYTES];
    if (seconds < 0)
        return;
    cli_duration(seconds, text);
    fprintf(stderr, ", %s left", text);
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
