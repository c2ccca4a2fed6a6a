/* SPDX-License-Identifier: Apache-2.0 */
/* Normal noise: our own counter-based stream, and the streams of torch.randn.
 * docs/model/schedules.md#noise.
 *
 * The three streams give f32 N(0, 1).  A generator is a value: copy it to keep a position.
 * One thread at a time uses a generator; pf_noise_own has no state.
 * PyTorch's streams are matched within 2e-6, by which PyTorch itself differs between
 * processors.
 */
#ifndef PF_BASE_RNG_H
#define PF_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

/* --- own: Philox4x32-10, one counter for every four values; any range of the
 * stream can be made alone, in any order -------------------------------------- */

/* Values [first, first + count) of stream `stream` of `seed`. */
void pf_noise_own(uint64_t seed, uint64_t stream, uint64_t first, int64_t count,
                  float *out);

/* --- torch.randn on the CPU: mt19937 ---------------------------------------- */

typedef struct pf_mt19937 {
    uint32_t state[624];
    int next;
    bool cached;                        /* a normal is left over (count < 16) */
    double cache;
} pf_mt19937;

/* As torch.manual_seed does, of which the lower 32 bits count. */
void pf_mt19937_seed(pf_mt19937 *generator, uint64_t seed);
/* Draws as torch.randn(count) does. */
void pf_mt19937_normal(pf_mt19937 *generator, int64_t count, float *out);

/* --- torch.randn on CUDA: Philox with PyTorch's launch shape ---------------- */

typedef struct pf_cuda_philox {
    uint64_t seed, offset;
    int multiprocessors;                /* of the GPU that is to be matched */
} pf_cuda_philox;

/* Draws as torch.randn(count, device="cuda") does. */
void pf_cuda_philox_normal(pf_cuda_philox *generator, int64_t count, float *out);

#endif
