/* SPDX-License-Identifier: Apache-2.0 */
/* vec.h in plain C: one lane.  A fused multiply-add is two roundings here, since
 * without the instruction it would be a slow call. */
#include <math.h>

#define VF_WIDTH 1
#define VF_BF16_DOT 0

typedef float vf;
typedef int32_t vi;
typedef int vm;

VF_INLINE vf vf_zero(void) { return 0.0f; }
VF_INLINE vf vf_set(float x) { return x; }
VF_INLINE vf vf_load(const void *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
VF_INLINE void vf_store(void *p, vf v) { memcpy(p, &v, sizeof v); }
VF_INLINE vf vf_load_part(const void *p, int64_t n) { return n > 0 ? vf_load(p) : 0.0f; }
VF_INLINE void vf_store_part(void *p, vf v, int64_t n)
{
    if (n > 0)
        vf_store(p, v);
}

VF_INLINE vf vf_load_bf16(const void *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return pf_bf16_to_f32(half);
}
VF_INLINE vf vf_load_bf16_part(const void *p, int64_t n)
{
    return n > 0 ? vf_load_bf16(p) : 0.0f;
}
VF_INLINE vf vf_load_f16(const void *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return pf_f16_to_f32(half);
}
VF_INLINE vf vf_load_f16_part(const void *p, int64_t n)
{
    return n > 0 ? vf_load_f16(p) : 0.0f;
}

VF_INLINE vf vf_add(vf a, vf b) { return a + b; }
VF_INLINE vf vf_sub(vf a, vf b) { return a - b; }
VF_INLINE vf vf_mul(vf a, vf b) { return a * b; }
VF_INLINE vf vf_div(vf a, vf b) { return a / b; }
VF_INLINE vf vf_min(vf a, vf b) { return a < b ? a : b; }
VF_INLINE vf vf_max(vf a, vf b) { return a > b ? a : b; }
VF_INLINE vf vf_sqrt(vf a) { return sqrtf(a); }
VF_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
VF_INLINE vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
VF_INLINE vf vf_round(vf a) { return nearbyintf(a); }
VF_INLINE vf vf_scale2(vf a, vf n)
{
    return ldexpf(a, (int)vf_max(vf_min(n, 1000.0f), -1000.0f));
}

VF_INLINE vm vf_less(vf a, vf b) { return a < b; }
VF_INLINE vm vf_is_nan(vf a) { return a != a; }
VF_INLINE vf vf_select(vm m, vf yes, vf no) { return m ? yes : no; }
VF_INLINE int vm_any(vm m) { return m; }

VF_INLINE vi vf_bits(vf a)
{
    vi bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
VF_INLINE vf vi_float(vi a)
{
    vf v;
    memcpy(&v, &a, sizeof v);
    return v;
}
VF_INLINE vi vf_to_int(vf a) { return (vi)nearbyintf(a); }
VF_INLINE vi vi_set(int32_t x) { return x; }
VF_INLINE vi vi_add(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
VF_INLINE vi vi_and(vi a, vi b) { return a & b; }
VF_INLINE vi vi_or(vi a, vi b) { return a | b; }
VF_INLINE vi vi_shl(vi a, unsigned n) { return (vi)((uint32_t)a << n); }
VF_INLINE vi vi_shr(vi a, unsigned n) { return (vi)((uint32_t)a >> n); }

VF_INLINE float vf_sum(vf a) { return a; }
VF_INLINE float vf_largest(vf a) { return a; }
VF_INLINE void vf_transpose(vf r[VF_WIDTH]) { (void)r; }
