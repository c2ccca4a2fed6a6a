/* SPDX-License-Identifier: Apache-2.0 */
/* The bridge inside: what the dual tower calls.  docs/model/bridge.md. */
#ifndef PF_MODEL_BRIDGE_PARTS_H
#define PF_MODEL_BRIDGE_PARTS_H

#include "model/bridge.h"

typedef enum pf_direction {
    PF_A2V,                             /* video tokens look at audio tokens */
    PF_V2A,
    PF_DIRECTIONS
} pf_direction;

/* Selects a conditioner of the bridge, for tokens in equal groups. */
typedef struct pf_bridge_place {
    pf_direction direction;
    int layer, groups;
} pf_bridge_place;

/* Runs the conditioner of a layer: `primary` [groups * n, dim] attends to `condition`
 * [groups * m, kv]; the result is out [groups * n, dim], without residual and scale, which the
 * caller adds once both directions have read the old tokens. */
pf_status pf_bridge_run(const pf_bridge *bridge, pf_ops *ops, pf_bridge_place place,
                        const pf_bridge_tables *tables,
                        const pf_tensor *primary, const pf_tensor *condition,
                        const pf_tensor *out);

/* The model's own condition scale: 1, or its trained value. */
float pf_bridge_scale(const pf_bridge *bridge);

#endif
