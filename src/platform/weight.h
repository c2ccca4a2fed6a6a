/* SPDX-License-Identifier: Apache-2.0 */
/* Weights: what a platform is given, and what it makes of that.
 *
 * A weight matrix comes as F32, BF16 or F16 in a mapped file.  A platform multiplies by the
 * mapped values themselves, or by a form of its own that it prepares when the component is
 * loaded.
 */
#ifndef PF_PLATFORM_WEIGHT_H
#define PF_PLATFORM_WEIGHT_H

#include "tensor/tensor.h"

/* The number format of multiplicands.  Accumulation is f32 in every one.  A format is
 * added here when a platform multiplies in it. */
typedef enum pf_multiply {
    PF_MULTIPLY_F32,    /* weights are widened, never rounded */
    PF_MULTIPLY_BF16    /* multiplicands may be rounded to bf16, and so may the result of
                         * a product where capabilities.rounds_products is set */
} pf_multiply;

typedef enum pf_weight_kind {
    PF_WEIGHT_LINEAR,               /* [out, in] */
    PF_WEIGHT_CONV,                 /* [out, in, kt, kh, kw] */
    PF_WEIGHT_CONV_TRANSPOSED       /* [in, out, k] */
} pf_weight_kind;

/* A weight as the platform keeps it.  `source` stays valid as long as the weight
 * does (it points into a mapped file, at any byte alignment). */
typedef struct pf_weight {
    pf_weight_kind kind;
    pf_multiply multiply;           /* what it was prepared for */
    pf_tensor source;               /* shape and dtype; data as loaded */
    void *prepared;                 /* the platform's own form, or NULL */
    int64_t prepared_bytes;
} pf_weight;

#endif
