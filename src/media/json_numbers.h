/* SPDX-License-Identifier: Apache-2.0 */
/* JSON whose numbers keep their spelling: 18446744073709551615, 1e400 and 7.0 are more
 * than what a reader's integers and doubles make of them. */
#ifndef PF_MEDIA_JSON_NUMBERS_H
#define PF_MEDIA_JSON_NUMBERS_H

#include <stddef.h>

#include "base/error.h"

/* JSON with every number as a string that pf_json_number knows; no string of the
 * text itself becomes one.  A NUL is appended and not counted.  Text that is no JSON comes
 * out as text that is no JSON, for the reader to refuse.  PF_E_MEMORY, or *out to be freed
 * with pf_json_numbers_free. */
pf_status pf_json_numbers(const char *text, size_t bytes, char **out, size_t *out_bytes,
                          pf_error *error);
void pf_json_numbers_free(char *text);

/* The spelling of the number that a string of such a text stands for; NULL: the string is
 * a string of the original. */
const char *pf_json_number(const char *string);

#endif
