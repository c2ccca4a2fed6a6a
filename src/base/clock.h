/* SPDX-License-Identifier: Apache-2.0 */
/* Time that only goes forward, in seconds. */
#ifndef PF_BASE_CLOCK_H
#define PF_BASE_CLOCK_H

/* Seconds since an arbitrary fixed moment: only differences mean anything. */
double pf_seconds(void);

/* Processor time of the calling thread: it stands still while others have the processor. */
double pf_thread_seconds(void);

#endif
