/* SPDX-License-Identifier: Apache-2.0 */
/* Reading safetensors: a length, a header in JSON, the data.  See safetensors.h;
 * docs/model/file-formats.md#safetensors.
 *
 *     | N: u64 | JSON, N bytes | data ...................................... |
 *                {"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
 *                 "b": ..., "__metadata__": {"key": "text"}}
 *                offsets count from the end of the JSON; sorted by them, tensors cover the
 *                data without hole or overlap
 *
 *     read_entries   each tensor alone: dtype, shape, range, and that they agree
 *     place_entries  all together: sorted, contiguous, inside the file
 *
 * The header is not trusted: every number is checked before it is used, and names serve as
 * neither paths nor printf formats.
 */
#include "weights/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

/* MAX_RANK is that of files, above PF_MAX_RANK: a tensor that no component asks for may have
 * more axes than this code can use. */
enum { MAX_RANK = 8, LENGTH_BYTES = 8 };

/* --- one tensor ------------------------------------------------------------- */

typedef struct range {
    uint64_t begin, end;
} range;

static pf_status bad(const pf_container *file, const char *name,
                     const char *what, pf_error *error)
{
    return pf_fail(error, PF_E_MODEL, "%s: tensor %.200s %s", file->path, name,
                   what);
}

/* A non-negative integer of at most 2^62, so that sums of two stay inside 64 bits. */
static bool read_count(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > ((json_int_t)1 << 62))
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

/* The shape, and the product of its extents.  A rank of 0 is a scalar, an extent of 0 a
 * tensor without data; both are valid. */
static pf_status read_shape(const pf_container *file, const char *name,
                            const json_t *shape, pf_entry *entry,
                            uint64_t *elements, pf_error *error)
{
    int64_t extents[MAX_RANK];
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > MAX_RANK)
        return bad(file, name, "needs a shape of at most 8 numbers", error);
    *elements = 1;
    for (size_t i = 0; i < rank; i++) {
        uint64_t extent;
        if (!read_count(json_array_get(shape, i), &extent))
            return bad(file, name, "has a shape that is not made of counts", error);
        /* 2^57 elements of at most 64 bits are 2^63 bits: products stay inside 64 bits. */
        if (extent != 0 && *elements > ((uint64_t)1 << 57) / extent)
            return bad(file, name, "has a shape that is too large", error);
        *elements *= extent;
        extents[i] = (int64_t)extent;
    }
    entry->fits = rank <= PF_MAX_RANK;
    if (entry->fits)
        entry->tensor = pf_tensor_make(NULL, entry->tensor.dtype, (int)rank, extents);
    return PF_OK;
}

static pf_status read_range(const pf_container *file, const char *name,
                            const json_t *offsets, range *out, pf_error *error)
{
    if (json_array_size(offsets) != 2 ||
        !read_count(json_array_get(offsets, 0), &out->begin) ||
        !read_count(json_array_get(offsets, 1), &out->end) ||
        out->begin > out->end)
        return bad(file, name, "needs data_offsets of two counts in order", error);
    return PF_OK;
}

/* The range must be as long as shape and dtype ask for; elements of a dtype that stores
 * several in a block must fill whole blocks. */
static pf_status check_bytes(const pf_container *file, const char *name,
                             const pf_entry *entry, uint64_t elements, pf_error *error)
{
    pf_dtype dtype = entry->tensor.dtype;
    int64_t count = (int64_t)elements, odd = count % pf_dtype_block(dtype);
    int64_t bytes = pf_dtype_bytes(dtype, count - odd);
    if (odd == 0 && entry->bytes == bytes)
        return PF_OK;
    return pf_fail(error, PF_E_MODEL,
                   "%s: tensor %.200s has %lld bytes of data, but its shape and dtype %s "
                   "need %lld", file->path, name, (long long)entry->bytes,
                   pf_dtype_name(dtype), (long long)bytes);
}

static pf_status read_entry(const pf_container *file, const char *name,
                            const json_t *value, pf_entry *entry, range *place,
                            pf_error *error)
{
    uint64_t elements = 0;
    if (!json_is_object(value))
        return bad(file, name, "is not described by an object", error);
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    entry->tensor.dtype = dtype ? pf_dtype_find(dtype) : PF_DTYPES;
    if (*name == '\0')
        return bad(file, name, "has an empty name", error);
    if (entry->tensor.dtype == PF_DTYPES)
        return bad(file, name, "has an unknown dtype", error);
    PF_TRY(read_shape(file, name, json_object_get(value, "shape"), entry, &elements,
                      error));
    PF_TRY(read_range(file, name, json_object_get(value, "data_offsets"), place,
                      error));
    entry->bytes = (int64_t)(place->end - place->begin);
    PF_TRY(check_bytes(file, name, entry, elements, error));
    entry->name = pf_strdup(name);
    return entry->name ? PF_OK : pf_fail_memory(error, file->path, strlen(name));
}

/* --- the whole header --------------------------------------------------------- */

/* __metadata__ maps strings to strings.  metadata_count goes up before the strings are
 * there, so that closing frees a pair of which the second is missing. */
