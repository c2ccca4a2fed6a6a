/* Precompiled character maps.  See charsmap.h; docs/model/text.md#charsmap. */
#include "text/charsmap.h"

#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"

enum { SHORT_CLUSTER = 6 };             /* longer ones are never looked up whole */

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

/* Decodes in place of nothing: *bytes is what came out, false if it is not base64. */
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
    if (!ok || trie % 4 != 0 || trie < 4 || trie > bytes - 4) {
        pf_charsmap_close(out);
        return pf_fail(error, PF_E_MODEL,
                       "%s: precompiled_charsmap is damaged", name);
    }
    out->units = trie / 4;
    out->pool = (const char *)out->blob + 4 + trie;
    out->pool_bytes = bytes - 4 - trie;
    return PF_OK;
}

void pf_charsmap_close(pf_charsmap *map)
{
    pf_free(map->blob);
    *map = (pf_charsmap){0};
}

/* --- looking up ------------------------------------------------------------------- */

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200u) >> 6);
}

/* The shortest key that the text begins with: its replacement in the pool, or NULL. */
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
        size_t place = unit_at(map, at) & 0x7fffffffu;
        const char *end =
            place < map->pool_bytes
                ? memchr(map->pool + place, '\0', map->pool_bytes - place)
                : NULL;
        if (!end)
            return NULL;
        *length = (size_t)(end - (map->pool + place));
        return map->pool + place;
    }
    return NULL;
}

/* --- clusters --------------------------------------------------------------------- */

/* Does the code point join what is before it? */
static bool extends(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME || c == 0x200C || c == 0x200D ||
           c == 0x0E33 || c == 0x0EB3 || c == 0xFF9E || c == 0xFF9F ||
           (c >= 0x1F3FB && c <= 0x1F3FF) || (c >= 0xE0020 && c <= 0xE007F);
}

/* Controls and separators keep to themselves. */
static bool isolates(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    if (category == UTF8PROC_CATEGORY_CF)
        return c != 0x200C && c != 0x200D && !(c >= 0xE0020 && c <= 0xE007F);
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

static size_t cluster_end(const char *text, size_t at, size_t bytes)
{
    size_t next;
    uint32_t before = pf_utf8_next(text, at, &next);
    while (next < bytes) {
        size_t after;
        uint32_t c = pf_utf8_next(text, next, &after);
        if (!extends(c) || isolates(before))
            return next;
        before = c;
        next = after;
    }
    return next;
}

static void add_mapped(const pf_charsmap *map, const char *text, size_t bytes,
                       pf_buffer *out)
{
    size_t length;
    const char *found = look_up(map, text, bytes, &length);
    if (found)
        pf_buffer_add(out, found, length);
    else
        pf_buffer_add(out, text, bytes);
}

void pf_charsmap_apply(const pf_charsmap *map, const char *text, size_t bytes,
                       pf_buffer *out)
{
    for (size_t at = 0; at < bytes;) {
        size_t end = cluster_end(text, at, bytes), length;
        const char *found = end - at < SHORT_CLUSTER
                                ? look_up(map, text + at, end - at, &length)
                                : NULL;
        if (found) {
            pf_buffer_add(out, found, length);
            at = end;
            continue;
        }
        while (at < end) {
            size_t next;
            pf_utf8_next(text, at, &next);
            add_mapped(map, text + at, next - at, out);
            at = next;
        }
    }
}
