/* SPDX-License-Identifier: Apache-2.0 */
/* Precompiled character maps.  See charsmap.h; docs/model/text.md#charsmap.
 *
 *     text -> grapheme clusters -> the cluster as a whole, if short and a key
 *                               `> else its characters, each a key or itself
 *
 * The order of the two matters: a letter with combining accents is mapped as a whole or
 * else apart, never half and half.  The reference (spm_precompiled in Rust) does so, and
 * differs there from SentencePiece, which always takes the longest key. */
#include "text/charsmap.h"

#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"

enum {
    SHORT_CLUSTER = 6,                  /* bytes; from here on never looked up whole */
    MAX_REPLACEMENT = 256               /* bytes and NUL; bounds the growth of a text */
};

/* --- reading ---------------------------------------------------------------------- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes base64 to `out`, of *bytes bytes; false: the text is not base64. */
static bool decode_base64(const char *text, unsigned char *out, size_t *bytes)
{
    uint32_t bits = 0;
    int count = 0;
    size_t length = strlen(text);
    *bytes = 0;
    while (length > 0 && text[length - 1] == '=')
        length--;
    for (size_t i = 0; i < length; i++) {
        int value = base64_value(text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[(*bytes)++] = (unsigned char)(bits >> count);
        }
    }
    return true;
}

/* Unit `index` < map->units, little endian and at any alignment. */
static uint32_t unit_at(const pf_charsmap *map, size_t index)
{
    const unsigned char *u = map->blob + 4 + 4 * index;
    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 |
           (uint32_t)u[3] << 24;
}

pf_status pf_charsmap_open(const char *base64, const char *name, pf_charsmap *out,
                           pf_error *error)
{
    size_t bytes = 0;
    *out = (pf_charsmap){.blob = pf_alloc(strlen(base64) + 8)};
    if (!out->blob)
        return pf_fail_memory(error, name, strlen(base64));
    bool ok = decode_base64(base64, out->blob, &bytes) && bytes >= 4;
    size_t trie = ok ? (size_t)out->blob[0] | (size_t)out->blob[1] << 8 |
                           (size_t)out->blob[2] << 16 | (size_t)out->blob[3] << 24
                     : 0;
    ok = ok && trie % 4 == 0 && trie >= 4 && trie <= bytes - 4;
    if (ok) {
        out->units = trie / 4;
        out->pool = (const char *)out->blob + 4 + trie;
        out->pool_bytes = bytes - 4 - trie;
        ok = pf_utf8_valid_prefix(out->pool, out->pool_bytes) == out->pool_bytes;
    }
    if (ok)
        return PF_OK;
    pf_charsmap_close(out);
    return pf_fail(error, PF_E_MODEL, "%s: precompiled_charsmap is damaged", name);
}

void pf_charsmap_close(pf_charsmap *map)
{
    pf_free(map->blob);
    *map = (pf_charsmap){0};
}

/* --- looking up ------------------------------------------------------------------- */

/* Distance from a unit to its children: 21 bits of the unit, shifted left by 8 where bit 9
 * is set.  Children are reached by XOR with their byte. */
static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200u) >> 6);
}

/* The string at a place of the pool, or NULL where none can begin or end.  The pool is
 * UTF-8 as a whole, so a string that begins at a character is UTF-8, too, whatever place
 * a damaged trie gives. */
static const char *pool_string(const pf_charsmap *map, size_t place, size_t *length)
{
    if (place >= map->pool_bytes || ((unsigned char)map->pool[place] & 0xc0u) == 0x80u)
        return NULL;
    size_t room = map->pool_bytes - place;
    const char *text = map->pool + place;
    const char *end = memchr(text, '\0', room < MAX_REPLACEMENT ? room : MAX_REPLACEMENT);
    if (!end)
        return NULL;
    *length = (size_t)(end - text);
    return text;
}

/* The shortest key that text[bytes] begins with: its replacement in the pool, of *length
 * bytes, or NULL.  A key may be shorter than the text; the callers replace the whole text
 * all the same, as the reference does.  Bit 31 and the low byte of a unit are compared at
 * once: a leaf has bit 31 set and so is never taken for a byte. */
static const char *look_up(const pf_charsmap *map, const char *text, size_t bytes,
                           size_t *length)
{
    size_t at = offset_of(unit_at(map, 0));
    for (size_t i = 0; i < bytes && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        at ^= c;
        if (at >= map->units)
            return NULL;
        uint32_t unit = unit_at(map, at);
        if ((unit & 0x800000ffu) != c)
            return NULL;
        at ^= offset_of(unit);
        if (!(unit >> 8 & 1u))
            continue;
        if (at >= map->units)
            return NULL;
        return pool_string(map, unit_at(map, at) & 0x7fffffffu, length);
    }
    return NULL;
}

/* --- clusters --------------------------------------------------------------------- */

/* Where the extended grapheme cluster (Unicode annex 29) that begins at `at` ends. */
static size_t cluster_end(const char *text, size_t at, size_t bytes)
{
    size_t next;
    utf8proc_int32_t state = 0;
    uint32_t before = pf_utf8_next(text, at, &next);
    while (next < bytes) {
        size_t after;
        uint32_t c = pf_utf8_next(text, next, &after);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before,
                                             (utf8proc_int32_t)c, &state))
            return next;
        before = c;
        next = after;
    }
    return next;
}

static long count_characters(const char *text, size_t bytes)
{
    long count = 0;
    for (size_t at = 0, next; at < bytes; at = next, count++)
        pf_utf8_next(text, at, &next);
    return count;
}

/* Adds the replacement of a part of the text.  Extra characters are traced as inserted,
 * missing ones as merged into the previous character.  With no previous character the Rust
 * tokenizer miscounts; so does this. */
static void add_replacement(const char *found, size_t length, long old_count,
                            pf_buffer *out, pf_trace *trace)
{
    long count = 0;
    pf_buffer_add(out, found, length);
    for (size_t at = 0, next; at < length; at = next, count++) {
        pf_utf8_next(found, at, &next);
        pf_trace_add(trace, next - at, count >= old_count ? 1 : 0);
    }
    if (count < old_count)
        pf_trace_amend(trace, count - old_count);
}

/* A character becomes its replacement or stays itself. */
static void add_character(const pf_charsmap *map, const char *text, size_t bytes,
                          pf_buffer *out, pf_trace *trace)
{
    size_t length;
    const char *found = look_up(map, text, bytes, &length);
    if (found) {
        add_replacement(found, length, 1, out, trace);
        return;
    }
    pf_buffer_add(out, text, bytes);
    pf_trace_add(trace, bytes, 0);
}

void pf_charsmap_apply(const pf_charsmap *map, const char *text, size_t bytes,
                       pf_buffer *out, pf_trace *trace)
{
    for (size_t at = 0; at < bytes;) {
        size_t end = cluster_end(text, at, bytes), length;
        const char *found = end - at < SHORT_CLUSTER
                                ? look_up(map, text + at, end - at, &length)
                                : NULL;
        if (found) {
            add_replacement(found, length, count_characters(text + at, end - at), out,
                            trace);
            at = end;
        }
        while (at < end) {
            size_t next;
            pf_utf8_next(text, at, &next);
            add_character(map, text + at, next - at, out, trace);
            at = next;
        }
    }
}
