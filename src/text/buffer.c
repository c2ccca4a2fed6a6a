/* SPDX-License-Identifier: Apache-2.0 */
/* Growing strings and UTF-8.  See buffer.h. */
#include "text/buffer.h"

#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"

void pf_buffer_add(pf_buffer *buffer, const char *data, size_t bytes)
{
    if (buffer->failed)
        return;
    /* Room doubles, so that adding byte by byte costs linear time. */
    if (buffer->bytes + bytes + 1 > buffer->room) {
        size_t room = 2 * (buffer->bytes + bytes) + 64;
        char *grown = pf_realloc(buffer->data, room);
        if (!grown) {
            buffer->failed = true;
            return;
        }
        buffer->data = grown;
        buffer->room = room;
    }
    memcpy(buffer->data + buffer->bytes, data, bytes);
    buffer->bytes += bytes;
    buffer->data[buffer->bytes] = '\0';
}

void pf_buffer_add_code(pf_buffer *buffer, uint32_t code)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t count = utf8proc_encode_char((utf8proc_int32_t)code, bytes);
    pf_buffer_add(buffer, (const char *)bytes, (size_t)count);
}

void pf_buffer_free(pf_buffer *buffer)
{
    pf_free(buffer->data);
    *buffer = (pf_buffer){0};
}

uint32_t pf_utf8_next(const char *text, size_t at, size_t *next)
{
    const unsigned char *s = (const unsigned char *)text + at;
    if (s[0] < 0x80) {
        *next = at + 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *next = at + 2;
        return (s[0] & 31u) << 6 | (s[1] & 63u);
    }
    if (s[0] < 0xf0) {
        *next = at + 3;
        return (s[0] & 15u) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u);
    }
    *next = at + 4;
    return (s[0] & 7u) << 18 | (s[1] & 63u) << 12 | (s[2] & 63u) << 6 | (s[3] & 63u);
}

/* Spaces, line and paragraph separators (Z*), and the controls that Unicode counts: tab to
 * CR, and NEL. */
bool pf_is_white(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return (code >= 9 && code <= 13) || code == 0x85 ||
           category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

size_t pf_utf8_valid_prefix(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        utf8proc_int32_t code;
        utf8proc_ssize_t used =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                             (utf8proc_ssize_t)(bytes - at), &code);
        if (used <= 0)
            return at;
        at += (size_t)used;
    }
    return at;
}
