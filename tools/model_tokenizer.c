/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of a stand-in model: a small unigram vocabulary of bytes, letters and
 * frequent English words, with byte fallback for everything else.
 */
#include <stdio.h>
#include <string.h>

#include "model_parts.h"

#define META "\xe2\x96\x81"                     /* U+2581, a word's beginning */

enum { FIRST_BYTE = 4, BYTES = 256 };

static const char *const special[FIRST_BYTE] = {"<pad>", "</s>", "<s>", "<unk>"};

static const char *const words[] = {
    "the", "of", "and", "to", "in", "is", "on", "with", "it", "that", "his", "her",
    "from", "by", "at", "as", "are", "into", "over", "under", "through", "camera",
    "light", "water", "red", "blue", "green", "white", "black", "ball", "floor",
    "wooden", "bounces", "falls", "rest", "comes", "man", "woman", "child", "dog",
    "cat", "bird", "speaks", "says", "sings", "sound", "music", "rain", "wind", "sea",
    "city", "street", "house", "tree", "sky", "night", "day", "slow", "fast", "close",
    "face", "hand", "looks", "walks", "runs", "moves", "voice", "quiet", "loud",
};
static const char *const endings[] = {
    "ing", "ed", "er", "es", "ly", "tion", "en", "al", "th", "an", "re", "ou", "st",
};

static void add_piece(json_t *vocabulary, const char *piece, double score)
{
    json_array_append_new(vocabulary, json_pack("[s, f]", piece, score));
}

/* Printable ASCII without the space, one piece a character. */
static void add_characters(json_t *vocabulary, const char *before, char first,
                           char last, double score)
{
    char piece[8];
    for (int c = first; c <= last; c++) {
        snprintf(piece, sizeof piece, "%s%c", before, c);
        add_piece(vocabulary, piece, score - 0.01 * (c - first));
    }
}

static json_t *vocabulary(void)
{
    char piece[32];
    json_t *list = json_array();
    for (int i = 0; i < FIRST_BYTE; i++)
        add_piece(list, special[i], 0.0);
    for (int i = 0; i < BYTES; i++) {
        snprintf(piece, sizeof piece, "<0x%02X>", i);
        add_piece(list, piece, 0.0);
    }
    add_piece(list, META, -4.0);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        snprintf(piece, sizeof piece, META "%s", words[i]);
        add_piece(list, piece, -5.0 - 0.03 * (double)i);
    }
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        add_piece(list, endings[i], -6.0 - 0.1 * (double)i);
    add_characters(list, META, 'a', 'z', -7.0);
    add_characters(list, "", '!', '~', -8.0);
    return list;
}

int tokenizer_size(void)
{
    json_t *list = vocabulary();
    int size = (int)json_array_size(list);
    json_decref(list);
    return size;
}

static json_t *added_token(int id)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content",
                     special[id], "single_word", 0, "lstrip", 0, "rstrip", 0,
                     "normalized", 0, "special", 1);
}

static json_t *metaspace(void)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", META,
                     "prepend_scheme", "always", "split", 1);
}

/* A, then the end token. */
static json_t *post_processor(void)
{
    json_t *single = json_pack("[{s:{s:s, s:i}}, {s:{s:s, s:i}}]", "Sequence", "id",
                               "A", "type_id", 0, "SpecialToken", "id", "</s>",
                               "type_id", 0);
    json_t *pair = json_deep_copy(single);
    json_array_append_new(pair, json_pack("{s:{s:s, s:i}}", "Sequence", "id", "B",
                                          "type_id", 0));
    json_array_append_new(pair, json_pack("{s:{s:s, s:i}}", "SpecialToken", "id",
                                          "</s>", "type_id", 0));
    return json_pack("{s:s, s:o, s:o, s:{s:{s:s, s:[i], s:[s]}}}", "type",
                     "TemplateProcessing", "single", single, "pair", pair,
                     "special_tokens", "</s>", "id", "</s>", "ids", 1, "tokens",
                     "</s>");
}

static json_t *tokenizer_json(void)
{
    json_t *added = json_array();
    for (int i = 0; i < FIRST_BYTE; i++)
        json_array_append_new(added, added_token(i));
    return json_pack(
        "{s:s, s:n, s:n, s:o, s:n, s:o, s:o, s:o, s:{s:s, s:i, s:o, s:b}}", "version",
        "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
        "pre_tokenizer", metaspace(), "post_processor", post_processor(), "decoder",
        metaspace(), "model", "type", "Unigram", "unk_id", 3, "vocab", vocabulary(),
        "byte_fallback", 1);
}

pf_status write_tokenizer(const char *root, pf_error *error)
{
    PF_TRY(write_json(root, "tokenizer/tokenizer.json", tokenizer_json(), error));
    PF_TRY(write_json(root, "tokenizer/tokenizer_config.json",
                      json_pack("{s:s, s:s, s:s, s:s, s:i, s:b}", "tokenizer_class",
                                "T5Tokenizer", "eos_token", "</s>", "pad_token",
                                "<pad>", "unk_token", "<unk>", "model_max_length",
                                512, "clean_up_tokenization_spaces", 0),
                      error));
    return write_json(root, "tokenizer/special_tokens_map.json",
                      json_pack("{s:s, s:s, s:s}", "eos_token", "</s>", "pad_token",
                                "<pad>", "unk_token", "<unk>"),
                      error);
}
