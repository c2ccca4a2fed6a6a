/* SPDX-License-Identifier: Apache-2.0 */
/* Reading tokenizer.json.  See tokenizer.h; docs/model/text.md#tokenizer.
 *
 * Five parts of the file are read, in an order in which each finds the ones it needs:
 *
 *     model           pieces, sorted and indexed
 *     normalizer      rules[]
 *     added_tokens    an id from the pieces; a text through the rules
 *     pre_tokenizer   splitters[]
 *     post_processor  the end token
 *
 * The file is part of a model that somebody downloaded: every number is bounded, every
 * string has its type checked, and a message names the file.  `name` is that file's path
 * throughout. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/tokenizer_parts.h"

enum {
    MAX_FILE_BYTES = 256 << 20,
    MAX_PIECES = 1 << 24,               /* the limit of config.json's vocab_size, too */
    MAX_ADDED = 1 << 16,
    MAX_DEPTH = 8,                      /* of Sequences */
    MAX_CONTENT = 256                   /* bytes that a Replace puts in a match's place */
};

static pf_status unsupported(const char *name, const char *what, const json_t *value,
                             pf_error *error)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    return pf_fail(error, PF_E_UNSUPPORTED, "%s: %s of type %s is not supported", name,
                   what, type ? type : "(none)");
}

static pf_status damaged(const char *name, const char *what, pf_error *error)
{
    return pf_fail(error, PF_E_MODEL, "%s: %s", name, what);
}

static bool is_type(const json_t *value, const char *type)
{
    const char *found = json_string_value(json_object_get(value, "type"));
    return found && strcmp(found, type) == 0;
}

/* --- vocabulary ------------------------------------------------------------------- */

/* Byte order of the texts (strcmp compares as unsigned char), then id. */
static int by_text(const void *a, const void *b)
{
    const pf_piece *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    if (order != 0)
        return order;
    return x->id < y->id ? -1 : 1;
}

/* Checks every entry, [text, score], and adds up the bytes of the texts with their NULs, so
 * that all texts fit a single allocation.  A piece with U+0000 never comes here: the JSON
 * reader refuses it. */
static pf_status measure_vocabulary(const json_t *vocab, const char *name,
                                    size_t *bytes, pf_error *error)
{
    size_t count = json_array_size(vocab);
    if (count == 0 || count > MAX_PIECES)
        return damaged(name, "model.vocab must be a list of 1 to 16777216 pieces",
                       error);
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(vocab, i);
        const json_t *text = json_array_get(entry, 0);
        const json_t *score = json_array_get(entry, 1);
        if (!json_is_string(text) || !json_is_number(score) ||
            !isfinite(json_number_value(score)))
            return pf_fail(error, PF_E_MODEL,
                           "%s: model.vocab entry %zu is not a piece with a finite "
                           "score", name, i);
        *bytes += json_string_length(text) + 1;
    }
    return PF_OK;
}

static pf_status read_vocabulary(pf_tokenizer *t, const json_t *vocab,
                                 const char *name, pf_error *error)
{
    size_t bytes = 0, count = json_array_size(vocab), at = 0;
    PF_TRY(measure_vocabulary(vocab, name, &bytes, error));
    t->texts = pf_alloc(bytes);
    t->pieces = pf_calloc(count, sizeof *t->pieces);
    if (!t->texts || !t->pieces)
        return pf_fail_memory(error, name, bytes + count * sizeof *t->pieces);
    double least = INFINITY;
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(vocab, i);
        const json_t *text = json_array_get(entry, 0);
        size_t length = json_string_length(text);
        memcpy(t->texts + at, json_string_value(text), length + 1);
        t->pieces[i] = (pf_piece){t->texts + at, (uint32_t)length, (int32_t)i,
                                  json_number_value(json_array_get(entry, 1))};
        least = t->pieces[i].score < least ? t->pieces[i].score : least;
        t->longest = length > t->longest ? length : t->longest;
        at += length + 1;
    }
    t->count = (int64_t)count;
    t->vocabulary = (int64_t)count;
    t->unknown_score = least - 10.0;    /* SentencePiece's penalty of unknown characters */
    qsort(t->pieces, count, sizeof *t->pieces, by_text);
    return PF_OK;
}

