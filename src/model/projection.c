/* Projections of attention layers.  See projection.h. */
#include "model/projection.h"

pf_status pf_project(pf_ops *ops, const pf_projection *p, const pf_tensor *x,
                     const pf_tensor *y)
{
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = *x, .weight = &p->layer->weight, .bias = p->layer->bias, .y = *y}));
    if (!pf_tensor_is_null(&p->norm))
        PF_TRY(pf_op_norm(ops, &(pf_norm_args){
            .kind = PF_NORM_RMS, .epsilon = p->epsilon, .x = *y, .weight = p->norm,
            .y = *y}));
    if (pf_tensor_is_null(&p->cos))
        return PF_OK;
    return pf_op_rope(ops, &(pf_rope_args){
        .form = p->form, .x = *y, .heads = p->heads, .cos = p->cos, .sin = p->sin,
        .rows_per_position = p->rows_per_position});
}
