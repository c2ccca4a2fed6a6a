/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a component.  See params.h; DESIGN "Memory". */
#include "model/params.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { NAME_BYTES = 256, ALIGNMENT = 64 };

typedef enum slot_kind { SLOT_WEIGHT, SLOT_VECTOR, SLOT_TABLE } slot_kind;

/* One parameter: where it comes from and where the component wants it. */
typedef struct slot {
    slot_kind kind;
    pf_tensor source;                   /* as stored */
    pf_weight *weight;                  /* SLOT_WEIGHT */
    pf_tensor *vector;                  /* SLOT_VECTOR: [count] F32, or NULL: it belongs
                                         * to the one before */
    bool adjoins;                       /* the next vector begins right behind it */
    void *rounded;                      /* bf16 copy while loaded, or NULL */
} slot;

struct pf_params {
    pf_weights *weights;
    slot *slots;
    int64_t count, room;
    pf_computed *computed;
    int64_t computed_count, computed_room;
    bool stale;                         /* files were read anew; what came from them is old */
    pf_platform *platform;              /* while loaded */
    char *vectors;                      /* device memory of all vectors */
    int64_t prepared;                   /* slots whose weight is prepared */
    bool round_bf16;
};

pf_status pf_params_open(pf_weights *weights, pf_params **out, pf_error *error)
{
    *out = pf_calloc(1, sizeof **out);
    if (!*out) {
        pf_weights_close(weights);
        return pf_fail_memory(error, "parameters", sizeof **out);
    }
    (*out)->weights = weights;
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
    pf_free(params->computed);
    pf_free(params->slots);
    pf_weights_close(params->weights);
    pf_free(params);
}

void pf_params_round(pf_params *params, bool to_bf16)
{
    params->round_bf16 = to_bf16;
}

void pf_params_expect(pf_params *params, pf_multiply multiply)
{
    for (int64_t i = 0; i < params->count; i++)
        if (params->slots[i].kind == SLOT_WEIGHT)
            params->slots[i].weight->multiply = multiply;
}

pf_weights *pf_params_weights(pf_params *params)
{
    return params->weights;
}

/* --- asking for parameters -------------------------------------------------------- */

static pf_status add_slot(pf_params *params, slot added, pf_error *error)
{
    if (params->count == params->room) {
        int64_t room = params->room ? 2 * params->room : 64;
        slot *grown =
            pf_realloc(params->slots, (size_t)room * sizeof *params->slots);
        if (!grown)
            return pf_fail_memory(error, "parameters",
                                  (unsigned long long)room * sizeof *grown);
        params->slots = grown;
        params->room = room;
    }
    params->slots[params->count++] = added;
    return PF_OK;
}

static pf_status add_weight(pf_params *params, pf_weight *weight,
                            pf_weight_kind kind, pf_tensor source,
                            pf_error *error)
{
    *weight = (pf_weight){.source = {.kind = kind, .values = source}};
    return add_slot(params,
                    (slot){.kind = SLOT_WEIGHT, .source = source, .weight = weight},
                    error);
}

static pf_status add_vector(pf_params *params, pf_tensor *vector, pf_tensor source,
                            pf_error *error)
{
    *vector = pf_vector(source.data, PF_F32, pf_tensor_count(&source));
    return add_slot(params,
                    (slot){.kind = SLOT_VECTOR, .source = source, .vector = vector},
                    error);
}

/* The shape in which a kernel wants a stored weight. */
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
    PF_TRY(add_weight(params, &layer->weight, spec->kind,
                      kernel_shape(spec->kind, &stored), error));
    if (spec->bias == PF_BIAS_NONE)
        return PF_OK;
    snprintf(name, sizeof name, "%s.bias", stem);
    PF_TRY(pf_weights_find(params->weights, name, 1, &spec->bias_count, &stored,
                           error));
    return add_vector(params, &layer->bias, stored, error);
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
    return add_vector(params, vector, stored, error);
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
        PF_TRY(add_slot(params, (slot){.kind = SLOT_VECTOR, .source = stored,
                                       .vector = i == 0 ? stack : NULL,
                                       .adjoins = i + 1 < count}, error));
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
    return add_slot(params, (slot){.kind = SLOT_TABLE, .source = *table}, error);
}

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

/* Zeros of a file that cannot be read are not what the file has. */
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

pf_status pf_params_layer_from(pf_params *params, pf_layer *layer,
                               pf_weight_kind kind, const pf_tensor *source,
                               pf_error *error)
{
    return add_weight(params, &layer->weight, kind, kernel_shape(kind, source),
                      error);
}

pf_status pf_params_vector_from(pf_params *params, pf_tensor *vector,
                                const pf_tensor *source, pf_error *error)
{
    return add_vector(params, vector, *source, error);
}

/* --- loading ----------------------------------------------------------------------- */

/* What it takes behind `at`, so that the next that does not adjoin is aligned. */
static int64_t vector_bytes(const slot *s, const pf_platform *platform, int64_t at)
{
    int64_t bytes = pf_tensor_count(&s->source) * (int64_t)sizeof(float);
    if (s->adjoins)
        return bytes;
    bytes += platform->capabilities.tensor_slack;
    return (at + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - at;
}

static int64_t all_vector_bytes(const pf_params *params,
                                const pf_platform *platform)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < params->count; i++)
        if (params->slots[i].kind == SLOT_VECTOR)
            bytes += vector_bytes(&params->slots[i], platform, bytes);
    return bytes;
}

