/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that a platform lacks: composed of others, or computed by the reference platform
 * on copies of their tensors.
 *
 *     device    |  x  y  |        | bias |               |  x  y' |
 *                   | download       |                       ^ upload
 *     host      |  x  y  |        | bias |  -- kernel of --> |  x  y' |
 *                region 0         region 1     reference
 *
 * A region is the memory that one tensor spans, or that several span which overlap; views
 * of the same memory stay views of the same copy, and what lies between strided elements
 * comes back as it was.
 *
 * Each call waits for the device twice and more, so this is for bringing a new device
 * platform up kernel by kernel, and for its tests (pf_platform_options.hosted).
 */
#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "platform/common/common.h"

enum { MOST_FIELDS = 8, ALIGNMENT = 64 };

/* --- the tensors of each kernel -------------------------------------------------- */

typedef enum role { NONE, INPUT, OUTPUT } role;

typedef struct field {
    role role;
    size_t offset;                  /* of a pf_tensor in the arguments */
} field;

#define IN(slot, member) {INPUT, offsetof(pf_##slot##_args, member)}
#define OUT(slot, member) {OUTPUT, offsetof(pf_##slot##_args, member)}

/* Tensors in device memory; NONE ends a shorter list. */
static const field linear_fields[MOST_FIELDS] = {
    IN(linear, x), IN(linear, bias), IN(linear, mul), IN(linear, gate),
    IN(linear, residual), OUT(linear, y)};
static const field attention_fields[MOST_FIELDS] = {
    IN(attention, q), IN(attention, k), IN(attention, v), IN(attention, bias),
    OUT(attention, out)};
static const field norm_fields[MOST_FIELDS] = {
    IN(norm, x), IN(norm, weight), IN(norm, bias), IN(norm, plus), OUT(norm, sum),
    IN(norm, shift), IN(norm, factor), OUT(norm, y)};
static const field rope_fields[MOST_FIELDS] = {
    OUT(rope, x), IN(rope, table.cos), IN(rope, table.sin)};
static const field conv_fields[MOST_FIELDS] = {
    IN(conv, x), IN(conv, bias), IN(conv, residual), OUT(conv, y)};
static const field conv_transposed_fields[MOST_FIELDS] = {
    IN(conv_transposed, x), IN(conv_transposed, bias), OUT(conv_transposed, y)};
static const field channel_norm_fields[MOST_FIELDS] = {
    IN(channel_norm, x), IN(channel_norm, gamma), OUT(channel_norm, y)};
static const field snake_fields[MOST_FIELDS] = {
    IN(snake, x), IN(snake, alpha), OUT(snake, y)};
static const field unary_fields[MOST_FIELDS] = {IN(unary, x), OUT(unary, y)};
static const field add_fields[MOST_FIELDS] = {IN(add, a), IN(add, b), OUT(add, y)};
static const field copy_fields[MOST_FIELDS] = {IN(copy, from), OUT(copy, to)};
static const field fill_fields[MOST_FIELDS] = {OUT(fill, y)};
static const field upsample_fields[MOST_FIELDS] = {IN(upsample, x), OUT(upsample, y)};
static const field embedding_fields[MOST_FIELDS] = {OUT(embedding, y)};
static const field lerp_rows_fields[MOST_FIELDS] = {IN(lerp_rows, x), OUT(lerp_rows, y)};
static const field guidance_fields[MOST_FIELDS] = {
    IN(guidance, bridge_off), IN(guidance, negative), IN(guidance, positive),
    OUT(guidance, v)};
static const field step_fields[MOST_FIELDS] = {OUT(step, x), IN(step, v), IN(step, delta)};

/* --- regions ------------------------------------------------------------------------ */

typedef struct region {
    char *begin, *end;              /* device addresses */
    char *memory, *copy;            /* host memory, and where `begin` lies in it */
    bool output;
} region;

typedef struct regions {
    region list[MOST_FIELDS];
    int count;
} regions;

