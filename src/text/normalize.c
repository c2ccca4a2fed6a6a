/* SPDX-License-Identifier: Apache-2.0 */
/* The normalizers of tokenizer.json.  See tokenizer_parts.h;
 * docs/model/text.md#normalizers.
 *
 *     text, start --rule 0--> text, start --rule 1--> ... --> `out`, *start
 *
 * Every rule reads a whole text and writes a new one, and says besides how many leading
 * bytes of it still stand for the prompt's first character (trace.h): replace and Nmt as
 * they go (note_start), Strip and Unicode's forms from the cut, the charsmap by a trace.
 * A rule that forgets the start breaks Metaspace's scheme "first" and nothing else, so no
 * ordinary prompt shows the mistake. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/tokenizer_parts.h"

/* A prompt has 64 KiB.  A rule can make 256 bytes of each byte, so the bound after every
 * rule holds memory below 256 MiB whatever the file's rules are. */
enum { MAX_NORMAL_BYTES = 1 << 20 };

/* A normalizer at work. */
typedef struct work {
    const pf_rule *rule;
    const char *text;                   /* [bytes], and [start] of it is the first */
    size_t bytes, start;
    pf_buffer *out;
    size_t new_start;                   /* leading bytes of `out`; 0 until it is known */
} work;

/* Output that stands for input at `place` extends the first character's output, if the
 * place belongs to that. */
static void note_start(work *w, size_t place)
{
    if (place < w->start)
        w->new_start = w->out->bytes;
}

/* Bytes of the match at text[at]: the pattern, or two and more spaces. */
static size_t match_at(const work *w, size_t at)
{
    size_t length = strlen(w->rule->pattern), spaces = 0;
    if (w->rule->kind == PF_RULE_REPLACE)
        return at + length <= w->bytes &&
                       memcmp(w->text + at, w->rule->pattern, length) == 0
                   ? length : 0;
    while (at + spaces < w->bytes && w->text[at + spaces] == ' ')
        spaces++;
    return spaces >= 2 ? spaces : 0;
}

/* The content stands where the last byte of the match stood, as in the reference, which
 * replaces that byte and takes the others away. */
static void replace(work *w)
{
    for (size_t at = 0; at < w->bytes;) {
        size_t length = match_at(w, at);
        if (length)
            pf_buffer_add(w->out, w->rule->content, strlen(w->rule->content));
        else
            pf_buffer_add(w->out, w->text + at, length = 1);
        at += length;
        note_start(w, at - 1);
    }
}

/* White space at the ends.  Nothing is left of a text of white space alone. */
static void strip(work *w)
{
    size_t begin = w->bytes, end = 0;
    for (size_t at = 0, next; at < w->bytes; at = next) {
        if (pf_is_white(pf_utf8_next(w->text, at, &next)))
            continue;
        begin = at < begin ? at : begin;
        end = next;
    }
    if (!w->rule->left)
        begin = 0;
    if (!w->rule->right)
        end = w->bytes;
    if (end <= begin)
        return;
    pf_buffer_add(w->out, w->text + begin, end - begin);
    w->new_start = w->start > begin ? w->start - begin : 0;
}

/* NFC or NFKC of the first `bytes` of the text. */
static void add_form(work *w, size_t bytes, pf_buffer *out)
{
    utf8proc_uint8_t *form = NULL;
    int options = UTF8PROC_STABLE | UTF8PROC_COMPOSE |
                  (w->rule->kind == PF_RULE_NFKC ? (int)UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t count =
        utf8proc_map((const utf8proc_uint8_t *)w->text, (utf8proc_ssize_t)bytes, &form,
                     (utf8proc_option_t)options);
    if (count < 0)
        out->failed = true;
    else
        pf_buffer_add(out, (const char *)form, (size_t)count);
    free(form);
}

/* utf8proc does not tell which output stands for which input, so the new start is the
 * length of the composed leading bytes. */
static void compose(work *w)
{
    pf_buffer first = {0};
    add_form(w, w->bytes, w->out);
    if (w->start > 0)
        add_form(w, w->start, &first);
    w->new_start = first.bytes;
    w->out->failed = w->out->failed || first.failed;
    pf_buffer_free(&first);
}

/* The two lists are those of SentencePiece's nmt_nfkc rules. */
static bool is_nmt_control(uint32_t c)
{
    return (c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           c == 0x8F || c == 0x9F;
}

static bool is_nmt_space(uint32_t c)
{
    return c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
}

/* Removes controls and makes every kind of space a space. */
static void clean_nmt(work *w)
{
    for (size_t at = 0, next; at < w->bytes; at = next) {
        uint32_t c = pf_utf8_next(w->text, at, &next);
        if (is_nmt_control(c))
            continue;
        pf_buffer_add_code(w->out, is_nmt_space(c) ? ' ' : c);
        note_start(w, at);
    }
}

static void map_characters(work *w)
{
    pf_trace trace;
    pf_trace_begin(&trace, w->text, w->bytes, w->start);
    pf_charsmap_apply(&w->rule->charsmap, w->text, w->bytes, w->out, &trace);
    w->new_start = pf_trace_end(&trace);
}

static void apply_rule(work *w)
{
    switch (w->rule->kind) {
    case PF_RULE_CHARSMAP: map_characters(w); break;
    case PF_RULE_REPLACE: case PF_RULE_SPACES: replace(w); break;
    case PF_RULE_STRIP: strip(w); break;
    case PF_RULE_NFC: case PF_RULE_NFKC: compose(w); break;
    case PF_RULE_NMT: clean_nmt(w); break;
    }
}

pf_status pf_tokenizer_normalize(const pf_tokenizer *t, const char *text, size_t bytes,
                                 pf_buffer *out, size_t *start, pf_error *error)
{
    pf_buffer_add(out, text, bytes);
    for (int i = 0; i < t->rule_count && !out->failed; i++) {
        pf_buffer next = {0};
        work w = {.rule = &t->rules[i], .text = out->data, .bytes = out->bytes,
                  .start = *start, .out = &next};
        pf_buffer_add(&next, "", 0);
        apply_rule(&w);
        *start = w.new_start;
        pf_buffer_free(out);
        *out = next;
        if (out->bytes > MAX_NORMAL_BYTES)
            return pf_fail(error, PF_E_INPUT,
                           "the text has %zu bytes after normalising, but at most %d "
                           "are accepted", out->bytes, MAX_NORMAL_BYTES);
    }
    return out->failed ? pf_fail_memory(error, "tokens", bytes) : PF_OK;
}
