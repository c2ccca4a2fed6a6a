/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors.  See tensor.h. */
#include "tensor/tensor.h"

#include <assert.h>
#include <stdio.h>

pf_tensor pf_tensor_make(void *data, pf_dtype dtype, int rank,
                         const int64_t *shape)
{
    pf_tensor tensor = {.data = data, .dtype = dtype, .rank = rank};
    int64_t stride = 1;
    assert(rank >= 0 && rank <= PF_MAX_RANK);
    for (int i = rank - 1; i >= 0; i--) {
        tensor.shape[i] = shape[i];
        tensor.stride[i] = stride;
        stride *= shape[i];
    }
    return tensor;
}

int64_t pf_tensor_count(const pf_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

int64_t pf_tensor_bytes(const pf_tensor *tensor)
{
    return pf_dtype_bytes(tensor->dtype, pf_tensor_count(tensor));
}

bool pf_tensor_is_contiguous(const pf_tensor *tensor)
{
    int64_t stride = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (tensor->shape[i] != 1 && tensor->stride[i] != stride)
            return false;
        stride *= tensor->shape[i];
    }
    return true;
}

bool pf_tensor_has_shape(const pf_tensor *tensor, int rank, const int64_t *shape)
{
    if (tensor->rank != rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (tensor->shape[i] != shape[i])
            return false;
    return true;
}

bool pf_tensor_same_shape(const pf_tensor *a, const pf_tensor *b)
{
    return pf_tensor_has_shape(a, b->rank, b->shape);
}

pf_tensor pf_tensor_slice(pf_tensor tensor, int axis, int64_t begin,
                          int64_t count)
{
    assert(axis >= 0 && axis < tensor.rank);
    assert(begin >= 0 && count >= 0 && begin + count <= tensor.shape[axis]);
    tensor.data = (char *)tensor.data +
                  pf_dtype_bytes(tensor.dtype, begin * tensor.stride[axis]);
    tensor.shape[axis] = count;
    return tensor;
}

pf_tensor pf_tensor_drop_first(pf_tensor tensor)
{
    tensor.rank--;
    for (int i = 0; i < tensor.rank; i++) {
        tensor.shape[i] = tensor.shape[i + 1];
        tensor.stride[i] = tensor.stride[i + 1];
    }
    return tensor;
}

pf_tensor pf_tensor_reshape(pf_tensor tensor, int rank, const int64_t *shape)
{
    pf_tensor view = pf_tensor_make(tensor.data, tensor.dtype, rank, shape);
    assert(pf_tensor_is_contiguous(&tensor));
    assert(pf_tensor_count(&view) == pf_tensor_count(&tensor));
    return view;
}

pf_tensor pf_tensor_flatten(pf_tensor tensor)
{
    int64_t count = pf_tensor_count(&tensor);
    return pf_tensor_reshape(tensor, 1, &count);
}

pf_tensor pf_tensor_permute(pf_tensor tensor, const int *order)
{
    pf_tensor view = tensor;
    for (int i = 0; i < tensor.rank; i++) {
        assert(order[i] >= 0 && order[i] < tensor.rank);
        view.shape[i] = tensor.shape[order[i]];
        view.stride[i] = tensor.stride[order[i]];
    }
    return view;
}

pf_tensor pf_tensor_repeat(pf_tensor tensor, int axis, int64_t count)
{
    assert(tensor.rank < PF_MAX_RANK && axis >= 0 && axis <= tensor.rank);
    for (int i = tensor.rank; i > axis; i--) {
        tensor.shape[i] = tensor.shape[i - 1];
        tensor.stride[i] = tensor.stride[i - 1];
    }
    tensor.rank++;
    tensor.shape[axis] = count;
    tensor.stride[axis] = 0;
    return tensor;
}

pf_tensor pf_tensor_stretch(pf_tensor tensor, int axis, int64_t count)
{
    assert(axis >= 0 && axis < tensor.rank && tensor.shape[axis] == 1);
    tensor.shape[axis] = count;
    tensor.stride[axis] = 0;
    return tensor;
}

pf_tensor pf_tensor_every(pf_tensor tensor, int axis, int64_t step)
{
    assert(axis >= 0 && axis < tensor.rank && step > 0);
    tensor.shape[axis] = (tensor.shape[axis] + step - 1) / step;
    tensor.stride[axis] *= step;
    return tensor;
}

pf_tensor pf_tensor_as_strided(pf_tensor tensor, int rank, const int64_t *shape,
                               const int64_t *stride)
{
    assert(rank >= 0 && rank <= PF_MAX_RANK);
    tensor.rank = rank;
    for (int i = 0; i < rank; i++) {
        tensor.shape[i] = shape[i];
        tensor.stride[i] = stride[i];
    }
    return tensor;
}

pf_tensor pf_tensor_split(pf_tensor tensor, int axis, int64_t outer)
{
    assert(tensor.rank < PF_MAX_RANK && outer > 0);
    assert(tensor.shape[axis] % outer == 0);
    pf_tensor view = tensor;
    for (int i = tensor.rank; i > axis + 1; i--) {
        view.shape[i] = tensor.shape[i - 1];
        view.stride[i] = tensor.stride[i - 1];
    }
    view.rank = tensor.rank + 1;
    view.shape[axis] = outer;
    view.shape[axis + 1] = tensor.shape[axis] / outer;
    view.stride[axis + 1] = tensor.stride[axis];
    view.stride[axis] = tensor.stride[axis] * view.shape[axis + 1];
    return view;
}

void pf_tensor_shape_text(const pf_tensor *tensor, char out[128])
{
    int at = snprintf(out, 128, "[");
    for (int i = 0; i < tensor->rank; i++)
        at += snprintf(out + at, (size_t)(128 - at), i ? ", %lld" : "%lld",
                       (long long)tensor->shape[i]);
    snprintf(out + at, (size_t)(128 - at), "]");
}
