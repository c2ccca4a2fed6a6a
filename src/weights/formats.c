/* SPDX-License-Identifier: Apache-2.0 */
/* The formats of containers, a row each, and opening a file by its format.  See
 * container.h.
 */
#include <string.h>

#include "base/kind.h"
#include "base/memory.h"
#include "weights/safetensors.h"

/* A format of files.  `recognise` looks at the first bytes and nothing else: a file of the
 * format that is damaged further on is recognised, so that `read` can say what is wrong.
 * `read` fills entries and metadata of a mapped file. */
typedef struct container_format {
    bool (*recognise)(const pf_map *map);
    pf_status (*read)(pf_container *file, pf_error *error);
} container_format;

static const container_format formats[] = {
    {pf_safetensors_recognise, pf_safetensors_read},
};

/* --- opening ---------------------------------------------------------------------- */

/* Names the kind of file that a failed download left: a web page, a Git LFS pointer ... */
static pf_status refuse_kind(const pf_container *file, pf_error *error)
{
    char kind[PF_KIND_BYTES];
    if (pf_kind_describe(file->map.data, file->map.bytes, kind))
        return pf_fail(error, PF_E_MODEL, "%s is %s", file->path, kind);
    return pf_fail(error, PF_E_MODEL,
                   "%s does not begin with a safetensors header of at most %d bytes",
                   file->path, PF_SAFETENSORS_HEADER);
}

static pf_status read_file(pf_container *file, pf_error *error)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].recognise(&file->map))
            return formats[i].read(file, error);
    return refuse_kind(file, error);
}

pf_status pf_container_open(const char *path, pf_container *out, pf_error *error)
{
    *out = (pf_container){.path = pf_strdup(path)};
    if (!out->path)
        return pf_fail_memory(error, path, strlen(path));
    pf_status status = pf_map_open(path, &out->map, error);
    if (status == PF_OK)
        status = read_file(out, error);
    if (pf_map_is_lost(&out->map))      /* zeros were read in place of the file */
        status = pf_map_check(&out->map, path, error);
    if (status != PF_OK)
        pf_container_close(out);
    return status;
}
