/* SPDX-License-Identifier: Apache-2.0 */
/* Operators by name, for kernels to be written with.
 *
 * Tensors are F32 or BF16 and may have any strides unless it says otherwise.
 * Outputs may be an input: that becomes the in-place operator, or goes through
 * scratch memory, because CANN promises nothing about other overlaps.
 */
#ifndef PF_PLATFORM_ASCEND_OPERATORS_H
#define PF_PLATFORM_ASCEND_OPERATORS_H

#include "platform/ascend/launch.h"

/* Kernels and layers that ascend/ writes itself; project is common/'s. */
#define ASCEND_KERNEL_LIST(X)                                                  \
    PF_SINGLE_KERNEL_LIST(X)                                                   \
    PF_PART_KERNEL_LIST(X)                                                     \
    X(attend, pf_attend_args)                                                  \
    X(feed_forward, pf_feed_forward_args)

#define ASCEND_DECLARE(slot, type)                                             \
    pf_status pf_ascend_##slot(pf_platform *platform, const type *args,        \
                               pf_error *error);
ASCEND_KERNEL_LIST(ASCEND_DECLARE)
#undef ASCEND_DECLARE
int64_t pf_ascend_scratch_bytes(pf_platform *platform, pf_kernel which, const void *args);

/* The first line of every kernel: declares `a`, enters the device. */
#define ASCEND_ENTER(a, platform, error)                                       \
    ascend *a = ascend_of(platform);                                           \
    PF_TRY(pf_device_enter(&a->device, error))

/* Contiguous scratch memory. */
pf_status pf_ascend_temp(ascend *a, pf_dtype dtype, int rank, const int64_t *shape,
                         pf_tensor *out);
/* Contiguous scratch memory with the shape and dtype of another tensor. */
pf_status pf_ascend_like(ascend *a, pf_tensor shape, pf_tensor *out);

/* `from`, with extents of 1 repeated, into `to`, converted to its dtype. */
pf_status pf_ascend_move(ascend *a, pf_tensor from, pf_tensor to);
/* `x` itself if it is contiguous and of the dtype, else a copy that is. */
pf_status pf_ascend_dense(ascend *a, pf_tensor x, pf_dtype dtype, pf_tensor *out);
/* `x` itself, or where it repeats by a stride of 0, a copy that is written out. */
pf_status pf_ascend_whole(ascend *a, pf_tensor x, pf_tensor *out);
/* `x` itself, or where a stride is negative, which CANN does not know, a copy. */
pf_status pf_ascend_upright(ascend *a, pf_tensor x, pf_tensor *out);
pf_status pf_ascend_set(ascend *a, pf_tensor y, float value);

/* Operators of one tensor: Silu, Tanh, Sin, Exp, Log, Reciprocal. */
pf_status pf_ascend_map(ascend *a, ascend_operator op, pf_tensor x, pf_tensor y);
pf_status pf_ascend_gelu_tanh(ascend *a, pf_tensor x, pf_tensor y);
pf_status pf_ascend_limit_to(ascend *a, pf_tensor x, float low, float high, pf_tensor y);
pf_status pf_ascend_scale(ascend *a, pf_tensor x, float factor, pf_tensor y);
pf_status pf_ascend_shift(ascend *a, pf_tensor x, float summand, pf_tensor y);

/* Add, Sub, Mul, Div; extents of 1 are repeated. */
pf_status pf_ascend_combine(ascend *a, ascend_operator op, pf_tensor x, pf_tensor z,
                            pf_tensor y);
/* y = base + factor * x * z; y may be base. */
pf_status pf_ascend_multiply_add(ascend *a, pf_tensor base, const pf_tensor product[2],
                                 float factor, pf_tensor y);

/* Amax, ReduceSum, Norm, Std over the axes of `axes`; y keeps them with extent 1. */
pf_status pf_ascend_reduce(ascend *a, ascend_operator op, pf_tensor x, ascend_array axes,
                           pf_tensor y);

/* r() of kernels.h, where `round` asks for it. */
pf_status pf_ascend_round_if(ascend *a, bool round, pf_tensor y);

/* The call of y = x w (+ bias) for matrices; `blocked`: w is the transposed view of a weight
 * in the format NZ. */
ascend_call pf_ascend_product_call(pf_tensor x, pf_tensor w, pf_tensor bias, pf_tensor y,
                                   bool blocked);
/* y = x w (+ bias), matrices, y contiguous; or batches of them without bias. */
pf_status pf_ascend_product(ascend *a, pf_tensor x, pf_tensor w, pf_tensor bias,
                            pf_tensor y);

/* --- weights in blocks, blocked.c ------------------------------------------------------ */

/* Is this weight kept in the format NZ? */
bool pf_ascend_weight_is_blocked(const ascend *a, const pf_weight *weight);
/* Converts a matrix [N, K] BF16 to the format NZ, in place. */
pf_status pf_ascend_block_weight(ascend *a, pf_tensor matrix);
/* Bytes that the conversion takes beside the matrix; 0: the weight is not converted. */
int64_t pf_ascend_block_room(const ascend *a, const pf_weight_source *source,
                             pf_multiply multiply);
/* Turns the format NZ on, if this version of CANN has the operators and they multiply
 * rightly; otherwise an error says what is missing. */
pf_status pf_ascend_ask_blocked(ascend *a);

/* --- pieces of kernels that larger ones are made of ---------------------------------- */

/* Is there a product with this weight and bias whose result is bf16? */
bool pf_ascend_projects_narrow(const ascend *a, const pf_weight *weight, pf_tensor bias);

/* y = x W^T + bias: x F32, or BF16 already; y contiguous, F32 or, where there is such a
 * product, BF16. */
pf_status pf_ascend_project(ascend *a, const pf_weight *weight, pf_tensor bias, pf_tensor x,
                            pf_tensor y);

/* A linear layer whose product may use `space` [M, N] F32, or null, as scratch memory. */
pf_status pf_ascend_linear_in(ascend *a, const pf_linear_args *args, pf_tensor space);

/* y = x / rms(x) * gamma, y another tensor of x's dtype. */
pf_status pf_ascend_rms_norm(ascend *a, pf_tensor x, pf_tensor gamma, float epsilon,
                             pf_tensor y);

/* The fused rotation into y, which is another tensor and contiguous, and whether its limits
 * allow it. */
bool pf_ascend_can_rotate(const ascend *a, const pf_rope_args *args);
pf_status pf_ascend_rotate(ascend *a, const pf_rope_args *args, pf_tensor y);
/* Rotates x in place, fused where the limits allow it. */
pf_status pf_ascend_rotate_in_place(ascend *a, const pf_rope_args *args);

/* in: q, k, v [G, L, N, D] BF16 contiguous, and a bias or null; out: like q. */
pf_status pf_ascend_fused_attention(ascend *a, const pf_tensor in[4], pf_tensor out,
                                    float scale);

/* Do both tensors have one address, dtype, shape and strides? */
bool pf_ascend_same(const pf_tensor *a, const pf_tensor *b);

/* A vector as the only axis that is not 1 of `rank` axes. */
pf_tensor pf_ascend_along(pf_tensor vector, int axis, int rank);

static inline bool ascend_is_empty(const pf_tensor *t)
{
    return pf_tensor_count(t) == 0;
}

#endif