/* Ranges by first byte.  Walking down leaves the lowest index in first[]; last[] is set
 * once, by the highest (an end of 0 means that it is not set).  Byte pieces <0xHH> stand
 * for bytes that have no piece of their own, with byte_fallback. */
static void index_vocabulary(pf_tokenizer *t)
{
    for (int64_t i = t->count - 1; i >= 0; i--) {
        unsigned char c = (unsigned char)t->pieces[i].text[0];
        t->first[c] = (int32_t)i;
        if (t->last[c] == 0)
            t->last[c] = (int32_t)(i + 1);
    }
    for (int b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        const pf_piece *piece = pf_tokenizer_find(t, text, 6);
        t->byte_ids[b] = piece ? piece->id : -1;
    }
}

const pf_piece *pf_tokenizer_find(const pf_tokenizer *t, const char *text,
                                  size_t bytes)
{
    unsigned char c = bytes ? (unsigned char)text[0] : 0;
    int64_t low = t->first[c], high = t->last[c];
    const pf_piece *found = NULL;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        const pf_piece *piece = &t->pieces[middle];
        int order = strncmp(piece->text, text, bytes);
        if (order == 0 && piece->bytes > bytes)
            order = 1;
        if (order == 0)
            found = piece;
        if (order <= 0)
            low = middle + 1;           /* the last of several alike */
        else
            high = middle;
    }
    return found;
}

/* `unk_id` null or missing leaves -1: no unknown id. */
static pf_status read_model(pf_tokenizer *t, const json_t *model, const char *name,
                            pf_error *error)
{
    int64_t unknown = -1;
    if (!is_type(model, "Unigram"))
        return unsupported(name, "model", model, error);
    PF_TRY(pf_json_bool(model, name, "byte_fallback", &t->byte_fallback, error));
    PF_TRY(read_vocabulary(t, json_object_get(model, "vocab"), name, error));
    PF_TRY(pf_json_int(model, name, "unk_id", 0, t->count - 1, &unknown, error));
    t->unknown_id = (int32_t)unknown;
    index_vocabulary(t);
    return PF_OK;
}

/* --- added tokens ----------------------------------------------------------------- */

/* Fills the text of an added token; a `normalized` one is looked for in normalised text, so
 * its own text goes through the rules, too. */
static pf_status name_added(const pf_tokenizer *t, pf_added_token *token,
                            const char *text, const char *name, pf_error *error)
{
    pf_buffer normal = {0};
    size_t start = 0;
    token->text = pf_strdup(text);
    token->bytes = strlen(text);
    if (!token->text)
        return pf_fail_memory(error, name, token->bytes);
    if (!token->normalized)
        return PF_OK;
    pf_status status = pf_tokenizer_normalize(t, text, token->bytes, &normal,
                                              &start, error);
    if (status != PF_OK) {
        pf_buffer_free(&normal);
        return status;
    }
    pf_free(token->text);
    token->text = normal.data;
    token->bytes = normal.bytes;
    return PF_OK;
}

/* The vocabulary and the normalizers have been read before.  added_count goes up before the
 * entry is checked, so that closing frees the text of a token that is refused. */
