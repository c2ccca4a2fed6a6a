/* SPDX-License-Identifier: Apache-2.0 */
/* From text to ids.  See tokenizer.h; docs/model/text.md#viterbi.
 *
 *     cleaned prompt
 *       cut_out_added(raw)            "</s>" -> its id; the gaps go on
 *         read_raw                    normalize.c
 *           cut_out_added(normalized) tokens of normalised text; the gaps go on
 *             split(0), split(1) ...  pre-tokenizers: a stretch -> smaller ones
 *               encode_piece          find_path: best pieces by Viterbi
 *                                     emit_path: their ids, unknown ones joined
 *                 add_id              -> ids[], or counted when that is full
 *
 * Each level calls the next for one stretch after the other, so that ids come out in the
 * order of the text and no list of stretches is kept.  A full ids[] does not end the walk:
 * the count of ids that were cut is part of the answer (pf_tokenizer_count).
 *
 * A stretch carries `start` down (trace.h), for the pre-tokenizer that asks whether it
 * stands where the prompt began. */
#include <string.h>

#include "base/memory.h"
#include "text/tokenizer_parts.h"

/* State of one call. */
typedef struct encoder {
    const pf_tokenizer *t;
    int32_t *ids;                       /* [most], the caller's */
    int64_t most, count;                /* without the end token */
    int64_t cut;                        /* ids that had no room */
    pf_error *error;
} encoder;

static void add_id(encoder *e, int32_t id)
{
    if (e->count < e->most)
        e->ids[e->count++] = id;
    else
        e->cut++;
}

/* --- Viterbi ---------------------------------------------------------------------- */

/* The best way to reach a byte position: nodes[bytes + 1] of a stretch.  Positions inside
 * a character are never reached. */
typedef struct node {
    double score;
    uint32_t begin;                     /* of its last piece */
    int32_t id;
    bool reached;
} node;

/* Takes a better way.  Of equal scores the first offer stays, which is the one of the
 * piece that begins first: the ids of a tie are decided here. */
static void offer(node *at, double score, size_t begin, int32_t id)
{
    if (at->reached && score <= at->score)
        return;
    *at = (node){score, (uint32_t)begin, id, true};
}

/* Offers every piece that text[0 ..] begins with, shortest first; true: one of them is
 * exactly one character.  The sorted list is narrowed byte by byte:
 *
 *     length 1    [low, high) = pieces that begin with "f"      first[], last[]
 *     length 2    ... with "fo"; those of length 2 stand first and are offered
 *     length 3    ... with "foo"; and so on until the range is empty
 *
 * With 256,000 pieces that is two binary searches a byte over a range that shrinks fast;
 * a trie would need memory of its own. */
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
        const pf_piece *last = NULL;    /* of several alike it is the last that counts */
        while (low < high && t->pieces[low].bytes == length)
            last = &t->pieces[low++];
        if (last) {
            offer(&nodes[begin + length], nodes[begin].score + last->score, begin,
                  last->id);
            whole_character = whole_character || length == character;
        }
    }
    return whole_character;
}

/* An unknown stretch: one id a byte if every byte has a piece, else `unk_id` once. */
static void emit_unknown(encoder *e, const char *text, size_t bytes)
{
    const pf_tokenizer *t = e->t;
    bool spelt = t->byte_fallback;
    for (size_t i = 0; spelt && i < bytes; i++)
        spelt = t->byte_ids[(unsigned char)text[i]] >= 0;
    if (!spelt)
        add_id(e, t->unknown_id);
    for (size_t i = 0; spelt && i < bytes; i++)
        add_id(e, t->byte_ids[(unsigned char)text[i]]);
}

/* Walks back from the end, then emits forwards; neighbouring unknowns are one. */
static void emit_path(encoder *e, const char *text, size_t bytes, const node *nodes,
                      uint32_t *ends)
{
    size_t count = 0;
    for (size_t at = bytes; at > 0; at = nodes[at].begin)
        ends[count++] = (uint32_t)at;
    while (count > 0) {
        size_t end = ends[--count], begin = nodes[end].begin;
        if (nodes[end].id != e->t->unknown_id) {
            add_id(e, nodes[end].id);
            continue;
        }
        while (count > 0 && nodes[ends[count - 1]].id == e->t->unknown_id)
            end = ends[--count];
        /* Fused unknowns may spell a piece of the vocabulary after all. */
        const pf_piece *piece = pf_tokenizer_find(e->t, text + begin, end - begin);
        if (piece)
            add_id(e, piece->id);
        else
            emit_unknown(e, text + begin, end - begin);
    }
}

