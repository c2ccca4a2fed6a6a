/* SPDX-License-Identifier: Apache-2.0 */
/* Running one stage of a job.  docs/model/pipeline.md. */
#ifndef PF_PIPELINE_STAGES_H
#define PF_PIPELINE_STAGES_H

#include "pipeline/job.h"

/* Runs stage job->stage, whose components are resident; with job->dry it only counts. */
pf_status pf_stage_run(pf_job *job, pf_ops *ops);

#endif
