/* SPDX-License-Identifier: Apache-2.0 */
/* Weights: what a platform is given, and what it makes of that.
 *
 *     mapped file, any format
 *        |  pf_weight_source: host views of the values and of what scales them
 *     weight_fill (platform.h)
 *        |  pf_weight: the platform's own form in its memory, or the source as it lies
 *     kernels (kernels.h)
 *
 * A source says how the values are stored, pf_multiply how they are multiplied; a platform
 * that cannot multiply a format says so when the weight is filled.
 */
#ifndef PF_PLATFORM_WEIGHT_H
#define PF_PLATFORM_WEIGHT_H

#include "tensor/tensor.h"

/* The number format of multiplicands.  Accumulation is f32 in every one.  A format is
 * added here when a platform multiplies in it. */
typedef enum pf_multiply {
    PF_MULTIPLY_F32,    /* weights are widened, never rounded */
    PF_MULTIPLY_BF16    /* multiplicands may be rounded to bf16, and so may the result of
                         * a product where capabilities.products is BF16 */
} pf_multiply;

typedef enum pf_weight_kind {
    PF_WEIGHT_LINEAR,               /* [out, in] */
    PF_WEIGHT_CONV,                 /* [out, in, kt, kh, kw] */
    PF_WEIGHT_CONV_TRANSPOSED       /* [in, out, k] */
} pf_weight_kind;

/* A weight as it is stored: host views at any byte alignment. */
typedef struct pf_weight_source {
    pf_weight_kind kind;
    pf_tensor values;               /* contiguous */
    pf_tensor scale;                /* factors of the values: [out], [1] or [out, blocks];
                                     * null: none */
    int rotation;                   /* columns of a rotated group; 0: not rotated */
} pf_weight_source;

/* A weight as the platform keeps it.  The memory of the source outlives it. */
typedef struct pf_weight {
    pf_weight_source source;
    pf_multiply multiply;           /* as filled, or, before that, as it will be */
    void *prepared;                 /* the platform's own form; NULL: the source itself */
    bool taken;                     /* weight_fill allocated `prepared` */
} pf_weight;

#endif
