/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of one component.  See weights.h; docs/model/file-formats.md.
 *
 *     pf_weights_open     FOLDER/STEM.safetensors          -> that file
 *                         ... .index.json                  -> the shards of its weight_map
 *                         neither                          -> every *.safetensors
 *       add_file          shards_check, container_open
 *       list_items        entries of all files -> items, sorted by name
 *       check_map         with an index: every tensor of it was found
 *
 * Items are sorted once and found by bisection: a tower has thousands of tensors.
 */
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "weights/container.h"
#include "weights/shards.h"

enum { MAX_INDEX_BYTES = 64 << 20 };

/* A tensor as the component sees it. */
typedef struct item {
    const char *name;                   /* points into `owned` or an entry */
    char *owned;                        /* after a renaming */
    const pf_entry *entry;
    const pf_container *file;
    bool used;
} item;

struct pf_weights {
    char *path;                         /* folder, or the one file */
    pf_container *files;
    int file_count;
    item *items;                        /* in order of name */
    int64_t count;
};

/* --- the list ------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const item *)a)->name, ((const item *)b)->name);
}

/* Sorts by name and refuses a name that is there twice, with both files. */
static pf_status sort_items(pf_weights *w, pf_error *error)
{
    qsort(w->items, (size_t)w->count, sizeof *w->items, by_name);
    for (int64_t i = 1; i < w->count; i++)
        if (strcmp(w->items[i - 1].name, w->items[i].name) == 0)
            return pf_fail(error, PF_E_MODEL,
                           "%s: tensor %.200s is there twice, in %s and in %s",
                           w->path, w->items[i].name, w->items[i - 1].file->path,
                           w->items[i].file->path);
    return PF_OK;
}

static item *find_item(const pf_weights *w, const char *name)
{
    item key = {.name = name};
    return w->count == 0 ? NULL
                         : bsearch(&key, w->items, (size_t)w->count,
                                   sizeof key, by_name);
}

/* Refuses a tensor that lies in another shard than its index says: shards of two downloads
 * have been mixed.  Without an index, and for tensors that it does not name, every shard
 * will do. */
static pf_status belongs(const pf_weights *w, const json_t *map, const char *name,
                         const char *file_name, pf_error *error)
{
    if (!map)
        return PF_OK;
    const char *mapped = json_string_value(json_object_get(map, name));
    if (!mapped || strcmp(mapped, file_name) == 0)
        return PF_OK;
    return pf_fail(error, PF_E_MODEL,
                   "%s: tensor %.200s is in %.200s, but the index puts it into %.200s",
                   w->path, name, file_name, mapped);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Lists the tensors of all files whose name begins with the prefix; with an index, those
 * that it names alone. */
static pf_status list_items(pf_weights *w, const json_t *map, const char *prefix,
                            pf_error *error)
{
    int64_t most = 0;
    size_t skip = strlen(prefix);
    for (int f = 0; f < w->file_count; f++)
        most += w->files[f].count;
    w->items = pf_calloc((size_t)most + 1, sizeof *w->items);
    if (!w->items)
        return pf_fail_memory(error, w->path, (unsigned long long)most);
    for (int f = 0; f < w->file_count; f++)
        for (int64_t i = 0; i < w->files[f].count; i++) {
            const pf_entry *entry = &w->files[f].entries[i];
            PF_TRY(belongs(w, map, entry->name, base_name(w->files[f].path), error));
            if (strncmp(entry->name, prefix, skip) != 0 ||
                (map && !json_object_get(map, entry->name)))
                continue;
            w->items[w->count++] = (item){.name = entry->name + skip,
                                          .entry = entry,
                                          .file = &w->files[f]};
        }
    return sort_items(w, error);
}

/* --- opening --------------------------------------------------------------------- */

static pf_status new_weights(const char *path, int files, pf_weights **out,
                             pf_error *error)
{
    pf_weights *w = pf_calloc(1, sizeof *w);
    if (!w)
        return pf_fail_memory(error, path, sizeof *w);
    w->path = pf_strdup(path);
    w->files = pf_calloc((size_t)files, sizeof *w->files);
    if (!w->path || !w->files) {
        pf_weights_close(w);
        return pf_fail_memory(error, path, sizeof *w->files);
    }
    *out = w;
    return PF_OK;
}

/* file_count goes up after the container is open, so that closing meets open ones alone. */
static pf_status add_file(pf_weights *w, const char *path, pf_error *error)
{
    PF_TRY(pf_shards_check(path, error));
    PF_TRY(pf_container_open(path, &w->files[w->file_count], error));
    w->file_count++;
    return PF_OK;
}

static pf_status add_in_folder(pf_weights *w, const char *folder, const char *name,
                               pf_error *error)
{
    char *path = pf_path_join(folder, name);
    if (!path)
        return pf_fail_memory(error, name, strlen(name));
    pf_status status = pf_path_exists(path) ? add_file(w, path, error)
                                            : pf_shards_missing(folder, name, error);
    pf_free(path);
    return status;
}

pf_status pf_weights_open_file(const char *path, const char *prefix,
                               pf_weights **out, pf_error *error)
{
    pf_weights *w = NULL;
    *out = NULL;
    PF_TRY(new_weights(path, 1, &w, error));
    pf_status status = add_file(w, path, error);
    if (status == PF_OK)
        status = list_items(w, NULL, prefix, error);
    if (status != PF_OK) {
        pf_weights_close(w);
        return status;
    }
    *out = w;
    return PF_OK;
}

/* --- a folder ----------------------------------------------------------------------- */

/* Every tensor of the index must have been found in its shard. */
static pf_status check_map(const pf_weights *w, const json_t *map, pf_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value)
        if (!find_item(w, tensor))
            return pf_fail(error, PF_E_MODEL,
                           "%s: tensor %.200s is not in its shard %s", w->path,
                           tensor, json_string_value(value));
    return PF_OK;
}

