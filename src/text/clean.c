/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt cleaning.  See clean.h; docs/model/text.md#cleaning.
 *
 *     prompt --check--> UTF-8, no NUL, at most 64 KiB
 *       fix_text        ftfy: each line until nothing changes
 *                         entities (strict) -> C1 -> ligatures -> width -> quotes
 *                         -> line ends -> terminal codes -> controls -> NFC
 *       unescape        html.unescape, twice: "&amp;lt;" is "<" after the second
 *       collapse        runs of white space to a space, none at the ends
 *
 * Two readers of entities stand side by side, because ftfy and Python's html module
 * disagree: ftfy takes whole names with a semicolon alone (strict_entity), html.unescape
 * also beginnings of names and numbers without one (unescape).
 *
 * Every step reads a whole text and writes another; no step looks back.  Out of memory
 * shows in the `failed` of the buffers and is asked for once, at the end.  Adding "" of 0
 * bytes makes an empty text a string that the next step can read. */
#include "text/clean.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "text/buffer.h"
#include "text/html_entities.h"

enum {
    MAX_ENTITY = 24,                    /* characters of a name, in ftfy's expression */
    MAX_NAME = 32,                      /* and in that of Python's html module */
    MAX_ROUNDS = 256                    /* a text settles in two or three */
};

/* --- tables --------------------------------------------------------------------- */

/* U+0080..U+009F as windows-1252 has them; 0: unchanged. */
static const uint16_t windows_1252[32] = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
    0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017D, 0,
    0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
    0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178,
};

/* ftfy's LIGATURES: characters of old code pages and typesetting that stand for two or three
 * letters.  The ae and oe of living alphabets are letters and stay. */
typedef struct ligature {
    uint32_t code;
    const char *text;
} ligature;

static const ligature ligatures[] = {
    {0x0132, "IJ"}, {0x0133, "ij"}, {0x0149, "\xca\xbcn"},
    {0x01C4, "D\xc5\xbd"}, {0x01C5, "D\xc5\xbe"}, {0x01C6, "d\xc5\xbe"},
    {0x01C7, "LJ"}, {0x01C8, "Lj"}, {0x01C9, "lj"},
    {0x01CA, "NJ"}, {0x01CB, "Nj"}, {0x01CC, "nj"},
    {0x01F1, "DZ"}, {0x01F2, "Dz"}, {0x01F3, "dz"},
    {0xFB00, "ff"}, {0xFB01, "fi"}, {0xFB02, "fl"}, {0xFB03, "ffi"},
    {0xFB04, "ffl"}, {0xFB05, "\xc5\xbft"}, {0xFB06, "st"},
};

/* ftfy's CONTROL_CHARS: controls without a meaning in running text, deprecated format
 * characters, the byte order mark, interlinear annotation. */
