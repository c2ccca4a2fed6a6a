/* SPDX-License-Identifier: Apache-2.0 */
/* Register-only loops: how fast this processor multiplies when memory plays no
 * part.  `phonofilm bench` compares the kernels with them.
 *
 * Each worker repeats a chunk of independent multiply-add chains, enough of them
 * to cover the latency, in short slices.  The fastest slice counts, by the processor
 * time of the worker, so that other programs on the machine do not show; the rates of
 * all workers are added.
 */

#include "base/clock.h"
#include "platform/cpu/kernels.h"
#include "platform/cpu/vec.h"

#if VF_WIDTH == 16 || VF_WIDTH == 4
enum { CHAINS = 24 };               /* of 32 registers */
#else
enum { CHAINS = 12 };               /* of 16 registers */
#endif
enum { CHUNK = 2000 };              /* steps of a call */
enum { SLICE = 16 };                /* calls between two looks at the clock */

typedef struct probe {
    void (*chunk)(float *sink);     /* CHUNK steps of CHAINS instructions */
    double seconds;                 /* of each worker */
    double rates[PF_POOL_MAX_THREADS];  /* chunks a second, of each worker */
} probe;

static void chunk_f32(float *sink)
{
    vf chain[CHAINS], a = vf_set(sink[0]), b = vf_set(sink[1]);
    VF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        chain[i] = vf_set((float)i);
    for (int step = 0; step < CHUNK; step++) {
        VF_UNROLL
        for (int i = 0; i < CHAINS; i++)
            chain[i] = vf_fma(a, b, chain[i]);
    }
    VF_UNROLL
    for (int i = 1; i < CHAINS; i++)
        chain[0] = vf_add(chain[0], chain[i]);
    vf_store(sink + 2, chain[0]);
}

#if VF_BF16_DOT

static void chunk_bf16(float *sink)
{
    vf chain[CHAINS];
    vb a = vb_set(sink), b = vb_set(sink + 1);
    VF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        chain[i] = vf_set((float)i);
    for (int step = 0; step < CHUNK; step++) {
        VF_UNROLL
        for (int i = 0; i < CHAINS; i++)
            chain[i] = vf_dot(chain[i], a, b);
    }
    VF_UNROLL
    for (int i = 1; i < CHAINS; i++)
        chain[0] = vf_add(chain[0], chain[i]);
    vf_store(sink + 2, chain[0]);
}

#endif
#if defined(__AVX512VNNI__)

static void chunk_int8(float *sink)
{
    vi chain[CHAINS], a = vf_bits(vf_set(sink[0])), b = vf_bits(vf_set(sink[1]));
    VF_UNROLL
    for (int i = 0; i < CHAINS; i++)
        chain[i] = vi_set(i);
    for (int step = 0; step < CHUNK; step++) {
        VF_UNROLL
        for (int i = 0; i < CHAINS; i++)
            /* gcc 12 copies every chain around the intrinsic. */
            __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(chain[i]) : "v"(a), "v"(b));
    }
    VF_UNROLL
    for (int i = 1; i < CHAINS; i++)
        chain[0] = vi_add(chain[0], chain[i]);
    vf_store(sink + 2, vi_float(chain[0]));
}

#endif

/* Each worker has one item. */
static void run_slices(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)end, (void)worker;
    probe *p = argument;
    float sink[2 + VF_WIDTH] = {0.5f, 0.25f};
    double start = pf_thread_seconds(), now = start;
    do {
        double before = now;
        for (int i = 0; i < SLICE; i++)
            p->chunk(sink);
        now = pf_thread_seconds();
        double rate = now > before ? SLICE / (now - before) : 0.0;
        if (rate > p->rates[begin])
            p->rates[begin] = rate;
    } while (now - start < p->seconds);
}

/* 1e9 operations a second when one instruction is `operations`. */
static double measure(pf_pool *pool, void (*chunk)(float *), double operations,
                      double seconds)
{
    probe p = {.chunk = chunk, .seconds = seconds};
    int threads = pf_pool_threads(pool);
    double chunks = 0.0;
    pf_pool_for(pool, threads, 1, run_slices, &p);
    for (int i = 0; i < threads; i++)
        chunks += p.rates[i];
    return (double)CHUNK * CHAINS * chunks * operations * 1e-9;
}

pf_status PF_CPU(ceilings)(pf_platform *platform, double seconds,
                           pf_ceilings *out, pf_error *error)
{
    (void)error;
    *out = (pf_ceilings){0};
    measure(platform->pool, chunk_f32, 0.0, 0.001);     /* wakes everybody */
    out->f32 = measure(platform->pool, chunk_f32, 2.0 * VF_WIDTH, seconds);
#if VF_BF16_DOT
    out->bf16 = measure(platform->pool, chunk_bf16, 4.0 * VF_WIDTH, seconds);
#endif
#if defined(__AVX512VNNI__)
    out->int8 = measure(platform->pool, chunk_int8, 8.0 * VF_WIDTH, seconds);
#endif
    return PF_OK;
}
