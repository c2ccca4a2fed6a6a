/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and checks of a running job: progress, profile, values for tests,
 * files that were damaged, values that are not finite.  Sinks are called on the thread that
 * runs the job. */
#ifndef PF_PIPELINE_PROGRESS_H
#define PF_PIPELINE_PROGRESS_H

#include "pipeline/job.h"

/* Tells the sink how far the current stage is: `step` of `steps`, or 0 of 0. */
void pf_job_progress(pf_job *job, int step, int steps);

/* Adds a row to the profile, of the current stage or of a denoising step. */
void pf_job_profile_stage(pf_job *job, double seconds, const pf_ops *ops);
void pf_job_profile_step(pf_job *job, int step, double seconds, const pf_cost *cost);

/* Shows a value to the job's tap, if it has one. */
void pf_job_see(pf_job *job, const char *name, const float *values, int64_t count);

/* Refuses to go on with weights of the current stage that cannot be read any more, or that
 * were changed since the film began.  A platform with memory of its own needs its files
 * only while it loads them. */
pf_status pf_job_check_files(const pf_job *job, pf_error *error);

/* Refuses values that are not finite, which weights may lead to.  `name` is the subject of
 * the sentence, such as "video latents". */
pf_status pf_job_check_finite(const char *name, const float *values, int64_t count,
                              pf_error *error);

#endif
