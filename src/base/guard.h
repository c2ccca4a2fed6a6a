/* SPDX-License-Identifier: Apache-2.0 */
/* Mapped files that cannot be read any more: cut while they are mapped, or on a disk or
 * network drive that fails.  Touching them raises SIGBUS, in the middle of a kernel.
 *
 * A range that is registered here outlives that: the handler puts zeros in its place and
 * notes it.  Whoever computes goes on with zeros, asks afterwards, and throws the result
 * away.  Nothing has to be unwound, so that it works in any thread of any pool.
 */
#ifndef PF_BASE_GUARD_H
#define PF_BASE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Installs the handler of SIGBUS, for the process and once.  A signal outside of
 * registered ranges goes to the handler that was there before. */
pf_status pf_guard_install(pf_error *error);

/* Registers `bytes` mapped bytes, and gives their number; -1: there is no room. */
int pf_guard_add(const void *begin, size_t bytes);
void pf_guard_remove(int number);

/* Has a page of the range been missing since it was added, or renewed?  Numbers are those of
 * pf_guard_add, until pf_guard_remove.  Thread-safety: any thread, here and below. */
bool pf_guard_is_lost(int number);
/* Tells that the range was mapped anew, or unmapped. */
void pf_guard_renew(int number);
void pf_guard_lose(int number);

/* Number of missing pages of all ranges so far: unchanged, no range needs to be asked. */
unsigned pf_guard_losses(void);

#endif
