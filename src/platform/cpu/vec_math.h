/* SPDX-License-Identifier: Apache-2.0 */
/* Functions over vec.h that are the same text for every instruction set: exp,
 * tanh and sin within about 2 ulp, the two activations, rounding to bf16.  The
 * scalar set takes those of the C library.
 */
#ifndef PF_PLATFORM_CPU_VEC_MATH_H
#define PF_PLATFORM_CPU_VEC_MATH_H

#include <math.h>
#include <stdbool.h>

VF_INLINE vf vf_negate(vf x) { return vf_sub(vf_set(-0.0f), x); }
VF_INLINE vf vf_abs(vf x) { return vi_float(vi_and(vf_bits(x), vi_set(0x7fffffff))); }

/* r(x) of kernels.h: the nearest bf16, ties to even; NaN stays NaN. */
VF_INLINE vf vf_round_bf16(vf x)
{
    vi bits = vf_bits(x);
    vi odd = vi_and(vi_shr(bits, 16), vi_set(1));
    vi up = vi_add(vi_add(bits, vi_set(0x7fff)), odd);
    vi top = vi_set((int32_t)0xffff0000u);
    vf quiet = vi_float(vi_and(vi_or(bits, vi_set(0x400000)), top));
    return vf_select(vf_is_nan(x), quiet, vi_float(vi_and(up, top)));
}

VF_INLINE vf vf_round_if(vf v, bool round)
{
    return round ? vf_round_bf16(v) : v;
}

#if VF_WIDTH == 1

VF_INLINE vf vf_exp(vf x) { return expf(x); }
VF_INLINE vf vf_exp2(vf x) { return exp2f(vf_max(-126.0f, x)); }
VF_INLINE vf vf_exp2_rough(vf x) { return exp2f(vf_max(-126.0f, x)); }
VF_INLINE vf vf_tanh(vf x) { return tanhf(x); }
VF_INLINE vf vf_sin(vf x) { return sinf(x); }

#else

/* x = n ln 2 + r, |r| <= ln 2 / 2; a polynomial for exp(r). */
VF_INLINE vf vf_exp(vf x)
{
    x = vf_max(vf_set(-105.0f), vf_min(vf_set(90.0f), x));   /* keeps NaN */
    vf n = vf_round(vf_mul(x, vf_set(1.44269504f)));
    vf r = vf_fnma(n, vf_set(0.693359375f), x);
    r = vf_fnma(n, vf_set(-2.12194440e-4f), r);
    vf p = vf_set(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set(5.0000001201e-1f));
    p = vf_add(vf_fma(vf_mul(r, r), p, r), vf_set(1.0f));
    return vf_scale2(p, n);
}

/* 2^x for x <= 127; below -126 it stays at 2^-126. */
VF_INLINE vf vf_exp2(vf x)
{
    x = vf_max(vf_set(-126.0f), x);                     /* keeps NaN */
    vf n = vf_round(x);
    vf r = vf_sub(x, n);
    vf p = vf_set(1.5345812e-4f);
    p = vf_fma(p, r, vf_set(1.3399931e-3f));
    p = vf_fma(p, r, vf_set(9.6184890e-3f));
    p = vf_fma(p, r, vf_set(5.5503288e-2f));
    p = vf_fma(p, r, vf_set(2.4022647e-1f));
    p = vf_fma(p, r, vf_set(6.9314721e-1f));
    p = vf_fma(p, r, vf_set(1.0f));
    return vf_scale2_normal(p, n);
}

/* 2^x within 3e-6, for results that are rounded to bf16 afterwards. */
VF_INLINE vf vf_exp2_rough(vf x)
{
    x = vf_max(vf_set(-126.0f), x);
    vf n = vf_round(x);
    vf r = vf_sub(x, n);
    vf p = vf_set(9.5701e-3f);
    p = vf_fma(p, r, vf_set(5.591786e-2f));
    p = vf_fma(p, r, vf_set(2.4024745e-1f));
    p = vf_fma(p, r, vf_set(6.9312181e-1f));
    p = vf_fma(p, r, vf_set(0.99999926f));
    return vf_scale2_normal(p, n);
}

/* Near 0 a polynomial, since the quotient would cancel. */
VF_INLINE vf vf_tanh(vf x)
{
    vf size = vf_abs(x), z = vf_mul(x, x);
    vf p = vf_set(-5.70498872745e-3f);
    p = vf_fma(p, z, vf_set(2.06390887954e-2f));
    p = vf_fma(p, z, vf_set(-5.37397155531e-2f));
    p = vf_fma(p, z, vf_set(1.33314422036e-1f));
    p = vf_fma(p, z, vf_set(-3.33332819422e-1f));
    vf near = vf_fma(vf_mul(p, z), x, x);
    vf e = vf_add(vf_exp(vf_add(size, size)), vf_set(1.0f));
    vf far = vf_sub(vf_set(1.0f), vf_div(vf_set(2.0f), e));
    vi sign = vi_and(vf_bits(x), vi_set((int32_t)0x80000000u));
    far = vi_float(vi_or(vf_bits(far), sign));
    return vf_select(vf_less(size, vf_set(0.625f)), near, far);
}

/* Lane by lane in the C library, for arguments too large to reduce in f32. */
static inline vf vf_sin_large(vf x)
{
    float lane[VF_WIDTH];
    vf_store(lane, x);
    for (int i = 0; i < VF_WIDTH; i++)
        lane[i] = sinf(lane[i]);
    return vf_load(lane);
}

/* x = n pi + r with pi in three parts, |r| <= pi / 2; odd n turns the sign. */
VF_INLINE vf vf_sin(vf x)
{
    if (vm_any(vf_less(vf_set(1e5f), vf_abs(x))))
        return vf_sin_large(x);
    vf n = vf_round(vf_mul(x, vf_set(0.318309886f)));
    vf r = vf_fnma(n, vf_set(3.14159274101f), x);
    r = vf_fnma(n, vf_set(-8.74227765735e-8f), r);
    r = vf_fnma(n, vf_set(-3.43024902623e-15f), r);
    vf z = vf_mul(r, r);
    vf p = vf_set(2.6083159809786594e-6f);
    p = vf_fma(p, z, vf_set(-1.9810690719168633e-4f));
    p = vf_fma(p, z, vf_set(8.3330785855650902e-3f));
    p = vf_fma(p, z, vf_set(-1.6666659712791443e-1f));
    r = vf_fma(vf_mul(p, z), r, r);
    return vi_float(vi_add(vf_bits(r), vi_shl(vf_to_int(n), 31)));
}

#endif

/* x / (1 + exp(-x)) */
VF_INLINE vf vf_silu(vf x)
{
    return vf_div(x, vf_add(vf_set(1.0f), vf_exp(vf_negate(x))));
}

/* 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), which does not cancel. */
VF_INLINE vf vf_gelu_tanh(vf x)
{
    vf cube = vf_mul(vf_mul(x, x), x);
    vf u = vf_mul(vf_fma(cube, vf_set(0.044715f), x), vf_set(-1.5957691216f));
    return vf_div(x, vf_add(vf_set(1.0f), vf_exp(u)));
}

#endif
