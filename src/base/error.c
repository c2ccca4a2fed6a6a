/* SPDX-License-Identifier: Apache-2.0 */
/* Error messages.  See error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Bytes of a message before it is shortened: room for a path and a sentence about it. */
enum { MAX_RAW = 5120 };

static const char *const status_text[] = {
#define PF_STATUS_TEXT(symbol, text, http) text,
    PF_STATUS_LIST(PF_STATUS_TEXT)
#undef PF_STATUS_TEXT
};

static const int status_http[] = {
#define PF_STATUS_HTTP(symbol, text, http) http,
    PF_STATUS_LIST(PF_STATUS_HTTP)
#undef PF_STATUS_HTTP
};

const char *pf_status_text(pf_status status)
{
    if ((unsigned)status >= PF_STATUS_COUNT)
        return "unknown status";
    return status_text[status];
}

int pf_status_http(pf_status status)
{
    if ((unsigned)status >= PF_STATUS_COUNT)
        return 500;
    return status_http[status];
}

/* --- escaping --------------------------------------------------------------------- */

/* Bytes of the character at `at`: 1 to 4, or 0 when it is no UTF-8 that may be shown. */
static size_t character_bytes(const unsigned char *at)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (at[0] < 0x80)
        return at[0] >= 0x20 && at[0] != 0x7F;
    size_t bytes = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    unsigned code = at[0] & (0xFFu >> (bytes + 1));
    if (at[0] < 0xC2 || at[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3Fu);
    }
    bool is_control = code < 0xA0, is_surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code >= least[bytes] && code <= 0x10FFFF && !is_control && !is_surrogate ? bytes
                                                                                    : 0;
}

char *pf_escape(const char *text, char *out, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t used = 0;
    out[0] = '\0';
    while (*at) {
        char piece[8];
        size_t length = character_bytes(at);
        if (length > 0)
            snprintf(piece, sizeof piece, "%.*s", (int)length, (const char *)at);
        else if (*at == '\n' || *at == '\t' || *at == '\r')
            snprintf(piece, sizeof piece, "\\%c", *at == '\n' ? 'n' : *at == '\t' ? 't' : 'r');
        else
            snprintf(piece, sizeof piece, "\\x%02X", *at);
        size_t more = strlen(piece);
        if (used + more >= bytes)
            break;
        memcpy(out + used, piece, more + 1);
        used += more;
        at += length > 0 ? length : 1;
    }
    return out;
}

static bool is_inside(const char *at)
{
    return ((unsigned char)*at & 0xC0) == 0x80;
}

/* Escapes `raw`.  A message that is too long loses its middle, as its end is the reason. */
static void set_message(pf_error *error, const char *raw)
{
    enum { ROOM = sizeof error->message, HALF = ROOM / 2 - 4 };
    char safe[MAX_RAW + MAX_RAW / 2];
    size_t length = strlen(pf_escape(raw, safe, sizeof safe));
    if (length < ROOM) {
        memcpy(error->message, safe, length + 1);
        return;
    }
    int head = HALF;
    const char *tail = safe + length - HALF;
    while (head > 0 && is_inside(safe + head))
        head--;
    while (is_inside(tail))
        tail++;
    snprintf(error->message, ROOM, "%.*s ... %s", head, safe, tail);
}

/* --- filling ---------------------------------------------------------------------- */

pf_status pf_fail(pf_error *error, pf_status status, const char *format, ...)
{
    if (error) {
        char raw[MAX_RAW];
        va_list args;
        va_start(args, format);
        vsnprintf(raw, sizeof raw, format, args);
        va_end(args);
        set_message(error, raw);
        error->status = status;
        error->field[0] = '\0';
    }
    return status;
}

pf_status pf_fail_field(pf_error *error, pf_status status, const char *field,
                        const char *format, ...)
{
    if (error) {
        char sentence[sizeof error->message];
        va_list args;
        va_start(args, format);
        vsnprintf(sentence, sizeof sentence, format, args);
        va_end(args);
        pf_fail(error, status, "%s", sentence);
        snprintf(error->field, sizeof error->field, "%s", field);
    }
    return status;
}

/* Statuses that a caller can act on have their own; everything else is PF_E_IO. */
static pf_status status_of_errno(int error_number)
{
    switch (error_number) {
    case ENOMEM: return PF_E_MEMORY;
    case ENOSPC:
    case EDQUOT: return PF_E_NO_SPACE;
    case ENOENT:
    case ENOTDIR: return PF_E_NOT_FOUND;
    case ENAMETOOLONG:
    case ELOOP: return PF_E_ARGUMENT;
    default: return PF_E_IO;
    }
}

pf_status pf_fail_errno(pf_error *error, int error_number,
                        const char *format, ...)
{
    pf_status status = status_of_errno(error_number);
    if (error) {
        char what[MAX_RAW], raw[MAX_RAW + 96];
        char buffer[96];
        va_list args;
        va_start(args, format);
        vsnprintf(what, sizeof what, format, args);
        va_end(args);
        const char *text = strerror_r(error_number, buffer, sizeof buffer);
        snprintf(raw, sizeof raw, "%s: %s", what, text);
        set_message(error, raw);
        error->status = status;
        error->field[0] = '\0';
    }
    return status;
}

pf_status pf_fail_memory(pf_error *error, const char *what,
                         unsigned long long bytes)
{
    return pf_fail(error, PF_E_MEMORY, "out of memory: %s (%llu bytes)",
                   what, bytes);
}
