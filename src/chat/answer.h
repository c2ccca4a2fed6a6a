/* SPDX-License-Identifier: Apache-2.0 */
/* From the answer of a chat model to a prompt: bytes of anybody in, one paragraph out.
 *
 *     bytes -> JSON -> choices[0].message.content -> without <think> -> one paragraph
 *                                 | refusal, cut short, JSON, control characters ...
 *                                 '-> a sentence
 */
#ifndef PF_CHAT_ANSWER_H
#define PF_CHAT_ANSWER_H

#include <stddef.h>

#include "base/error.h"

enum { PF_ANSWER_PROMPT_BYTES = 8 << 10 };      /* of a prompt, at most */

/* Reads a chat completion into a fresh prompt, pf_free(*out): UTF-8, not empty, one line,
 * without control characters and without white space at its ends.  PF_E_INPUT with a
 * sentence, or PF_E_MEMORY. */
pf_status pf_answer_read(const char *text, size_t bytes, char **out, pf_error *error);

#endif
