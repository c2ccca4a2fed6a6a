/* SPDX-License-Identifier: Apache-2.0 */
/* Recording kernels and replaying them: graph capture.  docs/ascend.md, "Graphs".
 *
 * Between begin and end the stream keeps what it is given instead of doing it, and
 * neither it nor anything on it may be waited for.  Nothing is under way when recording
 * begins, so that a stream whose capture fails can be replaced without loss.
 */
#include "platform/ascend/device.h"

bool ascend_can_record(const ascend *a)
{
    const ascend_api *f = a->api;
    return f->aclmdlRICaptureBegin && f->aclmdlRICaptureEnd && f->aclmdlRIExecuteAsync &&
           f->aclmdlRIDestroy;
}

pf_status ascend_record_begin(ascend *a)
{
    ascend_record_drop(a);
    PF_TRY(ascend_check(a, a->api->aclmdlRICaptureBegin(a->stream,
                        ACL_CAPTURE_THREAD_LOCAL), "aclmdlRICaptureBegin"));
    a->recording = true;
    return PF_OK;
}

pf_status ascend_record_end(ascend *a, bool keep)
{
    aclmdlRI graph = NULL;
    int code = a->api->aclmdlRICaptureEnd(a->stream, &graph);
    a->recording = false;
    pf_status status = ascend_check(a, code, "aclmdlRICaptureEnd");
    if (status != PF_OK)
        ascend_renew_stream(a);
    if (status == PF_OK && keep)
        a->graph = graph;
    else if (graph)
        a->api->aclmdlRIDestroy(graph);
    return status;
}

pf_status ascend_replay(ascend *a)
{
    if (a->tally)
        a->tally->launches++;
    return ascend_check(a, a->api->aclmdlRIExecuteAsync(a->graph, a->stream),
                        "aclmdlRIExecuteAsync");
}

/* It may still be running. */
void ascend_record_drop(ascend *a)
{
    a->staged_for_good = 0;
    if (!a->graph)
        return;
    ascend_sync(a);
    a->api->aclmdlRIDestroy(a->graph);
    a->graph = NULL;
}
