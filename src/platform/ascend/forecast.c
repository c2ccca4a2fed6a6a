/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of Ascend devices, and the work of an operator.  See forecast.h. */
#include "platform/ascend/forecast.h"

#include <string.h>

/* Cores and clocks are published; of the bandwidth 1.6 TB/s is commonly quoted.  A cube core
 * makes 16 x 16 x 16 multiply-adds of bf16 a cycle, a vector core works on 128 bytes. */
#define KIND(name, cubes, vectors, megahertz, gib) \
    {name, cubes, vectors, megahertz, 4096.0 * 2.0, 32.0, 1.6e12, (int64_t)gib << 30}

static const pf_device_kind kinds[] = {
    KIND("Ascend910B1", 24, 48, 1850, 64),
    KIND("Ascend910B2", 24, 48, 1800, 64),
    KIND("Ascend910B3", 20, 40, 1800, 64),
    KIND("Ascend910B4", 20, 40, 1500, 32),
    KIND("Ascend910_9391", 24, 48, 1850, 64),
    KIND("Ascend910_9382", 24, 48, 1800, 64),
};

const pf_device_kind *pf_ascend_kind_find(const char *name)
{
    if (strcmp(name, "A3") == 0)
        name = "910_9391";
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0 ||
            strcmp(kinds[i].name + strlen("Ascend"), name) == 0)
            return &kinds[i];
    return NULL;
}

const pf_device_kind *pf_ascend_kind_like(const char *name)
{
    const pf_device_kind *found = pf_ascend_kind_find(name);
    return found ? found : &kinds[0];
}

static double count_of(const pf_tensor *t)
{
    return pf_tensor_is_null(t) ? 0.0 : (double)pf_tensor_count(t);
}

/* The first multiplicand of a product: input 0 of Addmm is the bias. */
static const pf_tensor *multiplicand(const ascend_call *call)
{
    bool biased = call->op == ASCEND_Addmm || call->op == ASCEND_AddmmWeightNz;
    return &call->in[biased ? 1 : 0];
}

static double product_flops(const ascend_call *call)
{
    const pf_tensor *out = &call->out[0], *x = multiplicand(call);
    switch (call->op) {
    case ASCEND_Addmm:
    case ASCEND_AddmmWeightNz:
    case ASCEND_Mm:
    case ASCEND_MatmulWeightNz:
    case ASCEND_BatchMatMul:
        break;
    case ASCEND_Convolution: {
        const pf_tensor *w = &call->in[1];
        double each = count_of(w) / (double)w->shape[call->number[1] ? 1 : 0];
        return 2.0 * count_of(call->number[1] ? x : out) * each;
    }
    case ASCEND_FusedInferAttentionScoreV2:
        return 4.0 * count_of(x) * (double)call->in[1].shape[1];
    default:
        return 0.0;
    }
    return 2.0 * count_of(out) * (double)x->shape[x->rank - 1];
}

static double bytes_of(const ascend_call *call)
{
    double bytes = 0.0;
    for (int i = 0; i < ASCEND_IN; i++)
        if (!pf_tensor_is_null(&call->in[i]))
            bytes += (double)pf_tensor_bytes(&call->in[i]);
    for (int i = 0; i < ASCEND_OUT; i++)
        if (!pf_tensor_is_null(&call->out[i]))
            bytes += (double)pf_tensor_bytes(&call->out[i]);
    if (pf_tensor_is_null(&call->out[0]) && call->op != ASCEND_InplaceCopy &&
        call->op != ASCEND_InplaceFillScalar)
        bytes += (double)pf_tensor_bytes(&call->in[0]);     /* read and written */
    return bytes;
}

void pf_ascend_forecast_count(const pf_device_kind *kind, const ascend_call *call,
                              pf_tally *tally)
{
    pf_forecast_add(kind, &(pf_work){.flops = product_flops(call), .bytes = bytes_of(call),
                                     .dtype = multiplicand(call)->dtype}, tally);
}
