/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the weights of a stand-in model: random BF16 values made block by block,
 * so that a file of 10 GB needs no more memory than one of 10 kB.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "model_parts.h"
#include "tensor/dtype.h"

enum { BLOCK_VALUES = 1 << 20, PATH_BYTES = 4096 };

/* --- random values ------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t hash_text(uint64_t start, const char *text)
{
    for (; *text; text++)
        start = (start ^ (unsigned char)*text) * 0x100000001b3u;
    return mix(start);
}

/* Values [first, first + count) of a tensor; `first` is a multiple of 4.  Every
 * 16 bits of mix(key + n) make one value, uniform, of the recipe's mean and
 * deviation. */
static void fill(const recipe *item, uint64_t key, int64_t first, int64_t count,
                 uint16_t *out)
{
    const float step = item->deviation * sqrtf(12.0f) / 65536.0f;
    const float low = item->centre - 32767.5f * step;
    for (int64_t i = 0; i < count; i += 4) {
        uint64_t bits = mix(key + (uint64_t)(first + i) / 4);
        for (int64_t j = 0; j < 4 && i + j < count; j++, bits >>= 16)
            out[i + j] = pf_f32_to_bf16(low + step * (float)(bits & 0xffff));
    }
}

/* --- one file ------------------------------------------------------------------ */

static pf_status put(int fd, const char *path, const void *data, size_t bytes,
                     pf_error *error)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t done = write(fd, from, bytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return pf_fail_errno(error, errno, "cannot write %s", path);
        from += done;
        bytes -= (size_t)done;
    }
    return PF_OK;
}

/* Tensors [begin, end) of a list. */
typedef struct span {
    const recipe_list *list;
    int64_t begin, end;
} span;

static json_t *describe(const recipe *item, int64_t *offset)
{
    json_t *shape = json_array();
    for (int i = 0; i < item->rank; i++)
        json_array_append_new(shape, json_integer(item->shape[i]));
    int64_t begin = *offset;
    *offset += 2 * recipe_count(item);
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", "BF16", "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)*offset);
}

/* The header with its length in front, padded to a multiple of 8. */
static pf_status put_header(int fd, const char *path, span tensors, pf_error *error)
{
    int64_t offset = 0;
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    for (int64_t i = tensors.begin; i < tensors.end; i++) {
        const recipe *item = &tensors.list->items[i];
        json_object_set_new(header, item->name, describe(item, &offset));
    }
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (!text)
        return pf_fail_memory(error, path, (unsigned long long)tensors.end);
    size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    pf_status status = put(fd, path, prefix, sizeof prefix, error);
    if (status == PF_OK)
        status = put(fd, path, text, length, error);
    if (status == PF_OK)
        status = put(fd, path, "       ", padded - length, error);
    free(text);
    return status;
}

static pf_status put_tensors(int fd, const char *path, span tensors, uint64_t seed,
                             pf_error *error)
{
    uint16_t *block = pf_alloc(BLOCK_VALUES * sizeof *block);
    pf_status status = PF_OK;
    if (!block)
        return pf_fail_memory(error, path, BLOCK_VALUES * sizeof *block);
    for (int64_t i = tensors.begin; status == PF_OK && i < tensors.end; i++) {
        const recipe *item = &tensors.list->items[i];
        uint64_t key = hash_text(seed, item->name);
        int64_t left = recipe_count(item);
        for (int64_t at = 0; status == PF_OK && left > 0; at += BLOCK_VALUES) {
            int64_t count = left < BLOCK_VALUES ? left : BLOCK_VALUES;
            fill(item, key, at, count, block);
            status = put(fd, path, block, (size_t)count * sizeof *block, error);
            left -= count;
        }
    }
    pf_free(block);
    return status;
}

/* The length alone: a hole that reads as zeros and takes no room. */
static pf_status put_hole(int fd, const char *path, span tensors, pf_error *error)
{
    off_t end = lseek(fd, 0, SEEK_END);
    for (int64_t i = tensors.begin; i < tensors.end; i++)
        end += 2 * recipe_count(&tensors.list->items[i]);
    if (end < 0 || ftruncate(fd, end) != 0)
        return pf_fail_errno(error, errno, "cannot write %s", path);
    return PF_OK;
}

