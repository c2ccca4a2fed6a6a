/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's precompiled character map: a double-array trie over a pool of
 * replacements.  docs/model/text.md#charsmap. */
#ifndef PF_TEXT_CHARSMAP_H
#define PF_TEXT_CHARSMAP_H

#include "base/error.h"
#include "text/buffer.h"
#include "text/trace.h"

typedef struct pf_charsmap {
    unsigned char *blob;                /* pf_free */
    size_t units;                       /* of the trie */
    const char *pool;
    size_t pool_bytes;
} pf_charsmap;

/* From base64; `name` is for messages. */
pf_status pf_charsmap_open(const char *base64, const char *name, pf_charsmap *out,
                           pf_error *error);
void pf_charsmap_close(pf_charsmap *map);

/* Adds the normalised text to `out`, which is traced; see trace.h. */
void pf_charsmap_apply(const pf_charsmap *map, const char *text, size_t bytes,
                       pf_buffer *out, pf_trace *trace);

#endif
