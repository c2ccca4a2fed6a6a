/* SPDX-License-Identifier: Apache-2.0 */
/* vec.h for AVX2 with FMA and F16C. */
#include <immintrin.h>

#define VF_WIDTH 8
#define VF_BF16_DOT 0

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

VF_INLINE __m256i vf_first(int64_t n)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : (int)n), lane);
}

VF_INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }
VF_INLINE vf vf_set(float x) { return _mm256_set1_ps(x); }
VF_INLINE vf vf_load(const void *p) { return _mm256_loadu_ps(p); }
VF_INLINE void vf_store(void *p, vf v) { _mm256_storeu_ps(p, v); }
VF_INLINE vf vf_load_part(const void *p, int64_t n)
{
    return _mm256_maskload_ps(p, vf_first(n));
}
VF_INLINE void vf_store_part(void *p, vf v, int64_t n)
{
    _mm256_maskstore_ps(p, vf_first(n), v);
}

/* The first n (at most 8) 16-bit values. */
VF_INLINE __m128i vf_load_half_part(const void *p, int64_t n)
{
    uint16_t half[8] = {0};
    memcpy(half, p, 2 * (size_t)(n > 8 ? 8 : n));
    return _mm_loadu_si128((const __m128i *)(const void *)half);
}
VF_INLINE vf vf_widen_bf16(__m128i half)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
VF_INLINE vf vf_load_bf16(const void *p) { return vf_widen_bf16(_mm_loadu_si128(p)); }
VF_INLINE vf vf_load_bf16_part(const void *p, int64_t n)
{
    return vf_widen_bf16(vf_load_half_part(p, n));
}
VF_INLINE vf vf_load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128(p)); }
VF_INLINE vf vf_load_f16_part(const void *p, int64_t n)
{
    return _mm256_cvtph_ps(vf_load_half_part(p, n));
}

VF_INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
VF_INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
VF_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
VF_INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
VF_INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
VF_INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
VF_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
VF_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
VF_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
VF_INLINE vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

VF_INLINE vm vf_less(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
VF_INLINE vm vf_is_nan(vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
VF_INLINE vf vf_select(vm m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }
VF_INLINE int vm_any(vm m) { return _mm256_movemask_ps(m) != 0; }

VF_INLINE vi vf_bits(vf a) { return _mm256_castps_si256(a); }
VF_INLINE vf vi_float(vi a) { return _mm256_castsi256_ps(a); }
VF_INLINE vi vf_to_int(vf a) { return _mm256_cvtps_epi32(a); }
VF_INLINE vi vi_set(int32_t x) { return _mm256_set1_epi32(x); }
VF_INLINE vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
VF_INLINE vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
VF_INLINE vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
VF_INLINE vi vi_shl(vi a, unsigned n) { return _mm256_slli_epi32(a, (int)n); }
VF_INLINE vi vi_shr(vi a, unsigned n) { return _mm256_srli_epi32(a, (int)n); }

/* 2^n for whole n of -126 .. 127. */
VF_INLINE vf vf_power2(vf n)
{
    return vi_float(vi_shl(vi_add(vf_to_int(n), vi_set(127)), 23));
}
VF_INLINE vf vf_scale2_normal(vf a, vf n)
{
    return vi_float(vi_add(vf_bits(a), vi_shl(vf_to_int(n), 23)));
}
/* In two halves, so that neither leaves the exponent's range. */
VF_INLINE vf vf_scale2(vf a, vf n)
{
    n = vf_max(vf_min(n, vf_set(252.0f)), vf_set(-252.0f));
    vf half = vf_round(vf_mul(n, vf_set(0.5f)));
    return vf_mul(vf_mul(a, vf_power2(half)), vf_power2(vf_sub(n, half)));
}

VF_INLINE float vf_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
VF_INLINE float vf_largest(vf a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

VF_INLINE void vf_transpose(vf r[VF_WIDTH])
{
    vf t[8];
    VF_UNROLL
    for (int i = 0; i < 8; i += 4) {
        vf a = _mm256_unpacklo_ps(r[i], r[i + 1]);
        vf b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        vf c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
        vf d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm256_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    VF_UNROLL
    for (int j = 0; j < 4; j++) {
        r[j] = _mm256_permute2f128_ps(t[j], t[4 + j], 0x20);
        r[4 + j] = _mm256_permute2f128_ps(t[j], t[4 + j], 0x31);
    }
}
