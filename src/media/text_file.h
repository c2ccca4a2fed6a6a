/* SPDX-License-Identifier: Apache-2.0 */
/* Text files and pipes that people name: settings, keys, prompts. */
#ifndef PF_MEDIA_TEXT_FILE_H
#define PF_MEDIA_TEXT_FILE_H

#include <stddef.h>

#include "base/error.h"

/* Reads to the end, at most `max_bytes`: PATH, or standard input where it is NULL.  A byte
 * order mark is passed over; UTF-16 and UTF-32 are PF_E_INPUT, as are a folder and a longer
 * text; a file that is not there is PF_E_NOT_FOUND.  `name` is for the message.  A NUL is
 * appended and not counted.  The caller frees *out with pf_text_file_free. */
pf_status pf_text_file_read(const char *path, const char *name, size_t max_bytes,
                            char **out, size_t *out_bytes, pf_error *error);
void pf_text_file_free(char *text);

/* Where a string begins behind its byte order mark, if it has one; NULL stays NULL. */
const char *pf_text_file_begin(const char *text);

#endif
