/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt cleaning: ftfy (without its repair of wrongly decoded text), HTML entities,
 * white space.  docs/model/text.md#cleaning. */
#ifndef PF_TEXT_CLEAN_H
#define PF_TEXT_CLEAN_H

#include <stddef.h>

#include "base/error.h"

enum { PF_PROMPT_MAX_BYTES = 64 << 10 };

/* `prompt` [bytes] to *out, NUL-terminated (pf_free).  Refuses invalid UTF-8, NUL,
 * more than PF_PROMPT_MAX_BYTES and absurdly nested entities with PF_E_INPUT. */
pf_status pf_prompt_clean(const char *prompt, size_t bytes, char **out,
                          pf_error *error);

#endif
