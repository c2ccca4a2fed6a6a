/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a component's parameters: asking for them, and computing some.  See
 * params.h.
 *
 * Asking does three things: it finds the tensor and compares its shape, fills the component's
 * place with the tensor as it is stored (dry runs see that), and appends a slot, so that
 * loading can put another value in the same place later. */
#include "model/params_parts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { NAME_BYTES = 256 };

pf_status pf_params_open(pf_weights *weights, pf_numerics numerics, pf_params **out,
                         pf_error *error)
{
    *out = pf_calloc(1, sizeof **out);
    if (!*out) {
        pf_weights_close(weights);
        return pf_fail_memory(error, "parameters", sizeof **out);
    }
    (*out)->weights = weights;
    (*out)->numerics = numerics;
    (*out)->group = (*out)->loaded = PF_GROUP_ALWAYS;
    return PF_OK;
}

void pf_params_close(pf_params *params)
{
    if (!params)
        return;
    pf_params_unload(params);
    for (int64_t i = 0; i < params->computed_count; i++) {
        pf_free(params->computed[i].values);
        pf_free(params->computed[i].name);
    }
    for (int64_t i = 0; i < params->count; i++)
        pf_free(params->slots[i].stem);
    pf_free(params->computed);
    pf_free(params->slots);
    pf_weights_close(params->weights);
    pf_free(params);
}

pf_weights *pf_params_weights(pf_params *params)
{
    return params->weights;
}

/* --- asking for parameters -------------------------------------------------------- */

void pf_params_group(pf_params *params, int group)
{
    assert(group >= PF_GROUP_ALWAYS);
    params->group = group;
    if (group >= params->groups)
        params->groups = group + 1;
}

/* Appends a slot.  Vectors and tables ignore the current group. */
static pf_status add_slot(pf_params *params, param_slot added, const char *stem, pf_error *error)
{
    if (params->count == params->room) {
        int64_t room = params->room ? 2 * params->room : 64;
        param_slot *grown =
            pf_realloc(params->slots, (size_t)room * sizeof *params->slots);
        if (!grown)
            return pf_fail_memory(error, "parameters",
                                  (unsigned long long)room * sizeof *grown);
        params->slots = grown;
        params->room = room;
    }
    added.group = added.kind == SLOT_WEIGHT ? params->group : PF_GROUP_ALWAYS;
    added.stem = pf_strdup(stem);
    if (!added.stem)
        return pf_fail_memory(error, stem, strlen(stem));
    params->slots[params->count++] = added;
    return PF_OK;
}

static pf_status add_weight(pf_params *params, pf_weight *weight,
                            const pf_weight_source *source, const char *stem,
                            pf_error *error)
{
    *weight = pf_params_bare_weight(params, source);
    return add_slot(params, (param_slot){.kind = SLOT_WEIGHT, .source = *source, .weight = weight},
                    stem, error);
}

static pf_status add_vector(pf_params *params, pf_tensor *vector, pf_tensor source,
                            const char *name, pf_error *error)
{
    *vector = pf_vector(source.data, PF_F32, pf_tensor_count(&source));
    return add_slot(params, (param_slot){.kind = SLOT_VECTOR, .source = {.values = source},
                                   .vector = vector}, name, error);
}

/* The shape in which a kernel wants a stored weight, a view of the stored bytes: a matrix
 * [out, rest] for PF_WEIGHT_LINEAR, [out, in, kt, kh, kw] with 1s in front of the kernel's axes
 * for PF_WEIGHT_CONV. */
static pf_tensor kernel_shape(pf_weight_kind kind, const pf_tensor *stored)
{
    const int64_t *s = stored->shape;
    int64_t count = pf_tensor_count(stored);
    if (kind == PF_WEIGHT_LINEAR)
        return pf_matrix(stored->data, stored->dtype, s[0],
                         s[0] ? count / s[0] : 0);
    if (kind == PF_WEIGHT_CONV_TRANSPOSED)
        return *stored;
    int64_t shape[5] = {s[0], s[1], 1, 1, 1};
    for (int i = 2; i < stored->rank; i++)
        shape[5 - stored->rank + i] = s[i];
    return pf_tensor_make(stored->data, stored->dtype, 5, shape);
}

/* STEM.weight, and STEM.bias where the spec has one: two slots. */
static pf_status add_layer(pf_params *params, pf_layer *layer,
                           const pf_layer_spec *spec, const char *stem,
                           pf_error *error)
{
    char name[NAME_BYTES + 16];
    pf_tensor stored;
    *layer = (pf_layer){0};
    snprintf(name, sizeof name, "%s.weight", stem);
    PF_TRY(pf_weights_find(params->weights, name, spec->rank, spec->shape, &stored,
                           error));
    const pf_weight_source source = {spec->kind, .values = kernel_shape(spec->kind, &stored)};
    PF_TRY(add_weight(params, &layer->weight, &source, stem, error));
    if (spec->bias == PF_BIAS_NONE)
        return PF_OK;
    snprintf(name, sizeof name, "%s.bias", stem);
    PF_TRY(pf_weights_find(params->weights, name, 1, &spec->bias_count, &stored,
                           error));
    return add_vector(params, &layer->bias, stored, name, error);
}

