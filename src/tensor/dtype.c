/* SPDX-License-Identifier: Apache-2.0 */
/* Element types.  See dtype.h. */
#include "tensor/dtype.h"

#include <math.h>

size_t pf_dtype_bytes(pf_dtype dtype)
{
    switch (dtype) {
    case PF_F32:
    case PF_I32: return 4;
    case PF_BF16:
    case PF_F16: return 2;
    case PF_U8: return 1;
    default: return 0;
    }
}

const char *pf_dtype_name(pf_dtype dtype)
{
    static const char *const names[] = {"F32", "BF16", "F16", "I32", "U8"};
    return (unsigned)dtype < PF_DTYPES ? names[dtype] : "unknown";
}

float pf_f16_to_f32(uint16_t half)
{
    int exponent = (half >> 10) & 31;
    int mantissa = half & 1023;
    float value;
    if (exponent == 31)
        value = mantissa ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexpf((float)mantissa, -24);
    else
        value = ldexpf((float)(mantissa + 1024), exponent - 25);
    return half & 0x8000 ? -value : value;
}

uint16_t pf_f32_to_f16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00u;
    if (magnitude >= 0x477ff000u)                       /* rounds past 65504 */
        return sign | 0x7c00u;
    if (magnitude < 0x38800000u) {                      /* subnormal in f16 */
        float scaled = ldexpf(fabsf(value), 24);
        return sign | (uint16_t)nearbyintf(scaled);
    }
    uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
    return sign | (uint16_t)(rounded >> 13);
}

void pf_to_f32(const void *from, pf_dtype dtype, int64_t count, float *to)
{
    if (dtype == PF_F32) {
        memcpy(to, from, (size_t)count * sizeof *to);
        return;
    }
    const unsigned char *bytes = from;
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        to[i] = dtype == PF_BF16 ? pf_bf16_to_f32(half) : pf_f16_to_f32(half);
    }
}
