/* SPDX-License-Identifier: Apache-2.0 */
/* The runner: one stage of a job after another, each with its components and its working
 * memory.
 *
 *     evict components that the stage does not use
 *       take one block for its tensors and one for its kernels (predicted)
 *         load its components, check their files
 *           run it
 *       give the blocks back, check the files once more
 *
 * Files may be cut or replaced while a film is made.  They are renewed before the film, then
 * checked before a stage, at every poll after a read fault (base/guard.h), at every result and
 * after the stage; a film never ends with values from a damaged file.
 */
#include "base/clock.h"
#include "pipeline/progress.h"
#include "pipeline/stage.h"
#include "pipeline/stages.h"

/* pf_ops.check_files of a running job. */
static pf_status check_lost(void *user, pf_error *error)
{
    const pf_job *job = user;
    return pf_residency_check(job->engine, pf_stage_get(job->stage)->set, true, error);
}

/* Runs a stage in the order of the diagram above. */
static pf_status run_in(pf_job *job, pf_component_set set, pf_ops *ops)
{
    double started = pf_seconds();
    /* The large blocks first: the memory that is left for weights may be in pieces. */
    pf_residency_evict(job->engine, set);
    PF_TRY(pf_ops_reserve(ops, job->stage_arena[job->stage],
                          job->stage_own[job->stage]));
    PF_TRY(pf_residency_use(job->engine, set, ops->error));
    PF_TRY(pf_residency_check(job->engine, set, false, ops->error));
    PF_TRY(pf_ops_poll(ops));
    PF_TRY(pf_stage_run(job, ops));
    pf_job_profile_stage(job, pf_seconds() - started, ops);
    return PF_OK;
}

static pf_status run_stage(pf_job *job, pf_error *error)
{
    const pf_stage *stage = pf_stage_get(job->stage);
    pf_ops ops;
    pf_ops_init(&ops, job->engine->platform,
                pf_engine_numerics(job->engine, stage->numerics_of), false, error);
    ops.cancel = &job->cancel;
    ops.check_files = check_lost;
    ops.files_user = job;
    pf_job_progress(job, 0, 0);
    pf_status status = run_in(job, stage->set, &ops);
    pf_ops_release(&ops);
    if (status == PF_OK)
        return pf_job_check_files(job, error);
    /* A damaged file explains any other failure: its message takes precedence. */
    pf_status files = status == PF_E_CANCELLED
                          ? PF_OK
                          : pf_residency_check(job->engine, stage->set, false, error);
    return files != PF_OK ? files : status;
}

static pf_status run_stages(pf_job *job, pf_error *error)
{
    for (int i = 0; i < PF_STAGES; i++) {
        job->stage = (pf_stage_number)i;
        if (job->plan.stage[i].wanted)
            PF_TRY(run_stage(job, error));
    }
    return PF_OK;
}

pf_status pf_job_run(pf_job *job, pf_error *error)
{
    pf_error own = {0};
    pf_engine *engine = job->engine;
    if (job->ran)
        return pf_fail(error, PF_E_ARGUMENT, "a job runs once; create another one");
    pthread_mutex_lock(&engine->busy);
    job->ran = true;
    job->started = pf_seconds();
    error = error ? error : &own;
    pf_status status = pf_residency_renew(engine, error);
    if (status == PF_OK)
        status = run_stages(job, error);
    if (!engine->keep_resident)
        pf_residency_use(engine, 0, NULL);
    pthread_mutex_unlock(&engine->busy);
    return status;
}
