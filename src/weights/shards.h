/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a component's weight files, or of the files that are there instead.
 *
 * Weights are tens of gigabytes in a dozen files, fetched from the hub, by a browser, by
 * aria2c or by git; a model that does not open is mostly a download that is not finished.
 * So a failure looks for the unfinished file and names it. */
#ifndef PF_WEIGHTS_SHARDS_H
#define PF_WEIGHTS_SHARDS_H

#include <jansson.h>

#include "base/error.h"

enum { PF_MAX_SHARDS = 1024 };

typedef struct pf_shards {
    char *names[PF_MAX_SHARDS];
    int count;
} pf_shards;

/* Lists the files that the weight_map of an index names.  Release with pf_shards_free,
 * also after a failure. */
pf_status pf_shards_from_index(const json_t *map, const char *index_path, pf_shards *out,
                               pf_error *error);

/* Lists every *.safetensors of a folder but hidden ones, in order of name. */
pf_status pf_shards_from_folder(const char *folder, pf_shards *out, pf_error *error);

void pf_shards_free(pf_shards *shards);

/* PF_E_MODEL: the download of the file `path` goes on or was given up, as files beside it
 * show.  Its size need not: some programs reserve the whole size at once. */
pf_status pf_shards_check(const char *path, pf_error *error);

/* PF_E_NOT_FOUND: the index names FOLDER/NAME, which is not there. */
pf_status pf_shards_missing(const char *folder, const char *name, pf_error *error);

#endif
