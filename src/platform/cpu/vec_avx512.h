/* SPDX-License-Identifier: Apache-2.0 */
/* vec.h for AVX-512 (F, BW, DQ, VL), with BF16 where the compiler has it on. */
#include <immintrin.h>

#define VF_WIDTH 16

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

VF_INLINE __mmask16 vf_first(int64_t n)
{
    return n >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1u);
}

VF_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
VF_INLINE vf vf_set(float x) { return _mm512_set1_ps(x); }
VF_INLINE vf vf_load(const void *p) { return _mm512_loadu_ps(p); }
VF_INLINE void vf_store(void *p, vf v) { _mm512_storeu_ps(p, v); }
VF_INLINE vf vf_load_part(const void *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(vf_first(n), p);
}
VF_INLINE void vf_store_part(void *p, vf v, int64_t n)
{
    _mm512_mask_storeu_ps(p, vf_first(n), v);
}

VF_INLINE vf vf_widen_bf16(__m256i half)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
VF_INLINE vf vf_load_bf16(const void *p)
{
    return vf_widen_bf16(_mm256_loadu_si256(p));
}
VF_INLINE vf vf_load_bf16_part(const void *p, int64_t n)
{
    return vf_widen_bf16(_mm256_maskz_loadu_epi16(vf_first(n), p));
}
VF_INLINE vf vf_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}
VF_INLINE vf vf_load_f16_part(const void *p, int64_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vf_first(n), p));
}

VF_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
VF_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
VF_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VF_INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
VF_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
VF_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
VF_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
VF_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
VF_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
VF_INLINE vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
VF_INLINE vf vf_scale2(vf a, vf n) { return _mm512_scalef_ps(a, n); }
VF_INLINE vf vf_scale2_normal(vf a, vf n) { return _mm512_scalef_ps(a, n); }

VF_INLINE vm vf_less(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
VF_INLINE vm vf_is_nan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
VF_INLINE vf vf_select(vm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
VF_INLINE int vm_any(vm m) { return m != 0; }

VF_INLINE vi vf_bits(vf a) { return _mm512_castps_si512(a); }
VF_INLINE vf vi_float(vi a) { return _mm512_castsi512_ps(a); }
VF_INLINE vi vf_to_int(vf a) { return _mm512_cvtps_epi32(a); }
VF_INLINE vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
VF_INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
VF_INLINE vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
VF_INLINE vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
VF_INLINE vi vi_shl(vi a, unsigned n) { return _mm512_slli_epi32(a, n); }
VF_INLINE vi vi_shr(vi a, unsigned n) { return _mm512_srli_epi32(a, n); }

VF_INLINE float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
VF_INLINE float vf_largest(vf a) { return _mm512_reduce_max_ps(a); }

/* 4x4 blocks of 4x4: inside each 128-bit lane first, then the lanes. */
VF_INLINE void vf_transpose(vf r[VF_WIDTH])
{
    vf t[16];
    VF_UNROLL
    for (int i = 0; i < 16; i += 4) {
        vf a = _mm512_unpacklo_ps(r[i], r[i + 1]);
        vf b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        vf c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
        vf d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    VF_UNROLL
    for (int j = 0; j < 4; j++) {
        vf a = _mm512_shuffle_f32x4(t[j], t[4 + j], 0x88);
        vf b = _mm512_shuffle_f32x4(t[j], t[4 + j], 0xdd);
        vf c = _mm512_shuffle_f32x4(t[8 + j], t[12 + j], 0x88);
        vf d = _mm512_shuffle_f32x4(t[8 + j], t[12 + j], 0xdd);
        r[j] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[4 + j] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[8 + j] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[12 + j] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

#if defined(__AVX512BF16__)
#define VF_BF16_DOT 1

typedef __m512bh vb;

VF_INLINE vb vb_load(const void *p) { return (vb)_mm512_loadu_si512(p); }
VF_INLINE vb vb_load_part(const void *p, int64_t n)
{
    __mmask32 first = n >= 32 ? 0xffffffffu : (__mmask32)((1u << n) - 1u);
    return (vb)_mm512_maskz_loadu_epi16(first, p);
}
VF_INLINE void vb_store(void *p, vb b) { _mm512_storeu_si512(p, (__m512i)b); }
VF_INLINE vb vb_set(const void *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (vb)_mm512_set1_epi32(pair);
}
VF_INLINE vb vb_pack(vf low, vf high) { return _mm512_cvtne2ps_pbh(high, low); }
VF_INLINE vb vb_pair(vf even, vf odd)
{
    const __m512i order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
        23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    return (vb)_mm512_permutexvar_epi16(order, halves);
}
VF_INLINE vf vf_dot(vf acc, vb a, vb b) { return _mm512_dpbf16_ps(acc, a, b); }
VF_INLINE vf vb_float(vb b) { return _mm512_castsi512_ps((__m512i)b); }
VF_INLINE vb vf_pairs(vf v) { return (vb)_mm512_castps_si512(v); }
#else
#define VF_BF16_DOT 0
#endif