static pf_status read_metadata(pf_container *file, const json_t *metadata,
                               pf_error *error)
{
    const char *key;
    json_t *value;
    size_t count = json_object_size(metadata);
    if (!json_is_object(metadata))
        return pf_fail(error, PF_E_MODEL, "%s: __metadata__ is not an object",
                       file->path);
    file->metadata = pf_calloc(2 * count + 1, sizeof *file->metadata);
    if (!file->metadata)
        return pf_fail_memory(error, file->path, count);
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
        if (!json_is_string(value))
            return pf_fail(error, PF_E_MODEL,
                           "%s: __metadata__ %.200s is not a string", file->path,
                           key);
        char **pair = &file->metadata[2 * file->metadata_count++];
        pair[0] = pf_strdup(key);
        pair[1] = pf_strdup(json_string_value(value));
        if (!pair[0] || !pair[1])
            return pf_fail_memory(error, file->path, strlen(key));
    }
    return PF_OK;
}

/* An entry and its place, until all are sorted: JSON objects have no order. */
typedef struct placed {
    pf_entry entry;
    range place;
} placed;

static int by_place(const void *a, const void *b)
{
    const range *x = &((const placed *)a)->place, *y = &((const placed *)b)->place;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The usual damage: a download that ended early.  `bytes` is the length that the header
 * promises. */
static pf_status fail_cut(const pf_container *file, uint64_t bytes, pf_error *error)
{
    return pf_fail(error, PF_E_MODEL,
                   "%s is cut: it has %zu of %llu bytes; download it again", file->path,
                   file->map.bytes, (unsigned long long)bytes);
}

/* Sorted by place, the tensors must cover the data without hole or overlap.  Names move from
 * the list to file->entries one by one, so that each has one owner when this fails. */
static pf_status place_entries(pf_container *file, placed *list, int64_t count,
                               uint64_t data_start, pf_error *error)
{
    uint64_t expected = 0, bytes = file->map.bytes - data_start;
    qsort(list, (size_t)count, sizeof *list, by_place);
    for (int64_t i = 0; i < count; i++) {
        placed *p = &list[i];
        if (p->place.end > bytes)
            return fail_cut(file, data_start + list[count - 1].place.end, error);
        if (p->place.begin != expected)
            return bad(file, p->entry.name,
                       p->place.begin < expected
                           ? "overlaps the tensor before it"
                           : "leaves a hole behind the tensor before it", error);
        expected = p->place.end;
        p->entry.tensor.data =
            (void *)(uintptr_t)(file->map.data + data_start + p->place.begin);
        file->entries[i] = p->entry;
        p->entry.name = NULL;
        file->count++;
    }
    if (expected != bytes)
        return pf_fail(error, PF_E_MODEL,
                       "%s: %llu bytes behind the last tensor belong to none",
                       file->path, (unsigned long long)(bytes - expected));
    return PF_OK;
}

static pf_status read_entries(pf_container *file, const json_t *header,
                              placed *list, int64_t *count, pf_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)header, name, value) {
        if (strcmp(name, "__metadata__") == 0) {
            PF_TRY(read_metadata(file, value, error));
            continue;
        }
        placed *p = &list[*count];
        PF_TRY(read_entry(file, name, value, &p->entry, &p->place, error));
        (*count)++;
    }
    return PF_OK;
}

static pf_status read_header(pf_container *file, const json_t *header,
                             uint64_t data_start, pf_error *error)
{
    int64_t count = 0;
    size_t most = json_object_size(header);
    placed *list = pf_calloc(most + 1, sizeof *list);
    file->entries = pf_calloc(most + 1, sizeof *file->entries);
    pf_status status = PF_OK;
    if (!list || !file->entries)
        status = pf_fail_memory(error, file->path, most * sizeof *list);
    if (status == PF_OK)
        status = read_entries(file, header, list, &count, error);
    if (status == PF_OK)
        status = place_entries(file, list, count, data_start, error);
    for (int64_t i = 0; list && i < count; i++)
        pf_free(list[i].entry.name);
    pf_free(list);
    return status;
}

/* --- the format ----------------------------------------------------------------- */

/* Bytes of the header according to the first 8 bytes of the file, which are little-endian;
 * 0: the file is shorter. */
static uint64_t header_bytes(const pf_map *map)
{
    uint64_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0 && map->bytes > LENGTH_BYTES; i--)
        length = length << 8 | map->data[i];
    return length;
}

bool pf_safetensors_recognise(const pf_map *map)
{
    uint64_t length = header_bytes(map);
    return length > 0 && length <= PF_SAFETENSORS_HEADER && map->data[LENGTH_BYTES] == '{';
}

pf_status pf_safetensors_read(pf_container *file, pf_error *error)
{
    uint64_t length = header_bytes(&file->map);
    json_t *header = NULL;
    if (length > file->map.bytes - LENGTH_BYTES)
        return pf_fail(error, PF_E_MODEL,
                       "%s is cut: it has %zu bytes, but its header alone ends at %llu; "
                       "download it again", file->path, file->map.bytes,
                       (unsigned long long)length + LENGTH_BYTES);
    const char *text = (const char *)file->map.data + LENGTH_BYTES;
    PF_TRY(pf_json_parse(text, (size_t)length, file->path, &header, error));
    pf_status status = read_header(file, header, LENGTH_BYTES + length, error);
    json_decref(header);
    return status;
}
