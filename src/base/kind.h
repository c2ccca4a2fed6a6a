/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of files that are not what their names say.
 *
 * A reader that finds no magic number of its own asks here, so that "not a safetensors file"
 * becomes "a Git LFS pointer: run git lfs pull".  Only messages depend on the answer. */
#ifndef PF_BASE_KIND_H
#define PF_BASE_KIND_H

#include <stdbool.h>
#include <stddef.h>

enum { PF_KIND_BYTES = 192 };

/* Writes the kind of this content and a remedy, to follow "FILE is ":
 * "a Git LFS pointer, not the file itself: run ...".  False: the kind is unknown.
 * `bytes` may be those of its beginning alone, from 512 on. */
bool pf_kind_describe(const void *data, size_t bytes, char out[PF_KIND_BYTES]);

/* Does a name end as those of files do whose download goes on, or was given up? */
bool pf_kind_is_unfinished_name(const char *name);

#endif
