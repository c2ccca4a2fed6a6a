/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of one component on disk: one container, or shards with an index,
 * mapped read-only.  docs/model/file-formats.md.
 *
 *     files of a folder -> containers, mapped -> items by name -> pf_weights_find:
 *                                                                 a host view
 *
 * Tensors are handed out as host views into the map, at any byte alignment; they are valid
 * until pf_weights_close.  Opening reads headers alone: pages of tensors come from the disk
 * when they are touched, and the kernel may drop them again, so weights count as page
 * cache and not as memory of the process.
 *
 * Thread-safety: functions that take `const pf_weights *` may be called from any thread
 * while no other function runs; the others by one thread at a time.
 */
#ifndef PF_WEIGHTS_WEIGHTS_H
#define PF_WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "tensor/tensor.h"

typedef struct pf_weights pf_weights;

/* Opens FOLDER/STEM.safetensors, else FOLDER/STEM.safetensors.index.json with its
 * shards, else every *.safetensors of the folder in order of name. */
pf_status pf_weights_open(const char *folder, const char *stem, pf_weights **out,
                          pf_error *error);

/* Opens one file.  Only tensors whose name begins with `prefix` are listed, by the rest
 * of their name ("" for all): goldens keep the weights of several components in a file. */
pf_status pf_weights_open_file(const char *path, const char *prefix,
                               pf_weights **out, pf_error *error);

void pf_weights_close(pf_weights *weights);             /* NULL is fine */

/* Gives every tensor the name that `translate` writes to `to` (returning true);
 * false leaves it.  Two tensors of one name after that are an error.  Checkpoints of the
 * original authors name tensors otherwise than those of diffusers; components translate
 * them once, here, and know one set of names. */
pf_status pf_weights_rename(pf_weights *weights,
                            bool (*translate)(const char *from, char *to,
                                              size_t to_bytes),
                            pf_error *error);

bool pf_weights_has(const pf_weights *weights, const char *name);

/* The tensor `name`, of this shape and a dtype of F32, F16 or BF16; anything else
 * is PF_E_MODEL, with tensor, file, expected and found in the message. */
pf_status pf_weights_find(pf_weights *weights, const char *name, int rank,
                          const int64_t *shape, pf_tensor *out, pf_error *error);

/* Any tensor as it is stored (tests, latents), of at most PF_MAX_RANK axes. */
pf_status pf_weights_find_any(pf_weights *weights, const char *name,
                              pf_tensor *out, pf_error *error);

/* Walking: 0 .. count-1 in order of name. */
int64_t pf_weights_count(const pf_weights *weights);
const char *pf_weights_name(const pf_weights *weights, int64_t index);
pf_tensor pf_weights_tensor(const pf_weights *weights, int64_t index);
/* A string of the (first) file's __metadata__, or NULL. */
const char *pf_weights_metadata(const pf_weights *weights, const char *key);

/* Warns of tensors that nobody asked for, in one line: after all of a component is bound,
 * they show that the configuration describes another model than the weights. */
void pf_weights_warn_unused(const pf_weights *weights, const pf_log *log);

const char *pf_weights_path(const pf_weights *weights); /* folder or file */

/* Bytes of tensor data as stored, and the dtype's name ("BF16", "mixed", or "none"). */
int64_t pf_weights_bytes(const pf_weights *weights);
const char *pf_weights_dtype(const pf_weights *weights);

/* Checks that the files are unchanged since they were opened.  PF_E_MODEL or PF_E_IO names
 * the first that is not (pf_map_check).  `lost_only`: checks only those that a read of
 * their map has failed for. */
pf_status pf_weights_check(const pf_weights *weights, bool lost_only, pf_error *error);

/* Reads changed files again, into the same addresses; *changed tells whether there were
 * any.  No thread may read tensors meanwhile. */
pf_status pf_weights_renew(pf_weights *weights, bool *changed, pf_error *error);

/* Fails as pf_weights_renew would; changes nothing. */
pf_status pf_weights_check_renewal(const pf_weights *weights, pf_error *error);

/* Do all files lie in memory already (pf_map.in_memory)? */
bool pf_weights_in_memory(const pf_weights *weights);

/* Lets the pages of the maps leave the process until they are touched again. */
void pf_weights_forget(const pf_weights *weights);

/* Writing (latents, tests, tools): all tensors at once, whole or nothing.  Data
 * are host pointers, contiguous; metadata is a NULL-terminated list of pairs. */
typedef struct pf_named_tensor {
    const char *name;
    pf_tensor tensor;
} pf_named_tensor;

pf_status pf_safetensors_write(const char *path, const pf_named_tensor *tensors,
                               int count, const char *const *metadata,
                               pf_error *error);

#endif
