/* SPDX-License-Identifier: Apache-2.0 */
/* The program as a process: signals, standard streams, how it ends. */
#ifndef PF_CLI_PROCESS_H
#define PF_CLI_PROCESS_H

#include <signal.h>
#include <stdbool.h>

/* First of all: occupies descriptors 0 to 2 where they are closed, so that no file of ours
 * gets such a number; reading and writing there go on to fail.  Makes sure that output
 * which does not arrive is told, however the program ends. */
void process_begin(void);

/* Last of all: a cancelled command ends by the signal that cancelled it, as shells and
 * other programs expect; standard output that does not arrive makes EXIT_FAILED.  Gives
 * the code to return from main. */
int process_end(int code);

/* Whether standard output is a pipe or socket that nobody reads any more. */
bool process_reader_is_gone(void);

/* For when files are half written: no signal may end the program at once.  `handle` gets
 * Ctrl-C, SIGTERM and a closed terminal (SIGHUP), each once: the second one ends the
 * program.  One that is ignored, as nohup and shells leave it for background jobs, stays
 * ignored.  A reader that goes away and a limit of file sizes become errors of writing. */
void process_catch(void (*handle)(int number));

/* For a server: blocks the same signals in this thread and all that it starts; then waits
 * for the first of them.  The second one ends the program. */
void process_block(sigset_t *out);
void process_wait(const sigset_t *set);

#endif
