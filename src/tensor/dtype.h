/* SPDX-License-Identifier: Apache-2.0 */
/* Element types: one row each, and their conversions.
 *
 * A dtype is a row {name, elements of a block, bytes of a block}.  Most blocks are one
 * element; packed formats have more (F4: two elements in one byte).  The list below is the
 * only place that knows sizes: memory of n elements has pf_dtype_bytes(dtype, n) bytes, and
 * element i begins so many bytes behind the first.
 *
 * Every dtype of safetensors is a row, so that a file can be described whole.  Rows that
 * convert (pf_dtype_converts) are those that the rest of the library computes with.  All
 * rounding is to nearest, ties to even.
 */
#ifndef PF_TENSOR_DTYPE_H
#define PF_TENSOR_DTYPE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* X(id, elements of a block, bytes of a block): the dtype PF_<id>, "<id>" in files. */
#define PF_DTYPE_LIST(X)                                                    \
    X(F32, 1, 4) X(BF16, 1, 2) X(F16, 1, 2) X(I32, 1, 4) X(U8, 1, 1)        \
    X(F64, 1, 8) X(C64, 1, 8) X(I64, 1, 8) X(U64, 1, 8)                     \
    X(U32, 1, 4) X(I16, 1, 2) X(U16, 1, 2) X(I8, 1, 1) X(BOOL, 1, 1)        \
    X(F8_E4M3, 1, 1) X(F8_E5M2, 1, 1) X(F8_E8M0, 1, 1)                      \
    X(F8_E4M3FNUZ, 1, 1) X(F8_E5M2FNUZ, 1, 1)                               \
    X(F6_E2M3, 4, 3) X(F6_E3M2, 4, 3) X(F4, 2, 1)

typedef enum pf_dtype {
#define PF_DTYPE_ID(id, block, bytes) PF_##id,
    PF_DTYPE_LIST(PF_DTYPE_ID)
#undef PF_DTYPE_ID
    PF_DTYPES
} pf_dtype;

const char *pf_dtype_name(pf_dtype dtype);      /* "F32", as in safetensors */
pf_dtype pf_dtype_find(const char *name);       /* PF_DTYPES: no row has that name */

/* Elements of a block: extents along a row are multiples of it. */
static inline int64_t pf_dtype_block(pf_dtype dtype)
{
    switch (dtype) {
#define PF_DTYPE_CASE(id, block, bytes) case PF_##id: return block;
        PF_DTYPE_LIST(PF_DTYPE_CASE)
#undef PF_DTYPE_CASE
    default: return 1;
    }
}

/* Bytes of `elements`, a whole number of blocks.  The count may be negative, as a stride
 * is.  Inline, so that a dtype that is known to the compiler costs nothing. */
static inline int64_t pf_dtype_bytes(pf_dtype dtype, int64_t elements)
{
    assert(elements % pf_dtype_block(dtype) == 0);
    switch (dtype) {
#define PF_DTYPE_CASE(id, block, bytes) case PF_##id: return elements / block * bytes;
        PF_DTYPE_LIST(PF_DTYPE_CASE)
#undef PF_DTYPE_CASE
    default: return 0;
    }
}

/* Elements of the whole blocks that fit into `bytes`. */
static inline int64_t pf_dtype_fits(pf_dtype dtype, int64_t bytes)
{
    int64_t block = pf_dtype_block(dtype);
    return bytes / pf_dtype_bytes(dtype, block) * block;
}

/* --- single values ------------------------------------------------------------- */

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

/* --- arrays, at any byte alignment ---------------------------------------------- */

/* Can values of this dtype become f32 and back?  F32, BF16 and F16 can. */
bool pf_dtype_converts(pf_dtype dtype);

/* `count` elements of a dtype that converts, to and from f32. */
void pf_to_f32(const void *from, pf_dtype dtype, int64_t count, float *to);
void pf_from_f32(const float *from, int64_t count, void *to, pf_dtype dtype);

/* `count` elements from one dtype to another; both convert, or they are the same one.
 * By way of f32, in pieces on the stack. */
void pf_convert(const void *from, pf_dtype source, int64_t count, void *to, pf_dtype dtype);

#endif
