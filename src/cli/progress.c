/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line.  See cli.h.
 *
 *     main thread     compose -> lines[next];  shown = next;  draw
 *     signal handler  draw lines[shown]        SIGCONT, SIGWINCH
 *
 * The handler may interrupt compose at any place, and then finds the other line whole:
 * `shown` is a single store, made when its line is ready. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

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

/* --- the line ---------------------------------------------------------------------- */

enum { BAR = 24, MAX_LINE = 256, USUAL_COLUMNS = 80 };      /* characters */

/* Written in turns: a signal handler shows lines[shown] while the other is composed. */
static char lines[2][MAX_LINE];
static volatile sig_atomic_t shown = -1;

/* A job in the background is stopped by terminals that do not want its output. */
static bool is_in_front(void)
{
    pid_t front = tcgetpgrp(STDERR_FILENO);
    return front < 0 || front == getpgrp();
}

/* A failure (the terminal is gone) has nobody to be told. */
static void put(const char *text, size_t bytes)
{
    ssize_t written = write(STDERR_FILENO, text, bytes);
    (void)written;
}

/* Draws the line, as much of it as the terminal is wide.  Calls nothing that a signal
 * handler may not. */
static void draw(void)
{
    static const char clear[] = "\r\033[K";
    enum { CLEAR = sizeof clear - 1 };
    char text[CLEAR + MAX_LINE];
    struct winsize size = {0};
    int which = shown;
    if (which < 0 || !is_in_front())
        return;
    size_t room = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0
                      ? size.ws_col
                      : USUAL_COLUMNS;
    size_t bytes = strnlen(lines[which], MAX_LINE);
    if (bytes > room - 1)
        bytes = room - 1;               /* a full row would wrap */
    memcpy(text, clear, CLEAR);
    memcpy(text + CLEAR, lines[which], bytes);
    put(text, CLEAR + bytes);
}

/* The program goes on after Ctrl-Z, or the window has another width. */
static void on_change(int number)
{
    int reason = errno;
    (void)number;
    draw();
    errno = reason;
}

/* A terminal that can clear a row. */
static bool has_terminal(void)
{
    const char *kind = getenv("TERM");
    return isatty(STDERR_FILENO) && !(kind && strcmp(kind, "dumb") == 0);
}

static void watch_changes(void)
{
    struct sigaction action = {.sa_handler = on_change, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCONT, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
}

/* "[####....]  40 %  denoise 3 of 8, 12 s left" */
static void compose(const pf_progress *progress, char out[MAX_LINE])
{
    char bar[BAR + 1] = "", step[32] = "", left[CLI_DURATION_BYTES + 16] = "";
    int full = (int)(progress->fraction * BAR + 0.5);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    if (progress->steps > 0)
        snprintf(step, sizeof step, " %d of %d", progress->step, progress->steps);
    if (progress->seconds_left >= 0) {
        char time[CLI_DURATION_BYTES];
        cli_duration(progress->seconds_left, time);
        snprintf(left, sizeof left, ", %s left", time);
    }
    snprintf(out, MAX_LINE, "[%s] %3.0f %%  %s%s%s", bar, 100.0 * progress->fraction,
             progress->stage, step, left);
}

void cli_show_progress(void *user, const pf_progress *progress)
{
    (void)user;
    if (shown < 0 && !has_terminal())
        return;
    if (shown < 0)
        watch_changes();
    int next = shown == 0 ? 1 : 0;
    compose(progress, lines[next]);
    shown = next;
    draw();
}

void cli_end_progress(void)
{
    if (shown >= 0 && is_in_front())
        put("\r\033[K", 4);
    shown = -1;
}
