/* SPDX-License-Identifier: Apache-2.0 */
/* The ascend platform: its table, weights and capabilities.  See ascend.h. */
#include "platform/ascend/ascend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/ascend/forecast.h"
#include "platform/ascend/operators.h"
#include "platform/common/common.h"

/* --- facts of the registry ------------------------------------------------------------- */

const char pf_ascend_kinds[] = "910B1|910B2|910B3|910B4|A3";

const char pf_ascend_assumptions[] =
    "Each operator is taken to need its arithmetic at the full speed of all cores (bf16: "
    "cores x clock x 8192 operations, f32 and HF32: a quarter of that) or its memory at "
    "1.6 TB/s, whichever is longer, and nothing else: no launch, no fault of tiling, no "
    "cache. A device will be slower.\n"
    "Published for a 910B, MOVA-360p, 8 s, with guidance: 37.0 s a step.";

/* --- counting ------------------------------------------------------------------------ */

static pf_status open_counter(const pf_platform *platform, pf_platform *out,
                              pf_error *error)
{
    const ascend *a = ascend_of(platform);
    ascend *counter;
    PF_TRY(pf_ascend_counter_open(a, &out->tally, &counter, error));
    out->tally.fixed_bytes = pf_block_bytes(&platform->capabilities,
                                            pf_device_workspace_bytes(&a->device));
    out->state = counter;
    return PF_OK;
}

/* --- weights ------------------------------------------------------------------------ */

/* Linear layers multiply in bf16 where PF_MULTIPLY_BF16 allows it.  Convolutions keep f32
 * weights; where HF32 is allowed, their operator narrows the operands itself. */
static pf_dtype kept_dtype(const pf_weight_source *source, pf_multiply multiply)
{
    bool narrow = source->kind == PF_WEIGHT_LINEAR && multiply == PF_MULTIPLY_BF16;
    return narrow ? PF_BF16 : PF_F32;
}

static int64_t weight_bytes(pf_platform *platform, const pf_weight_source *source,
                            pf_multiply multiply)
{
    (void)platform;
    return pf_dtype_bytes(kept_dtype(source, multiply), pf_tensor_count(&source->values));
}

static int64_t weight_room(pf_platform *platform, const pf_weight_source *source,
                           pf_multiply multiply)
{
    return pf_ascend_block_room(ascend_of(platform), source, multiply);
}

static pf_status fill(ascend *a, pf_weight *weight)
{
    const pf_tensor *values = &weight->source.values;
    PF_TRY(pf_device_upload(&a->device, weight->prepared,
                            kept_dtype(&weight->source, weight->multiply), values->data,
                            values->dtype, pf_tensor_count(values)));
    if (!pf_ascend_weight_is_blocked(a, weight))
        return PF_OK;
    return pf_ascend_block_weight(a, pf_matrix(weight->prepared, PF_BF16, values->shape[0],
                                               values->shape[1]));
}

static pf_status weight_fill(pf_platform *platform, const pf_weight_source *source,
                             pf_multiply multiply, void *memory, pf_weight *out,
                             pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    PF_TRY(pf_common_weight_check(platform, source, error));
    *out = (pf_weight){.source = *source, .multiply = multiply, .prepared = memory,
                       .taken = memory == NULL};
    if (out->taken)
        PF_TRY(pf_device_allocate(&a->device, weight_bytes(platform, source, multiply),
                                  &out->prepared));
    pf_status status = fill(a, out);
    if (status != PF_OK && out->taken)
        pf_device_release(&a->device, out->prepared);
    return status;
}

static void weight_release(pf_platform *platform, pf_weight *weight)
{
    if (weight->taken)
        pf_device_release(&ascend_of(platform)->device, weight->prepared);
    *weight = (pf_weight){0};
}

/* --- opening -------------------------------------------------------------------------- */

/* Ceilings from cores and clock: CANN has no way to run loops on registers alone. */
static pf_status ceilings(pf_platform *platform, double seconds, pf_ceilings *out,
                          pf_error *error)
{
    (void)seconds;
    (void)error;
    const pf_device_kind *kind = pf_ascend_kind_find(ascend_of(platform)->facts.soc);
    *out = (pf_ceilings){0};
    if (kind)
        *out = (pf_ceilings){.f32 = 1e-9 * pf_device_kind_peak(kind, PF_F32),
                             .bf16 = 1e-9 * pf_device_kind_peak(kind, PF_BF16)};
    return PF_OK;
}

static void close_platform(pf_platform *platform)
{
    pf_ascend_device_close(ascend_of(platform));
}

/* Does this version take convolutions of FLOAT without HF32?  CANN's documentation refuses
 * them, newer sources accept them. */
static pf_status accepts_conv_f32(ascend *a, char *memory, bool *out)
{
    pf_tensor map = pf_tensor_make(memory, PF_F32, 4, (int64_t[]){1, 1, 1, 1});
    pf_tensor weight = map, y = map;
    weight.data = memory + 256;
    y.data = memory + 512;
    ascend_array ones = {2, {1, 1}}, none = {2, {0, 0}};
    return pf_ascend_accepts(a, &(ascend_call){
        .op = ASCEND_Convolution, .maps = true, .in = {map, weight}, .out = {y},
        .array = {ones, none, ones, none}, .number = {ACL_KEEP_DTYPE}}, out);
}

/* Does this version take a bf16 product with an f32 bias and a result of this dtype?  The
 * documented promotion gives f32, which may be cast to the result's dtype. */
