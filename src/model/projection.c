/* SPDX-License-Identifier: Apache-2.0 */
/* Projections of attention layers.  See projection.h. */
#include "model/projection.h"

pf_status pf_project(pf_ops *ops, const pf_layer *layer, const pf_tensor *x,
                     const pf_tensor *y)
{
    return pf_op_linear(ops, &(pf_linear_args){
        .x = *x, .weight = &layer->weight, .bias = layer->bias, .y = *y});
}
