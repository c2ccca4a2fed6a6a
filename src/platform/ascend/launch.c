/* SPDX-License-Identifier: Apache-2.0 */
/* Launching operators.  See launch.h. */
#include "platform/ascend/launch.h"

#include <string.h>

#include "platform/ascend/executors.h"
#include "platform/ascend/forecast.h"

/* BSND: batch, sequence, heads, width. */
static char ascend_layout[] = "BSND";

/* --- phase one: an adapter for each operator ---------------------------------------------- */

/* Arguments and results of CANN's phase one (GetWorkspaceSize). */
typedef struct preparation {
    const ascend_api *api;
    const ascend_call *call;
    const ascend_handles *handles;
    uint64_t workspace;                 /* bytes */
    aclOpExecutor *executor;
} preparation;

/* Macros that ACL_OPERATOR_LIST (acl.h) writes the arguments of phase one with: an input, an
 * output, a tensor list, a scalar, an integer array, an integer and a real number. */
#define I(i) p->handles->in[i]
#define O(i) p->handles->out[i]
#define L(i) p->handles->list[i]
#define S(i) p->handles->scalar[i]
#define A(i) p->handles->array[i]
#define N(i) p->call->number[i]
#define R p->call->real
#define ASCEND_PREPARE(needed, name, parameters, arguments)                    \
    static aclnnStatus prepare_##name(preparation *p)                          \
    {                                                                          \
        return p->api->name##_prepare(ACL_UNPACK arguments, &p->workspace,     \
                                      &p->executor);                           \
    }
ACL_OPERATOR_LIST(ASCEND_PREPARE)
#undef ASCEND_PREPARE
#undef I
#undef O
#undef L
#undef S
#undef A
#undef N
#undef R

typedef struct operator_entry {
    const char *name;
    aclnnStatus (*prepare)(preparation *p);
    size_t launch;                      /* offset of phase two in ascend_api */
} operator_entry;

