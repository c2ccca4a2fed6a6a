/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens in a text.  See tokenizer_parts.h; docs/model/text.md#added-tokens.
 *
 *     text    a  b  <x>  c        lstrip: the match begins at the white space before
 *                 \_____/         rstrip: ... and ends behind the white space after
 *     match      begin   end
 *
 * The leftmost match counts, and of several at one place the longest.  Then the token's
 * conditions are looked at: a longest token that fails `single_word` is skipped as a whole,
 * and no shorter token is tried in its place.  So does the Aho-Corasick automaton
 * (leftmost-longest) of the reference. */
#include <string.h>
#include <utf8proc.h>

#include "text/tokenizer_parts.h"

/* A letter, mark, digit or connector, as \w of Rust's regular expressions: Alphabetic,
 * M, Nd, Pc and Join_Control. */
static bool is_word(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_PC:
        return true;
    default:                            /* joiners, and letters in circles or squares */
        return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
               (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
               (c >= 0x1F170 && c <= 0x1F189);
    }
}

/* Where the character before `at` begins. */
static size_t step_back(const char *text, size_t at)
{
    do
        at--;
    while (at > 0 && ((unsigned char)text[at] & 0xc0u) == 0x80u);
    return at;
}

/* Whether neither neighbour of [begin, end) belongs to a word. */
static bool stands_alone(const pf_added_scan *scan, size_t begin, size_t end)
{
    size_t next;
    if (begin > 0 && is_word(pf_utf8_next(scan->text, step_back(scan->text, begin),
                                          &next)))
        return false;
    return end >= scan->bytes || !is_word(pf_utf8_next(scan->text, end, &next));
}

/* Widens the match by the white space that lstrip and rstrip ask for, but never over
 * scan->taken: the white space between two tokens goes to the first that wants it. */
static void take_white(const pf_added_scan *scan, pf_added_match *match)
{
    size_t next;
    while (match->token->left && match->begin > scan->taken) {
        size_t before = step_back(scan->text, match->begin);
        if (!pf_is_white(pf_utf8_next(scan->text, before, &next)))
            break;
        match->begin = before;
    }
    while (match->token->right && match->end < scan->bytes &&
           pf_is_white(pf_utf8_next(scan->text, match->end, &next)))
        match->end = next;
    if (match->begin < scan->taken)
        match->begin = scan->taken;
}

/* The longest token at the place, or NULL.  added_first[] answers for nearly all places
 * of a prompt; the list is walked for the others. */
static const pf_added_token *token_at(const pf_tokenizer *t, const pf_added_scan *scan)
{
    const pf_added_token *best = NULL;
    size_t left = scan->bytes - scan->at;
    if (!t->added_first[(unsigned char)scan->text[scan->at]])
        return NULL;
    for (int64_t i = 0; i < t->added_count; i++) {
        const pf_added_token *token = &t->added[i];
        if (token->normalized == scan->normalized && token->bytes > 0 &&
            token->bytes <= left && (!best || token->bytes > best->bytes) &&
            memcmp(scan->text + scan->at, token->text, token->bytes) == 0)
            best = token;
    }
    return best;
}

bool pf_added_next(const pf_tokenizer *t, pf_added_scan *scan, pf_added_match *match)
{
    while (scan->at < scan->bytes) {
        const pf_added_token *token = token_at(t, scan);
        size_t begin = scan->at;
        scan->at += token ? token->bytes : 1;
        if (!token || (token->single_word && !stands_alone(scan, begin, scan->at)))
            continue;
        *match = (pf_added_match){token, begin, scan->at};
        take_white(scan, match);
        scan->taken = match->end;
        return true;
    }
    return false;
}
