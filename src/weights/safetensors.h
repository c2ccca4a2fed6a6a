/* SPDX-License-Identifier: Apache-2.0 */
/* One safetensors file: header checks and the list of its tensors.
 * docs/model/file-formats.md#safetensors. */
#ifndef PF_WEIGHTS_SAFETENSORS_H
#define PF_WEIGHTS_SAFETENSORS_H

#include "base/file.h"
#include "tensor/tensor.h"

typedef struct pf_entry {
    char *name;                         /* pf_free */
    int64_t bytes;
    bool fits;                          /* at most PF_MAX_RANK axes; else `tensor` has a
                                         * dtype and an address alone */
    pf_tensor tensor;
} pf_entry;

typedef struct pf_safetensors {
    char *path;
    pf_map map;
    pf_entry *entries;                  /* in the order of the data */
    int64_t count;
    char **metadata;                    /* [2 * metadata_count]: key, value */
    int64_t metadata_count;
} pf_safetensors;

/* Maps and checks a file; every refusal names file and tensor. */
pf_status pf_safetensors_open(const char *path, pf_safetensors *out,
                              pf_error *error);
/* Reads the file of that name anew, into the same place: tensors stay where they are.
 * Refused when it holds other tensors than before.  Nobody may read meanwhile. */
pf_status pf_safetensors_renew(pf_safetensors *file, pf_error *error);

/* Could it be read anew?  Changes nothing. */
pf_status pf_safetensors_check_renewal(const pf_safetensors *file, pf_error *error);

void pf_safetensors_close(pf_safetensors *file);

#endif
