/* SPDX-License-Identifier: Apache-2.0 */
/* The unigram tokenizer of tokenizer.json: cleaned text to ids.
 * docs/model/text.md#tokenizer.
 *
 *     pf_prompt_clean (clean.h)      UTF-8, a single line
 *     pf_tokenizer_encode            ids [count], the end token last
 *       added tokens -> normalizers -> added tokens -> pre-tokenizers -> Viterbi
 *     pf_umt5_* (model/umt5.h)       rows [count, d_model]
 *
 * Ids must be those of Hugging Face's tokenizers, id for id: another cut of a word gives
 * other embeddings and so another film.  A setting of the file is therefore either
 * honoured exactly or refused by name when the tokenizer opens; none is ignored that
 * would change an id.
 *
 * Thread-safety: an open tokenizer is never changed; any number of threads may encode
 * with it at a time.  Ids depend neither on the locale nor on the machine. */
#ifndef PF_TEXT_TOKENIZER_H
#define PF_TEXT_TOKENIZER_H

#include <stdint.h>

#include "base/error.h"

typedef struct pf_tokenizer pf_tokenizer;

/* Reads tokenizer.json.  PF_E_UNSUPPORTED: a setting that this code cannot honour, by
 * name; PF_E_MODEL: a damaged file.  *out is NULL on failure. */
pf_status pf_tokenizer_open(const char *path, pf_tokenizer **out, pf_error *error);
void pf_tokenizer_close(pf_tokenizer *tokenizer);       /* NULL is fine */

/* Highest id that can come out, plus one, of pieces, added tokens and the end token.  The
 * encoder's embedding must have so many rows. */
int64_t pf_tokenizer_vocabulary(const pf_tokenizer *tokenizer);

/* Ids of NUL-terminated, valid UTF-8 into ids[max_ids], the end token last.  A longer
 * text loses its end: the first max_ids - 1 ids and the end token are written, and
 * *count is max_ids.  PF_E_INPUT: the text grows beyond 1 MiB when normalised, or needs an
 * unknown id that the vocabulary lacks; PF_E_MEMORY. */
pf_status pf_tokenizer_encode(const pf_tokenizer *tokenizer, const char *text,
                              int32_t *ids, int64_t max_ids, int64_t *count,
                              pf_error *error);

/* Number of ids of the whole text, the end token included, so that a caller can say how
 * much of a prompt was cut.  Fails as pf_tokenizer_encode does. */
pf_status pf_tokenizer_count(const pf_tokenizer *tokenizer, const char *text,
                             int64_t *count, pf_error *error);

#endif
