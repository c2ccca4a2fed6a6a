/* SPDX-License-Identifier: Apache-2.0 */
/* Text as editors save it: byte order marks, and encodings other than UTF-8. */
#ifndef PF_BASE_TEXT_H
#define PF_BASE_TEXT_H

#include <stddef.h>

#include "base/error.h"

/* Bytes of the UTF-8 byte order mark that a text begins with: 3 or 0. */
size_t pf_text_mark(const char *text, size_t bytes);

/* "UTF-16 text" or "UTF-32 text", with a byte order mark or without one; NULL: neither. */
const char *pf_text_other_encoding(const char *text, size_t bytes);

/* Takes the mark away from a text of *bytes bytes with a NUL behind them; PF_E_INPUT
 * refuses other encodings.  `name` is for the message. */
pf_status pf_text_tidy(const char *name, char *text, size_t *bytes, pf_error *error);

/* pf_read_file for texts: without the mark, other encodings refused. */
pf_status pf_read_text(const char *path, size_t max_bytes, char **out,
                       size_t *out_bytes, pf_error *error);

#endif
