/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer inside.  docs/model/text.md#tokenizer.
 *
 *     tokenizer.json --tokenizer.c--> pf_tokenizer --+-- added.c      added tokens in a text
 *                                                    +-- normalize.c  rules[0 ..]
 *                                                    |     charsmap.c, trace.c
 *                                                    `-- encode.c     splitters, Viterbi
 *
 * Only tokenizer.c writes into pf_tokenizer; to the other files it is const.  Texts are
 * byte ranges [text, text + bytes) of valid UTF-8, positions are byte offsets. */
#ifndef PF_TEXT_TOKENIZER_PARTS_H
#define PF_TEXT_TOKENIZER_PARTS_H

#include <stdbool.h>

#include "text/buffer.h"
#include "text/charsmap.h"
#include "text/tokenizer.h"

/* UMT5's file has a handful of each; fixed arrays keep pf_tokenizer a single allocation
 * and bound the work a crafted file can ask for. */
enum { PF_MAX_RULES = 16, PF_MAX_SPLITS = 8 };

/* A piece of the vocabulary.  `pieces` is sorted by the bytes of the text, pieces of equal
 * text by id: so all pieces with a common prefix are neighbours (Viterbi narrows such a
 * range byte by byte), and of equal texts the last counts, as in the reference, whose map
 * from text to id keeps the last insertion. */
typedef struct pf_piece {
    const char *text;                   /* in `texts` */
    uint32_t bytes;
    int32_t id;
    double score;                       /* log probability, finite */
} pf_piece;

/* A token of `added_tokens`: found literally in the text, before the model sees it, such as
 * </s> or <extra_id_0>. */
typedef struct pf_added_token {
    char *text;                         /* normalised if `normalized` */
    size_t bytes;
    int32_t id;
    bool single_word;                   /* only between characters that are no word's */
    bool left, right;                   /* takes the white space beside it */
    bool normalized;                    /* looked for in the normalised text */
} pf_added_token;

/* A normalizer of the file.  Sequences are flattened, so that rules[] is the whole order. */
typedef enum pf_rule_kind {
    PF_RULE_CHARSMAP,
    PF_RULE_REPLACE,                    /* a plain string */
    PF_RULE_SPACES,                     /* two or more spaces */
    PF_RULE_STRIP,
    PF_RULE_NFC,
    PF_RULE_NFKC,
    PF_RULE_NMT
} pf_rule_kind;

typedef struct pf_rule {
    pf_rule_kind kind;
    char *pattern, *content;            /* of replacements */
    bool left, right;                   /* of strip */
    pf_charsmap charsmap;
} pf_rule;

/* Where Metaspace puts a mark in front of a stretch: everywhere, only where the prompt
 * began (see trace.h), or nowhere.  In the order of the names in read_prepend. */
typedef enum pf_prepend { PF_PREPEND_ALWAYS, PF_PREPEND_FIRST, PF_PREPEND_NEVER } pf_prepend;

/* A step of the pre-tokenizer: cuts at white space, or before every mark. */
typedef struct pf_splitter {
    bool metaspace;                     /* else WhitespaceSplit */
    bool split;                         /* Metaspace: cut at all */
    pf_prepend prepend;
    char mark[8];                       /* the replacement, U+2581 */
} pf_splitter;

struct pf_tokenizer {
    char *texts;                        /* all pieces, NUL-terminated */
    pf_piece *pieces;                   /* [count], by text */
    int64_t count;
    int32_t first[256], last[256];      /* pieces by first byte: [first, last) */
    int32_t byte_ids[256];              /* of <0x00> .. <0xFF>, or -1 */
    bool byte_fallback;
    int32_t unknown_id;                 /* -1: none */
    double unknown_score;               /* of an unknown character: lowest score - 10 */
    size_t longest;                     /* bytes of the longest piece */
    pf_added_token *added;
    int64_t added_count;
    bool added_first[256];              /* an added token begins with this byte */
    pf_rule rules[PF_MAX_RULES];
    int rule_count;
    pf_splitter splitters[PF_MAX_SPLITS];
    int splitter_count;
    int32_t end_id;                     /* appended; -1: none */
    int64_t vocabulary;                 /* highest id of all, plus one */
};

/* The piece of exactly this text, or NULL; the last of several alike. */
const pf_piece *pf_tokenizer_find(const pf_tokenizer *t, const char *text,
                                  size_t bytes);

/* Runs all rules over text[bytes], each on the result of the one before, into the empty
 * `out` (pf_buffer_free, also after a failure).
 * *start: leading bytes that stand for the first character of the prompt, of the text on
 * entry and of `out` on return; 0 where the text does not begin the prompt. */
pf_status pf_tokenizer_normalize(const pf_tokenizer *t, const char *text, size_t bytes,
                                 pf_buffer *out, size_t *start, pf_error *error);

/* A walk over the added tokens of a text, from left to right.  Raw text is searched for
 * the tokens with normalized = false, normalised text for the others. */
typedef struct pf_added_scan {
    const char *text;
    size_t bytes;
    bool normalized;                    /* tokens of normalised text, or of raw */
    size_t at;                          /* where to go on; 0 at first */
    size_t taken;                       /* end of the last match; 0 at first */
} pf_added_scan;

typedef struct pf_added_match {
    const pf_added_token *token;
    size_t begin, end;
} pf_added_match;

/* The next match, leftmost and then longest; false: there is none. */
bool pf_added_next(const pf_tokenizer *t, pf_added_scan *scan, pf_added_match *match);

#endif
