/* SPDX-License-Identifier: Apache-2.0 */
/* Projections of attention layers, shared by towers and bridge. */
#ifndef PF_MODEL_PROJECTION_H
#define PF_MODEL_PROJECTION_H

#include "model/params.h"
#include "ops/ops.h"

/* The parameters of one attention: norms over the whole width, before the heads. */
typedef struct pf_attention_layer {
    pf_layer q, k, v, o;
    pf_tensor norm_q, norm_k;           /* [dim] */
} pf_attention_layer;

/* A linear layer alone, as a part of larger ones. */
static inline pf_projection pf_projection_of(const pf_layer *layer)
{
    return (pf_projection){.weight = &layer->weight, .bias = layer->bias};
}

/* With a norm over its results and a rotation; `norm` and `table` may be null. */
static inline pf_projection pf_projection_with(const pf_layer *layer, pf_tensor norm,
                                               pf_rope_table table)
{
    return (pf_projection){&layer->weight, layer->bias, norm, table};
}

/* y = x W^T + bias */
pf_status pf_project(pf_ops *ops, const pf_layer *layer, const pf_tensor *x,
                     const pf_tensor *y);

#endif
