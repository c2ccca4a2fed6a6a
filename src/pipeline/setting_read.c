/* SPDX-License-Identifier: Apache-2.0 */
/* Settings as text: reading a value, and the sentence that refuses it.  See phonofilm.h.
 *
 * Command lines, config files and requests to a server all come through here, so that a value
 * means the same everywhere, whatever the locale: numbers are taken apart by hand and given to
 * strtod without a decimal point. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pipeline/setting.h"

enum { MAX_DIGITS = 64, MAX_SHOWN = 60 };

/* --- numbers ---------------------------------------------------------------------- */

/* A text without white space around it; no NUL ends it. */
typedef struct span {
    const char *at;
    size_t bytes;
} span;

static bool is_white(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static span trim(const char *text, size_t bytes)
{
    span s = {text, bytes};
    while (s.bytes > 0 && is_white(s.at[0])) {
        s.at++;
        s.bytes--;
    }
    while (s.bytes > 0 && is_white(s.at[s.bytes - 1]))
        s.bytes--;
    return s;
}

/* A decimal number, taken apart: digits times ten to the exponent. */
typedef struct decimal {
    char digits[MAX_DIGITS + 1];        /* without zeros in front and behind */
    int count;
    int exponent;
    bool negative;
} decimal;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "e-3" at `s`, or nothing. */
static bool take_exponent(span s, int *out)
{
    int value = 0;
    bool negative = false;
    if (s.bytes == 0)
        return true;
    if ((s.at[0] | 32) != 'e' || s.bytes < 2)
        return false;
    size_t i = 1;
    if (s.at[i] == '+' || s.at[i] == '-')
        negative = s.at[i++] == '-';
    if (i == s.bytes)
        return false;
    for (; i < s.bytes; i++) {
        if (!is_digit(s.at[i]))
            return false;
        value = value < 10000 ? value * 10 + s.at[i] - '0' : value;
    }
    *out += negative ? -value : value;
    return true;
}

/* "[+-]DIGITS[.DIGITS][eEXPONENT]", nothing behind it; false for anything else, hexadecimal
 * numbers and infinities included, and for more than MAX_DIGITS digits behind leading zeros. */
static bool take_apart(span s, decimal *out)
{
    bool point = false, any = false;
    size_t i = 0;
    memset(out, 0, sizeof *out);
    if (s.bytes > 0 && (s.at[0] == '+' || s.at[0] == '-'))
        out->negative = s.at[i++] == '-';
    for (; i < s.bytes && (is_digit(s.at[i]) || (s.at[i] == '.' && !point)); i++) {
        point = point || s.at[i] == '.';
        if (s.at[i] == '.')
            continue;
        any = true;
        out->exponent -= point;
        if (out->count == 0 && s.at[i] == '0')
            continue;
        if (out->count == MAX_DIGITS)
            return false;
        out->digits[out->count++] = s.at[i];
    }
    while (out->count > 0 && out->digits[out->count - 1] == '0') {
        out->count--;
        out->exponent++;
    }
    out->digits[out->count] = '\0';
    return any && take_exponent((span){s.at + i, s.bytes - i}, &out->exponent);
}

/* Without a point, which a locale may write differently. */
static double to_double(const decimal *d)
{
    char text[MAX_DIGITS + 16];
    snprintf(text, sizeof text, "%s%se%d", d->negative ? "-" : "",
             d->count > 0 ? d->digits : "0", d->count > 0 ? d->exponent : 0);
    return strtod(text, NULL) + 0.0;    /* -0 is 0 */
}

/* The exact value, of which a double would lose digits above 2^53 (seeds); false where it is
 * negative, no whole number or above 2^64 - 1. */
static bool to_whole(const decimal *d, uint64_t *out)
{
    uint64_t value = 0;
    enum { MOST = 20 };                 /* digits of 2^64 */
    if (d->count == 0) {
        *out = 0;
        return true;
    }
    if (d->negative || d->exponent < 0 || d->count + d->exponent > MOST)
        return false;
    for (int i = 0; i < d->count + d->exponent; i++) {
        uint64_t digit = i < d->count ? (uint64_t)(d->digits[i] - '0') : 0;
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* --- values ----------------------------------------------------------------------- */

/* Compares without case, "_" counting as "-". */
static bool is_word(span s, const char *word, size_t length)
{
    if (s.bytes != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = s.at[i] == '_' ? '-' : s.at[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[i])
            return false;
    }
    return true;
}

/* Which of "a|b|c", or -1. */
static int find_word(span s, const char *words)
{
    int index = 0;
    for (const char *at = words; *at; index++) {
        size_t length = strcspn(at, "|");
        if (is_word(s, at, length))
            return index;
        at += length + (at[length] == '|');
    }
    return -1;
}

static bool read_number(const pf_setting *setting, span s, pf_setting_value *out)
{
    decimal d;
    if (!take_apart(s, &d))
        return false;
    out->number = to_double(&d);
    bool whole = setting->kind == PF_SETTING_WHOLE;
    return isfinite(out->number) && out->number >= setting->low &&
           out->number <= setting->high && (!whole || out->number == floor(out->number));
}

static bool read_seed(span s, pf_setting_value *out)
{
    decimal d;
    return take_apart(s, &d) && to_whole(&d, &out->seed);
}

static bool read_switch(span s, pf_setting_value *out)
{
    out->on = find_word(s, "true|yes|on|1") >= 0;
    return out->on || find_word(s, "false|no|off|0") >= 0;
}

static bool read_choice(const pf_setting *setting, span s, pf_setting_value *out)
{
    out->choice = find_word(s, setting->choices);
    return out->choice >= 0;
}

/* Bytes of the sign between width and height that begins at `at`, or 0. */
static size_t times_sign(const char *at, size_t bytes)
{
    static const char sign[] = "\u00d7";
    if (*at == 'x' || *at == 'X' || *at == '*')
        return 1;
    return bytes >= 2 && memcmp(at, sign, 2) == 0 ? 2 : 0;
}

static bool read_size(span s, pf_setting_value *out)
{
    static const pf_setting side = {.kind = PF_SETTING_WHOLE, .low = 1,
                                    .high = PF_SETTING_OPEN};
    for (size_t i = 0; i < s.bytes; i++) {
        size_t sign = times_sign(s.at + i, s.bytes - i);
        if (sign == 0)
            continue;
        if (!read_number(&side, trim(s.at, i), out))
            return false;
        out->width = (int)out->number;
        if (!read_number(&side, trim(s.at + i + sign, s.bytes - i - sign), out))
            return false;
        out->height = (int)out->number;
        return true;
    }
    return false;
}

/* --- the usual spelling ------------------------------------------------------------ */

/* The shortest of 15 and 17 digits that gives the number back. */
static void spell_number(pf_setting_value *value)
{
    snprintf(value->text, sizeof value->text, "%.15g", value->number);
    if (strtod(value->text, NULL) != value->number)
        snprintf(value->text, sizeof value->text, "%.17g", value->number);
}

static void spell_choice(const char *words, pf_setting_value *value)
{
    for (int i = 0; i < value->choice && *words; i++) {
        words += strcspn(words, "|");
        words += *words == '|';
    }
    snprintf(value->text, sizeof value->text, "%.*s", (int)strcspn(words, "|"), words);
}

void pf_setting_spell(const pf_setting *setting, pf_setting_value *value)
{
    size_t room = sizeof value->text;
    switch (setting->kind) {
    case PF_SETTING_SEED:
        snprintf(value->text, room, "%llu", (unsigned long long)value->seed);
        break;
    case PF_SETTING_SWITCH:
        snprintf(value->text, room, "%s", value->on ? "true" : "false");
        break;
    case PF_SETTING_CHOICE: spell_choice(setting->choices, value); break;
    case PF_SETTING_SIZE:
        snprintf(value->text, room, "%dx%d", value->width, value->height);
        break;
    default: spell_number(value);
    }
}

/* --- the sentence ----------------------------------------------------------------- */

/* The accepted values, to follow "but must be". */
static void describe(const pf_setting *setting, char *out, size_t room)
{
    bool whole = setting->kind == PF_SETTING_WHOLE;
    const char *kind = whole ? "a whole number" : "a number";
    switch (setting->kind) {
    case PF_SETTING_SEED:
        snprintf(out, room, "a whole number from 0 to 18446744073709551615");
        break;
    case PF_SETTING_SWITCH:
        snprintf(out, room, "true or false");
        break;
    case PF_SETTING_CHOICE:
        snprintf(out, room, "one of %s", setting->choices);
        break;
    case PF_SETTING_SIZE:
        snprintf(out, room, "WIDTHxHEIGHT in pixels, such as 640x352");
        break;
    default:
        if (setting->low == setting->high)
            snprintf(out, room, "%.10g", setting->low);
        else if (setting->high < PF_SETTING_OPEN)
            snprintf(out, room, "%s from %.10g to %.10g", kind, setting->low, setting->high);
        else
            snprintf(out, room, "%s", kind);
    }
}

/* Writes the value in quotes; a long one is cut between characters. */
static void show(span s, char *out, size_t room)
{
    int shown = s.bytes > MAX_SHOWN ? MAX_SHOWN : (int)s.bytes;
    while (shown > 0 && (size_t)shown < s.bytes && ((unsigned char)s.at[shown] & 0xc0) == 0x80)
        shown--;
    snprintf(out, room, "'%.*s'%s", shown, s.at, (size_t)shown < s.bytes ? "..." : "");
}

pf_status pf_setting_read(const pf_setting *setting, const char *subject, const char *text,
                          size_t bytes, pf_setting_value *out, pf_error *error)
{
    span s = trim(text, bytes);
    bool good = false;
    *out = (pf_setting_value){0};
    switch (setting->kind) {
    case PF_SETTING_SEED: good = read_seed(s, out); break;
    case PF_SETTING_SWITCH: good = read_switch(s, out); break;
    case PF_SETTING_CHOICE: good = read_choice(setting, s, out); break;
    case PF_SETTING_SIZE: good = read_size(s, out); break;
    default: good = read_number(setting, s, out);
    }
    if (good) {
        pf_setting_spell(setting, out);
        return PF_OK;
    }
    char wanted[160], shown[MAX_SHOWN + 8];
    describe(setting, wanted, sizeof wanted);
    show(s, shown, sizeof shown);
    return pf_fail_field(error, PF_E_ARGUMENT, setting->name, "%s is %s, but must be %s",
                         subject, shown, wanted);
}

pf_status pf_setting_check(const char *name, double value, pf_error *error)
{
    const pf_setting *setting = pf_setting_find(name);
    char wanted[160];
    if (value >= setting->low && value <= setting->high)
        return PF_OK;
    describe(setting, wanted, sizeof wanted);
    return pf_fail_field(error, PF_E_ARGUMENT, name, "%s is %.15g, but must be %s", name,
                         value, wanted);
}
