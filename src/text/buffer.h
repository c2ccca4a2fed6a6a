/* SPDX-License-Identifier: Apache-2.0 */
/* A growing string of UTF-8, and walking over code points. */
#ifndef PF_TEXT_BUFFER_H
#define PF_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing string, {0} at first.  A failed allocation sets `failed` and makes later
 * additions do nothing, so that one check at the end is enough.  `data` is NULL before
 * the first addition; adding "" of 0 bytes makes an empty string of it. */
typedef struct pf_buffer {
    char *data;                         /* NUL-terminated once anything was added */
    size_t bytes, room;                 /* without the NUL; allocated */
    bool failed;
} pf_buffer;

/* `data` must not lie in the buffer, which may move. */
void pf_buffer_add(pf_buffer *buffer, const char *data, size_t bytes);
/* A Unicode scalar value, up to U+10FFFF, as UTF-8. */
void pf_buffer_add_code(pf_buffer *buffer, uint32_t code);
/* Leaves an empty buffer, {0}. */
void pf_buffer_free(pf_buffer *buffer);

/* The code point at text[at]; *next is the offset of the one behind it.  The text must be
 * valid UTF-8 (pf_utf8_valid_prefix) and `at` the beginning of a character: nothing is
 * checked, and other bytes would be read past the end. */
uint32_t pf_utf8_next(const char *text, size_t at, size_t *next);

/* White_Space of Unicode, which is what Rust calls white space.  Python's, which clean.c
 * needs, has U+001C..001F besides. */
bool pf_is_white(uint32_t code);

/* Bytes up to the first that is no valid UTF-8 (`bytes` if all is). */
size_t pf_utf8_valid_prefix(const char *text, size_t bytes);

#endif
