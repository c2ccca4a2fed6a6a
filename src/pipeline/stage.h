/* SPDX-License-Identifier: Apache-2.0 */
/* Plain facts of each stage of a job, for the runner, predictions and progress.  The plan
 * says which stages a film needs (request.h); stages.h runs them. */
#ifndef PF_PIPELINE_STAGE_H
#define PF_PIPELINE_STAGE_H

#include "pipeline/request.h"

typedef struct pf_stage {
    const char *name;                   /* pf_progress.stage */
    pf_component_set set;               /* components that must be resident */
    pf_component numerics_of;           /* kernels compute with this one's numerics */
} pf_stage;

/* The constant row of a stage. */
const pf_stage *pf_stage_get(pf_stage_number number);

#endif
