/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: descriptions of memory, no arithmetic.  A tensor is a value and never
 * owns its memory.
 */
#ifndef PF_TENSOR_TENSOR_H
#define PF_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/dtype.h"

enum { PF_MAX_RANK = 6 };

typedef struct pf_tensor {
    void *data;                     /* host or device address; NULL: no tensor */
    pf_dtype dtype;
    int rank;                       /* 0..6 */
    int64_t shape[PF_MAX_RANK];
    int64_t stride[PF_MAX_RANK];    /* in elements; 0 repeats */
} pf_tensor;

/* Row-major: pf_tensor_make(data, PF_F32, 2, (int64_t[]){rows, columns}). */
pf_tensor pf_tensor_make(void *data, pf_dtype dtype, int rank,
                         const int64_t *shape);

static inline pf_tensor pf_vector(void *data, pf_dtype dtype, int64_t count)
{
    return pf_tensor_make(data, dtype, 1, &count);
}

static inline pf_tensor pf_matrix(void *data, pf_dtype dtype, int64_t rows,
                                  int64_t columns)
{
    return pf_tensor_make(data, dtype, 2, (int64_t[]){rows, columns});
}

static inline bool pf_tensor_is_null(const pf_tensor *tensor)
{
    return tensor->data == NULL;
}

int64_t pf_tensor_count(const pf_tensor *tensor);
int64_t pf_tensor_bytes(const pf_tensor *tensor);       /* of its elements */

/* Row-major without gaps (axes of extent 1 may have any stride). */
bool pf_tensor_is_contiguous(const pf_tensor *tensor);
bool pf_tensor_same_shape(const pf_tensor *a, const pf_tensor *b);
bool pf_tensor_has_shape(const pf_tensor *tensor, int rank, const int64_t *shape);

/* Elements [begin, begin + count) of one axis. */
pf_tensor pf_tensor_slice(pf_tensor tensor, int axis, int64_t begin,
                          int64_t count);

/* [1, ...] without its first axis. */
pf_tensor pf_tensor_drop_first(pf_tensor tensor);

/* Views a contiguous tensor in another shape of equal count. */
pf_tensor pf_tensor_reshape(pf_tensor tensor, int rank, const int64_t *shape);

/* The elements of a contiguous tensor as a vector. */
pf_tensor pf_tensor_flatten(pf_tensor tensor);

/* Axis i of the result is axis order[i] of the tensor. */
pf_tensor pf_tensor_permute(pf_tensor tensor, const int *order);

/* Cuts an axis of extent outer * n into two of extents outer and n; works for any
 * stride. */
pf_tensor pf_tensor_split(pf_tensor tensor, int axis, int64_t outer);

/* Inserts an axis of `count` equal entries (stride 0) in front of `axis`; `axis` may be
 * the rank, which appends it. */
pf_tensor pf_tensor_repeat(pf_tensor tensor, int axis, int64_t count);

/* Broadcasts an axis of extent 1 to `count` equal entries (stride 0). */
pf_tensor pf_tensor_stretch(pf_tensor tensor, int axis, int64_t count);

/* Entries 0, step, 2 * step ... of one axis; step > 0. */
pf_tensor pf_tensor_every(pf_tensor tensor, int axis, int64_t step);

/* Views memory from the first element on with any shape and strides (in elements, of any
 * sign).  The caller answers for every address that these reach. */
pf_tensor pf_tensor_as_strided(pf_tensor tensor, int rank, const int64_t *shape,
                               const int64_t *stride);

/* "[36, 3, 4, 6]" for messages; out holds at least 128 bytes. */
void pf_tensor_shape_text(const pf_tensor *tensor, char out[128]);

#endif
