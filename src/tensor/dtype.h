/* SPDX-License-Identifier: Apache-2.0 */
/* Element types and their conversions.  All rounding is to nearest, ties to even. */
#ifndef PF_TENSOR_DTYPE_H
#define PF_TENSOR_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum pf_dtype {
    PF_F32,
    PF_BF16,
    PF_F16,
    PF_I32,
    PF_U8,
    PF_DTYPES
} pf_dtype;

size_t pf_dtype_bytes(pf_dtype dtype);
const char *pf_dtype_name(pf_dtype dtype);      /* "F32", as in safetensors */

static inline float pf_bf16_to_f32(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t pf_f32_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);        /* NaN stays NaN */
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* r(x): the nearest bf16 value, kept as f32. */
static inline float pf_round_bf16(float value)
{
    return pf_bf16_to_f32(pf_f32_to_bf16(value));
}

float pf_f16_to_f32(uint16_t half);
uint16_t pf_f32_to_f16(float value);

/* `count` elements of F32, BF16 or F16 at any byte alignment to f32. */
void pf_to_f32(const void *from, pf_dtype dtype, int64_t count, float *to);

#endif