static pf_status read_added(pf_tokenizer *t, const json_t *list, const char *name,
                            pf_error *error)
{
    size_t count = json_array_size(list);
    if (count > MAX_ADDED)
        return damaged(name, "more than 65536 added tokens", error);
    t->added = pf_calloc(count + 1, sizeof *t->added);
    if (!t->added)
        return pf_fail_memory(error, name, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(list, i);
        pf_added_token *token = &t->added[t->added_count++];
        const char *text = NULL;
        int64_t id = -1;
        PF_TRY(pf_json_string(entry, name, "content", &text, error));
        PF_TRY(pf_json_int(entry, name, "id", 0, MAX_PIECES, &id, error));
        PF_TRY(pf_json_bool(entry, name, "normalized", &token->normalized, error));
        PF_TRY(pf_json_bool(entry, name, "single_word", &token->single_word, error));
        PF_TRY(pf_json_bool(entry, name, "lstrip", &token->left, error));
        PF_TRY(pf_json_bool(entry, name, "rstrip", &token->right, error));
        if (!text || !*text || id < 0)
            return damaged(name, "an added token has no content or no id", error);
        const pf_piece *piece = pf_tokenizer_find(t, text, strlen(text));
        /* The reference ignores the id of the list where the vocabulary has the text. */
        token->id = piece ? piece->id : (int32_t)id;
        PF_TRY(name_added(t, token, text, name, error));
        if (token->bytes > 0)
            t->added_first[(unsigned char)token->text[0]] = true;
        t->vocabulary = token->id + 1 > t->vocabulary ? token->id + 1 : t->vocabulary;
    }
    return PF_OK;
}

/* --- normalizers ------------------------------------------------------------------ */

/* Appends an empty rule. */
static pf_status new_rule(pf_tokenizer *t, pf_rule_kind kind, const char *name,
                          pf_rule **out, pf_error *error)
{
    if (t->rule_count == PF_MAX_RULES)
        return damaged(name, "more than 16 normalizers", error);
    *out = &t->rules[t->rule_count++];
    (*out)->kind = kind;
    return PF_OK;
}

/* Replace knows {"String": ...} and the expression that T5's files carry, two spaces or
 * more.  An empty pattern would match everywhere. */
static pf_status read_replace(pf_tokenizer *t, const json_t *value, const char *name,
                              pf_error *error)
{
    const json_t *pattern = json_object_get(value, "pattern");
    const char *text = json_string_value(json_object_get(pattern, "String"));
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *content = json_string_value(json_object_get(value, "content"));
    pf_rule *rule = NULL;
    if (!content || (!text && !regex) || (text && !*text))
        return damaged(name, "a Replace normalizer is not complete", error);
    if (strlen(content) > MAX_CONTENT)
        return damaged(name, "the content of a Replace normalizer is longer than 256 "
                             "bytes", error);
    if (regex && strcmp(regex, " {2,}") != 0)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s: the regular expression %.100s is not supported", name,
                       regex);
    PF_TRY(new_rule(t, regex ? PF_RULE_SPACES : PF_RULE_REPLACE, name, &rule, error));
    rule->pattern = pf_strdup(text ? text : "");
    rule->content = pf_strdup(content);
    if (!rule->pattern || !rule->content)
        return pf_fail_memory(error, name, 1);
    return PF_OK;
}

static pf_status read_precompiled(pf_tokenizer *t, const json_t *value,
                                  const char *name, pf_error *error)
{
    const char *blob =
        json_string_value(json_object_get(value, "precompiled_charsmap"));
    pf_rule *rule = NULL;
    if (!blob)
        return damaged(name, "precompiled_charsmap is missing", error);
    PF_TRY(new_rule(t, PF_RULE_CHARSMAP, name, &rule, error));
    return pf_charsmap_open(blob, name, &rule->charsmap, error);
}

/* Appends the rules of a normalizer.  A Sequence is walked in order; the depth is bounded,
 * because the file decides it and each level is a call on the stack. */
static pf_status read_normalizer(pf_tokenizer *t, const json_t *value,
                                 const char *name, int depth, pf_error *error)
{
    static const struct {
        const char *type;
        pf_rule_kind kind;
    } plain[] = {{"NFC", PF_RULE_NFC}, {"NFKC", PF_RULE_NFKC}, {"Nmt", PF_RULE_NMT}};
    pf_rule *rule = NULL;
    if (!value || json_is_null(value))
        return PF_OK;
    if (is_type(value, "Sequence") && depth < MAX_DEPTH) {
        const json_t *list = json_object_get(value, "normalizers");
        for (size_t i = 0; i < json_array_size(list); i++)
            PF_TRY(read_normalizer(t, json_array_get(list, i), name, depth + 1, error));
        return PF_OK;
    }
    if (is_type(value, "Precompiled"))
        return read_precompiled(t, value, name, error);
    if (is_type(value, "Replace"))
        return read_replace(t, value, name, error);
    if (is_type(value, "Strip")) {
        PF_TRY(new_rule(t, PF_RULE_STRIP, name, &rule, error));
        PF_TRY(pf_json_bool(value, name, "strip_left", &rule->left, error));
        return pf_json_bool(value, name, "strip_right", &rule->right, error);
    }
    for (int i = 0; i < 3; i++)
        if (is_type(value, plain[i].type))
            return new_rule(t, plain[i].kind, name, &rule, error);
    return unsupported(name, "normalizer", value, error);
}

