/* SPDX-License-Identifier: Apache-2.0 */
/* vec.h for NEON on aarch64. */
#include <arm_neon.h>

#define VF_WIDTH 4
#define VF_BF16_DOT 0

typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;

VF_INLINE vf vf_zero(void) { return vdupq_n_f32(0.0f); }
VF_INLINE vf vf_set(float x) { return vdupq_n_f32(x); }
VF_INLINE vf vf_load(const void *p)
{
    return vreinterpretq_f32_u8(vld1q_u8(p));
}
VF_INLINE void vf_store(void *p, vf v) { vst1q_u8(p, vreinterpretq_u8_f32(v)); }
VF_INLINE vf vf_load_part(const void *p, int64_t n)
{
    float lanes[4] = {0};
    memcpy(lanes, p, 4 * (size_t)(n > 4 ? 4 : n));
    return vld1q_f32(lanes);
}
VF_INLINE void vf_store_part(void *p, vf v, int64_t n)
{
    float lanes[4];
    vst1q_f32(lanes, v);
    memcpy(p, lanes, 4 * (size_t)(n > 4 ? 4 : n));
}

VF_INLINE uint16x4_t vf_load_half_part(const void *p, int64_t n)
{
    uint16_t half[4] = {0};
    memcpy(half, p, 2 * (size_t)(n > 4 ? 4 : n));
    return vld1_u16(half);
}
VF_INLINE vf vf_widen_bf16(uint16x4_t half)
{
    return vreinterpretq_f32_u32(vshll_n_u16(half, 16));
}
VF_INLINE vf vf_load_bf16(const void *p)
{
    return vf_widen_bf16(vreinterpret_u16_u8(vld1_u8(p)));
}
VF_INLINE vf vf_load_bf16_part(const void *p, int64_t n)
{
    return vf_widen_bf16(vf_load_half_part(p, n));
}
VF_INLINE vf vf_load_f16(const void *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}
VF_INLINE vf vf_load_f16_part(const void *p, int64_t n)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vf_load_half_part(p, n)));
}

VF_INLINE vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
VF_INLINE vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
VF_INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
VF_INLINE vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
VF_INLINE vf vf_min(vf a, vf b) { return vminq_f32(a, b); }
VF_INLINE vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
VF_INLINE vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
VF_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
VF_INLINE vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
VF_INLINE vf vf_round(vf a) { return vrndnq_f32(a); }

VF_INLINE vm vf_less(vf a, vf b) { return vcltq_f32(a, b); }
VF_INLINE vm vf_is_nan(vf a) { return vmvnq_u32(vceqq_f32(a, a)); }
VF_INLINE vf vf_select(vm m, vf yes, vf no) { return vbslq_f32(m, yes, no); }
VF_INLINE int vm_any(vm m) { return vmaxvq_u32(m) != 0; }

VF_INLINE vi vf_bits(vf a) { return vreinterpretq_s32_f32(a); }
VF_INLINE vf vi_float(vi a) { return vreinterpretq_f32_s32(a); }
VF_INLINE vi vf_to_int(vf a) { return vcvtnq_s32_f32(a); }
VF_INLINE vi vi_set(int32_t x) { return vdupq_n_s32(x); }
VF_INLINE vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
VF_INLINE vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
VF_INLINE vi vi_or(vi a, vi b) { return vorrq_s32(a, b); }
VF_INLINE vi vi_shl(vi a, unsigned n) { return vshlq_s32(a, vdupq_n_s32((int)n)); }
VF_INLINE vi vi_shr(vi a, unsigned n)
{
    uint32x4_t bits = vreinterpretq_u32_s32(a);
    return vreinterpretq_s32_u32(vshlq_u32(bits, vdupq_n_s32(-(int)n)));
}

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

VF_INLINE float vf_sum(vf a) { return vaddvq_f32(a); }
VF_INLINE float vf_largest(vf a) { return vmaxvq_f32(a); }

VF_INLINE void vf_transpose(vf r[VF_WIDTH])
{
    float32x4x2_t a = vtrnq_f32(r[0], r[1]), b = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    r[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    r[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    r[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}
