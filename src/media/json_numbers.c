/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of JSON as they are spelled.  See json_numbers.h.
 *
 *     {"seed": 18446744073709551615, "prompt": "7"}        the text
 *     {"seed": "<DEL>18446744073709551615", "prompt": "7"} for jansson
 *
 * A number becomes a string that begins with DEL, which no text of ours may hold.  A string
 * that begins so itself gets U+0001 instead, which none may hold either: it is refused
 * later, and never taken for a number.  Two passes with the same walk: the first counts the
 * bytes, the second writes them. */
#include "media/json_numbers.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

enum { MARK = 0x7f };

/* Output position; without `out` the bytes are only counted. */
typedef struct writer {
    char *out;
    size_t bytes;
} writer;

static void put(writer *w, const char *text, size_t bytes)
{
    if (w->out)
        memcpy(w->out + w->bytes, text, bytes);
    w->bytes += bytes;
}

static size_t digits(const char *at, const char *end)
{
    size_t count = 0;
    while (at + count < end && at[count] >= '0' && at[count] <= '9')
        count++;
    return count;
}

/* The bytes of the number at `at` (RFC 8259), or 0 when there is none. */
static size_t number(const char *begin, const char *end)
{
    const char *at = begin + (*begin == '-');
    size_t whole = digits(at, end);
    if (whole == 0 || (whole > 1 && *at == '0'))
        return 0;
    at += whole;
    if (at < end && *at == '.') {
        size_t fraction = digits(at + 1, end);
        if (fraction == 0)
            return 0;
        at += fraction + 1;
    }
    if (at < end && (*at | 32) == 'e') {
        at += at + 1 < end && (at[1] == '+' || at[1] == '-') ? 2 : 1;
        size_t power = digits(at, end);
        if (power == 0)
            return 0;
        at += power;
    }
    bool ends = at == end || strchr(" \t\r\n,]}", *at);
    return ends ? (size_t)(at - begin) : 0;
}

/* Copies the string whose quote is at `at`; returns its end. */
static const char *put_string(writer *w, const char *at, const char *end)
{
    const char *begin = ++at;
    put(w, "\"", 1);
    size_t mark = at < end && *at == MARK ? 1
                  : end - at >= 6 && strncasecmp(at, "\\u007f", 6) == 0 ? 6 : 0;
    if (mark > 0) {
        put(w, "\\u0001", 6);
        begin = at += mark;
    }
    while (at < end && *at != '"')
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    at += at < end;
    put(w, begin, (size_t)(at - begin));
    return at;
}

/* Outside of strings a number is replaced, all else copied; digits that are no number (01,
 * 1.) stay, so that the JSON reader refuses them. */
static void write_all(writer *w, const char *at, const char *end)
{
    static const char quote_and_mark[] = {'"', MARK};
    while (at < end) {
        size_t run = digits(at, end);
        size_t length = *at == '-' || run > 0 ? number(at, end) : 0;
        if (*at == '"') {
            at = put_string(w, at, end);
        } else if (length > 0) {
            put(w, quote_and_mark, sizeof quote_and_mark);
            put(w, at, length);
            put(w, "\"", 1);
            at += length;
        } else {
            put(w, at, run > 0 ? run : 1);
            at += run > 0 ? run : 1;
        }
    }
}

pf_status pf_json_numbers(const char *text, size_t bytes, char **out, size_t *out_bytes,
                          pf_error *error)
{
    writer w = {0};
    write_all(&w, text, text + bytes);
    *out = pf_alloc(w.bytes + 1);
    if (!*out)
        return pf_fail_memory(error, "JSON", w.bytes);
    w = (writer){.out = *out};
    write_all(&w, text, text + bytes);
    (*out)[w.bytes] = '\0';
    *out_bytes = w.bytes;
    return PF_OK;
}

void pf_json_numbers_free(char *text)
{
    pf_free(text);
}

const char *pf_json_number(const char *string)
{
    return *string == MARK ? string + 1 : NULL;
}
