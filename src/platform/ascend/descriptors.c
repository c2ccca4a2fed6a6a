/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of CANN for the tensors, lists, scalars and arrays of one call.  See
 * descriptors.h.
 */
#include "platform/ascend/descriptors.h"

#include "platform/ascend/limits.h"

static int acl_dtype(pf_dtype dtype)
{
    return dtype == PF_BF16 ? ACL_BF16 : dtype == PF_F16 ? ACL_FLOAT16 : ACL_FLOAT;
}

static int format_of(const ascend_call *call, const pf_tensor *t)
{
    if (!call->maps || t->rank < 3)
        return ACL_FORMAT_ND;
    return t->rank == 3   ? ACL_FORMAT_NCL
           : t->rank == 4 ? ACL_FORMAT_NCHW
                          : ACL_FORMAT_NCDHW;
}

/* Descriptors begin at 32-byte boundaries; the rest is an offset in elements. */
int64_t pf_ascend_offset_of(const pf_tensor *t)
{
    return pf_dtype_fits(t->dtype, (int64_t)((uintptr_t)t->data & 31u));
}

void *pf_ascend_base_of(const pf_tensor *t)
{
    return (char *)t->data - ((uintptr_t)t->data & 31u);
}

/* Is the input a weight in the format NZ? */
static bool is_blocked(ascend_operator op, int input)
{
    return (op == ASCEND_AddmmWeightNz && input == 2) ||
           (op == ASCEND_MatmulWeightNz && input == 1);
}

/* The transposed view [K, N] of a weight [N, K], whose storage is blocks of 16 x 16:
 * [K / 16, N / 16, 16 of N, 16 of K]. */
static aclTensor *make_blocked(const ascend *a, const pf_tensor *t)
{
    const int64_t storage[] = {t->shape[0] / ASCEND_NZ_BLOCK, t->shape[1] / ASCEND_NZ_BLOCK,
                               ASCEND_NZ_BLOCK, ASCEND_NZ_BLOCK};
    return a->api->aclCreateTensor(t->shape, 2, acl_dtype(t->dtype), t->stride, 0,
                                   ACL_FORMAT_FRACTAL_NZ, storage, 4, t->data);
}

static aclTensor *make_tensor(const ascend *a, const ascend_call *call,
                              const pf_tensor *t)
{
    int64_t offset = pf_ascend_offset_of(t), storage = offset + 1;
    for (int i = 0; i < t->rank; i++)
        storage += (t->shape[i] - 1) * t->stride[i];
    return a->api->aclCreateTensor(t->shape, (uint64_t)t->rank, acl_dtype(t->dtype),
                                   t->stride, offset, format_of(call, t), &storage, 1,
                                   pf_ascend_base_of(t));
}

/* Does the operator take the input in a tensor list? */
static bool is_listed(ascend_operator op, int input)
{
    return op == ASCEND_FusedInferAttentionScoreV2 && (input == 1 || input == 2);
}

void pf_ascend_handles_destroy(const ascend *a, const ascend_handles *h)
{
    const ascend_api *f = a->api;
    for (int i = 0; i < ASCEND_IN; i++) {
        if (h->list[i])
            f->aclDestroyTensorList(h->list[i]);
        else if (h->in[i])
            f->aclDestroyTensor(h->in[i]);
    }
    for (int i = 0; i < ASCEND_OUT; i++)
        if (h->out[i])
            f->aclDestroyTensor(h->out[i]);
    for (int i = 0; i < 2; i++)
        if (h->scalar[i])
            f->aclDestroyScalar(h->scalar[i]);
    for (int i = 0; i < ASCEND_ARRAYS; i++)
        if (h->array[i])
            f->aclDestroyIntArray(h->array[i]);
}

static bool make_tensors(const ascend *a, const ascend_call *call, ascend_handles *h)
{
    for (int i = 0; i < ASCEND_IN; i++) {
        if (pf_tensor_is_null(&call->in[i]))
            continue;
        h->in[i] = is_blocked(call->op, i) ? make_blocked(a, &call->in[i])
                                           : make_tensor(a, call, &call->in[i]);
        if (!h->in[i])
            return false;
        if (is_listed(call->op, i)) {
            const aclTensor *only = h->in[i];
            if (!(h->list[i] = a->api->aclCreateTensorList(&only, 1)))
                return false;
        }
    }
    for (int i = 0; i < ASCEND_OUT; i++)
        if (!pf_tensor_is_null(&call->out[i]) &&
            !(h->out[i] = make_tensor(a, call, &call->out[i])))
            return false;
    return true;
}

pf_status pf_ascend_handles_make(ascend *a, const ascend_call *call, ascend_handles *h)
{
    *h = (ascend_handles){0};
    bool fine = make_tensors(a, call, h);
    for (int i = 0; fine && i < call->scalars; i++) {
        float value = call->scalar[i];
        fine = (h->scalar[i] = a->api->aclCreateScalar(&value, ACL_FLOAT)) != NULL;
    }
    for (int i = 0; fine && i < ASCEND_ARRAYS; i++) {
        const ascend_array *v = &call->array[i];
        if (v->count > 0)
            fine = (h->array[i] = a->api->aclCreateIntArray(
                        v->value, (uint64_t)v->count)) != NULL;
    }
    if (fine)
        return PF_OK;
    pf_ascend_handles_destroy(a, h);
    return pf_fail(a->device.error, PF_E_MEMORY, "out of memory: a descriptor of CANN");
}