static const operator_entry entries[ASCEND_OPERATORS] = {
#define ASCEND_ENTRY(needed, name, parameters, arguments) \
    {"aclnn" #name, prepare_##name, offsetof(ascend_api, name)},
    ACL_OPERATOR_LIST(ASCEND_ENTRY)
#undef ASCEND_ENTRY
};

static acl_launch phase_two(const ascend *a, ascend_operator op)
{
    acl_launch launch;
    memcpy(&launch, (const char *)a->api + entries[op].launch, sizeof launch);
    return launch;
}

bool pf_ascend_has(const ascend *a, ascend_operator op)
{
    return (a->counting.kind && !a->for_device) || phase_two(a, op) != NULL;
}

/* --- launching ------------------------------------------------------------------------------- */

static int move_input(const ascend *a, const ascend_executor *slot, const ascend_call *call, int i)
{
    const ascend_api *f = a->api;
    void *base = pf_ascend_base_of(&call->in[i]);
    if (slot->handles.list[i])
        return f->aclSetDynamicInputTensorAddr(slot->executor, (size_t)i, 0, slot->handles.list[i],
                                               base);
    return f->aclSetInputTensorAddr(slot->executor, (size_t)i, slot->handles.in[i], base);
}

static bool is_inplace(const ascend_call *call)
{
    return pf_tensor_is_null(&call->out[0]);
}

/* Gives a cached executor the addresses of this call. */
static int move_all(const ascend *a, const ascend_executor *slot, const ascend_call *call)
{
    const ascend_api *f = a->api;
    int code = 0;
    for (int i = 0; code == 0 && i < ASCEND_IN; i++)
        if (slot->handles.in[i])
            code = move_input(a, slot, call, i);
    for (int i = 0; code == 0 && i < ASCEND_OUT; i++)
        if (slot->handles.out[i])
            code = f->aclSetOutputTensorAddr(slot->executor, (size_t)i, slot->handles.out[i],
                                             pf_ascend_base_of(&call->out[i]));
    if (code == 0 && is_inplace(call))
        code = f->aclSetOutputTensorAddr(slot->executor, 0, slot->handles.in[0],
                                         pf_ascend_base_of(&call->in[0]));
    return code;
}

/* Destroys an executor that was not run, which must be made repeatable first. */
static bool discard(const ascend *a, aclOpExecutor *executor)
{
    return a->api->aclSetAclOpExecutorRepeatable(executor) == 0 &&
           a->api->aclDestroyAclOpExecutor(executor) == 0;
}

static pf_status run_in(ascend *a, ascend_operator op, const preparation *p, void *workspace)
{
    a->device.tally->launches++;
    return pf_device_check_queued(&a->device, phase_two(a, op)(workspace, p->workspace, p->executor,
                                                   a->stream), entries[op].name);
}

static pf_status run(ascend *a, ascend_operator op, const preparation *p, bool stays)
{
    void *workspace = NULL;
    if (p->workspace > 0) {
        pf_status status = pf_device_workspace(&a->device, (int64_t)p->workspace, &workspace);
        if (status != PF_OK && !stays)
            discard(a, p->executor);
        PF_TRY(status);
    }
    return run_in(a, op, p, workspace);
}

/* Phase one.  On failure no handle is left. */
static pf_status prepare(ascend *a, const ascend_call *call, ascend_handles *h, preparation *p)
{
    *p = (preparation){.api = a->api, .call = call, .handles = h};
    PF_TRY(pf_ascend_handles_make(a, call, h));
    int code = entries[call->op].prepare(p);
    if (code != 0)
        pf_ascend_handles_destroy(a, h);
    return pf_device_check(&a->device, code, entries[call->op].name);
}

/* Phase one, then phase two.  The executor is cached in `slot` where that is possible. */
static pf_status launch_new(ascend *a, const ascend_call *call, ascend_executor *slot,
                            const ascend_key *key)
{
    ascend_handles h;
    preparation p;
    PF_TRY(prepare(a, call, &h, &p));
    ascend_executor made = {.handles = h, .workspace = p.workspace, .executor = p.executor};
    bool stays = slot && pf_ascend_executors_keep(a, slot, key, &made);
    pf_status status = run(a, call->op, &p, stays);
    if (!stays)
        pf_ascend_handles_destroy(a, &h);
    return status;
}

pf_status pf_ascend_launch(ascend *a, const ascend_call *call)
{
    ascend_key key;
    if (a->counting.kind) {
        pf_ascend_forecast_count(a->counting.kind, call, a->device.tally);
        return PF_OK;
    }
    pf_ascend_key_make(call, &key);
    ascend_executor *slot = pf_ascend_executors_find(a->executors, &key);
    if (!slot || !slot->word)
        return launch_new(a, call, slot, &key);
    PF_TRY(pf_device_check(&a->device, move_all(a, slot, call), entries[call->op].name));
    preparation p = {.workspace = slot->workspace, .executor = slot->executor};
    return run(a, call->op, &p, true);
}

static pf_status prepare_and_run(ascend *a, const ascend_call *call, void *workspace,
                              int64_t room)
{
    ascend_handles h;
    preparation p;
    void *more = NULL;
    pf_status status = PF_OK;
    PF_TRY(prepare(a, call, &h, &p));
    if ((int64_t)p.workspace > room)
        status = pf_device_allocate(&a->device, (int64_t)p.workspace, &more);
    if (status == PF_OK)
        status = run_in(a, call->op, &p, more ? more : workspace);
    pf_device_release(&a->device, more);
    pf_ascend_handles_destroy(a, &h);
    return status;
}

pf_status pf_ascend_launch_once(ascend *a, const ascend_call *call, int64_t room)
{
    void *workspace;
    if (a->counting.kind)
        return pf_ascend_launch(a, call);
    PF_TRY(pf_device_allocate(&a->device, room, &workspace));
    pf_status status = prepare_and_run(a, call, workspace, room);
    pf_device_release(&a->device, workspace);
    return status;
}

/* Codes of operators that do not take the parameters, or have no kernel for them. */
static bool is_refusal(int code)
{
    return code == ACLNN_INVALID || code / 1000 == ACLNN_INNER / 1000;
}

pf_status pf_ascend_accepts(ascend *a, const ascend_call *call, bool *out)
{
    ascend_handles h;
    preparation p = {.api = a->api, .call = call, .handles = &h};
    PF_TRY(pf_ascend_handles_make(a, call, &h));
    int code = entries[call->op].prepare(&p);
    *out = code == 0;
    if (*out && !discard(a, p.executor))
        run(a, call->op, &p, false);    /* running it once frees it; its result is ignored */
    pf_ascend_handles_destroy(a, &h);
    if (*out || is_refusal(code)) {
        a->api->aclGetRecentErrMsg();
        return PF_OK;
    }
    return pf_device_check(&a->device, code, entries[call->op].name);
}
