/* SPDX-License-Identifier: Apache-2.0 */
/* Closing and renewing a container, whatever its format.  See container.h.
 *
 *     file changed on disk -> open_again: mapped elsewhere, checked, compared
 *                          -> pf_map_replace: the new pages at the old addresses
 *
 * Weights that a platform multiplies where they lie hold addresses into the map.  So a
 * file is renewed in place, and only if every tensor keeps its name, dtype, shape and
 * offset; any other file needs a new engine. */
#include "weights/container.h"

#include <string.h>

#include "base/memory.h"

void pf_container_close(pf_container *file)
{
    for (int64_t i = 0; i < file->count; i++)
        pf_free(file->entries[i].name);
    for (int64_t i = 0; i < 2 * file->metadata_count; i++)
        pf_free(file->metadata[i]);
    pf_free(file->metadata);
    pf_free(file->entries);
    pf_map_close(&file->map);
    pf_free(file->path);
    *file = (pf_container){0};
}

const char *pf_container_metadata(const pf_container *file, const char *key)
{
    for (int64_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[2 * i], key) == 0)
            return file->metadata[2 * i + 1];
    return NULL;
}

/* --- renewal ----------------------------------------------------------------------- */

static bool same_entry(const pf_container *a, const pf_container *b, int64_t i)
{
    const pf_entry *x = &a->entries[i], *y = &b->entries[i];
    return strcmp(x->name, y->name) == 0 && x->bytes == y->bytes &&
           x->tensor.dtype == y->tensor.dtype &&
           pf_tensor_has_shape(&x->tensor, y->tensor.rank, y->tensor.shape) &&
           (const unsigned char *)x->tensor.data - a->map.data ==
               (const unsigned char *)y->tensor.data - b->map.data;
}

/* Opens the file anew; refused unless all tensors have the offsets that they had.  Entries
 * are in the order of the data in both, so that they are compared in step. */
static pf_status open_again(const pf_container *file, pf_container *fresh,
                            pf_error *error)
{
    PF_TRY(pf_container_open(file->path, fresh, error));
    bool same = fresh->map.bytes == file->map.bytes && fresh->count == file->count;
    for (int64_t i = 0; same && i < file->count; i++)
        same = same_entry(file, fresh, i);
    if (same)
        return PF_OK;
    pf_container_close(fresh);
    return pf_fail(error, PF_E_MODEL,
                   "%s holds other tensors than when the model was opened: open the model "
                   "again", file->path);
}

/* pf_map_replace moves the fresh map into `file`; closing `fresh` frees its names alone. */
pf_status pf_container_renew(pf_container *file, pf_error *error)
{
    pf_container fresh;
    PF_TRY(open_again(file, &fresh, error));
    pf_status status = pf_map_replace(&file->map, &fresh.map, file->path, error);
    pf_container_close(&fresh);
    return status;
}

pf_status pf_container_check_renewal(const pf_container *file, pf_error *error)
{
    pf_container fresh;
    PF_TRY(open_again(file, &fresh, error));
    pf_container_close(&fresh);
    return PF_OK;
}