static pf_status write_file(const char *path, span tensors, const uint64_t *seed,
                            pf_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return pf_fail_errno(error, errno, "cannot write %s", path);
    pf_status status = put_header(fd, path, tensors, error);
    if (status == PF_OK)
        status = seed ? put_tensors(fd, path, tensors, *seed, error)
                      : put_hole(fd, path, tensors, error);
    if (close(fd) != 0 && status == PF_OK)
        status = pf_fail_errno(error, errno, "cannot write %s", path);
    if (status != PF_OK)
        unlink(path);
    return status;
}

/* --- shards -------------------------------------------------------------------- */

static void shard_name(char *out, size_t bytes, const component *part, int shard)
{
    if (part->shards == 1)
        snprintf(out, bytes, "%s.safetensors", part->stem);
    else
        snprintf(out, bytes, "%s-%05d-of-%05d.safetensors", part->stem, shard + 1,
                 part->shards);
}

static int64_t total_bytes(const recipe_list *list)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < list->count; i++)
        bytes += 2 * recipe_count(&list->items[i]);
    return bytes;
}

/* The end of a shard that begins at `begin`: about the same bytes in each. */
static int64_t shard_end(const recipe_list *list, const component *part, int shard,
                         int64_t begin)
{
    int64_t wanted = total_bytes(list) / part->shards, bytes = 0, end = begin;
    if (shard == part->shards - 1)
        return list->count;
    while (end < list->count && bytes < wanted)
        bytes += 2 * recipe_count(&list->items[end++]);
    return end;
}

static pf_status write_index(const char *root, const component *part,
                             const recipe_list *list, json_t *map, pf_error *error)
{
    char name[PATH_BYTES];
    snprintf(name, sizeof name, "%s/%s.safetensors.index.json", part->folder,
             part->stem);
    return write_json(root, name,
                      json_pack("{s:{s:I}, s:o}", "metadata", "total_size",
                                (json_int_t)total_bytes(list), "weight_map", map),
                      error);
}

pf_status write_weights(const char *root, const component *part,
                        const recipe_list *list, const uint64_t *seed,
                        pf_error *error)
{
    char name[256], path[PATH_BYTES];
    json_t *map = json_object();
    int64_t begin = 0;
    uint64_t part_seed = seed ? hash_text(mix(*seed), part->folder) : 0;
    pf_status status = PF_OK;
    for (int shard = 0; status == PF_OK && shard < part->shards; shard++) {
        span tensors = {list, begin, shard_end(list, part, shard, begin)};
        shard_name(name, sizeof name, part, shard);
        snprintf(path, sizeof path, "%s/%s/%s", root, part->folder, name);
        for (int64_t i = tensors.begin; i < tensors.end; i++)
            json_object_set_new(map, list->items[i].name, json_string(name));
        status = write_file(path, tensors, seed ? &part_seed : NULL, error);
        begin = tensors.end;
    }
    if (status == PF_OK && part->shards > 1)
        return write_index(root, part, list, map, error);
    json_decref(map);
    return status;
}

static pf_status link_file(const char *root, const component *from,
                           const component *to, const char *name, pf_error *error)
{
    char old_path[PATH_BYTES], new_path[PATH_BYTES];
    snprintf(old_path, sizeof old_path, "%s/%s/%s", root, from->folder, name);
    snprintf(new_path, sizeof new_path, "%s/%s/%s", root, to->folder, name);
    if (link(old_path, new_path) == 0)
        return PF_OK;
    return pf_fail_errno(error, errno, "cannot link %s to %s", new_path, old_path);
}

pf_status link_weights(const char *root, const component *from, const component *to,
                       pf_error *error)
{
    char name[256];
    for (int shard = 0; shard < from->shards; shard++) {
        shard_name(name, sizeof name, from, shard);
        PF_TRY(link_file(root, from, to, name, error));
    }
    snprintf(name, sizeof name, "%s.safetensors.index.json", from->stem);
    return link_file(root, from, to, name, error);
}

pf_status write_json(const char *root, const char *name, json_t *value,
                     pf_error *error)
{
    char *path = pf_path_join(root, name);
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    pf_status status = path && text
                           ? pf_write_file(path, text, strlen(text), error)
                           : pf_fail_memory(error, name, strlen(root));
    free(text);
    pf_free(path);
    json_decref(value);
    return status;
}