/* Fills nodes[] from left to right; scores add up in f64 in this order, as in the reference.
 * Every beginning of a character is reached, if not by a piece of that one character then
 * as an unknown, so the last node is, too.  Without `unk_id` an unknown fails only where
 * its offer would have been taken. */
static pf_status find_path(encoder *e, const char *text, size_t bytes, node *nodes)
{
    const pf_tokenizer *t = e->t;
    nodes[0].reached = true;
    for (size_t at = 0, next; at < bytes; at = next) {
        pf_utf8_next(text, at, &next);
        if (offer_pieces(t, text + at, bytes - at, at, nodes))
            continue;
        double score = nodes[at].score + t->unknown_score;
        if (t->unknown_id < 0 && (!nodes[next].reached || score > nodes[next].score))
            return pf_fail(e->error, PF_E_INPUT,
                           "the text holds \"%.*s\", which is not in the vocabulary, "
                           "and the tokenizer has no unk_id", (int)(next - at),
                           text + at);
        offer(&nodes[next], score, at, t->unknown_id);
    }
    return PF_OK;
}

/* Viterbi over one stretch.  24 bytes of nodes a byte of text live for the call. */
static pf_status encode_piece(encoder *e, const char *text, size_t bytes)
{
    if (bytes == 0)
        return PF_OK;
    node *nodes = pf_calloc(bytes + 1, sizeof *nodes);
    uint32_t *ends = pf_alloc((bytes + 1) * sizeof *ends);
    pf_status status = PF_OK;
    if (!nodes || !ends)
        status = pf_fail_memory(e->error, "tokens", bytes * sizeof *nodes);
    if (status == PF_OK)
        status = find_path(e, text, bytes, nodes);
    if (status == PF_OK)
        emit_path(e, text, bytes, nodes, ends);
    pf_free(nodes);
    pf_free(ends);
    return status;
}

/* --- pre-tokenizing ----------------------------------------------------------------- */

/* A stretch of text; `start` of its leading bytes stand for the prompt's first
 * character. */
typedef struct stretch {
    const char *text;
    size_t bytes, start;
} stretch;

/* [begin, end) of a stretch, with its share of the start. */
static stretch part_of(const stretch *s, size_t begin, size_t end)
{
    return (stretch){s->text + begin, end - begin,
                     s->start > begin ? s->start - begin : 0};
}

/* Hands a stretch to splitter number `step`, and past the last one to Viterbi. */
static pf_status split(encoder *e, int step, stretch s);

/* Cuts before every mark but one at the beginning.  Walking by bytes is safe: in UTF-8 a
 * character's bytes occur nowhere but at its beginning. */
static pf_status split_at_marks(encoder *e, int step, stretch s)
{
    const pf_splitter *splitter = &e->t->splitters[step];
    size_t mark = strlen(splitter->mark), begin = 0;
    for (size_t at = 1; splitter->split && at + mark <= s.bytes; at++)
        if (memcmp(s.text + at, splitter->mark, mark) == 0) {
            PF_TRY(split(e, step + 1, part_of(&s, begin, at)));
            begin = at;
        }
    return split(e, step + 1, part_of(&s, begin, s.bytes));
}

/* Metaspace: replaces spaces by the mark, and prepends one unless there is one already (a
 * leading space counts, because it is about to become one).  A prepended mark belongs to
 * the first character. */
