/* SPDX-License-Identifier: Apache-2.0 */
/* A thread pool for data-parallel loops.  No task queue, no futures: one loop at
 * a time, the caller takes part, everybody has left when pf_pool_for returns.
 *
 * Kernels must give the same bits for any number of threads: cut the work into
 * items by shape alone, never by the number of workers.
 *
 * Thread-safety: pf_pool_for from any thread; creating and destroying by the owner.
 */
#ifndef PF_BASE_THREAD_H
#define PF_BASE_THREAD_H

#include <stdint.h>

#include "base/error.h"

typedef struct pf_pool pf_pool;

/* Items [begin, end) for worker 0 .. pf_pool_threads - 1 (for scratch memory). */
typedef void (*pf_pool_body)(void *argument, int64_t begin, int64_t end,
                             int worker);

enum { PF_POOL_MAX_THREADS = 256 };

/* `threads` 1..256 includes the caller; 0 takes pf_processor_count().  Destroy with
 * pf_pool_destroy (NULL is fine). */
pf_status pf_pool_create(int threads, pf_pool **out, pf_error *error);
void pf_pool_destroy(pf_pool *pool);

/* Workers of the pool, the caller of pf_pool_for included. */
int pf_pool_threads(const pf_pool *pool);

/* Runs body over [0, count) in pieces of `grain` items (at least 1), handed out
 * in order to whoever is free.  Calls from several threads take turns; a call
 * from inside a body is a bug. */
void pf_pool_for(pf_pool *pool, int64_t count, int64_t grain,
                 pf_pool_body body, void *argument);

/* Threads that keep the processors of this process busy (machine.h), 1 to
 * PF_POOL_MAX_THREADS. */
int pf_processor_count(void);

#endif
