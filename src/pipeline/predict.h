/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and time of a job, by running its stages dry, and whether this machine has the
 * memory.
 *
 *     plan --pf_job_predict--> pf_forecast --pf_forecast_check--> PF_OK, PF_E_TOO_LARGE
 *                                                                 or PF_E_MEMORY
 *
 * The peak of a film is the largest need of a stage, since stages follow each other and give
 * back what they took, plus the values between them.  Pages of weight files are judged three
 * ways, because the kernel counts them three ways: as part of the process (peak_bytes), not at
 * all where the file lies in memory already (`all`), and never as addresses to come, since the
 * files are mapped while the engine is open (`taken`).
 *
 * Thread-safety: beside a running job, too; a prediction never waits for it.
 */
#ifndef PF_PIPELINE_PREDICT_H
#define PF_PIPELINE_PREDICT_H

#include "pipeline/job.h"

typedef struct pf_forecast {
    pf_prediction prediction;           /* for the caller of the library */
    /* Bytes of the process. */
    pf_process_memory idle;             /* without a film */
    int64_t all;                        /* of the film beside that, but for weight files that
                                         * lie in memory already */
    int64_t taken;                      /* of the film, but for all pages of weight files */
} pf_forecast;

/* Runs every stage dry.  Also fills stage_flops, stage_arena and stage_own of the job. */
pf_status pf_job_predict(pf_job *job, pf_forecast *out, pf_error *error);

/* Refuses a film that memory_limit, the machine or the device has no memory for: with
 * PF_E_TOO_LARGE, or with PF_E_MEMORY if other programs take it now. */
pf_status pf_forecast_check(const pf_forecast *forecast, const pf_job *job, pf_error *error);

#endif
