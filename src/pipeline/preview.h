/* SPDX-License-Identifier: Apache-2.0 */
/* Previews of a film that is being denoised.  docs/model/pipeline.md. */
#ifndef PF_PIPELINE_PREVIEW_H
#define PF_PIPELINE_PREVIEW_H

#include "pipeline/job.h"

/* Shows the sink what the latents will become.  job->preview_velocity is the video velocity
 * of denoising step `step`, which is done. */
void pf_job_preview(pf_job *job, int step);

#endif