static pf_status upload_vector(pf_params *params, const slot *s, char *place,
                               pf_error *error)
{
    int64_t count = pf_tensor_count(&s->source);
    size_t bytes = (size_t)count * sizeof(float);
    float *values = pf_alloc(bytes);
    if (!values)
        return pf_fail_memory(error, "parameters", bytes);
    pf_to_f32(s->source.data, s->source.dtype, count, values);
    for (int64_t i = 0; params->round_bf16 && i < count; i++)
        values[i] = pf_round_bf16(values[i]);
    pf_status status = pf_platform_upload(params->platform, place, values, (int64_t)bytes, error);
    pf_free(values);
    return status;
}

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
        const slot *s = &params->slots[i];
        if (s->kind != SLOT_VECTOR)
            continue;
        PF_TRY(upload_vector(params, s, params->vectors + at, error));
        if (s->vector)
            s->vector->data = params->vectors + at;
        at += vector_bytes(s, params->platform, at);
    }
    return PF_OK;
}

/* Does loading make a bf16 copy of this weight? */
static bool is_rounded(const pf_params *params, const slot *s)
{
    return params->round_bf16 && s->source.dtype != PF_BF16;
}

/* The weight as bf16: a copy that lives until unloading, for kernels may use it in
 * place. */
static pf_status round_weight(slot *s, pf_tensor *source, pf_error *error)
{
    int64_t count = pf_tensor_count(source);
    size_t bytes = (size_t)pf_dtype_bytes(PF_BF16, count);
    void *to = pf_alloc(bytes);
    if (!to)
        return pf_fail_memory(error, "rounded weight", bytes);
    pf_convert(source->data, source->dtype, count, to, PF_BF16);
    s->rounded = to;
    source->data = to;
    source->dtype = PF_BF16;
    return PF_OK;
}

static pf_status load_weights(pf_params *params, pf_multiply multiply, pf_error *error)
{
    pf_platform *platform = params->platform;
    for (int64_t i = 0; i < params->count; i++) {
        slot *s = &params->slots[i];
        params->prepared = i + 1;
        if (s->kind != SLOT_WEIGHT)
            continue;
        pf_weight ready;
        pf_weight_source source = s->weight->source;
        pf_status status =
            is_rounded(params, s) ? round_weight(s, &source.values, error) : PF_OK;
        if (status == PF_OK)
            status = platform->table.weight_fill(platform, &source, multiply, NULL, &ready,
                                                 error);
        if (status != PF_OK) {
            params->prepared = i;
            return status;
        }
        *s->weight = ready;
    }
    return PF_OK;
}

pf_status pf_params_load(pf_params *params, pf_platform *platform, pf_multiply multiply,
                         pf_error *error)
{
    if (params->platform)
        return PF_OK;
    params->platform = platform;
    pf_status status = load_vectors(params, error);
    if (status == PF_OK)
        status = load_weights(params, multiply, error);
    if (status != PF_OK)
        pf_params_unload(params);
    return status;
}

void pf_params_unload(pf_params *params)
{
    pf_platform *platform = params->platform;
    if (!platform)
        return;
    for (int64_t i = 0; i < params->count; i++) {
        slot *s = &params->slots[i];
        if (s->kind == SLOT_VECTOR && s->vector)
            s->vector->data = s->source.data;
        if (s->kind == SLOT_WEIGHT && i < params->prepared) {
            pf_weight bare = {.source = s->weight->source, .multiply = s->weight->multiply};
            bare.source.values = s->source;
            platform->table.weight_release(platform, s->weight);
            *s->weight = bare;
        }
        pf_free(s->rounded);
        s->rounded = NULL;
    }
    platform->table.release(platform, params->vectors);
    params->vectors = NULL;
    params->prepared = 0;
    params->platform = NULL;
}

bool pf_params_loaded(const pf_params *params)
{
    return params->platform != NULL;
}

pf_params_size pf_params_measure(const pf_params *params, pf_platform *platform,
                                 pf_multiply multiply)
{
    int64_t vectors = all_vector_bytes(params, platform);
    pf_params_size size = {.device_bytes = pf_block_bytes(&platform->capabilities, vectors),
                           .stored_bytes = pf_weights_bytes(params->weights)};
    for (int64_t i = 0; i < params->count; i++) {
        const slot *s = &params->slots[i];
        int64_t bytes = pf_tensor_bytes(&s->source);
        if (s->kind == SLOT_TABLE)
            size.table_bytes += bytes;
        if (s->kind != SLOT_WEIGHT)
            continue;
        pf_weight_source source = s->weight->source;
        bool rounded = is_rounded(params, s);
        if (rounded)
            source.values.dtype = PF_BF16;
        int64_t prepared = platform->table.weight_bytes(platform, &source, multiply);
        size.device_bytes += pf_block_bytes(&platform->capabilities, prepared);
        size.rounded_bytes += rounded ? pf_tensor_bytes(&source.values) : 0;
        if (prepared == 0 && !rounded)
            size.mapped_bytes += bytes;
    }
    return size;
}
