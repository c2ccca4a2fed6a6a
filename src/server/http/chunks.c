/* SPDX-License-Identifier: Apache-2.0 */
/* The chunked transfer coding.  See chunks.h. */
#include "server/http/chunks.h"

#include <string.h>

enum { MAX_DIGITS = 15, MAX_SPENT = 8 << 10 };

enum {
    SIZE, EXTENSION, SIZE_END, DATA, DATA_CR, DATA_END, TRAILER, NAME, VALUE, LINE_END,
    LAST_END
};

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    int place = at ? (int)(at - digits) : -1;
    return place < 16 ? place : place - 6;
}

static bool is_text(char c)
{
    return c == '\t' || (unsigned char)c >= 0x80 || (c >= ' ' && c <= '~');
}

static bool is_name(char c)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr(marks, c));
}

/* The state after a byte of the size; -1: the byte is no digit. */
static int after_size(pf_chunks *chunks, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        chunks->left = 16 * chunks->left + (unsigned)digit;
        return ++chunks->digits <= MAX_DIGITS ? SIZE : -1;
    }
    return chunks->digits == 0 ? -1 : c == '\r' ? SIZE_END : c == ';' ? EXTENSION : -1;
}

/* The state after a byte outside of data; -1: the byte must not stand there. */
static int after(pf_chunks *chunks, char c)
{
    switch (chunks->state) {
    case SIZE: return after_size(chunks, c);
    case EXTENSION: return c == '\r' ? SIZE_END : is_text(c) ? EXTENSION : -1;
    case SIZE_END: return c != '\n' ? -1 : chunks->left > 0 ? DATA : TRAILER;
    case DATA_CR: return c == '\r' ? DATA_END : -1;
    case DATA_END: return c == '\n' ? SIZE : -1;
    case TRAILER: return c == '\r' ? LAST_END : is_name(c) ? NAME : -1;
    case NAME: return c == ':' ? VALUE : is_name(c) ? NAME : -1;
    case VALUE: return c == '\r' ? LINE_END : is_text(c) ? VALUE : -1;
    case LINE_END: return c == '\n' ? TRAILER : -1;
    default: return c == '\n' ? LAST_END : -1;
    }
}

static bool is_spent(pf_chunks *chunks)
{
    bool needless = chunks->state == EXTENSION || chunks->state >= NAME;
    chunks->spent += needless;
    return chunks->spent > MAX_SPENT;
}

ssize_t pf_chunks_read(pf_chunks *chunks, const char *text, size_t bytes,
                       const char **data, size_t *data_bytes)
{
    *data_bytes = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (chunks->state == DATA) {
            *data = text + i;
            *data_bytes = bytes - i < chunks->left ? bytes - i : (size_t)chunks->left;
            chunks->left -= *data_bytes;
            if (chunks->left == 0)
                chunks->state = DATA_CR;
            return (ssize_t)(i + *data_bytes);
        }
        bool last = chunks->state == LAST_END;
        int next = after(chunks, text[i]);
        if (next < 0 || is_spent(chunks))
            return -1;
        if (next == SIZE && chunks->state == DATA_END)
            chunks->digits = 0;
        chunks->state = next;
        if (last) {
            chunks->done = true;
            return (ssize_t)i + 1;
        }
    }
    return (ssize_t)bytes;
}
