/* The tokenizer inside: what reading makes and encoding uses. */
#ifndef PF_TEXT_TOKENIZER_PARTS_H
#define PF_TEXT_TOKENIZER_PARTS_H

#include <stdbool.h>

#include "text/buffer.h"
#include "text/charsmap.h"
#include "text/tokenizer.h"

enum { PF_MAX_RULES = 16 };

/* A piece of the vocabulary; the list is sorted by text. */
typedef struct pf_piece {
    const char *text;                   /* in `texts` */
    uint32_t bytes;
    int32_t id;
    double score;
} pf_piece;

typedef struct pf_added_token {
    char *text;
    size_t bytes;
    int32_t id;
} pf_added_token;

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

typedef enum pf_prepend { PF_PREPEND_ALWAYS, PF_PREPEND_FIRST, PF_PREPEND_NEVER } pf_prepend;

typedef struct pf_metaspace {
    bool present, split;
    pf_prepend prepend;
    char mark[8];                       /* the replacement, U+2581 */
} pf_metaspace;

struct pf_tokenizer {
    char *texts;                        /* all pieces, NUL-terminated */
    pf_piece *pieces;                   /* [count], by text */
    int64_t count;
    int32_t first[256], last[256];      /* pieces by first byte: [first, last) */
    int32_t byte_ids[256];              /* of <0x00> .. <0xFF>, or -1 */
    bool byte_fallback;
    int32_t unknown_id;                 /* -1: none */
    double unknown_score;
    size_t longest;                     /* bytes of the longest piece */
    pf_added_token *added;              /* special tokens, cut out of the text */
    int64_t added_count;
    pf_rule rules[PF_MAX_RULES];
    int rule_count;
    bool split_white_space;
    pf_metaspace metaspace;
    int32_t end_id;                     /* appended; -1: none */
    int64_t vocabulary;
};

/* The piece of exactly this text, or NULL. */
const pf_piece *pf_tokenizer_find(const pf_tokenizer *t, const char *text,
                                  size_t bytes);

/* Adds the normalised text to `out`. */
void pf_tokenizer_normalize(const pf_tokenizer *t, const char *text, size_t bytes,
                            pf_buffer *out);

#endif
