/* SPDX-License-Identifier: Apache-2.0 */
/* The unigram tokenizer of tokenizer.json.  docs/model/text.md#tokenizer. */
#ifndef PF_TEXT_TOKENIZER_H
#define PF_TEXT_TOKENIZER_H

#include <stdint.h>

#include "base/error.h"

typedef struct pf_tokenizer pf_tokenizer;

/* Reads tokenizer.json.  Settings that this code cannot honour are refused by name. */
pf_status pf_tokenizer_open(const char *path, pf_tokenizer **out, pf_error *error);
void pf_tokenizer_close(pf_tokenizer *tokenizer);       /* NULL is fine */

/* Highest id that can come out, plus one. */
int64_t pf_tokenizer_vocabulary(const pf_tokenizer *tokenizer);

/* Ids of valid UTF-8 into ids[max_ids], the end token last; cut at max_ids. */
pf_status pf_tokenizer_encode(const pf_tokenizer *tokenizer, const char *text,
                              int32_t *ids, int64_t max_ids, int64_t *count,
                              pf_error *error);

/* Number of ids when nothing is cut, the end token included. */
pf_status pf_tokenizer_count(const pf_tokenizer *tokenizer, const char *text,
                             int64_t *count, pf_error *error);

#endif
