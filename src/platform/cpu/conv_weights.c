/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of convolutions, packed once when a component is loaded.  Other weights
 * stay where they are.  conv.h has the layout. */
#include "base/memory.h"
#include "platform/common/common.h"
#include "platform/cpu/conv.h"
#include "platform/cpu/kernels.h"

enum { TAPS_AT_ONCE = 64 };

typedef struct packing {
    const pf_tensor *values;
    conv_panels panels;
    int64_t in, out;
    int64_t in_stride, out_stride;  /* elements; the taps are adjacent */
    float *to;
} packing;

/* Taps [tap, tap + count) of input channel i into column `column` of a panel. */
static void scatter(const packing *p, const float *values, int64_t tap, int64_t count,
                    int64_t i, float *panel, int64_t column)
{
    int64_t step = p->panels.units * TILE_COLUMNS;
    for (int64_t k = 0; k < count; k++)
        tile_put(panel + (tap + k) * step + column, i, TILE_COLUMNS, p->panels.form,
                 values[k]);
}

static void pack_panels(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const packing *p = argument;
    pf_dtype dtype = p->values->dtype;
    float values[TAPS_AT_ONCE];
    for (int64_t n = begin; n < end; n++) {
        float *panel = p->to + n * p->panels.panel_floats;
        memset(panel, 0, (size_t)p->panels.panel_floats * sizeof *panel);
        int64_t first = n * TILE_COLUMNS;
        for (int64_t o = first; o < first + TILE_COLUMNS && o < p->out; o++)
            for (int64_t i = 0; i < p->in; i++)
                for (int64_t tap = 0; tap < p->panels.taps; tap += TAPS_AT_ONCE) {
                    int64_t left = p->panels.taps - tap;
                    int64_t count = left < TAPS_AT_ONCE ? left : TAPS_AT_ONCE;
                    int64_t at = o * p->out_stride + i * p->in_stride + tap;
                    pf_to_f32((const char *)p->values->data + pf_dtype_bytes(dtype, at),
                              dtype, count, values);
                    scatter(p, values, tap, count, i, panel, o - first);
                }
    }
}

int64_t PF_CPU(weight_bytes)(pf_platform *platform, const pf_weight_source *source,
                             pf_multiply multiply)
{
    (void)platform;
    if (source->kind == PF_WEIGHT_LINEAR)
        return 0;
    conv_panels p = conv_panels_of(source, multiply);
    return p.panels * p.panel_floats * (int64_t)sizeof(float);
}

/* Panels of a convolution into `to`, in parallel. */
static void pack(pf_platform *platform, const pf_weight_source *source,
                 pf_multiply multiply, float *to)
{
    bool transposed = source->kind == PF_WEIGHT_CONV_TRANSPOSED;
    const pf_tensor *values = &source->values;
    packing p = {
        .values = values,
        .panels = conv_panels_of(source, multiply),
        .in = values->shape[transposed ? 0 : 1],
        .out = values->shape[transposed ? 1 : 0],
        .in_stride = values->stride[transposed ? 0 : 1],
        .out_stride = values->stride[transposed ? 1 : 0],
        .to = to,
    };
    pf_pool_for(platform->pool, p.panels.panels, 1, pack_panels, &p);
}

pf_status PF_CPU(weight_fill)(pf_platform *platform, const pf_weight_source *source,
                              pf_multiply multiply, void *memory, pf_weight *out,
                              pf_error *error)
{
    PF_TRY(pf_common_weight_check(platform, source, error));
    *out = (pf_weight){.source = *source, .multiply = multiply};
    int64_t bytes = PF_CPU(weight_bytes)(platform, source, multiply);
    if (bytes == 0)
        return PF_OK;
    out->taken = memory == NULL;
    out->prepared = memory ? memory : pf_alloc((size_t)bytes);
    if (!out->prepared)
        return pf_fail_memory(error, "weights of a convolution", (unsigned long long)bytes);
    pack(platform, source, multiply, out->prepared);
    return PF_OK;
}

void PF_CPU(weight_release)(pf_platform *platform, pf_weight *weight)
{
    (void)platform;
    if (weight->taken)
        pf_free(weight->prepared);
    *weight = (pf_weight){0};
}
