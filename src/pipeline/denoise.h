/* SPDX-License-Identifier: Apache-2.0 */
/* The denoising loop.  docs/model/guidance.md, docs/model/schedules.md. */
#ifndef PF_PIPELINE_DENOISE_H
#define PF_PIPELINE_DENOISE_H

#include "pipeline/job.h"

/* Computes denoising steps [begin, end) of the plan, all of which are one expert's and
 * guided alike.  Takes job->video and job->audio, and leaves them after the last step that was
 * computed, also when cancelled (PF_E_CANCELLED; job->step says which).  In a dry run the
 * steps are counted. */
pf_status pf_denoise(pf_job *job, pf_ops *ops, int begin, int end);

#endif
