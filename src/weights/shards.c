/* SPDX-License-Identifier: Apache-2.0 */
/* Names of weight files.  See shards.h; docs/model/file-formats.md#weights. */
#include "weights/shards.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/kind.h"
#include "base/memory.h"

static const char ending[] = ".safetensors";

static bool ends_with(const char *name, const char *tail)
{
    size_t length = strlen(name), bytes = strlen(tail);
    return length > bytes && strcmp(name + length - bytes, tail) == 0;
}

/* Adds a name once: an index names each shard with every tensor of it. */
static pf_status add_name(pf_shards *list, const char *name, pf_error *error)
{
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return PF_OK;
    if (list->count == PF_MAX_SHARDS)
        return pf_fail(error, PF_E_MODEL, "more than %d shards", PF_MAX_SHARDS);
    list->names[list->count] = pf_strdup(name);
    if (!list->names[list->count])
        return pf_fail_memory(error, name, strlen(name));
    list->count++;
    return PF_OK;
}

void pf_shards_free(pf_shards *shards)
{
    for (int i = 0; i < shards->count; i++)
        pf_free(shards->names[i]);
    shards->count = 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In order of name, so that messages do not depend on the folder's order. */
static void sort(pf_shards *list)
{
    qsort(list->names, (size_t)list->count, sizeof *list->names, by_text);
}

/* --- by an index -------------------------------------------------------------------- */

/* A plain file name: nothing that leads out of the folder. */
static bool is_plain(const char *name)
{
    return *name && !strchr(name, '/') && !strchr(name, '\\') &&
           !strstr(name, "..");
}

pf_status pf_shards_from_index(const json_t *map, const char *index_path, pf_shards *out,
                               pf_error *error)
{
    const char *tensor;
    json_t *value;
    if (!json_is_object(map) || json_object_size(map) == 0)
        return pf_fail(error, PF_E_MODEL, "%s: weight_map is missing or empty",
                       index_path);
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *name = json_string_value(value);
        if (!name || !is_plain(name))
            return pf_fail(error, PF_E_MODEL,
                           "%s: weight_map of %.200s is not a plain file name",
                           index_path, tensor);
        PF_TRY(add_name(out, name, error));
    }
    sort(out);
    return PF_OK;
}

/* FOLDER/NAME of a download that goes on, or was given up, whose name begins so (pf_free);
 * NULL: there is none. */
static char *find_unfinished(const char *folder, const char *begin)
{
    DIR *directory = opendir(folder);
    struct dirent *found = NULL;
    while (directory && (found = readdir(directory)))
        if (strncmp(found->d_name, begin, strlen(begin)) == 0 &&
            pf_kind_is_unfinished_name(found->d_name))
            break;
    char *path = found ? pf_path_join(folder, found->d_name) : NULL;
    if (directory)
        closedir(directory);
    return path;
}

/* Downloads where the hub's own program keeps them: below the model's folder, or beside the
 * snapshots of its cache.  `folder` is a component's:
 *
 *     MODEL/video_dit                      MODEL/.cache/huggingface/download/video_dit/
 *     models--X/snapshots/HASH/video_dit   models--X/blobs/ */
static char *find_unfinished_of_hub(const char *folder)
{
    const char *slash = strrchr(folder, '/');
    char *download = pf_format("%s/../.cache/huggingface/download/%s", folder,
                               slash ? slash + 1 : folder);
    char *blobs = pf_path_join(folder, "../../../blobs");
    char *path = download ? find_unfinished(download, "") : NULL;
    if (!path && blobs)
        path = find_unfinished(blobs, "");
    pf_free(download);
    pf_free(blobs);
    return path;
}

pf_status pf_shards_missing(const char *folder, const char *name, pf_error *error)
{
    char *path = find_unfinished(folder, name);
    if (!path)
        path = find_unfinished_of_hub(folder);
    if (path)
        pf_fail(error, PF_E_NOT_FOUND,
                "%s/%s, which the index names, is not there: a download is not finished, %s",
                folder, name, path);
    else
        pf_fail(error, PF_E_NOT_FOUND,
                "%s/%s, which the index names, is not there: download it", folder, name);
    pf_free(path);
    return PF_E_NOT_FOUND;
}

/* --- by the folder ------------------------------------------------------------------ */

/* Files that are found in place of safetensors, by the ends of their names.  Pickles are
 * never read: loading one runs code of whoever made it. */