static pf_status split_marked(encoder *e, int step, stretch s)
{
    const pf_splitter *splitter = &e->t->splitters[step];
    size_t mark = strlen(splitter->mark), start = 0;
    pf_buffer marked = {0};
    bool prepend = splitter->prepend == PF_PREPEND_ALWAYS ||
                   (splitter->prepend == PF_PREPEND_FIRST && s.start > 0);
    if (prepend && s.text[0] != ' ' &&
        !(s.bytes >= mark && memcmp(s.text, splitter->mark, mark) == 0))
        pf_buffer_add(&marked, splitter->mark, mark);
    for (size_t i = 0; i < s.bytes; i++) {
        bool space = s.text[i] == ' ';
        pf_buffer_add(&marked, space ? splitter->mark : s.text + i, space ? mark : 1);
        start = i < s.start ? marked.bytes : start;
    }
    pf_status status =
        marked.failed ? pf_fail_memory(e->error, "tokens", s.bytes)
                      : split_at_marks(e, step,
                                       (stretch){marked.data, marked.bytes, start});
    pf_buffer_free(&marked);
    return status;
}

/* WhitespaceSplit: white space is dropped, words go on. */
static pf_status split_at_white(encoder *e, int step, stretch s)
{
    size_t begin = 0;
    for (size_t at = 0, next; at < s.bytes; at = next) {
        if (!pf_is_white(pf_utf8_next(s.text, at, &next)))
            continue;
        PF_TRY(split(e, step + 1, part_of(&s, begin, at)));
        begin = next;
    }
    return split(e, step + 1, part_of(&s, begin, s.bytes));
}

static pf_status split(encoder *e, int step, stretch s)
{
    if (s.bytes == 0)
        return PF_OK;
    if (step == e->t->splitter_count)
        return encode_piece(e, s.text, s.bytes);
    return e->t->splitters[step].metaspace ? split_marked(e, step, s)
                                           : split_at_white(e, step, s);
}

/* --- added tokens --------------------------------------------------------------------- */

/* Text between added tokens of raw text: normalised, and searched for tokens again. */
static pf_status read_raw(encoder *e, stretch s);

/* Added tokens become their ids; the text between them goes on to the next step. */
static pf_status cut_out_added(encoder *e, bool normalized, stretch s)
{
    pf_added_scan scan = {.text = s.text, .bytes = s.bytes, .normalized = normalized};
    pf_added_match match;
    size_t begin = 0;
    for (bool found = true; found; begin = match.end) {
        found = pf_added_next(e->t, &scan, &match);
        if (!found)
            match = (pf_added_match){NULL, s.bytes, s.bytes};
        stretch gap = part_of(&s, begin, match.begin);
        PF_TRY(normalized ? split(e, 0, gap) : read_raw(e, gap));
        if (found)
            add_id(e, match.token->id);
    }
    return PF_OK;
}

/* `start` of a gap behind the first is 0: the prompt began in another one. */
static pf_status read_raw(encoder *e, stretch s)
{
    pf_buffer normal = {0};
    size_t start = s.start;
    if (s.bytes == 0)
        return PF_OK;
    pf_status status = pf_tokenizer_normalize(e->t, s.text, s.bytes, &normal, &start,
                                              e->error);
    if (status == PF_OK)
        status = cut_out_added(e, true, (stretch){normal.data, normal.bytes, start});
    pf_buffer_free(&normal);
    return status;
}

/* The first character of the prompt is the whole start. */
static pf_status encode(encoder *e, const char *text)
{
    stretch whole = {text, strlen(text), 0};
    if (whole.bytes > 0)
        pf_utf8_next(text, 0, &whole.start);
    return cut_out_added(e, false, whole);
}

pf_status pf_tokenizer_encode(const pf_tokenizer *tokenizer, const char *text,
                              int32_t *ids, int64_t max_ids, int64_t *count,
                              pf_error *error)
{
    bool ends = tokenizer->end_id >= 0;
    encoder e = {.t = tokenizer, .ids = ids, .most = max_ids - (ends ? 1 : 0),
                 .error = error};
    PF_TRY(encode(&e, text));
    *count = e.count;
    if (ends && max_ids > 0)
        ids[(*count)++] = tokenizer->end_id;
    return PF_OK;
}

pf_status pf_tokenizer_count(const pf_tokenizer *tokenizer, const char *text,
                             int64_t *count, pf_error *error)
{
    encoder e = {.t = tokenizer, .error = error};       /* no room: all ids are cut */
    PF_TRY(encode(&e, text));
    *count = e.cut + (tokenizer->end_id >= 0);
    return PF_OK;
}
