/* SPDX-License-Identifier: Apache-2.0 */
/* Residence of a component's parameters: bringing them to the platform, giving them back,
 * and what that takes, group by group.  See params.h.
 *
 * Measuring and loading must agree byte for byte, as films are refused by the measure: both
 * ask vector_bytes for vectors, and weight_bytes is the platform's promise for weight_fill.
 * Loading that fails half way unloads what it had loaded. */
#include "model/params_parts.h"

#include <assert.h>

#include "base/memory.h"

enum { ALIGNMENT = 64 };                /* bytes, of every vector that does not adjoin */

/* --- vectors ----------------------------------------------------------------------- */

/* Bytes of a vector at offset `at`, padded so that the next one starts aligned, unless that
 * adjoins. */
static int64_t vector_bytes(const param_slot *s, const pf_platform *platform, int64_t at)
{
    int64_t bytes = pf_dtype_bytes(PF_F32, pf_tensor_count(&s->source.values));
    if (s->adjoins)
        return bytes;
    bytes += platform->capabilities.tensor_slack;
    return (at + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - at;
}

static int64_t all_vector_bytes(const pf_params *params, const pf_platform *platform)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < params->count; i++)
        if (params->slots[i].kind == SLOT_VECTOR)
            bytes += vector_bytes(&params->slots[i], platform, bytes);
    return bytes;
}

/* Widens one vector to f32 on the host, rounds it to bf16 where the reference holds it so, and
 * copies it to `place` on the device. */
static pf_status upload_vector(pf_params *params, const param_slot *s, char *place,
                               pf_error *error)
{
    const pf_tensor *stored = &s->source.values;
    int64_t count = pf_tensor_count(stored), bytes = pf_dtype_bytes(PF_F32, count);
    float *values = pf_alloc((size_t)bytes);
    if (!values)
        return pf_fail_memory(error, s->stem, (unsigned long long)bytes);
    pf_to_f32(stored->data, stored->dtype, count, values);
    for (int64_t i = 0; params->numerics.round_bf16 && i < count; i++)
        values[i] = pf_round_bf16(values[i]);
    pf_status status = pf_platform_upload(params->platform, place, values, bytes, error);
    pf_free(values);
    return status;
}

/* All vectors into one block of memory. */
static pf_status load_vectors(pf_params *params, pf_error *error)
{
    void *memory = NULL;
    int64_t bytes = all_vector_bytes(params, params->platform), at = 0;
    if (bytes == 0)
        return PF_OK;
    PF_TRY(params->platform->table.allocate(params->platform, bytes, &memory,
                                            error));
    params->vectors = memory;
    for (int64_t i = 0; i < params->count; i++) {
        const param_slot *s = &params->slots[i];
        if (s->kind != SLOT_VECTOR)
            continue;
        PF_TRY(upload_vector(params, s, params->vectors + at, error));
        if (s->vector)
            s->vector->data = params->vectors + at;
        at += vector_bytes(s, params->platform, at);
    }
    return PF_OK;
}

/* Gives the block back, and points every vector at the file again. */
static void unload_vectors(pf_params *params)
{
    for (int64_t i = 0; i < params->count; i++)
        if (params->slots[i].vector)
            params->slots[i].vector->data = params->slots[i].source.values.data;
    params->platform->table.release(params->platform, params->vectors);
    params->vectors = NULL;
}

/* --- weights ----------------------------------------------------------------------- */

static bool in_group(const param_slot *s, int group)
{
    return s->kind == SLOT_WEIGHT && s->group == group;
}

/* Does loading make a bf16 copy of this weight? */
static bool is_rounded(const pf_params *params, const param_slot *s)
{
    return params->numerics.round_bf16 && s->source.values.dtype != PF_BF16;
}

/* The weight as bf16: a copy that lives until unloading, for kernels may use it in
 * place. */
static pf_status round_weight(param_slot *s, pf_tensor *values, pf_error *error)
{
    int64_t count = pf_tensor_count(values), bytes = pf_dtype_bytes(PF_BF16, count);
    s->rounded = pf_alloc((size_t)bytes);
    if (!s->rounded)
        return pf_fail_memory(error, "rounded weight", (unsigned long long)bytes);
    pf_convert(values->data, values->dtype, count, s->rounded, PF_BF16);
    values->data = s->rounded;
    values->dtype = PF_BF16;
    return PF_OK;
}

/* Names the weight that a platform does not multiply. */
static pf_status refuse_weight(const pf_params *params, const param_slot *s, pf_error *error)
{
    const pf_error cause = *error;
    return pf_fail(error, cause.status, "%s: weight %.200s: %s",
                   pf_weights_path(params->weights), s->stem, cause.message);
}

/* Fills one weight.  The component's place changes only once the platform has made it, so that
 * a failure leaves the bare weight. */
