/* SPDX-License-Identifier: Apache-2.0 */
/* Names and conversions of element types.  See dtype.h. */
#include "tensor/dtype.h"

#include <math.h>
#include <stddef.h>

enum { PIECE = 1024 };                  /* elements converted at a time */

/* --- names ------------------------------------------------------------------------ */

static const char *const names[PF_DTYPES] = {
#define NAME_OF(id, block, bytes) [PF_##id] = #id,
    PF_DTYPE_LIST(NAME_OF)
#undef NAME_OF
};

const char *pf_dtype_name(pf_dtype dtype)
{
    return (unsigned)dtype < PF_DTYPES ? names[dtype] : "unknown";
}

pf_dtype pf_dtype_find(const char *name)
{
    int dtype = 0;
    while (dtype < PF_DTYPES && strcmp(names[dtype], name) != 0)
        dtype++;
    return (pf_dtype)dtype;
}

/* --- halves ------------------------------------------------------------------------ */

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

/* --- arrays ------------------------------------------------------------------------ */

static void copy_f32(const void *from, int64_t count, void *to)
{
    if (count > 0)
        memcpy(to, from, (size_t)count * sizeof(float));
}

static void widen_f32(const void *from, int64_t count, float *to)
{
    copy_f32(from, count, to);
}

static void narrow_f32(const float *from, int64_t count, void *to)
{
    copy_f32(from, count, to);
}

/* Both directions of a format of 16 bits. */
#define HALVES(name, to_f32, from_f32)                                      \
    static void widen_##name(const void *from, int64_t count, float *to)    \
    {                                                                       \
        const unsigned char *bytes = from;                                  \
        for (int64_t i = 0; i < count; i++) {                               \
            uint16_t half;                                                  \
            memcpy(&half, bytes + 2 * i, sizeof half);                      \
            to[i] = to_f32(half);                                           \
        }                                                                   \
    }                                                                       \
    static void narrow_##name(const float *from, int64_t count, void *to)   \
    {                                                                       \
        unsigned char *bytes = to;                                          \
        for (int64_t i = 0; i < count; i++) {                               \
            uint16_t half = from_f32(from[i]);                              \
            memcpy(bytes + 2 * i, &half, sizeof half);                      \
        }                                                                   \
    }
HALVES(bf16, pf_bf16_to_f32, pf_f32_to_bf16)
HALVES(f16, pf_f16_to_f32, pf_f32_to_f16)

/* A dtype without a row here does not convert. */
static const struct conversion {
    void (*widen)(const void *from, int64_t count, float *to);
    void (*narrow)(const float *from, int64_t count, void *to);
} conversions[PF_DTYPES] = {
    [PF_F32] = {widen_f32, narrow_f32},
    [PF_BF16] = {widen_bf16, narrow_bf16},
    [PF_F16] = {widen_f16, narrow_f16},
};

bool pf_dtype_converts(pf_dtype dtype)
{
    return (unsigned)dtype < PF_DTYPES && conversions[dtype].widen;
}

void pf_to_f32(const void *from, pf_dtype dtype, int64_t count, float *to)
{
    assert(pf_dtype_converts(dtype));
    conversions[dtype].widen(from, count, to);
}

void pf_from_f32(const float *from, int64_t count, void *to, pf_dtype dtype)
{
    assert(pf_dtype_converts(dtype));
    conversions[dtype].narrow(from, count, to);
}

void pf_convert(const void *from, pf_dtype source, int64_t count, void *to, pf_dtype dtype)
{
    float values[PIECE];
    if (dtype == source) {
        memcpy(to, from, (size_t)pf_dtype_bytes(dtype, count));
        return;
    }
    for (int64_t at = 0; at < count; at += PIECE) {
        int64_t here = count - at < PIECE ? count - at : PIECE;
        pf_to_f32((const char *)from + pf_dtype_bytes(source, at), source, here, values);
        pf_from_f32(values, here, (char *)to + pf_dtype_bytes(dtype, at), dtype);
    }
}
