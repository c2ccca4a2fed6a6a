/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels: their arguments, with the formula of each, and their list.
 *
 * Activations are f32 tensors in device memory.  Those marked [hidden] have the dtype of
 * pf_hidden_dtype: BF16 on platforms for which that is faster, under numerics that multiply
 * bf16; results are then rounded once, as they are stored.
 *
 * Where the numerics ask for the rounding of a bf16 pipeline (`round_bf16`, written r()
 * below), the value is rounded to the nearest bf16 and kept as f32.  Weight matrices come as
 * F32, BF16 or F16; vectors (biases, norm weights) as F32.
 *
 * Every kernel gives the same bits for every number of threads and on every run.
 * Outputs never overlap inputs unless a field says so.
 */
#ifndef PF_PLATFORM_KERNELS_H
#define PF_PLATFORM_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/weight.h"
#include "tensor/tensor.h"

typedef struct pf_numerics {
    pf_multiply multiply;
    bool round_bf16;    /* apply the r() of each formula; otherwise r() is identity */
} pf_numerics;

/* --- kernel arguments -------------------------------------------------------
 * Every kernel is told the numerics; those without r() in their formula and without a
 * product may leave them unread.
 */

typedef enum pf_activation {
    PF_ACTIVATION_NONE,
    PF_ACTIVATION_GELU_TANH,        /* 0.5 x (1 + tanh(sqrt(2/pi)(x + .044715 x^3))) */
    PF_ACTIVATION_SILU              /* x / (1 + exp(-x)) */
} pf_activation;

/* A linear layer of this many rows or fewer may sum in another order than a larger one.  A
 * matrix of so few rows is computed whole on every rank of a group. */
enum { PF_FEW_ROWS = 4 };

/* y = r(residual + r(gate * r(act(r(x W^T + bias)) * mul)))
 * where absent parts are skipped together with their r().
 * x [M, K], y [M, N], mul [M, N], residual [M, N]: rows may be strided, elements
 * of a row are adjacent.  residual may be y itself; mul may be y itself.  x and y are F32 or
 * [hidden], each for itself. */
typedef struct pf_linear_args {
    pf_numerics numerics;
    bool shard;                     /* x holds part of the rows of a matrix that has more
                                     * than PF_FEW_ROWS: each gets its bits of there */
    pf_tensor x;
    const pf_weight *weight;        /* [N, K] */
    pf_tensor bias;                 /* [N], or null */
    pf_activation activation;
    pf_tensor mul;                  /* or null */
    pf_tensor gate;                 /* [N], or null */
    pf_tensor residual;             /* or null */
    pf_tensor y;
} pf_linear_args;

/* out = softmax(scale * q k^T + bias) v, for each head on its own columns.
 * q [G*Lq, H*D], k and v [G*Lk, H*D], out [G*Lq, H*D] [hidden]: rows may be strided.  The
 * rows are G groups of equal size, each of which attends to itself alone.
 * With round_bf16: P = exp(s - max) is rounded before P v, the sum is taken of
 * the unrounded P, and the quotient is rounded. */
typedef struct pf_attention_args {
    pf_numerics numerics;
    pf_tensor q, k, v;
    int heads;
    int groups;                     /* G; 0 is 1 */
    float scale;
    pf_tensor bias;                 /* [H, Lq, Lk] of every group, any strides (0
                                     * repeats), or null */
    pf_tensor out;
} pf_attention_args;

typedef enum pf_norm_kind {
    PF_NORM_LAYER,                  /* (x - mean) / sqrt(var + eps), biased variance */
    PF_NORM_RMS                     /* x / sqrt(mean(x^2) + eps) */
} pf_norm_kind;

/* a = r(norm(x) * weight + bias); y = r(r(a * factor) + shift); with `plus` sum =
 * r(x + plus) comes first and takes the place of x.
 * x, y, plus, sum [M, C], y may be x, sum is another; y is F32 or [hidden].
 * weight, bias [C] or null.  shift and factor: both null, or both [C], or both [M, C].
 * Statistics in f32 or better, and sound for a mean much larger than the deviation (two
 * passes). */