/* Opens the listed files of a folder as one component; `map` is the index's, or NULL. */
static pf_status open_names(const char *folder, const pf_shards *list, const json_t *map,
                            pf_weights **out, pf_error *error)
{
    pf_weights *w = NULL;
    PF_TRY(new_weights(folder, list->count, &w, error));
    pf_status status = PF_OK;
    for (int i = 0; status == PF_OK && i < list->count; i++)
        status = add_in_folder(w, folder, list->names[i], error);
    if (status == PF_OK)
        status = list_items(w, map, "", error);
    if (status == PF_OK && map)
        status = check_map(w, map, error);
    if (status != PF_OK) {
        pf_weights_close(w);
        return status;
    }
    *out = w;
    return PF_OK;
}

/* By the index, if there is one, else by the folder.  The index's JSON lives until the
 * tensors are compared with it. */
static pf_status open_folder(const char *folder, const char *index_path,
                             pf_weights **out, pf_error *error)
{
    json_t *index = NULL;
    const json_t *map = NULL;
    pf_shards *list = pf_calloc(1, sizeof *list);
    if (!list)
        return pf_fail_memory(error, folder, sizeof *list);
    pf_status status = PF_OK;
    if (pf_path_exists(index_path)) {
        status = pf_json_load(index_path, MAX_INDEX_BYTES, &index, error);
        map = json_object_get(index, "weight_map");
        if (status == PF_OK)
            status = pf_shards_from_index(map, index_path, list, error);
    } else {
        status = pf_shards_from_folder(folder, list, error);
    }
    if (status == PF_OK)
        status = open_names(folder, list, map, out, error);
    json_decref(index);
    pf_shards_free(list);
    pf_free(list);
    return status;
}

pf_status pf_weights_open(const char *folder, const char *stem, pf_weights **out,
                          pf_error *error)
{
    *out = NULL;
    char *single = pf_format("%s/%s.safetensors", folder, stem);
    char *index = pf_format("%s/%s.safetensors.index.json", folder, stem);
    pf_status status;
    if (!single || !index)
        status = pf_fail_memory(error, folder, strlen(folder));
    else if (pf_path_exists(single))
        status = pf_weights_open_file(single, "", out, error);
    else
        status = open_folder(folder, index, out, error);
    pf_free(single);
    pf_free(index);
    return status;
}

void pf_weights_close(pf_weights *weights)
{
    if (!weights)
        return;
    for (int64_t i = 0; i < weights->count; i++)
        pf_free(weights->items[i].owned);
    for (int i = 0; i < weights->file_count; i++)
        pf_container_close(&weights->files[i]);
    pf_free(weights->items);
    pf_free(weights->files);
    pf_free(weights->path);
    pf_free(weights);
}

pf_status pf_weights_rename(pf_weights *weights,
                            bool (*translate)(const char *from, char *to,
                                              size_t to_bytes),
                            pf_error *error)
{
    char to[512];
    for (int64_t i = 0; i < weights->count; i++) {
        item *it = &weights->items[i];
        if (!translate(it->name, to, sizeof to))
            continue;
        char *fresh = pf_strdup(to);
        if (!fresh)
            return pf_fail_memory(error, it->name, strlen(to));
        pf_free(it->owned);
        it->owned = fresh;
        it->name = fresh;
    }
    return sort_items(weights, error);
}

/* --- finding ----------------------------------------------------------------------- */

bool pf_weights_has(const pf_weights *weights, const char *name)
{
    return find_item(weights, name) != NULL;
}

static pf_status missing(const pf_weights *w, const char *name, pf_error *error)
{
    return pf_fail(error, PF_E_MODEL, "%s: tensor %.200s is missing", w->path, name);
}