/* --- pre-tokenizer and post-processor ----------------------------------------------- */

/* Appends a splitter, WhitespaceSplit as it stands. */
static pf_status new_splitter(pf_tokenizer *t, const char *name, pf_splitter **out,
                              pf_error *error)
{
    if (t->splitter_count == PF_MAX_SPLITS)
        return damaged(name, "more than 8 pre-tokenizers", error);
    *out = &t->splitters[t->splitter_count++];
    return PF_OK;
}

/* `prepend_scheme`, or the older `add_prefix_space`.  Files written during the change hold
 * both; the reference refuses them where they contradict each other. */
static pf_status read_prepend(pf_splitter *splitter, const json_t *value,
                              const char *name, pf_error *error)
{
    static const char *const schemes[] = {"always", "first", "never"};
    const char *scheme = NULL;
    bool prefix = true;
    PF_TRY(pf_json_bool(value, name, "add_prefix_space", &prefix, error));
    PF_TRY(pf_json_string(value, name, "prepend_scheme", &scheme, error));
    splitter->prepend = prefix ? PF_PREPEND_ALWAYS : PF_PREPEND_NEVER;
    if (!scheme)
        return PF_OK;
    for (int i = 0; i < 3; i++)
        if (strcmp(scheme, schemes[i]) == 0) {
            splitter->prepend = (pf_prepend)i;
            if (!prefix && splitter->prepend != PF_PREPEND_NEVER)
                return pf_fail(error, PF_E_MODEL,
                               "%s: prepend_scheme is %s, but must be never where "
                               "add_prefix_space is false", name, scheme);
            return PF_OK;
        }
    return pf_fail(error, PF_E_UNSUPPORTED,
                   "%s: prepend_scheme is %.40s, but must be always, first or never",
                   name, scheme);
}

/* Defaults are those of the reference: U+2581, split, always.  The mark is a single
 * character, of at most four bytes, so `mark[8]` holds it with its NUL. */
static pf_status read_metaspace(pf_tokenizer *t, const json_t *value,
                                const char *name, pf_error *error)
{
    const char *mark = "\xe2\x96\x81";
    pf_splitter *splitter = NULL;
    size_t character = 0;
    PF_TRY(new_splitter(t, name, &splitter, error));
    splitter->metaspace = splitter->split = true;
    PF_TRY(pf_json_string(value, name, "replacement", &mark, error));
    PF_TRY(pf_json_bool(value, name, "split", &splitter->split, error));
    if (*mark)
        pf_utf8_next(mark, 0, &character);
    if (character == 0 || mark[character] != '\0')
        return pf_fail(error, PF_E_MODEL,
                       "%s: replacement is \"%.40s\", but must be one character", name,
                       mark);
    memcpy(splitter->mark, mark, character + 1);
    return read_prepend(splitter, value, name, error);
}

static pf_status read_pre_tokenizer(pf_tokenizer *t, const json_t *value,
                                    const char *name, int depth, pf_error *error)
{
    pf_splitter *splitter = NULL;
    if (!value || json_is_null(value))
        return PF_OK;
    if (is_type(value, "Sequence") && depth < MAX_DEPTH) {
        const json_t *list = json_object_get(value, "pretokenizers");
        for (size_t i = 0; i < json_array_size(list); i++)
            PF_TRY(read_pre_tokenizer(t, json_array_get(list, i), name, depth + 1,
                                      error));
        return PF_OK;
    }
    if (is_type(value, "Metaspace"))
        return read_metaspace(t, value, name, error);
    if (is_type(value, "WhitespaceSplit"))
        return new_splitter(t, name, &splitter, error);
    return unsupported(name, "pre_tokenizer", value, error);
}

