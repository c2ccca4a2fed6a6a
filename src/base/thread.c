/* SPDX-License-Identifier: Apache-2.0 */
/* Thread pool.  See thread.h.
 *
 * Workers sleep on a condition variable between loops, after a short spin: the
 * loops of one denoising step follow each other within microseconds.  A loop is
 * published by raising `generation`; pieces are drawn from an atomic counter.
 *
 *     caller, worker 0                        workers 1 ..
 *
 *     job, next = 0, busy = workers           spin or sleep
 *     generation + 1, wake -----------------> generation is not `seen`: seen + 1
 *     pieces <------- next, atomic ---------> pieces
 *     wait until busy is 0 <----------------- busy - 1; the last one wakes the caller
 *
 * A loop ends when every worker has left it, so no worker can miss one: `seen` counts up by
 * one a loop.  `job` is written before `generation` and read after it, and needs no lock.
 */
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/fault.h"
#include "base/machine.h"
#include "base/memory.h"

/* Looks at the atomics before a thread sleeps: some microseconds, the gap between two loops of
 * a step.  Longer would take the processor from encoders and other films. */
enum { SPINS = 4000 };

typedef struct loop {
    pf_pool_body body;
    void *argument;
    int64_t count;
    int64_t grain;
} loop;

typedef struct worker {
    pf_pool *pool;
    pthread_t thread;
    int index;
} worker;

struct pf_pool {
    int threads;
    int started;                    /* threads that exist, without the caller */
    worker *workers;                /* [threads - 1] */
    pthread_mutex_t turn;           /* one loop at a time */
    pthread_mutex_t lock;           /* guards the sleeping below */
    pthread_cond_t wake;
    pthread_cond_t idle;
    loop job;
    _Atomic uint64_t generation;
    _Atomic int64_t next;           /* first item not handed out yet */
    atomic_int busy;                /* workers that have not left the loop */
    atomic_bool quit;
};

int pf_processor_count(void)
{
    pf_machine machine;
    pf_machine_read(NULL, &machine);
    int count = pf_machine_threads(&machine);
    return count < PF_POOL_MAX_THREADS ? count : PF_POOL_MAX_THREADS;
}

/* Draws pieces until none is left.  Whoever is free takes the next one, so that a slow worker
 * holds up one piece at most. */
static void run_pieces(pf_pool *pool, const loop *job, int index)
{
    for (;;) {
        int64_t begin = atomic_fetch_add(&pool->next, job->grain);
        if (begin >= job->count)
            return;
        int64_t end = begin + job->grain;
        job->body(job->argument, begin, end < job->count ? end : job->count,
                  index);
    }
}

/* Waits for the next loop; false when the pool closes. */
static bool wait_for_loop(pf_pool *pool, uint64_t seen)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load(&pool->generation) != seen || atomic_load(&pool->quit))
            return !atomic_load(&pool->quit);
        if (spin % 64 == 63)
            sched_yield();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->generation) == seen && !atomic_load(&pool->quit))
        pthread_cond_wait(&pool->wake, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return !atomic_load(&pool->quit);
}

/* A worker's life.  The last one to leave a loop signals under the lock, or the caller could
 * test `busy`, miss the signal, and sleep for ever. */
static void *worker_main(void *argument)
{
    worker *self = argument;
    pf_pool *pool = self->pool;
    uint64_t seen = 0;
    while (wait_for_loop(pool, seen)) {
        seen++;
        run_pieces(pool, &pool->job, self->index);
        if (atomic_fetch_sub(&pool->busy, 1) == 1) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->idle);
            pthread_mutex_unlock(&pool->lock);
        }
    }
    return NULL;
}

pf_status pf_pool_create(int threads, pf_pool **out, pf_error *error)
{
    *out = NULL;
    if (threads < 0 || threads > PF_POOL_MAX_THREADS)
        return pf_fail(error, PF_E_ARGUMENT,
                       "threads is %d, but must be 0 (all) or 1 to %d", threads,
                       PF_POOL_MAX_THREADS);
    if (threads == 0)
        threads = pf_processor_count();
    pf_pool *pool = pf_calloc(1, sizeof *pool);
    if (!pool)
        return pf_fail_memory(error, "thread pool", sizeof *pool);
    pool->threads = threads;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->workers = pf_calloc((size_t)threads, sizeof *pool->workers);
    if (!pool->workers) {
        pf_pool_destroy(pool);
        return pf_fail_memory(error, "thread pool", sizeof *pool->workers);
    }
    for (int i = 0; i < threads - 1; i++) {
        worker *w = &pool->workers[i];
        *w = (worker){.pool = pool, .index = i + 1};
        int reason = pf_fault_hit(PF_FAULT_THREAD)
                         ? EAGAIN
                         : pthread_create(&w->thread, NULL, worker_main, w);
        if (reason != 0) {
            pf_pool_destroy(pool);
            return pf_fail_errno(error, reason, "cannot start thread %d of %d",
                                 i + 2, threads);
        }
        pool->started++;
    }
    *out = pool;
    return PF_OK;
}

/* Also for a pool whose creation failed half way: `started` threads exist. */
void pf_pool_destroy(pf_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->quit, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->turn);
    pf_free(pool->workers);
    pf_free(pool);
}

int pf_pool_threads(const pf_pool *pool)
{
    return pool->threads;
}

static void wait_until_idle(pf_pool *pool)
{
    for (int spin = 0; spin < SPINS; spin++)
        if (atomic_load(&pool->busy) == 0)
            return;
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->busy) != 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void pf_pool_for(pf_pool *pool, int64_t count, int64_t grain,
                 pf_pool_body body, void *argument)
{
    if (grain < 1)
        grain = 1;
    if (count <= 0)
        return;
    pthread_mutex_lock(&pool->turn);
    if (pool->started == 0 || count <= grain) {
        for (int64_t i = 0; i < count; i += grain)
            body(argument, i, i + grain < count ? i + grain : count, 0);
        pthread_mutex_unlock(&pool->turn);
        return;
    }
    pool->job = (loop){body, argument, count, grain};
    atomic_store(&pool->next, 0);
    atomic_store(&pool->busy, pool->started);
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->generation, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    run_pieces(pool, &pool->job, 0);
    wait_until_idle(pool);
    pthread_mutex_unlock(&pool->turn);
}
