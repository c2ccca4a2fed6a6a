/* SPDX-License-Identifier: Apache-2.0 */
/* Recording and replaying steps.  See recorder.h. */
#include "pipeline/recorder.h"

/* Kernels that are recorded have not run, so they cost nothing yet. */
static pf_status try_recording(pf_recorder *r)
{
    PF_TRY(pf_ops_record_begin(r->ops));
    pf_cost before = r->ops->cost;
    pf_status status = r->compute(r->user);
    pf_status ended = pf_ops_record_end(r->ops,
                                        status == PF_OK ? &r->recording : NULL);
    r->recorded = pf_cost_since(&r->ops->cost, &before);
    r->ops->cost = before;
    return status != PF_OK ? status : ended;
}

/* Records the kernels of a step, all launches of the warm step being done.  Fails only if the
 * job was cancelled meanwhile or the device is lost; any other failure is a warning, and its
 * message may not stay in the job's error. */
static pf_status record(pf_recorder *r, int step)
{
    pf_error *outer = r->ops->error, why = {0};
    float ignored;
    PF_TRY(pf_ops_download(r->ops, &ignored, &r->fence));
    r->ops->error = &why;
    pf_status status = try_recording(r);
    r->ops->error = outer;
    r->mode = status == PF_OK ? PF_RECORDER_REPLAY : PF_RECORDER_PLAIN;
    if (status == PF_E_CANCELLED)
        return pf_fail(outer, status, "%s", why.message);
    if (status != PF_OK)
        pf_warn(r->log, "step %d was not recorded, the film goes on without: %s", step,
                why.message);
    return PF_OK;
}

/* Replays a step, or computes it where the device refuses.  `recorded` is added to the cost. */
static pf_status replay(pf_recorder *r, int step)
{
    pf_error *outer = r->ops->error, why = {0};
    r->ops->error = &why;
    pf_status status = pf_ops_replay(r->ops, r->recording, &r->recorded);
    r->ops->error = outer;
    if (status == PF_OK)
        return PF_OK;
    r->mode = PF_RECORDER_PLAIN;
    pf_warn(r->log, "step %d was not replayed, the film goes on without: %s", step,
            why.message);
    return r->compute(r->user);
}

pf_status pf_recorder_run(pf_recorder *r, int step)
{
    if (r->mode == PF_RECORDER_RECORD)
        PF_TRY(record(r, step));
    if (r->mode == PF_RECORDER_REPLAY)
        return replay(r, step);
    if (r->mode == PF_RECORDER_WARM)
        r->mode = pf_ops_records(r->ops) ? PF_RECORDER_RECORD : PF_RECORDER_PLAIN;
    return r->compute(r->user);
}

void pf_recorder_drop(pf_recorder *r)
{
    pf_ops_record_drop(r->ops, r->recording);
    r->recording = NULL;
}
