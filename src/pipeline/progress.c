/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and checks of a running job.  See progress.h. */
#include "pipeline/progress.h"

#include <math.h>

#include "base/clock.h"
#include "pipeline/stage.h"

/* --- progress ----------------------------------------------------------------- */

/* Done share of the current stage.  Both denoising stages count the steps of one loop. */
static double share_of_stage(const pf_job *job, int step, int steps)
{
    const pf_stage_plan *s = &job->plan.stage[job->stage];
    int begin = s->end > s->begin ? s->begin : 0;
    int end = s->end > s->begin ? s->end : steps;
    return end > begin ? (double)(step - begin) / (end - begin) : 0.0;
}

/* Done share of the whole work, by predicted FLOPs. */
static double fraction_done(const pf_job *job, int step, int steps)
{
    double total = 0.0, done = 0.0;
    for (int i = 0; i < PF_STAGES; i++) {
        total += job->stage_flops[i];
        if (i < (int)job->stage)
            done += job->stage_flops[i];
    }
    if (steps > 0)
        done += job->stage_flops[job->stage] * share_of_stage(job, step, steps);
    return total > 0.0 ? done / total : 1.0;
}

/* The time left is extrapolated from the predicted FLOPs that are done; -1 (unknown) for the
 * first 2 %, from which it would jump. */
void pf_job_progress(pf_job *job, int step, int steps)
{
    if (!job->sinks.progress)
        return;
    pf_progress progress = {
        .stage = pf_stage_get(job->stage)->name,
        .step = step,
        .steps = steps,
        .fraction = fraction_done(job, step, steps),
        .seconds = pf_seconds() - job->started,
        .seconds_left = -1.0,
    };
    if (progress.fraction > 0.02)
        progress.seconds_left =
            progress.seconds / progress.fraction * (1.0 - progress.fraction);
    job->sinks.progress(job->sinks.user, &progress);
}

/* --- profile ------------------------------------------------------------------- */

void pf_job_profile_stage(pf_job *job, double seconds, const pf_ops *ops)
{
    const pf_stage *stage = pf_stage_get(job->stage);
    pf_memory weights =
        pf_residency_bytes(job->engine, stage->set, pf_plan_tokens(&job->plan));
    job->profile[job->profile_rows++] = (pf_profile_row){
        .stage = stage->name,
        .step = -1,
        .seconds = seconds,
        .flops = ops->cost.flops,
        .launches = ops->cost.launches,
        .arena_bytes = ops->peak,
        .weight_bytes = weights.host + weights.device,
    };
}

void pf_job_profile_step(pf_job *job, int step, double seconds, const pf_cost *cost)
{
    job->profile[job->profile_rows++] = (pf_profile_row){
        .stage = pf_stage_get(job->stage)->name,
        .step = step,
        .seconds = seconds,
        .flops = cost->flops,
        .launches = cost->launches,
    };
}

/* --- values and files ------------------------------------------------------------ */

void pf_job_see(pf_job *job, const char *name, const float *values, int64_t count)
{
    if (job->tap.see)
        job->tap.see(job->tap.user, name, values, count);
}

pf_status pf_job_check_files(const pf_job *job, pf_error *error)
{
    const pf_engine *engine = job->engine;
    return pf_residency_check(engine, pf_stage_get(job->stage)->set,
                              engine->platform->capabilities.own_memory, error);
}

pf_status pf_job_check_finite(const char *name, const float *values, int64_t count,
                              pf_error *error)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return pf_fail(error, PF_E_MODEL,
                           "the %s became %g, but must stay finite: the model's "
                           "weights hold such values or lead to them", name,
                           (double)values[i]);
    return PF_OK;
}
