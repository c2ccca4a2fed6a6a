/* SPDX-License-Identifier: Apache-2.0 */
/* Projections of attention layers, shared by towers and bridge.
 *
 * An attention layer is four linear layers with norms on q and k.  Kernels take them as
 * pf_projection (platform/kernels.h), which points at weight, bias, norm and rotary table: the
 * pf_layer must stay where it is until the kernel has been launched. */
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

/* y = r(x W^T + bias): x [m, in], y [m, out], both on the device. */
pf_status pf_project(pf_ops *ops, const pf_layer *layer, const pf_tensor *x,
                     const pf_tensor *y);

#endif