typedef struct pf_norm_args {
    pf_numerics numerics;
    pf_norm_kind kind;
    float epsilon;
    pf_tensor x;
    pf_tensor weight, bias;
    pf_tensor plus, sum;            /* both or none */
    pf_tensor shift, factor;
    pf_tensor y;
} pf_norm_args;

typedef enum pf_rope_form {
    PF_ROPE_INTERLEAVED,            /* pairs (2j, 2j+1); one r() at the end */
    PF_ROPE_HALF                    /* pairs (j, j+D/2); r() of each product, then of
                                     * the sum */
} pf_rope_form;

/* cos and sin [P, D/2] of the pairs' angles, or, where capabilities.table_columns is 2,
 * [P, D] with an entry for each column of a head; rows_per_position is then 1. */
typedef struct pf_rope_table {
    pf_tensor cos, sin;
    int64_t rows_per_position;
} pf_rope_table;

/* Rotates x [L, H*D] in place, each head alike.  Row i of x uses row i /
 * rows_per_position of the table, which begins anew behind its last row. */
typedef struct pf_rope_args {
    pf_numerics numerics;
    pf_rope_form form;
    pf_tensor x;
    int heads;
    pf_rope_table table;
} pf_rope_args;

/* --- layers of several kernels ---------------------------------------------------
 * A platform may do several kernels as one.  Each layer is defined by the kernels that it
 * is made of, roundings included.
 */

/* Memory for results between the kernels of a layer: the platform's scratch_bytes says how
 * much, src/ops takes it from the arena for the call.  64-byte aligned, uninitialised. */
typedef struct pf_scratch {
    char *memory;
    int64_t bytes;
} pf_scratch;

/* The parts of rope(rms(x weight^T + bias)): without `norm` no norm, without `table.cos` no
 * rotation. */
typedef struct pf_projection {
    const pf_weight *weight;        /* [D, C] */
    pf_tensor bias;                 /* [D], or null */
    pf_tensor norm;                 /* [D], or null */
    pf_rope_table table;
} pf_projection;

/* y = rope(rms(x weight^T + bias)): linear, norm and rope, where `by` has them. */
typedef struct pf_project_args {
    pf_numerics numerics;
    bool shard;                     /* of x: see pf_linear_args */
    pf_tensor x;                    /* [M, C]: rows may be strided; F32 or [hidden] */
    pf_projection by;
    float epsilon;                  /* of the norm */
    pf_rope_form form;
    int heads;                      /* that the rotation sees */
    pf_tensor y;                    /* [M, D]: rows may be strided; F32 or [hidden] */
    pf_scratch scratch;
} pf_project_args;

/* y = [residual + gate *] (attention(q(x), k(condition), v(condition)) out^T + bias), where
 * q, k and v are projections.  Keys and values may be there already. */
typedef struct pf_attend_args {
    pf_numerics numerics;
    bool shard;                     /* of x: see pf_linear_args */
    pf_tensor x;                    /* [G*Lq, C]: rows may be strided; F32 or [hidden] */
    bool x_is_spent;                /* x may be overwritten: nobody reads it later */
    pf_tensor condition;            /* [G*Lk, K], like x, and may be x; null: keys and values
                                     * are kept */
    pf_tensor kept;                 /* [2, G*Lk, D]: keys, values; or null.  F32, or
                                     * capabilities.keys where bf16 is multiplied */
    pf_projection q, k, v, out;     /* out [N, D], without norm and rotation */
    float epsilon;                  /* of the norms */
    pf_rope_form form;
    int heads, groups;              /* of attention, as is: */
    float scale;
    pf_tensor bias;
    pf_tensor gate, residual, y;    /* of the last linear layer; y [G*Lq, N] */
    pf_scratch scratch;
} pf_attend_args;