pf_status pf_weights_find(pf_weights *weights, const char *name, int rank,
                          const int64_t *shape, pf_tensor *out, pf_error *error)
{
    PF_TRY(pf_weights_find_any(weights, name, out, error));
    const item *it = find_item(weights, name);
    if (!pf_dtype_converts(out->dtype))
        return pf_fail(error, PF_E_MODEL,
                       "%s: tensor %.200s is %s, but must be F32, F16 or BF16",
                       it->file->path, it->name, pf_dtype_name(out->dtype));
    if (pf_tensor_has_shape(out, rank, shape))
        return PF_OK;
    char found[128], expected[128];
    pf_tensor wanted = pf_tensor_make(NULL, PF_F32, rank, shape);
    pf_tensor_shape_text(out, found);
    pf_tensor_shape_text(&wanted, expected);
    return pf_fail(error, PF_E_MODEL,
                   "%s: tensor %.200s has shape %s, but the config asks for %s",
                   it->file->path, name, found, expected);
}

/* `used` is set even where the tensor cannot be used: the failure names it already. */
pf_status pf_weights_find_any(pf_weights *weights, const char *name,
                              pf_tensor *out, pf_error *error)
{
    item *it = find_item(weights, name);
    if (!it)
        return missing(weights, name, error);
    it->used = true;
    if (!it->entry->fits)
        return pf_fail(error, PF_E_MODEL, "%s: tensor %.200s has more than %d axes",
                       it->file->path, it->name, PF_MAX_RANK);
    *out = it->entry->tensor;
    return PF_OK;
}

int64_t pf_weights_count(const pf_weights *weights)
{
    return weights->count;
}

const char *pf_weights_name(const pf_weights *weights, int64_t index)
{
    return weights->items[index].name;
}

pf_tensor pf_weights_tensor(const pf_weights *weights, int64_t index)
{
    return weights->items[index].entry->tensor;
}

const char *pf_weights_metadata(const pf_weights *weights, const char *key)
{
    return pf_container_metadata(&weights->files[0], key);
}

void pf_weights_warn_unused(const pf_weights *weights, const pf_log *log)
{
    int64_t unused = 0, first = -1;
    for (int64_t i = 0; i < weights->count; i++)
        if (!weights->items[i].used) {
            first = first < 0 ? i : first;
            unused++;
        }
    if (unused > 0)
        pf_warn(log, "%s: %lld tensors are not used, the first is %.200s",
                weights->path, (long long)unused, weights->items[first].name);
}

const char *pf_weights_path(const pf_weights *weights)
{
    return weights->path;
}

int64_t pf_weights_bytes(const pf_weights *weights)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < weights->count; i++)
        bytes += weights->items[i].entry->bytes;
    return bytes;
}

const char *pf_weights_dtype(const pf_weights *weights)
{
    if (weights->count == 0)
        return "none";
    pf_dtype dtype = weights->items[0].entry->tensor.dtype;
    for (int64_t i = 1; i < weights->count; i++)
        if (weights->items[i].entry->tensor.dtype != dtype)
            return "mixed";
    return pf_dtype_name(dtype);
}

bool pf_weights_in_memory(const pf_weights *weights)
{
    for (int i = 0; i < weights->file_count; i++)
        if (!weights->files[i].map.in_memory)
            return false;
    return true;
}

void pf_weights_forget(const pf_weights *weights)
{
    for (int i = 0; i < weights->file_count; i++)
        pf_map_forget(&weights->files[i].map);
}

/* --- files that change ----------------------------------------------------------------- */

/* Renewal leaves a sound file mapped as it is.  Should one of several changed files fail, the
 * files before it stay renewed (*changed tells). */
static bool is_sound(const pf_container *file)
{
    return pf_map_check(&file->map, file->path, NULL) == PF_OK;
}

pf_status pf_weights_check(const pf_weights *weights, bool lost_only, pf_error *error)
{
    for (int i = 0; i < weights->file_count; i++) {
        const pf_container *file = &weights->files[i];
        if (!lost_only || pf_map_is_lost(&file->map))
            PF_TRY(pf_map_check(&file->map, file->path, error));
    }
    return PF_OK;
}

pf_status pf_weights_renew(pf_weights *weights, bool *changed, pf_error *error)
{
    *changed = false;
    for (int i = 0; i < weights->file_count; i++) {
        pf_container *file = &weights->files[i];
        if (is_sound(file))
            continue;
        *changed = true;
        PF_TRY(pf_shards_check(file->path, error));
        PF_TRY(pf_container_renew(file, error));
    }
    return PF_OK;
}

pf_status pf_weights_check_renewal(const pf_weights *weights, pf_error *error)
{
    for (int i = 0; i < weights->file_count; i++) {
        const pf_container *file = &weights->files[i];
        if (is_sound(file))
            continue;
        PF_TRY(pf_shards_check(file->path, error));
        PF_TRY(pf_container_check_renewal(file, error));
    }
    return PF_OK;
}
