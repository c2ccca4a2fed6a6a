/* SPDX-License-Identifier: Apache-2.0 */
/* A growing string of UTF-8, and walking over code points. */
#ifndef PF_TEXT_BUFFER_H
#define PF_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A failed allocation sets `failed` and makes later additions do nothing, so that one
 * check at the end is enough. */
typedef struct pf_buffer {
    char *data;                         /* NUL-terminated once anything was added */
    size_t bytes, room;
    bool failed;
} pf_buffer;

void pf_buffer_add(pf_buffer *buffer, const char *data, size_t bytes);
void pf_buffer_add_code(pf_buffer *buffer, uint32_t code);
void pf_buffer_free(pf_buffer *buffer);

/* The code point at text[at] of valid UTF-8; *next is where the next one begins. */
uint32_t pf_utf8_next(const char *text, size_t at, size_t *next);

/* White_Space of Unicode. */
bool pf_is_white(uint32_t code);

/* Bytes up to the first that is no valid UTF-8 (`bytes` if all is). */
size_t pf_utf8_valid_prefix(const char *text, size_t bytes);

#endif