static pf_status accepts_mixed_products(ascend *a, char *at, pf_dtype result, bool *out)
{
    pf_tensor bias = pf_vector(at, PF_F32, 16), y = pf_matrix(at + 512, result, 1, 16);
    pf_tensor x = pf_matrix(at + 128, PF_BF16, 1, 1);
    pf_tensor w = pf_matrix(at + 256, PF_BF16, 1, 16);
    ascend_call call = pf_ascend_product_call(x, w, bias, y, false);
    return pf_ascend_accepts(a, &call, out);
}

/* Fills the facts that only phase one of an operator tells.  Phase one wants real memory:
 * the first workspace serves. */
static pf_status ask(ascend *a, pf_error *error)
{
    void *memory = NULL;
    PF_TRY(pf_device_enter(&a->device, error));
    a->facts.conv_f32 = a->facts.mixed_products = a->facts.narrow_products = true;
    if (a->counting.kind)
        return PF_OK;
    PF_TRY(pf_device_workspace(&a->device, 1024, &memory));
    PF_TRY(accepts_conv_f32(a, memory, &a->facts.conv_f32));
    PF_TRY(accepts_mixed_products(a, memory, PF_F32, &a->facts.mixed_products));
    return accepts_mixed_products(a, memory, PF_BF16, &a->facts.narrow_products);
}

/* Is the environment variable "1"? */
static bool is_on(const char *variable)
{
    const char *value = getenv(variable);
    return value && strcmp(value, "1") == 0;
}

static pf_status fill_capabilities(ascend *a, pf_capabilities *out)
{
    int64_t memory;
    PF_TRY(pf_device_free_bytes(&a->device, &memory));
    *out = (pf_capabilities){
        .threads = 1,
        .memory_bytes = memory,
        .own_memory = true,
        .multiplies = 1u << PF_MULTIPLY_F32 | 1u << PF_MULTIPLY_BF16,
        .hidden = PF_F32,
        .keys = PF_BF16,
        .products = PF_BF16,
        .maps_channels_last = false,
        .table_columns = 2,
        .feed_rows = 0,
        .together_bytes = memory / 32,
        .bias_is_fused = false,
        .tensor_slack = 32,
        .block_unit = ASCEND_BLOCK_UNIT,
        .block_extra = ASCEND_BLOCK_EXTRA,
    };
    /* a film uses the first workspace, too */
    out->memory_bytes += pf_block_bytes(out, pf_device_workspace_bytes(&a->device));
    snprintf(out->name, sizeof out->name, "ascend");
    snprintf(out->isa, sizeof out->isa, "%.31s", a->facts.soc);
    snprintf(out->device, sizeof out->device,
             "%.20s, %d cube cores, CANN %.24s%s", a->facts.soc,
             (int)a->facts.cube_cores, a->facts.version,
             a->facts.blocked_weights ? ", weights in NZ" : "");
    return PF_OK;
}

static void fill_table(pf_platform_table *table)
{
#define ASCEND_FILL(slot, type) table->slot = pf_ascend_##slot;
    ASCEND_KERNEL_LIST(ASCEND_FILL)
#undef ASCEND_FILL
    table->project = pf_common_project;
    table->scratch_bytes = pf_ascend_scratch_bytes;
    pf_device_fill_table(table);
    table->weight_bytes = weight_bytes;
    table->weight_room = weight_room;
    table->weight_fill = weight_fill;
    table->weight_release = weight_release;
    table->open_counter = open_counter;
    table->ceilings = ceilings;
    table->close = close_platform;
}

pf_status pf_ascend_open(pf_platform *out, const pf_platform_options *options,
                         pf_error *error)
{
    ascend *a;
    if (options->isa)
        return pf_fail(error, PF_E_ARGUMENT,
                       "isa is '%s', but the ascend platform has no instruction sets",
                       options->isa);
    const pf_device_kind *forecast =
        options->forecast ? pf_ascend_kind_find(options->forecast) : NULL;
    if (options->forecast && !forecast)
        return pf_fail(error, PF_E_ARGUMENT,
                       "the device to forecast is '%s', but must be 910B1, 910B2, 910B3, "
                       "910B4, 910_9391, 910_9382 or A3", options->forecast);
    PF_TRY(pf_ascend_device_open(options->device, forecast, &out->tally, &a, error));
    if (options->threads > 0 && !forecast) {
        pf_ascend_device_close(a);
        return pf_fail(error, PF_E_ARGUMENT,
                       "threads is %d, but has no effect on the ascend platform, which "
                       "computes on its device: leave it out, or take the platform cpu",
                       options->threads);
    }
    if (options->graph && !forecast && !pf_device_records(&a->device)) {
        pf_ascend_device_close(a);
        return pf_fail(error, PF_E_ARGUMENT,
                       "graph is set, but this version of CANN has no aclmdlRICaptureBegin "
                       "and what belongs to it: leave it out");
    }
    a->fused = !is_on("PHONOFILM_ASCEND_NATIVE");
    out->state = a;
    pf_status status = ask(a, error);
    if (status == PF_OK && !forecast && is_on("PHONOFILM_ASCEND_NZ"))
        status = pf_ascend_ask_blocked(a);
    if (status == PF_OK)
        status = fill_capabilities(a, &out->capabilities);
    if (status != PF_OK) {
        pf_ascend_device_close(a);
        return status;
    }
    fill_table(&out->table);
    out->capabilities.records = options->graph && !forecast;
    return PF_OK;
}
