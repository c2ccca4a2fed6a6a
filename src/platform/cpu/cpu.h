/* SPDX-License-Identifier: Apache-2.0 */
/* The cpu platform: what its kernels share.
 *
 * It starts from the reference table.  Which instruction set to use is found out
 * when the platform opens; the table then gets the kernels of that set from
 * table.c, which, like every kernel file, is compiled once per instruction set
 * with PF_ISA as the suffix of its symbols (src/platform/meson.build).
 */
#ifndef PF_PLATFORM_CPU_H
#define PF_PLATFORM_CPU_H

#include <stdint.h>

#include "platform/platform.h"

pf_status pf_cpu_open(pf_platform *out, const pf_platform_options *options,
                      pf_error *error);

/* --- scratch memory ---------------------------------------------------------
 * One region that all workers share and one for each worker, 64-byte aligned.
 * They grow when a kernel needs more and stay until the platform closes, so that
 * a loop of equal calls allocates in its first round only.  Contents do not
 * survive the call. */

/* Makes sure of both sizes.  To be called before the parallel loops, never from
 * inside; invalidates earlier pointers. */
pf_status pf_cpu_scratch_reserve(pf_platform *platform, int64_t shared_bytes,
                                 int64_t worker_bytes, pf_error *error);
void *pf_cpu_scratch_shared(const pf_platform *platform);
void *pf_cpu_scratch_worker(const pf_platform *platform, int worker);

/* --- one set of kernels per instruction set ----------------------------------
 * PF_CPU(linear) is pf_linear_avx2 in the files compiled for AVX2. */

#define PF_CPU_JOIN_(name, isa) pf_##name##_##isa
#define PF_CPU_JOIN(name, isa) PF_CPU_JOIN_(name, isa)
#define PF_CPU(name) PF_CPU_JOIN(name, PF_ISA)

void pf_cpu_fill_scalar(pf_platform_table *table);
#if defined(__x86_64__)
void pf_cpu_fill_avx2(pf_platform_table *table);
void pf_cpu_fill_avx512(pf_platform_table *table);
void pf_cpu_fill_avx512bf16(pf_platform_table *table);
#elif defined(__aarch64__)
void pf_cpu_fill_neon(pf_platform_table *table);
#endif

#endif