static pf_status load_weight(pf_params *params, param_slot *s, pf_error *error)
{
    pf_platform *platform = params->platform;
    pf_weight_source source = s->source;
    pf_weight ready;
    if (is_rounded(params, s))
        PF_TRY(round_weight(s, &source.values, error));
    pf_status status = platform->table.weight_fill(platform, &source,
                                                   params->numerics.multiply, NULL, &ready,
                                                   error);
    if (status == PF_E_UNSUPPORTED && error)
        return refuse_weight(params, s, error);
    PF_TRY(status);
    *s->weight = ready;
    s->filled = true;
    return PF_OK;
}

static pf_status load_group(pf_params *params, int group, pf_error *error)
{
    for (int64_t i = 0; i < params->count; i++)
        if (in_group(&params->slots[i], group))
            PF_TRY(load_weight(params, &params->slots[i], error));
    return PF_OK;
}

static void unload_group(pf_params *params, int group)
{
    for (int64_t i = 0; i < params->count; i++) {
        param_slot *s = &params->slots[i];
        if (!in_group(s, group))
            continue;
        if (s->filled) {
            params->platform->table.weight_release(params->platform, s->weight);
            *s->weight = pf_params_bare_weight(params, &s->source);
        }
        pf_free(s->rounded);
        s->rounded = NULL;
        s->filled = false;
    }
}

/* --- residence ----------------------------------------------------------------------- */

pf_status pf_params_load(pf_params *params, pf_platform *platform, pf_error *error)
{
    if (params->platform)
        return PF_OK;
    params->platform = platform;
    pf_status status = load_vectors(params, error);
    for (int g = PF_GROUP_ALWAYS; status == PF_OK && g < params->groups; g++) {
        status = load_group(params, g, error);
        params->loaded = g + 1;
    }
    if (status != PF_OK)
        pf_params_unload(params);
    return status;
}

void pf_params_unload(pf_params *params)
{
    if (!params->platform)
        return;
    for (int g = PF_GROUP_ALWAYS; g < params->groups; g++)
        unload_group(params, g);
    unload_vectors(params);
    params->loaded = PF_GROUP_ALWAYS;
    params->platform = NULL;
}

bool pf_params_loaded(const pf_params *params)
{
    return params->platform != NULL;
}

pf_status pf_params_enter(const pf_params *params, const pf_ops *ops, int group)
{
    assert(group >= PF_GROUP_ALWAYS && group < params->groups);
    assert(ops->dry || group < params->loaded);
    (void)params, (void)ops, (void)group;
    return PF_OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Bytes of one weight: the platform's own form, plus the rounded copy, plus the mapped bytes
 * where the platform multiplies the file itself. */
static void measure_weight(const pf_params *params, const param_slot *s, pf_platform *platform,
                           pf_params_size *size)
{
    pf_weight_source source = s->source;
    bool rounded = is_rounded(params, s);
    if (rounded)
        source.values.dtype = PF_BF16;
    int64_t own = platform->table.weight_bytes(platform, &source, params->numerics.multiply);
    size->device_bytes += pf_block_bytes(&platform->capabilities, own);
    int64_t room = platform->table.weight_room
                       ? platform->table.weight_room(platform, &source,
                                                     params->numerics.multiply) : 0;
    size->loading_bytes = larger(size->loading_bytes, size->device_bytes + pf_block_bytes(
                                                          &platform->capabilities, room));
    size->rounded_bytes += rounded ? pf_tensor_bytes(&source.values) : 0;
    if (own == 0 && !rounded)
        size->mapped_bytes += pf_tensor_bytes(&s->source.values);
}

pf_params_size pf_params_measure_group(const pf_params *params, pf_platform *platform,
                                       int group)
{
    pf_params_size size = {0};
    if (group == PF_GROUP_ALWAYS)
        size.device_bytes = pf_block_bytes(&platform->capabilities,
                                           all_vector_bytes(params, platform));
    for (int64_t i = 0; i < params->count; i++) {
        const param_slot *s = &params->slots[i];
        if (s->kind == SLOT_TABLE && s->group == group)
            size.table_bytes += pf_tensor_bytes(&s->source.values);
        if (in_group(s, group))
            measure_weight(params, s, platform, &size);
    }
    return size;
}

pf_params_size pf_params_measure(const pf_params *params, pf_platform *platform)
{
    pf_params_size sum = {0};
    for (int g = PF_GROUP_ALWAYS; g < params->groups; g++) {
        pf_params_size size = pf_params_measure_group(params, platform, g);
        sum.loading_bytes = larger(sum.loading_bytes,
                                   sum.device_bytes + size.loading_bytes);
        sum.device_bytes += size.device_bytes;
        sum.mapped_bytes += size.mapped_bytes;
        sum.rounded_bytes += size.rounded_bytes;
        sum.table_bytes += size.table_bytes;
    }
    return sum;
}
