/* SPDX-License-Identifier: Apache-2.0 */
/* Counting instead of computing.  See forecast.h. */
#include "platform/ascend/forecast.h"

#include <string.h>

/* docs/ascend.md, "Prediction": cores and clocks are published, the bandwidth is
 * what is commonly quoted. */
static const ascend_soc socs[] = {
    {"Ascend910B1", 24, 48, 1850, (int64_t)64 << 30},
    {"Ascend910B2", 24, 48, 1800, (int64_t)64 << 30},
    {"Ascend910B3", 20, 40, 1800, (int64_t)64 << 30},
    {"Ascend910B4", 20, 40, 1500, (int64_t)32 << 30},
    {"Ascend910_9391", 24, 48, 1850, (int64_t)64 << 30},
    {"Ascend910_9382", 24, 48, 1800, (int64_t)64 << 30},
};

static const double memory_bytes_per_second = 1.6e12;

const ascend_soc *ascend_soc_find(const char *name)
{
    if (strcmp(name, "A3") == 0)
        name = "910_9391";
    for (size_t i = 0; i < sizeof socs / sizeof socs[0]; i++)
        if (strcmp(socs[i].name, name) == 0 ||
            strcmp(socs[i].name + strlen("Ascend"), name) == 0)
            return &socs[i];
    return NULL;
}

const ascend_soc *ascend_soc_like(const char *name)
{
    const ascend_soc *found = ascend_soc_find(name);
    return found ? found : &socs[0];
}

/* A cube core makes 16 x 16 x 16 multiply-adds of bf16 a cycle; f32 is taken to be a
 * quarter of that. */
double ascend_soc_peak(const ascend_soc *soc, pf_dtype dtype)
{
    double bf16 = soc->cube_cores * soc->megahertz * 1e6 * 4096.0 * 2.0;
    return dtype == PF_BF16 ? bf16 : bf16 / 4.0;
}

/* A vector core works on 128 bytes a cycle. */
static double vector_peak(const ascend_soc *soc)
{
    return soc->vector_cores * soc->megahertz * 1e6 * 32.0;
}

static double count_of(const pf_tensor *t)
{
    return pf_tensor_is_null(t) ? 0.0 : (double)pf_tensor_count(t);
}

/* What a product multiplies: the first of Addmm is the bias. */
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

void ascend_forecast_count(const ascend_soc *soc, const ascend_call *call, pf_tally *tally)
{
    double flops = product_flops(call), bytes = bytes_of(call);
    double elements = bytes / 4.0;
    double arithmetic = flops > 0.0 ? flops / ascend_soc_peak(soc, multiplicand(call)->dtype)
                                    : elements / vector_peak(soc);
    double memory = bytes / memory_bytes_per_second;
    tally->launches++;
    tally->flops += flops;
    tally->bytes += bytes;
    tally->seconds += arithmetic > memory ? arithmetic : memory;
}
