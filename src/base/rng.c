/* SPDX-License-Identifier: Apache-2.0 */
/* Normal noise.  See rng.h; docs/model/schedules.md#noise. */
#include "base/rng.h"

#include <math.h>

static const float two_pi = 6.283185307179586f;

/* --- Philox4x32-10 ---------------------------------------------------------- */

typedef struct words {
    uint32_t w[4];
} words;

/* Ten rounds of Philox4x32 (Salmon et al., SC 2011): four words from a key and a counter of
 * 128 bits, without a state. */
static words philox(uint64_t key, uint64_t counter_low, uint64_t counter_high)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (words){{c0, c1, c2, c3}};
}

/* Two normals from two words, sine first (PyTorch's and cuRAND's form):
 *
 *     u = (x + 1/2) / 2^32,  v = 2 pi (y + 1/2) / 2^32
 *     sqrt(-2 ln(u)) sin(v),  sqrt(-2 ln(u)) cos(v)
 *
 * The half keeps u above 0. */
static void box_muller(uint32_t x, uint32_t y, float *sine, float *cosine)
{
    const float scale = 2.3283064365386963e-10f;        /* 2^-32 */
    float u = (float)x * scale + scale / 2.0f;
    float v = ((float)y * scale + scale / 2.0f) * two_pi;
    float radius = sqrtf(-2.0f * logf(u));
    *sine = radius * sinf(v);
    *cosine = radius * cosf(v);
}

static void four_normals(words random, float out[4])
{
    box_muller(random.w[0], random.w[1], &out[0], &out[1]);
    box_muller(random.w[2], random.w[3], &out[2], &out[3]);
}

void pf_noise_own(uint64_t seed, uint64_t stream, uint64_t first, int64_t count,
                  float *out)
{
    int64_t done = 0;
    while (done < count) {
        float normals[4];
        uint64_t at = first + (uint64_t)done;
        four_normals(philox(seed, at / 4, stream), normals);
        for (uint64_t i = at % 4; i < 4 && done < count; i++)
            out[done++] = normals[i];
    }
}

/* --- mt19937 ---------------------------------------------------------------- */

void pf_mt19937_seed(pf_mt19937 *generator, uint64_t seed)
{
    generator->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < 624; i++) {
        uint32_t last = generator->state[i - 1];
        generator->state[i] = 1812433253u * (last ^ (last >> 30)) + i;
    }
    generator->next = 624;
    generator->cached = false;
    generator->cache = 0.0;
}

/* Advances all 624 words of the state (Matsumoto and Nishimura, 1998). */
static void refill(pf_mt19937 *generator)
{
    uint32_t *s = generator->state;
    for (int i = 0; i < 624; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % 624] & 0x7fffffffu);
        s[i] = s[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
    }
    generator->next = 0;
}

static uint32_t next_word(pf_mt19937 *generator)
{
    if (generator->next == 624)
        refill(generator);
    uint32_t y = generator->state[generator->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static float next_uniform(pf_mt19937 *generator)
{
    return (float)(next_word(generator) & 0xffffffu) * 0x1p-24f;
}

static double next_uniform_53(pf_mt19937 *generator)
{
    uint64_t high = next_word(generator);
    uint64_t low = next_word(generator);
    return (double)(((high << 32) | low) & (((uint64_t)1 << 53) - 1)) * 0x1p-53;
}

/* Fewer than 16 values, which PyTorch draws in pairs and hands out singly. */
static float single_normal(pf_mt19937 *generator)
{
    if (generator->cached) {
        generator->cached = false;
        return (float)generator->cache;
    }
    double u1 = next_uniform_53(generator);
    double u2 = next_uniform_53(generator);
    double radius = sqrt(-2.0 * log1p(-u2));
    double angle = 2.0 * 3.14159265358979323846 * u1;
    generator->cache = radius * sin(angle);
    generator->cached = true;
    return (float)(radius * cos(angle));
}

/* Turns 16 uniforms into 16 normals in place, pairs (j, j + 8): radius from 1 - u, which is
 * above 0, as u is below 1. */
static void transform_16(float *block)
{
    for (int j = 0; j < 8; j++) {
        float radius = sqrtf(-2.0f * logf(1.0f - block[j]));
        float angle = two_pi * block[j + 8];
        block[j] = radius * cosf(angle);
        block[j + 8] = radius * sinf(angle);
    }
}

/* As PyTorch fills a tensor of 16 values or more: uniforms first, then blocks of 16; a rest is
 * covered by drawing the last 16 values anew, which overwrites finished ones. */
void pf_mt19937_normal(pf_mt19937 *generator, int64_t count, float *out)
{
    if (count < 16) {
        for (int64_t i = 0; i < count; i++)
            out[i] = single_normal(generator);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        out[i] = next_uniform(generator);
    for (int64_t i = 0; i + 16 <= count; i += 16)
        transform_16(out + i);
    if (count % 16 == 0)
        return;
    float *last = out + count - 16;
    for (int i = 0; i < 16; i++)
        last[i] = next_uniform(generator);
    transform_16(last);
}

/* --- CUDA ------------------------------------------------------------------- */

/* Normal i of round q of thread u is element u + threads (4q + i).  PyTorch launches 256
 * threads a block and at most 2048 a multiprocessor, so that the values depend on the GPU. */
void pf_cuda_philox_normal(pf_cuda_philox *generator, int64_t count, float *out)
{
    const int64_t block = 256, blocks_per_multiprocessor = 2048 / 256;
    int64_t most = generator->multiprocessors * blocks_per_multiprocessor;
    int64_t grid = (count + block - 1) / block;
    int64_t threads = block * (grid < most ? grid : most);
    int64_t rounds = threads ? (count - 1) / (4 * threads) + 1 : 0;
    for (int64_t q = 0; q < rounds; q++)
        for (int64_t u = 0; u < threads; u++) {
            float normals[4];
            four_normals(philox(generator->seed,
                                generator->offset / 4 + (uint64_t)q, (uint64_t)u),
                         normals);
            for (int64_t i = 0; i < 4; i++) {
                int64_t element = u + threads * (4 * q + i);
                if (element < count)
                    out[element] = normals[i];
            }
        }
    generator->offset += 4 * (uint64_t)rounds;
}
