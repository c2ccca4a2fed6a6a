/* SPDX-License-Identifier: Apache-2.0 */
/* UMT5 text encoder.  docs/model/text.md#encoder.
 *
 *     ids [L], host --> rows of the embedding --> blocks --> rms --> out [L, d_model], device
 *
 * The embedding stays on the host as it is stored, for a prompt touches L of its 256,384 rows;
 * the platform copies those rows.
 *
 * Thread-safety: as a tower (tower.h). */
#ifndef PF_MODEL_UMT5_H
#define PF_MODEL_UMT5_H

#include <jansson.h>

#include "model/params.h"
#include "ops/ops.h"

typedef struct pf_umt5 pf_umt5;

/* Reads `config` (text_encoder/config.json; `name` is its path, for messages) and asks
 * `params` for its parameters: block i is group i.  *out is to be released with
 * pf_umt5_unbind also after a failure. */
pf_status pf_umt5_bind(pf_params *params, const json_t *config, const char *name,
                       pf_umt5 **out, pf_error *error);
void pf_umt5_unbind(pf_umt5 *encoder);                  /* NULL is fine */

int64_t pf_umt5_width(const pf_umt5 *encoder);          /* d_model */
int64_t pf_umt5_vocabulary(const pf_umt5 *encoder);     /* rows of the embedding */

/* ids [count] (host, each below the vocabulary) to out [count, d_model] (F32, device,
 * contiguous).  With numerics.round_bf16 only the result is rounded.  A dry run reads no id.
 * PF_E_INPUT: there is no id, or one outside of the vocabulary. */
pf_status pf_umt5_encode(pf_umt5 *encoder, pf_ops *ops, const int32_t *ids,
                         int64_t count, const pf_tensor *out);

#endif