static bool is_removed_control(uint32_t c)
{
    return c <= 8 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

/* White space as Python's \s has it: Unicode's (pf_is_white), and U+001C..001F. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

/* ASCII alone, whatever the locale. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_alphanumeric(char c)
{
    return is_letter(c) || is_digit(c);
}

/* --- HTML entities ---------------------------------------------------------------- */

/* The value of a digit, or -1. */
static int digit_of(char c, bool hex)
{
    if (is_digit(c))
        return c - '0';
    return hex && lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

/* The character that html.unescape gives for a number; false: the entity vanishes.
 * 0x80..0x9F mean windows-1252, because browsers read them so. */
static bool entity_code(uint64_t number, uint32_t *out)
{
    if (number == 0 || (number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF) {
        *out = 0xFFFD;
        return true;
    }
    uint32_t c = (uint32_t)number;
    *out = c;
    if (c >= 0x80 && c <= 0x9F) {
        *out = windows_1252[c - 0x80] ? windows_1252[c - 0x80] : c;
        return true;
    }
    return !(c <= 8 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
             (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE);
}

/* "&#..." at text[0]; adds its character and gives the bytes used, or 0.  The number stops
 * growing above U+10FFFF, so that any count of digits fits. */
static size_t numeric_entity(const char *text, pf_buffer *out)
{
    bool hex = text[2] == 'x' || text[2] == 'X';
    size_t begin = hex ? 3 : 2, at = begin;
    uint64_t number = 0;
    for (int digit; (digit = digit_of(text[at], hex)) >= 0; at++)
        if (number < 0x1000000)
            number = number * (hex ? 16 : 10) + (uint64_t)digit;
    if (at == begin)
        return 0;
    uint32_t code;
    if (entity_code(number, &code))
        pf_buffer_add_code(out, code);
    return text[at] == ';' ? at + 1 : at;
}

/* "&name" at text[0]: the whole name with its semicolon, else its longest prefix that
 * is an old name (HTML 4 let "&copy" stand without one); the bytes used, or 0. */
static size_t named_entity(const char *text, pf_buffer *out)
{
    char name[4 * MAX_NAME + 2];
    size_t bytes = 0;
    for (int count = 0; count < MAX_NAME && text[1 + bytes] &&
                        !strchr("\t\n\f <&#;", text[1 + bytes]); count++) {
        size_t next;
        pf_utf8_next(text, 1 + bytes, &next);
        bytes = next - 1;
    }
    memcpy(name, text + 1, bytes);
    if (text[1 + bytes] == ';')
        name[bytes++] = ';';
    name[bytes] = '\0';
    for (size_t length = bytes; length >= 2; length--) {
        name[length] = '\0';
        const char *found = pf_entity_text(name);
        if (found) {
            pf_buffer_add(out, found, strlen(found));
            return 1 + length;
        }
    }
    return 0;
}

/* html.unescape, once over the NUL-terminated text. */
static void unescape(const char *text, pf_buffer *out)
{
    for (size_t at = 0; text[at];) {
        size_t used = 0;
        if (text[at] == '&')
            used = text[at + 1] == '#' ? numeric_entity(text + at, out)
                                       : named_entity(text + at, out);
        if (used == 0) {
            pf_buffer_add(out, text + at, 1);
            used = 1;
        }
        at += used;
    }
}

/* Names whose capital is more than a character, or another than toupper gives: Python's
 * str.upper() maps whole strings. */
static const pf_entity capitals[] = {
    {"FFILIG;", "FFI"}, {"FFLIG;", "FF"}, {"FFLLIG;", "FFL"}, {"FILIG;", "FI"},
    {"FLLIG;", "FL"}, {"NAPOS;", "\xca\xbcN"}, {"SZLIG;", "SS"},
};

/* Each character's simple capital. */
static void add_capitals(const char *text, pf_buffer *out)
{
    for (size_t at = 0, next; text[at]; at = next)
        pf_buffer_add_code(out, (uint32_t)utf8proc_toupper(
                                    (utf8proc_int32_t)pf_utf8_next(text, at, &next)));
}

/* "NTILDE;" in capitals stands for the capital of "ntilde;", unless HTML itself reads
 * something in it, as in "LTIMES;", which begins with "LT". */
static bool capital_entity(const char *name, size_t length, pf_buffer *out)
{
    char small[MAX_ENTITY + 2] = {0};
    for (size_t i = 0; i < sizeof capitals / sizeof capitals[0]; i++)
        if (strcmp(capitals[i].name, name) == 0) {
            pf_buffer_add(out, capitals[i].text, strlen(capitals[i].text));
            return true;
        }
    for (size_t i = 0; i < length; i++) {
        if (name[i] >= 'a' && name[i] <= 'z')
            return false;
        if (i >= 2 && pf_entity_text(small))
            return false;               /* up to here an old name */
        small[i] = name[i];
    }
    for (size_t i = 0; i < length; i++)
        small[i] = lower(small[i]);
    const char *found = pf_entity_text(small);
    if (found)
        add_capitals(found, out);
    return found != NULL;
}

/* ftfy takes only whole entities of letters and digits with a semicolon, but knows
 * all-capitals forms of small names, too. */
static size_t strict_entity(const char *text, pf_buffer *out)
{
    char name[MAX_ENTITY + 2];
    size_t at = text[1] == '#' ? 2 : 1, begin = at;
    while (at - begin < MAX_ENTITY && is_alphanumeric(text[at]))
        at++;
    if (at == begin || text[at] != ';')
        return 0;
    if (begin == 2) {
        size_t mark = out->bytes, used = numeric_entity(text, out);
        bool semicolon = out->bytes == mark + 1 && out->data[mark] == ';';
        if (used == at + 1 && !semicolon)
            return used;
        out->bytes = mark;              /* "&#12ab;" and "&#59;" are left alone */
        return 0;
    }
    size_t length = at + 1 - begin;
    memcpy(name, text + begin, length);
    name[length] = '\0';
    const char *found = pf_entity_text(name);
    if (found)
        pf_buffer_add(out, found, strlen(found));
    else if (!capital_entity(name, length, out))
        return 0;
    return at + 1;
}

/* ftfy's unescape_html, once over the NUL-terminated text. */
static void unescape_strict(const char *text, pf_buffer *out)
{
    for (size_t at = 0; text[at];) {
        size_t used = text[at] == '&' ? strict_entity(text + at, out) : 0;
        if (used == 0) {
            pf_buffer_add(out, text + at, 1);
            used = 1;
        }
        at += used;
    }
}

/* --- characters ------------------------------------------------------------------- */

/* The compatibility form (NFKC) of a full-width or half-width character. */
static void add_width(uint32_t code, pf_buffer *out)
{
    char one[5] = {0};
    utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)one);
    utf8proc_uint8_t *form = utf8proc_NFKC((const utf8proc_uint8_t *)one);
    if (!form) {
        out->failed = true;
        return;
    }
    pf_buffer_add(out, (const char *)form, strlen((const char *)form));
    free(form);
}

/* False: no ligature, and nothing was added. */
static bool add_ligature(uint32_t code, pf_buffer *out)
{
    for (size_t i = 0; i < sizeof ligatures / sizeof ligatures[0]; i++)
        if (ligatures[i].code == code) {
            pf_buffer_add(out, ligatures[i].text, strlen(ligatures[i].text));
            return true;
        }
    return false;
}

/* U+02BC and U+2018..201B are single quotes, U+201C..201F double ones. */
static uint32_t straighten(uint32_t c)
{
    if (c == 0x02BC || (c >= 0x2018 && c <= 0x201B))
        return '\'';
    if (c >= 0x201C && c <= 0x201F)
        return '"';
    return c;
}

/* A step of ftfy over a whole segment; each is applied to the result of the one
 * before. */
typedef void (*character_step)(const char *text, size_t bytes, pf_buffer *out);

/* C1 controls come from windows-1252 that was read as Latin 1. */
static void step_c1(const char *text, size_t bytes, pf_buffer *out)
{
    for (size_t at = 0, next; at < bytes; at = next) {
        uint32_t c = pf_utf8_next(text, at, &next);
        if (c >= 0x80 && c <= 0x9F && windows_1252[c - 0x80])
            c = windows_1252[c - 0x80];
        pf_buffer_add_code(out, c);
    }
}

static void step_ligatures(const char *text, size_t bytes, pf_buffer *out)
{
    for (size_t at = 0, next; at < bytes; at = next) {
        uint32_t c = pf_utf8_next(text, at, &next);
        if (!add_ligature(c, out))
            pf_buffer_add_code(out, c);
    }
}

static void step_width(const char *text, size_t bytes, pf_buffer *out)
{
    for (size_t at = 0, next; at < bytes; at = next) {
        uint32_t c = pf_utf8_next(text, at, &next);
        if (c == 0x3000)
            pf_buffer_add(out, " ", 1);
        else if (c >= 0xFF01 && c <= 0xFFEF)
            add_width(c, out);
        else
            pf_buffer_add_code(out, c);
    }
}

static void step_quotes(const char *text, size_t bytes, pf_buffer *out)
{
    for (size_t at = 0, next; at < bytes; at = next)
        pf_buffer_add_code(out, straighten(pf_utf8_next(text, at, &next)));
}

static void step_lines(const char *text, size_t bytes, pf_buffer *out)
{
    for (size_t at = 0, next; at < bytes; at = next) {
        uint32_t c = pf_utf8_next(text, at, &next);
        if (c == '\r' && next < bytes && text[next] == '\n')
            next++;
        bool line = c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85;
        pf_buffer_add_code(out, line ? '\n' : c);
    }
}

/* Offset behind "ESC [ digits and semicolons, letter" at `at`; 0: there is none.  Digits of
 * every script count, as in Python's \d. */
static size_t terminal_end(const char *text, size_t at, size_t bytes)
{
    if (text[at] != 27 || at + 1 >= bytes || text[at + 1] != '[')
        return 0;
    for (size_t end = at + 2, next; end < bytes; end = next) {
        uint32_t c = pf_utf8_next(text, end, &next);
        if (is_letter(text[end]))
            return next;
        if (c != ';' && utf8proc_category((utf8proc_int32_t)c) != UTF8PROC_CATEGORY_ND)
            return 0;
    }
    return 0;
}

static void step_terminal(const char *text, size_t bytes, pf_buffer *out)
{
    for (size_t at = 0; at < bytes;) {
        size_t end = terminal_end(text, at, bytes);
        if (!end)
            pf_buffer_add(out, text + at, 1);
        at = end ? end : at + 1;
    }
}

static void step_controls(const char *text, size_t bytes, pf_buffer *out)
{
    for (size_t at = 0, next; at < bytes; at = next) {
        uint32_t c = pf_utf8_next(text, at, &next);
        if (!is_removed_control(c))
            pf_buffer_add_code(out, c);
    }
}

/* NFC joins what the steps before may have set side by side; STABLE holds utf8proc to the
 * compositions that Unicode promises to keep. */
static void step_nfc(const char *text, size_t bytes, pf_buffer *out)
{
    utf8proc_uint8_t *form = NULL;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &form,
                     (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (length < 0)
        out->failed = true;
    else
        pf_buffer_add(out, (const char *)form, (size_t)length);
    free(form);
}

/* --- ftfy ------------------------------------------------------------------------- */

/* Puts a step's result in the place of the text. */
static void apply(character_step step, pf_buffer *text)
{
    pf_buffer out = {0};
    if (text->failed)
        return;
    pf_buffer_add(&out, "", 0);
    step(text->data, text->bytes, &out);
    out.failed = out.failed || text->failed;
    pf_buffer_free(text);
    *text = out;
}

/* A round of ftfy over a segment, entities before the other steps. */
static void fix_once(pf_buffer *text, bool entities)
{
    static const character_step steps[] = {step_c1,    step_ligatures, step_width,
                                           step_quotes, step_lines,    step_terminal,
                                           step_controls, step_nfc};
    if (entities && !text->failed) {
        pf_buffer out = {0};
        pf_buffer_add(&out, "", 0);
        unescape_strict(text->data, &out);
        /* strict_entity may have taken bytes back without setting the NUL anew. */
        if (!out.failed)
            out.data[out.bytes] = '\0';
        pf_buffer_free(text);
        *text = out;
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        apply(steps[i], text);
}

/* Fixes a segment (up to and with its newline) until nothing changes, because a step can
 * make work for an earlier one: "&amp;quot;" needs two rounds.  False: the segment still
 * changes after MAX_ROUNDS; 64 KiB of "&amp;amp;..." would unfold for thousands, each as
 * long as the text. */
static bool fix_segment(const char *segment, size_t bytes, bool entities,
                        pf_buffer *out)
{
    pf_buffer text = {0};
    bool same = false;
    pf_buffer_add(&text, segment, bytes);
    for (int round = 0; round < MAX_ROUNDS && !same && !text.failed; round++) {
        pf_buffer before = {0};
        pf_buffer_add(&before, text.data, text.bytes);
        fix_once(&text, entities);
        text.failed = text.failed || before.failed;
        same = !text.failed && before.bytes == text.bytes &&
               memcmp(before.data, text.data, text.bytes) == 0;
        pf_buffer_free(&before);
    }
    if (text.failed)
        out->failed = true;
    else
        pf_buffer_add(out, text.data, text.bytes);
    pf_buffer_free(&text);
    return same;
}

/* ftfy over all segments.  Entities are decoded as long as no '<' has been seen: a text
 * with tags is taken for HTML, whose entities are meant.  html.unescape decodes them later
 * all the same, but leaves its quotes curly. */
static bool fix_text(const char *text, size_t bytes, pf_buffer *out)
{
    bool entities = true, settled = true;
    pf_buffer_add(out, "", 0);
    for (size_t at = 0; at < bytes;) {
        const char *line = memchr(text + at, '\n', bytes - at);
        size_t length = line ? (size_t)(line - text) + 1 - at : bytes - at;
        if (memchr(text + at, '<', length))
            entities = false;
        settled = fix_segment(text + at, length, entities, out) && settled;
        at += length;
    }
    return settled;
}

/* --- the whole -------------------------------------------------------------------- */

/* Each run of white space becomes one space; none at the ends. */
static void collapse(const pf_buffer *text, pf_buffer *out)
{
    bool pending = false;
    pf_buffer_add(out, "", 0);
    for (size_t at = 0, next; at < text->bytes; at = next) {
        uint32_t c = pf_utf8_next(text->data, at, &next);
        if (is_space(c)) {
            pending = out->bytes > 0;
            continue;
        }
        if (pending)
            pf_buffer_add(out, " ", 1);
        pending = false;
        pf_buffer_add(out, text->data + at, next - at);
    }
}

/* The conditions under which the steps may walk over the text unchecked. */
static pf_status check(const char *prompt, size_t bytes, pf_error *error)
{
    if (bytes > PF_PROMPT_MAX_BYTES)
        return pf_fail(error, PF_E_INPUT,
                       "the text has %zu bytes, but at most %d are accepted", bytes,
                       PF_PROMPT_MAX_BYTES);
    if (memchr(prompt, '\0', bytes))
        return pf_fail(error, PF_E_INPUT, "the text holds a NUL byte");
    size_t valid = pf_utf8_valid_prefix(prompt, bytes);
    if (valid < bytes)
        return pf_fail(error, PF_E_INPUT,
                       "the text is not valid UTF-8 at byte %zu", valid);
    return PF_OK;
}

pf_status pf_prompt_clean(const char *prompt, size_t bytes, char **out,
                          pf_error *error)
{
    pf_buffer fixed = {0}, once = {0}, twice = {0}, clean = {0};
    *out = NULL;
    PF_TRY(check(prompt, bytes, error));
    bool settled = fix_text(prompt, bytes, &fixed);
    pf_buffer_add(&once, "", 0);
    pf_buffer_add(&twice, "", 0);
    if (!fixed.failed)
        unescape(fixed.data, &once);
    if (!once.failed)
        unescape(once.data, &twice);
    bool failed = fixed.failed || once.failed || twice.failed;
    if (!failed)
        collapse(&twice, &clean);
    failed = failed || clean.failed;
    pf_buffer_free(&fixed);
    pf_buffer_free(&once);
    pf_buffer_free(&twice);
    if (failed) {
        pf_buffer_free(&clean);
        return pf_fail_memory(error, "prompt", bytes);
    }
    if (!settled) {
        pf_buffer_free(&clean);
        return pf_fail(error, PF_E_INPUT,
                       "the text nests HTML entities deeper than %d, the most that is "
                       "accepted", MAX_ROUNDS);
    }
    *out = clean.data;
    return PF_OK;
}
