/* SPDX-License-Identifier: Apache-2.0 */
/* Signals and standard streams.  See process.h.
 *
 * Shells look at how a process ends: one that was cancelled must die by the signal, or a
 * script's loop goes on after Ctrl-C.  So the handler cancels the work, the command cleans
 * up and gives EXIT_CANCELLED, and process_end raises the signal again.
 *
 * A reader of our output that is gone is no error for a tool in a pipe: SIGPIPE, silently.
 * While films are made SIGPIPE is ignored, so that a reader that goes away becomes an error
 * of writing and part files are removed; process_end then raises the signal. */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { SIGNAL_CODE = 128 };             /* and its number: a code that shells know, too */

static const int endings[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDINGS = sizeof endings / sizeof endings[0] };

static volatile sig_atomic_t caught;    /* the signal that cancelled; 0: none */
static void (*handler)(int number);
static bool pipes_may_end_us;           /* SIGPIPE was not ignored when we were started */
static bool checked;                    /* standard output, already */

static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

/* --- standard streams --------------------------------------------------------------- */

/* Ends by the signal, as if it had never been caught; comes back only where it cannot. */
static void end_by(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

/* Whether standard output took all that was printed. */
static bool output_arrived(void)
{
    checked = true;
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (errno == EPIPE && pipes_may_end_us)
        end_by(SIGPIPE);                /* silently, as other tools do */
    fprintf(stderr, "phonofilm: cannot write standard output: %s\n",
            strerror(errno ? errno : EIO));
    return false;
}

/* Checks the output also where argp ends the program, after --help. */
static void check_at_exit(void)
{
    if (!checked && !output_arrived())
        _exit(EXIT_FAILED);
}

void process_begin(void)
{
    /* A descriptor that can neither be read nor written. */
    while (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0 ||
           fcntl(STDERR_FILENO, F_GETFD) < 0)
        if (open("/", O_PATH) < 0)
            break;
    pipes_may_end_us = !is_ignored(SIGPIPE);
    atexit(check_at_exit);
}

bool process_reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

static int end_unread(void)
{
    checked = true;
    if (pipes_may_end_us)
        end_by(SIGPIPE);
    fprintf(stderr, "phonofilm: cannot write standard output: %s\n", strerror(EPIPE));
    return EXIT_FAILED;
}

int process_end(int code)
{
    if (code == EXIT_UNREAD)
        return end_unread();
    bool arrived = output_arrived();
    if (code == EXIT_CANCELLED && caught) {
        end_by(caught);
        return SIGNAL_CODE + caught;    /* the first process of a container is not ended */
    }
    return code == EXIT_DONE && !arrived ? EXIT_FAILED : code;
}

/* --- signals ---------------------------------------------------------------------- */

static void on_signal(int number)
{
    caught = number;
    handler(number);
}

/* Writing to a pipe that nobody reads (EPIPE) and beyond a limit of file sizes (EFBIG) fail
 * as any other writing does. */
static void make_writing_fail(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* Without SA_RESTART, so that a signal also ends waiting for the reader of a pipe. */
void process_catch(void (*handle)(int number))
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    handler = handle;
    for (int i = 0; i < ENDINGS; i++)
        if (!is_ignored(endings[i]))
            sigaction(endings[i], &action, NULL);
    make_writing_fail();
}

/* An ignored signal that is blocked would still come. */
void process_block(sigset_t *out)
{
    sigemptyset(out);
    for (int i = 0; i < ENDINGS; i++)
        if (!is_ignored(endings[i]))
            sigaddset(out, endings[i]);
    pthread_sigmask(SIG_BLOCK, out, NULL);
    make_writing_fail();
}

void process_wait(const sigset_t *set)
{
    int number;
    sigwait(set, &number);
    pthread_sigmask(SIG_UNBLOCK, set, NULL);
}
