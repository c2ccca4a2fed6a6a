/* SPDX-License-Identifier: Apache-2.0 */
/* The vector layer: what every kernel of the cpu platform is written in.
 *
 * One of the files vec_<isa>.h defines, for the instruction set that this
 * translation unit is compiled for:
 *
 *   vf            VF_WIDTH lanes of f32
 *   vi            VF_WIDTH lanes of 32-bit integers
 *   vm            VF_WIDTH truth values, made by vf_less and its kin
 *
 *   vf_zero()  vf_set(x)                     the same value in every lane
 *   vf_load(p)  vf_store(p, v)               any alignment
 *   vf_load_part(p, n)  vf_store_part(p, v, n)   the first n lanes, 0 <= n; lanes
 *                                            past n are 0 and untouched in memory
 *   vf_load_bf16(p)  vf_load_bf16_part(p, n)     the same from bf16 and f16
 *   vf_load_f16(p)   vf_load_f16_part(p, n)
 *   vf_add sub mul div min max sqrt(v)
 *   vf_fma(a, b, c)   a b + c                one rounding (two for "scalar")
 *   vf_fnma(a, b, c)  c - a b
 *   vf_round(v)                              to the nearest whole number, ties to even
 *   vf_scale2(v, n)   v 2^n                  n whole, any size; under- and overflow
 *                                            as IEEE has it
 *   vf_scale2_normal(v, n)                   the same if nothing leaves the normal
 *                                            range; not in "scalar"
 *   vf_less(a, b)  vf_select(m, yes, no)  vm_any(m)
 *   vf_is_nan(v)
 *   vf_bits(v)  vi_float(i)                  reinterpret;  vf_to_int(v): nearest
 *   vi_set add and or shl(i, n) shr(i, n)    shr is logical
 *   vf_sum(v)  vf_largest(v)                 over the lanes, in a fixed order
 *   vf_transpose(rows)                       rows[VF_WIDTH] as a square, in place
 *
 * and, where VF_BF16_DOT is 1, for products of bf16 pairs:
 *
 *   vb            VF_WIDTH pairs of bf16, one pair in each 32-bit lane
 *   vb_load(p)  vb_store(p, b)  vb_set(p)    vb_set: the pair at p in every lane
 *   vb_load_part(p, n)                       the first n bf16 elements, the rest 0
 *   vb_pair(even, odd)                       lane i: (even[i], odd[i]), rounded
 *   vb_pack(low, high)                       elements in order: low then high
 *   vf_dot(acc, a, b)                        lane i: acc + a0 b0 + a1 b1
 *   vb_float(b)  vf_pairs(v)                 reinterpret
 *
 * vec_math.h adds exp, tanh, sin and rounding to bf16 on top, once for all.
 * All are values: nothing here touches memory beyond what it says.
 */
#ifndef PF_PLATFORM_CPU_VEC_H
#define PF_PLATFORM_CPU_VEC_H

#include <stdint.h>
#include <string.h>

#include "tensor/dtype.h"

#define VF_INLINE static inline __attribute__((always_inline, unused))

/* In front of a loop over the registers of a tile: it must vanish, or the tile
 * lies in memory. */
#if defined(__clang__)
#define VF_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VF_UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(__AVX512F__)
#include "platform/cpu/vec_avx512.h"
#elif defined(__AVX2__)
#include "platform/cpu/vec_avx2.h"
#elif defined(__ARM_NEON)
#include "platform/cpu/vec_neon.h"
#else
#include "platform/cpu/vec_scalar.h"
#endif

#include "platform/cpu/vec_math.h"

/* X(dtype, load, load of a part): the dtypes that weights are stored in.  A format is added
 * here, and everything below and the packing of panels (tile.h) know it. */
#define VF_SOURCE_LIST(X)                           \
    X(PF_F32, vf_load, vf_load_part)                \
    X(PF_BF16, vf_load_bf16, vf_load_bf16_part)     \
    X(PF_F16, vf_load_f16, vf_load_f16_part)

/* Elements [i, i + VF_WIDTH) of an array of such a dtype, at any alignment. */
VF_INLINE vf vf_load_as(const void *p, pf_dtype dtype, int64_t i)
{
    switch (dtype) {
#define VF_SOURCE_LOAD(id, load, load_part) \
    case id: return load((const char *)p + pf_dtype_bytes(id, i));
        VF_SOURCE_LIST(VF_SOURCE_LOAD)
#undef VF_SOURCE_LOAD
    default: return vf_zero();
    }
}

/* vf_load_as of the first n lanes. */
VF_INLINE vf vf_load_as_part(const void *p, pf_dtype dtype, int64_t i, int64_t n)
{
    switch (dtype) {
#define VF_SOURCE_LOAD(id, load, load_part) \
    case id: return load_part((const char *)p + pf_dtype_bytes(id, i), n);
        VF_SOURCE_LIST(VF_SOURCE_LOAD)
#undef VF_SOURCE_LOAD
    default: return vf_zero();
    }
}

/* `call` with `constant` as the dtype, which the compiler then knows: each dtype gets code
 * of its own. */
#define VF_BY_DTYPE(dtype, constant, call)                                      \
    do {                                                                        \
        if ((dtype) == PF_BF16) {                                               \
            const pf_dtype constant = PF_BF16;                                  \
            call;                                                               \
        } else if ((dtype) == PF_F16) {                                         \
            const pf_dtype constant = PF_F16;                                   \
            call;                                                               \
        } else {                                                                \
            const pf_dtype constant = PF_F32;                                   \
            call;                                                               \
        }                                                                       \
    } while (0)

#endif
