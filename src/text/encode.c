/* From text to ids.  See tokenizer.h; docs/model/text.md#tokenizer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "text/tokenizer_parts.h"

/* --- normalizing ------------------------------------------------------------------ */

static bool is_white(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return (c >= 9 && c <= 13) || c == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
           category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

static void replace_all(const pf_rule *rule, const pf_buffer *text, pf_buffer *out)
{
    size_t length = strlen(rule->pattern);
    for (size_t at = 0; at < text->bytes;) {
        if (at + length <= text->bytes &&
            memcmp(text->data + at, rule->pattern, length) == 0) {
            pf_buffer_add(out, rule->content, strlen(rule->content));
            at += length;
        } else {
            pf_buffer_add(out, text->data + at, 1);
            at++;
        }
    }
}

/* Two or more spaces become the content. */
static void replace_spaces(const pf_rule *rule, const pf_buffer *text, pf_buffer *out)
{
    for (size_t at = 0; at < text->bytes;) {
        size_t end = at;
        while (end < text->bytes && text->data[end] == ' ')
            end++;
        if (end - at >= 2) {
            pf_buffer_add(out, rule->content, strlen(rule->content));
            at = end;
        } else {
            pf_buffer_add(out, text->data + at, 1);
            at++;
        }
    }
}

static void strip(const pf_rule *rule, const pf_buffer *text, pf_buffer *out)
{
    size_t begin = 0, end = 0;
    bool inside = false;
    for (size_t at = 0, next; at < text->bytes; at = next) {
        bool white = is_white(pf_utf8_next(text->data, at, &next));
        if (!white && !inside) {
            inside = true;
            begin = at;
        }
        if (!white)
            end = next;
    }
    if (!rule->left)
        begin = 0;
    if (!rule->right)
        end = text->bytes;
    if (end > begin)
        pf_buffer_add(out, text->data + begin, end - begin);
}

static void compose(const pf_buffer *text, bool compatible, pf_buffer *out)
{
    utf8proc_uint8_t *form = NULL;
    int options = UTF8PROC_STABLE | UTF8PROC_COMPOSE |
                  (compatible ? (int)UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t bytes =
        utf8proc_map((const utf8proc_uint8_t *)text->data, (utf8proc_ssize_t)text->bytes,
                     &form, (utf8proc_option_t)options);
    if (bytes < 0)
        out->failed = true;
    else
        pf_buffer_add(out, (const char *)form, (size_t)bytes);
    free(form);
}

/* Removes controls and makes every kind of space a space. */
static void clean_nmt(const pf_buffer *text, pf_buffer *out)
{
    for (size_t at = 0, next; at < text->bytes; at = next) {
        uint32_t c = pf_utf8_next(text->data, at, &next);
        bool gone = (c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) ||
                    c == 0x7F || c == 0x8F || c == 0x9F;
        bool space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 ||
                     (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                     c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
        if (!gone)
            pf_buffer_add_code(out, space ? ' ' : c);
    }
}

static void apply_rule(const pf_rule *rule, const pf_buffer *text, pf_buffer *out)
{
    switch (rule->kind) {
    case PF_RULE_CHARSMAP:
        pf_charsmap_apply(&rule->charsmap, text->data, text->bytes, out);
        break;
    case PF_RULE_REPLACE: replace_all(rule, text, out); break;
    case PF_RULE_SPACES: replace_spaces(rule, text, out); break;
    case PF_RULE_STRIP: strip(rule, text, out); break;
    case PF_RULE_NFC: compose(text, false, out); break;
    case PF_RULE_NFKC: compose(text, true, out); break;
    case PF_RULE_NMT: clean_nmt(text, out); break;
    }
}

void pf_tokenizer_normalize(const pf_tokenizer *t, const char *text, size_t bytes,
                            pf_buffer *out)
{
    pf_buffer now = {0};
    pf_buffer_add(&now, text, bytes);
    for (int i = 0; i < t->rule_count && !now.failed; i++) {
        pf_buffer next = {0};
        pf_buffer_add(&next, "", 0);
        if (!next.failed)
            apply_rule(&t->rules[i], &now, &next);
        pf_buffer_free(&now);
        now = next;
    }
    if (now.failed)
        out->failed = true;
    else
        pf_buffer_add(out, now.data, now.bytes);
    pf_buffer_free(&now);
}

/* --- ids -------------------------------------------------------------------------- */

typedef struct id_list {
    int32_t *ids;                       /* the caller's */
    int64_t most, count;
} id_list;

static void add_id(id_list *list, int32_t id)
{
    if (list->count < list->most)
        list->ids[list->count++] = id;
}

/* --- Viterbi ---------------------------------------------------------------------- */

/* The best way to reach a byte position. */
typedef struct node {
    double score;
    uint32_t begin;                     /* of its last piece */
    int32_t id;                         /* -1: unknown */
    bool reached;
} node;

static void offer(node *at, double score, size_t begin, int32_t id)
{
    if (at->reached && score <= at->score)
        return;
    *at = (node){score, (uint32_t)begin, id, true};
}

/* Pieces that begin at text[0], shortest first: the sorted list is narrowed byte by
 * byte. */
static bool offer_pieces(const pf_tokenizer *t, const char *text, size_t bytes,
                         size_t begin, node *nodes)
{
    unsigned char c = (unsigned char)text[0];
    int64_t low = t->first[c], high = t->last[c];
    size_t character, most = bytes < t->longest ? bytes : t->longest;
    bool whole_character = false;
    pf_utf8_next(text, 0, &character);
    for (size_t length = 1; length <= most && low < high; length++) {
        unsigned char wanted = (unsigned char)text[length - 1];
        int64_t a = low, b = high;
        while (a < b) {                 /* first whose byte is not below */
            int64_t middle = (a + b) / 2;
            if ((unsigned char)t->pieces[middle].text[length - 1] < wanted)
                a = middle + 1;
            else
                b = middle;
        }
        low = a;
        b = high;
        while (a < b) {                 /* first whose byte is above */
            int64_t middle = (a + b) / 2;
            if ((unsigned char)t->pieces[middle].text[length - 1] <= wanted)
                a = middle + 1;
            else
                b = middle;
        }
        high = a;
        if (low < high && t->pieces[low].bytes == length) {
            offer(&nodes[begin + length], nodes[begin].score + t->pieces[low].score,
                  begin, t->pieces[low].id);
            whole_character = whole_character || length == character;
            while (low < high && t->pieces[low].bytes == length)
                low++;                  /* the same text once more */
        }
    }
    return whole_character;
}

static void emit_unknown(const pf_tokenizer *t, const char *text, size_t bytes,
                         id_list *out)
{
    if (!t->byte_fallback) {
        add_id(out, t->unknown_id);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        add_id(out, t->byte_ids[(unsigned char)text[i]]);
}

/* Walks back from the end, then emits forwards; neighbouring unknowns are one. */
static void emit_path(const pf_tokenizer *t, const char *text, size_t bytes,
                      const node *nodes, uint32_t *ends, id_list *out)
{
    size_t count = 0;
    for (size_t at = bytes; at > 0; at = nodes[at].begin)
        ends[count++] = (uint32_t)at;
    while (count > 0) {
        size_t end = ends[--count], begin = nodes[end].begin;
        if (nodes[end].id >= 0) {
            add_id(out, nodes[end].id);
            continue;
        }
        while (count > 0 && nodes[ends[count - 1]].id < 0)
            end = ends[--count];
        /* Fused, it may spell a piece of the vocabulary after all. */
        const pf_piece *piece = pf_tokenizer_find(t, text + begin, end - begin);
        if (piece)
            add_id(out, piece->id);
        else
            emit_unknown(t, text + begin, end - begin, out);
    }
}

static pf_status encode_piece(const pf_tokenizer *t, const char *text, size_t bytes,
                              id_list *out, pf_error *error)
{
    if (bytes == 0)
        return PF_OK;
    node *nodes = pf_calloc(bytes + 1, sizeof *nodes);
    uint32_t *ends = pf_alloc((bytes + 1) * sizeof *ends);
    pf_status status = PF_OK;
    if (!nodes || !ends) {
        status = pf_fail_memory(error, "tokens", bytes * sizeof *nodes);
    } else {
        nodes[0].reached = true;
        for (size_t at = 0, next; at < bytes; at = next) {
            pf_utf8_next(text, at, &next);
            if (!offer_pieces(t, text + at, bytes - at, at, nodes))
                offer(&nodes[next], nodes[at].score + t->unknown_score, at, -1);
        }
        emit_path(t, text, bytes, nodes, ends, out);
    }
    pf_free(nodes);
    pf_free(ends);
    return status;
}

/* --- pieces of text ------------------------------------------------------------------ */

/* Replaces spaces by the mark, prepends it, and cuts before every mark. */
static pf_status encode_marked(const pf_tokenizer *t, const char *text, size_t bytes,
                               bool first, id_list *out, pf_error *error)
{
    const pf_metaspace *m = &t->metaspace;
    size_t mark = strlen(m->mark), begin = 0;
    pf_buffer marked = {0};
    pf_status status = PF_OK;
    bool prepend = m->prepend == PF_PREPEND_ALWAYS ||
                   (m->prepend == PF_PREPEND_FIRST && first);
    if (bytes == 0)
        return PF_OK;
    if (prepend && text[0] != ' ' &&
        !(bytes >= mark && memcmp(text, m->mark, mark) == 0))
        pf_buffer_add(&marked, m->mark, mark);
    for (size_t i = 0; i < bytes; i++)
        pf_buffer_add(&marked, text[i] == ' ' ? m->mark : text + i,
                      text[i] == ' ' ? mark : 1);
    if (marked.failed)
        status = pf_fail_memory(error, "tokens", bytes);
    for (size_t at = 1; status == PF_OK && m->split && at + mark <= marked.bytes; at++)
        if (memcmp(marked.data + at, m->mark, mark) == 0) {
            status = encode_piece(t, marked.data + begin, at - begin, out, error);
            begin = at;
        }
    if (status == PF_OK)
        status = encode_piece(t, marked.data + begin, marked.bytes - begin, out, error);
    pf_buffer_free(&marked);
    return status;
}

/* One word, or the whole where words are not cut. */
static pf_status encode_word(const pf_tokenizer *t, const char *text, size_t bytes,
                             bool first, id_list *out, pf_error *error)
{
    if (t->metaspace.present)
        return encode_marked(t, text, bytes, first, out, error);
    return encode_piece(t, text, bytes, out, error);
}

static pf_status encode_words(const pf_tokenizer *t, const pf_buffer *text, bool first,
                              id_list *out, pf_error *error)
{
    size_t begin = 0;
    if (!t->split_white_space)
        return encode_word(t, text->data, text->bytes, first, out, error);
    for (size_t at = 0, next; at < text->bytes; at = next) {
        if (!is_white(pf_utf8_next(text->data, at, &next)))
            continue;
        PF_TRY(encode_word(t, text->data + begin, at - begin, first && begin == 0, out,
                           error));
        begin = next;
    }
    return encode_word(t, text->data + begin, text->bytes - begin, first && begin == 0,
                       out, error);
}

/* Text between added tokens; `first` when it begins the prompt. */
static pf_status encode_text(const pf_tokenizer *t, const char *text, size_t bytes,
                             bool first, id_list *out, pf_error *error)
{
    pf_buffer normal = {0};
    if (bytes == 0)
        return PF_OK;
    pf_tokenizer_normalize(t, text, bytes, &normal);
    pf_status status =
        normal.failed ? pf_fail_memory(error, "tokens", bytes)
                      : encode_words(t, &normal, first, out, error);
    pf_buffer_free(&normal);
    return status;
}

/* The longest added token at text[0], or NULL. */
static const pf_added_token *added_at(const pf_tokenizer *t, const char *text)
{
    const pf_added_token *best = NULL;
    for (int64_t i = 0; i < t->added_count; i++) {
        const pf_added_token *token = &t->added[i];
        if (strncmp(text, token->text, token->bytes) == 0 &&
            (!best || token->bytes > best->bytes))
            best = token;
    }
    return best;
}

pf_status pf_tokenizer_encode(const pf_tokenizer *tokenizer, const char *text,
                              int32_t *ids, int64_t max_ids, int64_t *count,
                              pf_error *error)
{
    bool ends = tokenizer->end_id >= 0;
    id_list list = {ids, max_ids - (ends ? 1 : 0), 0};
    size_t begin = 0, bytes = strlen(text);
    for (size_t at = 0; at < bytes;) {
        const pf_added_token *token = added_at(tokenizer, text + at);
        if (!token) {
            at++;
            continue;
        }
        PF_TRY(encode_text(tokenizer, text + begin, at - begin, begin == 0, &list,
                           error));
        add_id(&list, token->id);
        at += token->bytes;
        begin = at;
    }
    PF_TRY(encode_text(tokenizer, text + begin, bytes - begin, begin == 0, &list,
                       error));
    *count = list.count;
    if (ends && max_ids > 0)
        ids[(*count)++] = tokenizer->end_id;
    return PF_OK;
}
