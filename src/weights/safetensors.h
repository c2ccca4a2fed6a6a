/* SPDX-License-Identifier: Apache-2.0 */
/* Safetensors as a format of containers.  docs/model/file-formats.md#safetensors. */
#ifndef PF_WEIGHTS_SAFETENSORS_H
#define PF_WEIGHTS_SAFETENSORS_H

#include "weights/container.h"

/* Bytes of a header at most, the limit of the safetensors library. */
enum { PF_SAFETENSORS_HEADER = 100000000 };

/* Does the file begin with the length of a header and the header's first brace? */
bool pf_safetensors_recognise(const pf_map *map);

/* Checks the header, fills entries and metadata.  What it has filled when it fails is
 * released by pf_container_close. */
pf_status pf_safetensors_read(pf_container *file, pf_error *error);

#endif
