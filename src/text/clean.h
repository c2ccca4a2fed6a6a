/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt cleaning: ftfy (without its repair of wrongly decoded text), HTML entities,
 * white space.  docs/model/text.md#cleaning.
 *
 * The model was trained on prompts that its reference had cleaned so (`prompt_clean` of
 * Wan and MOVA in diffusers): a curly quote that stays, or an "&amp;", would be other ids. */
#ifndef PF_TEXT_CLEAN_H
#define PF_TEXT_CLEAN_H

#include <stddef.h>

#include "base/error.h"

/* Far above the 511 tokens that count; bounds the work of a request. */
enum { PF_PROMPT_MAX_BYTES = 64 << 10 };

/* `prompt` [bytes] to *out, NUL-terminated, valid UTF-8 without line breaks (pf_free).
 * Refuses invalid UTF-8, NUL, more than PF_PROMPT_MAX_BYTES and absurdly nested entities
 * with PF_E_INPUT.  *out is NULL on failure.  Any thread; no locale is asked. */
pf_status pf_prompt_clean(const char *prompt, size_t bytes, char **out,
                          pf_error *error);

#endif