static const struct {
    const char *ending, *what;
} others[] = {
    {".bin", "a pickle, which could run programs and is not read: download the safetensors"},
    {".pt", "a pickle, which could run programs and is not read: download the safetensors"},
    {".pth", "a pickle, which could run programs and is not read: download the safetensors"},
    {".ckpt", "a pickle, which could run programs and is not read: download the safetensors"},
    {".gguf", "GGUF, which is not read: download the safetensors"},
    {".onnx", "ONNX, which is not read: download the safetensors"},
    {".msgpack", "Flax, which is not read: download the safetensors"},
    {".h5", "HDF5, which is not read: download the safetensors"},
    {".zip", "an archive: unpack it"},
    {".tar", "an archive: unpack it"},
    {".gz", "an archive: unpack it"},
    {".tgz", "an archive: unpack it"},
    {".xz", "an archive: unpack it"},
    {".zst", "an archive: unpack it"},
    {".7z", "an archive: unpack it"},
    {".index.json", "an index alone: download the shards"},
};

static const char *other_kind(const char *name)
{
    if (pf_kind_is_unfinished_name(name))
        return "a download that is not finished: go on with it";
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (ends_with(name, others[i].ending))
            return others[i].what;
    return NULL;
}

/* Refuses a folder without weights and names the file that is there instead of them. */
static pf_status explain(const char *folder, DIR *directory, pf_error *error)
{
    struct dirent *found;
    rewinddir(directory);
    while ((found = readdir(directory))) {
        const char *kind = other_kind(found->d_name);
        if (kind)
            return pf_fail(error, PF_E_NOT_FOUND,
                           "%s holds no .safetensors file, but %s, %s", folder,
                           found->d_name, kind);
    }
    char *path = find_unfinished_of_hub(folder);
    pf_fail(error, PF_E_NOT_FOUND, "%s holds no .safetensors file: %s%s", folder,
            path ? "a download is not finished, " : "download its weights", path ? path : "");
    pf_free(path);
    return PF_E_NOT_FOUND;
}

/* Refuses a folder that has fewer shards than their names say (-00001-of-00007).  Shards
 * belong together if their names agree but for the number before "-of-". */
static pf_status check_count(const char *folder, const pf_shards *list, pf_error *error)
{
    for (int i = 0; i < list->count; i++) {
        const char *of = strstr(list->names[i], "-of-");
        int total = of ? (int)strtol(of + 4, NULL, 10) : 0, there = 0;
        size_t stem = of ? (size_t)(of - list->names[i]) : 0;
        while (stem > 0 && list->names[i][stem - 1] >= '0' && list->names[i][stem - 1] <= '9')
            stem--;
        for (int k = 0; total > 0 && k < list->count; k++)
            there += strncmp(list->names[k], list->names[i], stem) == 0 &&
                     strstr(list->names[k], of);
        if (there < total)
            return pf_fail(error, PF_E_NOT_FOUND,
                           "%s holds %d of the %d shards of %.*s: download the others",
                           folder, there, total, (int)stem, list->names[i]);
    }
    return PF_OK;
}

pf_status pf_shards_from_folder(const char *folder, pf_shards *out, pf_error *error)
{
    DIR *directory = opendir(folder);
    pf_status status = PF_OK;
    struct dirent *found;
    if (!directory)
        return pf_fail_errno(error, errno, "cannot open %s", folder);
    while (status == PF_OK && (found = readdir(directory)))
        if (found->d_name[0] != '.' && ends_with(found->d_name, ending))
            status = add_name(out, found->d_name, error);
    if (status == PF_OK && out->count == 0)
        status = explain(folder, directory, error);
    closedir(directory);
    sort(out);
    return status == PF_OK ? check_count(folder, out, error) : status;
}

/* --- one file ------------------------------------------------------------------------ */

pf_status pf_shards_check(const char *path, pf_error *error)
{
    char *control = pf_format("%s.aria2", path);
    if (!control)
        return pf_fail_memory(error, path, strlen(path));
    bool unfinished = pf_path_exists(control);
    pf_free(control);
    if (unfinished)                     /* it has the size of the whole file at once */
        return pf_fail(error, PF_E_MODEL,
                       "%s is not whole, as %s.aria2 beside it says: go on with its "
                       "download", path, path);
    return PF_OK;
}