/* The id that the template's own table gives the token; there must be one. */
static pf_status find_end(pf_tokenizer *t, const json_t *tokens, const char *text,
                          const char *name, pf_error *error)
{
    const json_t *ids = json_object_get(json_object_get(tokens, text), "ids");
    const json_t *first = json_array_get(ids, 0);
    if (json_array_size(ids) != 1 || !json_is_integer(first) ||
        json_integer_value(first) < 0 || json_integer_value(first) > MAX_PIECES)
        return pf_fail(error, PF_E_MODEL,
                       "%s: post_processor must give the end token %.40s one id from 0 "
                       "to %d", name, text, MAX_PIECES);
    t->end_id = (int32_t)json_integer_value(first);
    t->vocabulary = t->end_id + 1 > t->vocabulary ? t->end_id + 1 : t->vocabulary;
    return PF_OK;
}

/* [Sequence A, SpecialToken X] and nothing else. */
static pf_status read_post_processor(pf_tokenizer *t, const json_t *value,
                                     const char *name, pf_error *error)
{
    t->end_id = -1;
    if (!value || json_is_null(value))
        return PF_OK;
    if (!is_type(value, "TemplateProcessing"))
        return unsupported(name, "post_processor", value, error);
    const json_t *single = json_object_get(value, "single");
    const json_t *sequence = json_object_get(json_array_get(single, 0), "Sequence");
    const json_t *special = json_object_get(json_array_get(single, 1), "SpecialToken");
    const char *text = json_string_value(json_object_get(special, "id"));
    if (json_array_size(single) != 2 || !sequence || !text)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s: the template of post_processor must be a sequence and an "
                       "end token", name);
    return find_end(t, json_object_get(value, "special_tokens"), text, name, error);
}

/* --- the whole -------------------------------------------------------------------- */

/* The order matters: see the head. */
static pf_status read_all(pf_tokenizer *t, const json_t *root, const char *name,
                          pf_error *error)
{
    if (!json_is_object(root))
        return damaged(name, "not a JSON object", error);
    PF_TRY(read_model(t, json_object_get(root, "model"), name, error));
    PF_TRY(read_normalizer(t, json_object_get(root, "normalizer"), name, 0, error));
    PF_TRY(read_added(t, json_object_get(root, "added_tokens"), name, error));
    PF_TRY(read_pre_tokenizer(t, json_object_get(root, "pre_tokenizer"), name, 0,
                              error));
    return read_post_processor(t, json_object_get(root, "post_processor"), name, error);
}

pf_status pf_tokenizer_open(const char *path, pf_tokenizer **out, pf_error *error)
{
    json_t *root = NULL;
    *out = NULL;
    PF_TRY(pf_json_load(path, MAX_FILE_BYTES, &root, error));
    pf_tokenizer *t = pf_calloc(1, sizeof *t);
    pf_status status = t ? read_all(t, root, path, error)
                         : pf_fail_memory(error, path, sizeof *t);
    json_decref(root);
    if (status != PF_OK) {
        pf_tokenizer_close(t);
        return status;
    }
    *out = t;
    return PF_OK;
}

void pf_tokenizer_close(pf_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    for (int i = 0; i < tokenizer->rule_count; i++) {
        pf_free(tokenizer->rules[i].pattern);
        pf_free(tokenizer->rules[i].content);
        pf_charsmap_close(&tokenizer->rules[i].charsmap);
    }
    for (int64_t i = 0; i < tokenizer->added_count; i++)
        pf_free(tokenizer->added[i].text);
    pf_free(tokenizer->added);
    pf_free(tokenizer->pieces);
    pf_free(tokenizer->texts);
    pf_free(tokenizer);
}

int64_t pf_tokenizer_vocabulary(const pf_tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}
