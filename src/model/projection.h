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

/* y = rope(rms_norm(linear(x))); `norm` null: no norm, `cos` null: no rotation. */
typedef struct pf_projection {
    const pf_layer *layer;
    pf_tensor norm;
    float epsilon;
    int heads;
    pf_rope_form form;
    pf_tensor cos, sin;
    int64_t rows_per_position;
} pf_projection;

pf_status pf_project(pf_ops *ops, const pf_projection *projection,
                     const pf_tensor *x, const pf_tensor *y);

#endif
