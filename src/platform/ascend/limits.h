/* SPDX-License-Identifier: Apache-2.0 */
/* Documented limits of CANN's operators on shapes: one table.
 *
 * A fused operator is used inside its limits, and composed of plain ones outside.
 * Every entry names its section of docs/ascend.md; tests stand on both sides of
 * every edge.
 */
#ifndef PF_PLATFORM_ASCEND_LIMITS_H
#define PF_PLATFORM_ASCEND_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, lowest, highest, multiple of, section) */
#define ASCEND_LIMIT_LIST(X)                                                   \
    X(NZ_EXTENT, 16, 1048576, 16, "Operators: products")                       \
    X(ATTENTION_WIDTH, 16, 512, 16, "Operators: attention")                    \
    X(ATTENTION_HEADS, 1, 256, 1, "Operators: attention")                      \
    X(ATTENTION_COLUMNS, 16, 65534, 1, "Operators: attention")                 \
    X(ATTENTION_ROWS, 1, 20971520, 1, "Operators: attention")                  \
    X(ATTENTION_BATCH, 1, 65536, 1, "Operators: attention")                    \
    X(ROPE_WIDTH, 2, 894, 2, "Operators: rotary")                              \
    X(ROPE_HEADS, 1, 999, 1, "Operators: rotary")                              \
    X(CONV_EXTENT, 1, 1000000, 1, "Operators: convolution")                    \
    X(CONV_DILATION, 1, 255, 1, "Operators: convolution")                      \
    X(CONV_PADDING, 0, 255, 1, "Operators: convolution")                       \
    X(CONV3D_KERNEL, 1, 511, 1, "Operators: convolution")                      \
    X(CONV3D_KERNEL_AREA, 1, 4095, 1, "Operators: convolution")                \
    X(CONV3D_STRIDE, 1, 63, 1, "Operators: convolution")                       \
    X(CONV_TRANSPOSED_KERNEL, 1, 255, 1, "Operators: convolution")

/* Weights in the format NZ are made of square blocks. */
enum { ASCEND_NZ_BLOCK = 16 };

typedef enum ascend_limit {
#define ASCEND_LIMIT(name, low, high, multiple, section) ASCEND_##name,
    ASCEND_LIMIT_LIST(ASCEND_LIMIT)
#undef ASCEND_LIMIT
    ASCEND_LIMITS
} ascend_limit;

bool pf_ascend_within(ascend_limit limit, int64_t value);

/* Fused attention over heads of `width` columns. */
bool pf_ascend_attention_fits(int64_t heads, int64_t width, int64_t queries, int64_t keys);

/* A weight [n, k] in NZ takes no more memory than without, and is no vector. */
bool pf_ascend_nz_fits(int64_t n, int64_t k);

bool pf_ascend_rope_fits(int64_t heads, int64_t width);

/* Kernel, stride, dilation and padding of the axes t, h, w. */
typedef struct ascend_conv_shape {
    int axes;                           /* 1, 2 or 3: the operator's axes */
    int64_t extent;                     /* the largest of input, weight, output */
    int64_t kernel[3], stride[3], dilation[3], padding[3];
    bool transposed;
} ascend_conv_shape;

bool pf_ascend_conv_fits(const ascend_conv_shape *shape);

#endif
