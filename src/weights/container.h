/* SPDX-License-Identifier: Apache-2.0 */
/* A file of tensors, whatever its format: mapped, checked, listed.
 *
 *     weights.c       tensors of a component by name, from one container or several
 *        |
 *     container.h     entries, metadata, map; renewal of a file that changed
 *        |
 *     formats.c       one row a format: recognised by its first bytes, then read
 *        |
 *     safetensors.c   a header to entries
 *
 * A container is refused as a whole, by a sentence that names file and tensor, or every
 * entry can be read to its last byte.
 */
#ifndef PF_WEIGHTS_CONTAINER_H
#define PF_WEIGHTS_CONTAINER_H

#include "base/file.h"
#include "tensor/tensor.h"

typedef struct pf_entry {
    char *name;                         /* pf_free */
    int64_t bytes;                      /* of its data, which `tensor` points to */
    bool fits;                          /* at most PF_MAX_RANK axes; else `tensor` has a
                                         * dtype and an address alone */
    pf_tensor tensor;                   /* view of the map, at any byte alignment */
} pf_entry;

typedef struct pf_container {
    char *path;
    pf_map map;
    pf_entry *entries;                  /* in the order of the data */
    int64_t count;
    char **metadata;                    /* [2 * metadata_count]: key, value */
    int64_t metadata_count;
} pf_container;

/* Maps a file and reads it in the format that it has.  No tensor is read: a file of 28 GB
 * opens in the time that its header takes.  PF_E_MODEL: damaged, cut, or another kind of
 * file, which the message names.  On failure *out is empty. */
pf_status pf_container_open(const char *path, pf_container *out, pf_error *error);
/* Unmaps: tensors of the container must not be used any more. */
void pf_container_close(pf_container *file);

/* Reads the file of that name again, into the same addresses, so that views of tensors
 * stay valid.  Refused where it holds other tensors than before.  No thread may read
 * tensors meanwhile. */
pf_status pf_container_renew(pf_container *file, pf_error *error);

/* Fails as pf_container_renew would; changes nothing. */
pf_status pf_container_check_renewal(const pf_container *file, pf_error *error);

/* The value of a metadata key, or NULL. */
const char *pf_container_metadata(const pf_container *file, const char *key);

#endif