/* y = [residual + gate *] (act(x in^T + bias) out^T + bias) */
typedef struct pf_feed_forward_args {
    pf_numerics numerics;
    bool shard;                     /* of x: see pf_linear_args */
    pf_tensor x;                    /* [M, C]; F32 or [hidden] */
    pf_projection in, out;          /* [F, C], [N, F], without norm and rotation */
    pf_activation activation;
    pf_tensor gate, residual, y;    /* of the last linear layer; y [M, N] */
    pf_scratch scratch;
} pf_feed_forward_args;

/* A feature map has the logical shape [C, T, H, W]; its strides say how it lies
 * in memory (capabilities.maps_channels_last).  Maps passed to kernels are
 * either channels-last ([T, H, W, C] without gaps inside a frame) or channels-
 * first; frames (T) may be sliced.
 *
 * y[o,t,h,w] = bias[o] + sum W[o,i,a,p,q] x[i, t*st + a*dt - pad_front[0],
 *              h*sh + p*dh - pad_front[1], w*sw + q*dw - pad_front[2]]  (+ residual)
 * with x = 0 outside.  The extents of y say how far the padding behind goes.
 * A 1-d convolution has T = H = 1. */
typedef struct pf_conv_args {
    pf_numerics numerics;
    pf_tensor x;                    /* [Ci, T, H, W] */
    const pf_weight *weight;        /* [Co, Ci, kt, kh, kw] */
    pf_tensor bias;                 /* [Co], or null */
    int stride[3], dilation[3], pad_front[3];
    pf_tensor residual;             /* like y, or null; may be y itself */
    pf_tensor y;                    /* [Co, To, Ho, Wo] */
} pf_conv_args;

/* y[o,n] = bias[o] + sum_t sum_i W[i,o,n + pad - t*stride] x[i,t], taps outside
 * 0..k-1 left out.  x [Ci, 1, 1, L], y [Co, 1, 1, Lo], weight [Ci, Co, k]. */
typedef struct pf_conv_transposed_args {
    pf_numerics numerics;
    pf_tensor x;
    const pf_weight *weight;
    pf_tensor bias;
    int stride, pad;
    pf_tensor y;
} pf_conv_transposed_args;

/* y = x / max(|x|_2 over channels, 1e-12) * sqrt(C) * gamma[c], then SiLU if
 * asked; x, y [C, T, H, W], y may be x. */
typedef struct pf_channel_norm_args {
    pf_numerics numerics;
    pf_tensor x, gamma, y;
    bool silu;
} pf_channel_norm_args;

/* y = x + sin(alpha[c] x)^2 / (alpha[c] + 1e-9); x, y [C, T, H, W], y may be x. */
typedef struct pf_snake_args {
    pf_numerics numerics;
    pf_tensor x, alpha, y;
} pf_snake_args;

typedef enum pf_unary {
    PF_UNARY_SILU,
    PF_UNARY_TANH,
    PF_UNARY_AFFINE,                /* a * x, then + b (two roundings) */
    PF_UNARY_ROUND_BF16             /* always rounds */
} pf_unary;

/* y = r(f(x)), same shape, any strides; y may be x. */
typedef struct pf_unary_args {
    pf_numerics numerics;
    pf_unary kind;
    float a, b;
    pf_tensor x, y;
} pf_unary_args;

/* y = r(a + b), same shape, any strides (0 repeats); y may be a or b. */
typedef struct pf_add_args {
    pf_numerics numerics;
    pf_tensor a, b, y;
} pf_add_args;

/* Classifier-free guidance over the velocities of one modality, every operation
 * rounded to f32 on its own (docs/model/guidance.md):
 *   two branches    v = n + s_t (p - n)
 *   three branches  v = n0 + s_b (n1 - n0) + s_t (p - n1)   (n = n1)
 *   rescale g > 0   v = g (v std(p) / std(v)) + (1 - g) v
 * All [count] f32, contiguous; v may be any input. */
