# SPDX-License-Identifier: Apache-2.0
"""A unigram tokenizer in the layout of tokenizer.json, and its encoding in Python.

The vocabulary holds the words of the templates, small and with a capital letter,
frequent endings, ASCII, and the letters, marks and punctuation of Latin scripts: any Latin
text has pieces.  Other scripts become the unknown token, one for a run of letters."""
import json
import unicodedata

META = "\u2581"             # a word's beginning
SPECIAL = ["<pad>", "</s>", "<s>", "<unk>"]
END, UNKNOWN = 1, 3
ENDINGS = ["s", "es", "ed", "ing", "er", "ly", "en", "y", "ish", "e", "n't", "'s", "st",
           "th", "al", "tion", "re", "un", "in", "an", "on", "or", "ar", "ment", "ful"]
# Latin-1, Extended-A, Extended-B, letters of African and Azerbaijani spelling, Extended
# Additional, marks that stand behind their letter, punctuation.
LATIN = [chr(c) for c in [*range(0xA1, 0xAD), *range(0xAE, 0x250), *range(0x1E00, 0x1F00),
                          *range(0x300, 0x370)]]
LATIN += "əɓɔɖɗɛɣɩɲʃʊʋʒʔʼʻ‐‑‒–—―‘’‚“”„†‡•…‰′″‹›⁄€№™−"


def vocabulary(words):
    """[[piece, score]] for the given lower-case words."""
    pieces = {p: 0.0 for p in SPECIAL}
    pieces[META] = -6.0
    for word in words:
        for spelling in (word, word.capitalize()):
            pieces.setdefault(META + spelling, -5.0)
    for ending in ENDINGS:
        pieces.setdefault(ending, -7.0)
    for c in range(0x21, 0x7F):
        pieces.setdefault(chr(c), -10.0)
    for c in LATIN:
        pieces.setdefault(c, -11.0)
    return [[piece, score] for piece, score in pieces.items()]


def plain(piece):
    """The small spelling of a word, and of a letter with marks the letter of ASCII."""
    if piece.startswith(META):
        return piece.lower()
    letter = unicodedata.normalize("NFD", piece)[0]
    return letter if len(piece) == 1 and letter.isascii() else piece


def build(words):
    """The contents of tokenizer.json."""
    added = [dict(id=i, content=text, single_word=False, lstrip=False, rstrip=False,
                  normalized=False, special=True) for i, text in enumerate(SPECIAL)]
    metaspace = dict(type="Metaspace", replacement=META, prepend_scheme="always",
                     split=True)
    single = [{"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "</s>", "type_id": 0}}]
    pair = single + [{"Sequence": {"id": "B", "type_id": 0}}, single[1]]
    ends = {"</s>": {"id": "</s>", "ids": [END], "tokens": ["</s>"]}}
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added,
                normalizer=None, pre_tokenizer=metaspace,
                post_processor=dict(type="TemplateProcessing", single=single, pair=pair,
                                    special_tokens=ends),
                decoder=metaspace,
                model=dict(type="Unigram", unk_id=UNKNOWN, vocab=vocabulary(words),
                           byte_fallback=False))


CONFIG = dict(tokenizer_class="T5Tokenizer", eos_token="</s>", pad_token="<pad>",
              unk_token="<unk>", model_max_length=512, clean_up_tokenization_spaces=False)
SPECIAL_MAP = dict(eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


class Tokenizer:
    """Encodes by the most likely division into pieces (Viterbi)."""

    def __init__(self, contents):
        vocab = contents["model"]["vocab"]
        self.ids = {piece: i for i, (piece, _) in enumerate(vocab)}
        self.scores = {piece: score for piece, score in vocab}
        self.longest = max(map(len, self.ids))
        self.unknown = min(self.scores.values()) - 10.0

    @classmethod
    def open(cls, path):
        with open(path, encoding="utf-8") as f:
            return cls(json.load(f))

    def _pieces(self, text):
        best = [(0.0, 0)] + [None] * len(text)
        for start in range(len(text)):
            for end in range(start + 1, min(start + self.longest, len(text)) + 1):
                piece = text[start:end]
                score = self.scores.get(piece)
                if score is None and end == start + 1:
                    score = self.unknown
                if score is None:
                    continue
                total = best[start][0] + score
                if best[end] is None or total > best[end][0]:
                    best[end] = (total, start)
        out, end = [], len(text)
        while end:
            out.insert(0, text[best[end][1]:end])
            end = best[end][1]
        return out

    def _word(self, word):
        """Ids of one word; a run of unknown characters is one unknown token."""
        out = []
        for piece in self._pieces(word):
            number = self.ids.get(piece, UNKNOWN)
            if number != UNKNOWN or out[-1:] != [UNKNOWN]:
                out.append(number)
        return out

    def encode(self, text, limit=512):
        """Token ids, the end token last."""
        ids = [i for word in text.split() for i in self._word(META + word)]
        return ids[:limit - 1] + [END]
