/* SPDX-License-Identifier: Apache-2.0 */
/* The reference platform: what its kernels share.
 *
 * Each slot is a function in the file of its family.  Parallel loops run over
 * outputs that do not depend on each other, so that the number of threads never
 * shows in a result.
 */
#ifndef PF_PLATFORM_REFERENCE_KERNELS_H
#define PF_PLATFORM_REFERENCE_KERNELS_H

#include "platform/common/common.h"

#define REFERENCE_DECLARE(slot, type)                                          \
    pf_status pf_reference_##slot(pf_platform *platform, const type *args,     \
                                  pf_error *error);
PF_SINGLE_KERNEL_LIST(REFERENCE_DECLARE)
PF_PART_KERNEL_LIST(REFERENCE_DECLARE)
#undef REFERENCE_DECLARE

/* r() of platform/kernels.h. */
static inline float round_if(bool round, float value)
{
    return round ? pf_round_bf16(value) : value;
}

/* Row i of a matrix of f32 whose rows may be strided. */
static inline float *row_of(const pf_tensor *matrix, int64_t i)
{
    return (float *)matrix->data + i * matrix->stride[0];
}

/* Element `first` of row i of a matrix of F32 or BF16 and the `count` - 1 behind it, as f32:
 * in place, or widened into `room`. */
static inline const float *read_row(const pf_tensor *matrix, int64_t i, int64_t first,
                                    int64_t count, float *room)
{
    int64_t at = i * matrix->stride[0] + first;
    if (matrix->dtype == PF_F32)
        return (const float *)matrix->data + at;
    pf_to_f32((const char *)matrix->data + pf_dtype_bytes(matrix->dtype, at), matrix->dtype,
              count, room);
    return room;
}

/* Element `at` of a tensor of F32 or BF16. */
static inline void write_value(const pf_tensor *t, int64_t at, float value)
{
    if (t->dtype == PF_F32)
        ((float *)t->data)[at] = value;
    else
        ((uint16_t *)t->data)[at] = pf_f32_to_bf16(value);
}

/* `values` into row i of a matrix of F32 or BF16, from element `first` on. */
static inline void write_row(const pf_tensor *matrix, int64_t i, int64_t first,
                             int64_t count, const float *values)
{
    int64_t at = i * matrix->stride[0] + first;
    for (int64_t j = 0; j < count; j++)
        write_value(matrix, at + j, values[j]);
}

/* Element i of a vector of f32. */
static inline float element_of(const pf_tensor *vector, int64_t i)
{
    return ((const float *)vector->data)[i * vector->stride[0]];
}

/* `count` weights from element `first` on, widened; any byte alignment. */
static inline void widen(const pf_tensor *weight, int64_t first, int64_t count,
                         float *out)
{
    const char *data = weight->data;
    pf_to_f32(data + pf_dtype_bytes(weight->dtype, first), weight->dtype, count, out);
}

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* sum a[i] * b[i], as eight partial sums that go round in turn and are added up in
 * order: more exact than one long sum, and the compiler may use vectors. */
float pf_reference_dot(const float *a, const float *b, int64_t count);

float pf_reference_silu(float x);
float pf_reference_gelu_tanh(float x);

#endif
