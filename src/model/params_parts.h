/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a component inside: one list of slots, which params.c makes and
 * params_load.c walks. */
#ifndef PF_MODEL_PARAMS_PARTS_H
#define PF_MODEL_PARAMS_PARTS_H

#include "model/params.h"

typedef enum slot_kind { SLOT_WEIGHT, SLOT_VECTOR, SLOT_TABLE } slot_kind;

/* A parameter: its place in the file, and the place that the component wants it in. */
typedef struct param_slot {
    slot_kind kind;
    int group;
    char *stem;                         /* name in the file, of weights without ".weight" */
    pf_weight_source source;            /* as stored; of vectors and tables `values` alone */
    pf_weight *weight;                  /* SLOT_WEIGHT */
    pf_tensor *vector;                  /* SLOT_VECTOR: [count] F32, or NULL: part of the
                                         * vector before */
    bool adjoins;                       /* the next vector begins right behind it */
    bool filled;                        /* the platform has the weight */
    void *rounded;                      /* bf16 copy while loaded, or NULL */
} param_slot;

struct pf_params {
    pf_weights *weights;
    pf_numerics numerics;
    param_slot *slots;
    int64_t count, room;
    int group, groups;                  /* of the slots to come; how many beside ALWAYS */
    pf_computed *computed;
    int64_t computed_count, computed_room;
    bool stale;                         /* files changed; computed values are old */
    pf_platform *platform;              /* while loaded */
    char *vectors;                      /* device memory of all vectors */
    int loaded;                         /* groups below this number are there */
};

/* A weight before it is loaded, as dry runs see it. */
static inline pf_weight pf_params_bare_weight(const pf_params *params,
                                              const pf_weight_source *source)
{
    return (pf_weight){.source = *source, .multiply = params->numerics.multiply};
}

#endif