typedef struct pf_guidance_args {
    pf_numerics numerics;
    pf_tensor bridge_off;           /* n0, or null: two branches */
    pf_tensor negative, positive;   /* n or n1, p */
    float bridge_scale, scale, rescale;
    pf_tensor v;
} pf_guidance_args;

/* to = r(from), same shape, any strides: from F32, to F32 or capabilities.keys or .hidden. */
typedef struct pf_copy_args {
    pf_numerics numerics;
    pf_tensor from, to;
} pf_copy_args;

/* Every element of y (F32, any strides) becomes value. */
typedef struct pf_fill_args {
    pf_numerics numerics;
    float value;
    pf_tensor y;
} pf_fill_args;

/* Each pixel becomes 2x2: x [C, T, H, W], y [C, T, 2H, 2W]. */
typedef struct pf_upsample_args {
    pf_numerics numerics;
    pf_tensor x, y;
} pf_upsample_args;

/* y[i] = table[ids[i]]: table [V, C] F32, BF16 or F16 at any alignment (host
 * memory), ids [L] I32 (host memory), y [L, C] F32. */
typedef struct pf_embedding_args {
    pf_numerics numerics;
    pf_tensor table, ids, y;
} pf_embedding_args;

/* y[f] = r((1 - u) x[i0] + u x[i1]) with s = max(0, (f + .5) T / L - .5),
 * i0 = floor(s), i1 = min(i0 + 1, T - 1), u = s - i0: x [T, C], y [L, C]. */
typedef struct pf_lerp_rows_args {
    pf_numerics numerics;
    pf_tensor x, y;
} pf_lerp_rows_args;

/* x = x + v * delta, product and sum each rounded to f32; [count], contiguous. */
typedef struct pf_step_args {
    pf_numerics numerics;
    pf_tensor x, v;
    pf_tensor delta;                /* [1]: every step has its own in the same place */
} pf_step_args;

/* --- the lists -------------------------------------------------------------- */

/* X(slot, argument type) for each kernel that platforms write themselves and that model
 * code calls. */
#define PF_SINGLE_KERNEL_LIST(X)                        \
    X(linear, pf_linear_args)                           \
    X(attention, pf_attention_args)                     \
    X(norm, pf_norm_args)                               \
    X(conv, pf_conv_args)                               \
    X(conv_transposed, pf_conv_transposed_args)         \
    X(channel_norm, pf_channel_norm_args)               \
    X(snake, pf_snake_args)                             \
    X(unary, pf_unary_args)                             \
    X(add, pf_add_args)                                 \
    X(copy, pf_copy_args)                               \
    X(fill, pf_fill_args)                               \
    X(upsample, pf_upsample_args)                       \
    X(embedding, pf_embedding_args)                     \
    X(lerp_rows, pf_lerp_rows_args)                     \
    X(guidance, pf_guidance_args)                       \
    X(step, pf_step_args)

/* Kernels that only layers call. */
#define PF_PART_KERNEL_LIST(X)                          \
    X(rope, pf_rope_args)

/* Layers of several kernels: a platform that does not fuse them takes those of common/. */
#define PF_LAYER_LIST(X)                                \
    X(project, pf_project_args)                         \
    X(attend, pf_attend_args)                           \
    X(feed_forward, pf_feed_forward_args)

/* All slots.  tests/kernels makes one check a line from this list. */
#define PF_KERNEL_LIST(X)                               \
    PF_SINGLE_KERNEL_LIST(X)                            \
    PF_PART_KERNEL_LIST(X)                              \
    PF_LAYER_LIST(X)

/* Slots by number: PF_KERNEL_linear and so on. */
typedef enum pf_kernel {
#define PF_KERNEL_NUMBER(slot, type) PF_KERNEL_##slot,
    PF_KERNEL_LIST(PF_KERNEL_NUMBER)
#undef PF_KERNEL_NUMBER
    PF_KERNELS
} pf_kernel;

#endif
