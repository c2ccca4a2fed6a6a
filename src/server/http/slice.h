/* SPDX-License-Identifier: Apache-2.0 */
/* The time slice that the scheduler gives a thread.
 *
 * Threads that answer requests share the processors with those that compute films.  Linux
 * from 6.12 on (EEVDF) lets a thread with a short slice run as soon as it wakes up, however
 * busy the machine is, so that a request does not wait for the end of a film's slice. */
#ifndef PF_SERVER_SLICE_H
#define PF_SERVER_SLICE_H

#include <stdint.h>

/* Asks for slices of so many nanoseconds for the calling thread and those that it starts;
 * 0: the usual ones.  Older kernels refuse or ignore it, which is no failure. */
void pf_slice_ask(uint64_t nanoseconds);

#endif