/* The bytes from the first to the last element that the strides reach. */
static region span_of(const pf_tensor *t, bool output)
{
    int64_t low = 0, high = 0;
    for (int i = 0; i < t->rank; i++) {
        int64_t reach = (t->shape[i] - 1) * t->stride[i];
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    return (region){.begin = (char *)t->data + pf_dtype_bytes(t->dtype, low),
                    .end = (char *)t->data + pf_dtype_bytes(t->dtype, high + 1),
                    .output = output};
}

/* Adds a region, united with every one that it overlaps. */
static void add_region(regions *r, region more)
{
    for (int i = 0; i < r->count;) {
        const region *old = &r->list[i];
        if (more.end <= old->begin || old->end <= more.begin) {
            i++;
            continue;
        }
        more.begin = old->begin < more.begin ? old->begin : more.begin;
        more.end = old->end > more.end ? old->end : more.end;
        more.output = more.output || old->output;
        r->list[i] = r->list[--r->count];
        i = 0;
    }
    r->list[r->count++] = more;
}

static pf_tensor *tensor_at(void *args, const field *f)
{
    return (pf_tensor *)((char *)args + f->offset);
}

static bool is_last(const field *fields, int i)
{
    return i == MOST_FIELDS || fields[i].role == NONE;
}

static bool is_there(const pf_tensor *t)
{
    return !pf_tensor_is_null(t) && pf_tensor_count(t) > 0;
}

static void find_regions(const field *fields, void *args, regions *r)
{
    r->count = 0;
    for (int i = 0; !is_last(fields, i); i++) {
        const pf_tensor *t = tensor_at(args, &fields[i]);
        if (is_there(t))
            add_region(r, span_of(t, fields[i].role == OUTPUT));
    }
}

/* Downloads a region to host memory with the same alignment. */
static pf_status fetch(pf_platform *platform, region *r, pf_error *error)
{
    int64_t bytes = r->end - r->begin, before = (int64_t)((uintptr_t)r->begin % ALIGNMENT);
    r->memory = pf_alloc((size_t)(before + bytes));
    if (!r->memory)
        return pf_fail_memory(error, "hosted kernel", (unsigned long long)bytes);
    r->copy = r->memory + before;
    return pf_platform_download(platform, r->copy, r->begin, bytes, error);
}

/* Points the tensors to their copies. */
static void move_tensors(const field *fields, void *args, const regions *r)
{
    for (int i = 0; !is_last(fields, i); i++) {
        pf_tensor *t = tensor_at(args, &fields[i]);
        for (int k = 0; is_there(t) && k < r->count; k++) {
            char *data = t->data;
            if (data < r->list[k].begin || data >= r->list[k].end)
                continue;
            t->data = r->list[k].copy + (data - r->list[k].begin);
            break;
        }
    }
}

static pf_status fetch_all(pf_platform *platform, const field *fields, void *args,
                           regions *r, pf_error *error)
{
    find_regions(fields, args, r);
    for (int i = 0; i < r->count; i++)
        PF_TRY(fetch(platform, &r->list[i], error));
    move_tensors(fields, args, r);
    return PF_OK;
}

static pf_status send_outputs(pf_platform *platform, const regions *r, pf_error *error)
{
    for (int i = 0; i < r->count; i++)
        if (r->list[i].output)
            PF_TRY(pf_platform_upload(platform, r->list[i].begin, r->list[i].copy,
                                      r->list[i].end - r->list[i].begin, error));
    return PF_OK;
}

static void free_regions(regions *r)
{
    for (int i = 0; i < r->count; i++)
        pf_free(r->list[i].memory);
}

/* --- the kernels ---------------------------------------------------------------------- */

/* A counter (platform.h, open_counter) has no fallback and counts nothing of them. */
#define HOSTED(slot, type)                                                     \
    static pf_status hosted_##slot(pf_platform *platform, const type *args,    \
                                   pf_error *error)                            \
    {                                                                          \
        pf_platform *reference = platform->fallback;                           \
        type there = *args;                                                    \
        regions r;                                                             \
        if (!reference)                                                        \
            return PF_OK;                                                      \
        pf_status status = fetch_all(platform, slot##_fields, &there, &r, error); \
        if (status == PF_OK)                                                   \
            status = reference->table.slot(reference, &there, error);          \
        if (status == PF_OK)                                                   \
            status = send_outputs(platform, &r, error);                        \
        free_regions(&r);                                                      \
        return status;                                                         \
    }
PF_SINGLE_KERNEL_LIST(HOSTED)
PF_PART_KERNEL_LIST(HOSTED)
#undef HOSTED

/* --- filling a table -------------------------------------------------------------------- */

/* Gives each missing kernel to the reference; returns the name of the last, or NULL. */
static const char *fill_kernels(pf_platform_table *table)
{
    const char *missing = NULL;
#define FILL(slot, type)                                                       \
    if (!table->slot) {                                                        \
        table->slot = hosted_##slot;                                           \
        missing = #slot;                                                       \
    }
    PF_SINGLE_KERNEL_LIST(FILL)
    PF_PART_KERNEL_LIST(FILL)
#undef FILL
    return missing;
}

static void fill_layers(pf_platform_table *table)
{
#define FILL(slot, type)                                                       \
    if (!table->slot)                                                          \
        table->slot = pf_common_##slot;
    PF_LAYER_LIST(FILL)
#undef FILL
    if (!table->scratch_bytes)
        table->scratch_bytes = pf_common_scratch_bytes;
}

/* The reference reads neither wide tables nor activations in bf16. */
static pf_status check_forms(const pf_platform *platform, pf_error *error)
{
    const pf_capabilities *c = &platform->capabilities;
    if (c->table_columns < 2 && c->keys == PF_F32 && c->hidden == PF_F32)
        return PF_OK;
    return pf_fail(error, PF_E_INTERNAL, "the %s platform lacks kernels, so that its tables "
                   "must be narrow, and its keys and activations f32", c->name);
}

pf_status pf_common_complete(pf_platform *platform, bool hosted, pf_error *error)
{
    fill_layers(&platform->table);
    const char *missing = fill_kernels(&platform->table);
    if (!missing)
        return PF_OK;
    if (!hosted)
        return pf_fail(error, PF_E_INTERNAL, "the %s platform has no kernel %s",
                       platform->capabilities.name, missing);
    PF_TRY(check_forms(platform, error));
    return pf_platform_open(&(pf_platform_options){.name = "reference"},
                            &platform->fallback, error);
}
