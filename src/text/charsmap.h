/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's precompiled character map: a double-array trie over a pool of
 * replacements.  docs/model/text.md#charsmap.
 *
 *     blob     | S: u32 | units [S / 4] of u32 | pool: strings, each ended by NUL |
 *                         key's bytes -> leaf     leaf's value = offset into the pool
 *
 * Keys are characters or short sequences of them (for UMT5 those of NFKC and more: full
 * width letters, ligatures, kinds of spaces), replacements are texts of 0 to 255 bytes. */
#ifndef PF_TEXT_CHARSMAP_H
#define PF_TEXT_CHARSMAP_H

#include "base/error.h"
#include "text/buffer.h"
#include "text/trace.h"

typedef struct pf_charsmap {
    unsigned char *blob;                /* pf_free */
    size_t units;                       /* of the trie */
    const char *pool;                   /* in `blob`; valid UTF-8 */
    size_t pool_bytes;
} pf_charsmap;

/* From base64; `name` is for messages.  PF_E_MODEL: damaged.  Checks the sizes and that the
 * pool is UTF-8; units are checked when a lookup meets them.  *out is empty on failure. */
pf_status pf_charsmap_open(const char *base64, const char *name, pf_charsmap *out,
                           pf_error *error);
void pf_charsmap_close(pf_charsmap *map);

/* Adds the mapped text[bytes], valid UTF-8, to `out` and tells `trace` each of its
 * characters (trace.h).  Failures show in out->failed. */
void pf_charsmap_apply(const pf_charsmap *map, const char *text, size_t bytes,
                       pf_buffer *out, pf_trace *trace);

#endif