pf_status pf_params_linear(pf_params *params, pf_layer *layer, int64_t out,
                           int64_t in, pf_bias bias, pf_error *error,
                           const char *stem, ...)
{
    char name[NAME_BYTES];
    pf_layer_spec spec = {PF_WEIGHT_LINEAR, 2, {out, in}, bias, out};
    va_list args;
    va_start(args, stem);
    vsnprintf(name, sizeof name, stem, args);
    va_end(args);
    return add_layer(params, layer, &spec, name, error);
}

pf_status pf_params_layer(pf_params *params, pf_layer *layer,
                          const pf_layer_spec *spec, pf_error *error,
                          const char *stem, ...)
{
    char name[NAME_BYTES];
    va_list args;
    va_start(args, stem);
    vsnprintf(name, sizeof name, stem, args);
    va_end(args);
    return add_layer(params, layer, spec, name, error);
}

pf_status pf_params_vector(pf_params *params, pf_tensor *vector, int rank,
                           const int64_t *shape, pf_error *error,
                           const char *name, ...)
{
    char full[NAME_BYTES];
    pf_tensor stored;
    va_list args;
    va_start(args, name);
    vsnprintf(full, sizeof full, name, args);
    va_end(args);
    PF_TRY(pf_weights_find(params->weights, full, rank, shape, &stored, error));
    return add_vector(params, vector, stored, full, error);
}

pf_status pf_params_stack(pf_params *params, pf_tensor *stack, const char *stem,
                          const char *name, pf_error *error)
{
    int64_t count = stack->shape[0];
    pf_tensor stored;
    char full[NAME_BYTES];
    for (int64_t i = 0; i < count; i++) {
        snprintf(full, sizeof full, "%s.%lld.%s", stem, (long long)i, name);
        PF_TRY(pf_weights_find(params->weights, full, stack->rank - 1, stack->shape + 1,
                               &stored, error));
        if (i == 0)
            *stack = pf_tensor_make(stored.data, PF_F32, stack->rank, stack->shape);
        PF_TRY(add_slot(params, (param_slot){.kind = SLOT_VECTOR, .source = {.values = stored},
                                       .vector = i == 0 ? stack : NULL,
                                       .adjoins = i + 1 < count}, full, error));
    }
    return PF_OK;
}

pf_status pf_params_table(pf_params *params, pf_tensor *table, int64_t rows,
                          int64_t columns, pf_error *error,
                          const char *name, ...)
{
    char full[NAME_BYTES];
    int64_t shape[2] = {rows, columns};
    va_list args;
    va_start(args, name);
    vsnprintf(full, sizeof full, name, args);
    va_end(args);
    PF_TRY(pf_weights_find(params->weights, full, 2, shape, table, error));
    return add_slot(params, (param_slot){.kind = SLOT_TABLE, .source = {.values = *table}}, full,
                    error);
}

pf_status pf_params_layer_from(pf_params *params, pf_layer *layer, pf_weight_kind kind,
                               const pf_tensor *source, const char *stem,
                               pf_error *error)
{
    const pf_weight_source whole = {kind, .values = kernel_shape(kind, source)};
    return add_weight(params, &layer->weight, &whole, stem, error);
}

pf_status pf_params_vector_from(pf_params *params, pf_tensor *vector,
                                const pf_tensor *source, const char *name,
                                pf_error *error)
{
    return add_vector(params, vector, *source, name, error);
}

/* --- computed weights ---------------------------------------------------------------- */

static pf_status add_computed(pf_params *params, const pf_computed *what, pf_error *error)
{
    if (params->computed_count == params->computed_room) {
        int64_t room = params->computed_room ? 2 * params->computed_room : 64;
        pf_computed *grown = pf_realloc(params->computed, (size_t)room * sizeof *grown);
        if (!grown)
            return pf_fail_memory(error, "parameters",
                                  (unsigned long long)room * sizeof *grown);
        params->computed = grown;
        params->computed_room = room;
    }
    pf_computed *added = &params->computed[params->computed_count++];
    size_t bytes = (size_t)pf_tensor_count(&what->v) * sizeof(float);
    *added = *what;
    added->path = pf_weights_path(params->weights);
    added->name = pf_strdup(what->name);
    added->values = pf_alloc(bytes);
    return added->name && added->values ? PF_OK : pf_fail_memory(error, what->name, bytes);
}

/* A file that can no longer be read gives zeros: they count as a failure. */
static pf_status compute(const pf_params *params, const pf_computed *what, pf_error *error)
{
    pf_status status = what->compute(what, error);
    pf_status whole = pf_weights_check(params->weights, true, error);
    return whole != PF_OK ? whole : status;
}

pf_status pf_params_compute(pf_params *params, const pf_computed *what, float **values,
                            pf_error *error)
{
    PF_TRY(add_computed(params, what, error));
    const pf_computed *added = &params->computed[params->computed_count - 1];
    *values = added->values;
    return compute(params, added, error);
}

pf_status pf_params_renew(pf_params *params, pf_error *error)
{
    bool changed = false;
    pf_status status = pf_weights_renew(params->weights, &changed, error);
    params->stale = params->stale || changed;
    PF_TRY(status);
    if (!params->stale)
        return PF_OK;
    pf_params_unload(params);
    for (int64_t i = 0; i < params->computed_count; i++)
        PF_TRY(compute(params, &params->computed[i], error));
    params->stale = false;
    return PF_OK;
}
