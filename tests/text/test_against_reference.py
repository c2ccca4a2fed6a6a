# SPDX-License-Identifier: Apache-2.0
"""Prompt cleaning against ftfy and html, ids against tokenizers, on fuzzed texts.

The packages are those of PyPI; without them the file is skipped.  The number of texts is
PHONOFILM_TEXT_CASES (1500), the seed PHONOFILM_TEXT_SEED (1).
"""
import html
import html.entities
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import unicodedata

import pytest

ftfy = pytest.importorskip("ftfy", reason="ftfy of PyPI is not installed")
tokenizers = pytest.importorskip("tokenizers",
                                 reason="tokenizers of PyPI is not installed")

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = ROOT / "build" / "tests" / "text" / "text_probe"
STOCK = ROOT / "tests/fixtures/goldens/model/tokenizer/tokenizer.json"
CASES = int(os.environ.get("PHONOFILM_TEXT_CASES", "1500"))
SEED = int(os.environ.get("PHONOFILM_TEXT_SEED", "1"))
MARK = "\u2581"

# --- texts -----------------------------------------------------------------------

WORDS = ("a film of the sea at dusk, waves and gulls; un été à la plage: "
         "ein großer Hund läuft über die Brücke. Кошка сидит на окне, снег "
         "дождь идёт 夕焼けの海 一只猫在弹钢琴 고양이가 달린다 القط نائم "
         "חתול ישן बिल्ली สวัสดี 10:30 3.14 100% don't it's \"quoted\"").split()
SPACES = list(" \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u200a\u2028"
              "\u2029\u202f\u205f\u3000") + ["\r\n", "  ", "   ", "\n\n"]
CONTROLS = [chr(c) for c in range(1, 32)] + ["\x7f", "\x80", "\x85", "\x91", "\x9f",
            "\x81", "\ufeff", "\ufff9", "\ufffc", "\ufffd", "\u206a", "\u206f",
            "\x1b[0m", "\x1b[1;31m", "\x1b[", "\x1b[12", "\x1b[\u0663m", "\x1b"]
QUOTES = list("'\"\u02bc\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f`\xab\xbb")
LIGATURES = list("\u0132\u0133\u0149\u01c4\u01c5\u01c6\u01c7\u01c8\u01c9\u01ca"
                 "\u01cb\u01cc\u01f1\u01f2\u01f3\ufb00\ufb01\ufb02\ufb03\ufb04"
                 "\ufb05\ufb06\ufb07\ufb13")
MARKS = list("\u0300\u0301\u0308\u0327\u0338\u0345\u05b8\u064b\u093c\u094d\u0e33"
             "\u3099\u309a\u20d0\u20dd\ufe0f\u200b\u200c\u200d\u200e\u200f\u00ad")
EMOJI = ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
         "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f44d\U0001f3fd",
         "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "1\ufe0f\u20e3",
         "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3fb"]
COMPATIBLE = list("\u00bd\u00b2\u2460\u3392\uff21\uff0c\uff5e\uff71\uff9e\u2126\u212b"
                  "\u1e9b\u0344\u0958\u2026\u2103\u3131\u1100\u1161\u11a8\uac00\u0f43"
                  "\ufb4b\ufdfa\u2f00\uf900\u00aa\u00b5\u2028\u0130\u1f80")
HANGUL = ["\u1100\u1161", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u1112\u1175\u11ab"]
PREPENDS = list("\u0600\u0605\u06dd\u070f\u08e2\u0d4e")
PIECES = ["<pad>", "</s>", "<unk>", "<s>", "<extra_id_0>", "<extra_id_1>", "<0x41>",
          MARK, MARK * 2, "[keep]", "Word", "<", ">", "<mask>", "cAfe\u0301"]
ENTITIES = ["&", ";", "#", "&amp;", "&amp", "&lt;", "&gt", "&nbsp;", "&quot;",
            "&copy2024", "&notit;", "&notin;", "&#59;", "&#x3b;", "&#38;", "&#0;",
            "&#128;", "&#x9f;", "&#129;", "&#13;", "&#12ab;", "&#x110000;",
            "&#xd800;", "&#99999999999;", "&#xfdd0;", "&#xfffe;", "&#x1ffff;", "&#",
            "&#x", "&#X41", "&#65", "amp;", "lt;", "#38;", "&NTILDE;", "&HEARTS;",
            "&SZLIG;", "&FILIG;", "&LTIMES;", "&NAPOS;", "&fjlig;", "&NVAP;",
            "&Amp;", "&AMP;", "&CounterClockwiseContourIntegral;",
            "&unknownnameofanentitythatislong;", "&#\u0663;", "&\u00e9;"]


def any_character(rng):
    """An assigned character that no version of Unicode after 6 has changed."""
    while True:
        code = rng.choice((rng.randrange(1, 0x250), rng.randrange(0x250, 0x3000),
                           rng.randrange(0x3000, 0xfffe), rng.randrange(0x10000, 0x1f700)))
        if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs", "Co"):
            return chr(code)


def entity_name(rng):
    name = rng.choice(sorted(html.entities.html5))
    return "&" + rng.choice((name, name.upper(), name.rstrip(";"), name + "x"))


def token(rng):
    kind = rng.randrange(16)
    lists = (WORDS, WORDS, WORDS, SPACES, CONTROLS, QUOTES, LIGATURES, MARKS, EMOJI,
             COMPATIBLE, HANGUL, PREPENDS, PIECES, ENTITIES)
    if kind < len(lists):
        return rng.choice(lists[kind])
    return entity_name(rng) if kind == 14 else any_character(rng)


def make_texts(count, seed):
    rng = random.Random(seed)
    texts = ["", " ", "\u3000", "\n", "&" + "amp;" * 40 + "lt;", "a" * 3000,
             "word " * 700, MARK * 50, "\U0001f600" * 400, "\u0301" * 300]
    while len(texts) < count:
        joint = rng.choice(("", " ", "", rng.choice(SPACES)))
        length = rng.choice((1, 2, 3, 5, 8, 13, 30))
        texts.append(joint.join(token(rng) for _ in range(length)))
    return texts[:count]


# --- calling ours ----------------------------------------------------------------

def probe(texts, files=()):
    done = subprocess.run([str(PROBE), *map(str, files)],
                          input=json.dumps(texts).encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(texts)
    return [json.loads(line) for line in lines]


def report(differences):
    shown = "\n".join(map(ascii, differences[:10]))
    assert not differences, f"{len(differences)} differ:\n{shown}"


# --- cleaning --------------------------------------------------------------------

def reference_clean(text):
    text = ftfy.fix_text(text, fix_encoding=False)
    text = html.unescape(html.unescape(text)).strip()
    return re.sub(r"\s+", " ", text).strip()


def test_cleaning_is_that_of_ftfy_and_html():
    texts = make_texts(CASES, SEED)
    report([(text, want, ours["cleaned"])
            for text, ours in zip(texts, probe(texts))
            if ours["cleaned"] != (want := reference_clean(text))])


def test_every_entity_name_in_every_form():
    names = sorted(html.entities.html5)
    texts = [f"x&{form}y" for name in names for form in (name, name.upper(), name.title())]
    report([(text, want, ours["cleaned"])
            for text, ours in zip(texts, probe(texts))
            if ours["cleaned"] != (want := reference_clean(text))])


def test_every_character_of_the_first_planes():
    texts = [f"a{chr(c)}e" for c in range(1, 0x20000)
             if not 0xd800 <= c < 0xe000
             and unicodedata.ucd_3_2_0.category(chr(c)) != "Cn"]
    report([(text, want, ours["cleaned"])
            for text, ours in zip(texts, probe(texts))
            if ours["cleaned"] != (want := reference_clean(text))])


# --- tokenizers ------------------------------------------------------------------

SPACES_TO_MARK = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": MARK}
STRIP = {"type": "Strip", "strip_left": False, "strip_right": True}
STRIP_BOTH = {"type": "Strip", "strip_left": True, "strip_right": True}


def charsmap():
    text = json.dumps(json.loads(STOCK.read_text())["normalizer"])
    blob = re.search(r'"precompiled_charsmap": "([^"]*)"', text).group(1)
    return {"type": "Precompiled", "precompiled_charsmap": blob}


def sequence(*normalizers):
    return {"type": "Sequence", "normalizers": list(normalizers)}


def replace(old, new):
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def metaspace(**members):
    return {"type": "Metaspace", "replacement": MARK, **members}


def pre(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


WHITE = {"type": "WhitespaceSplit"}


def added(content, number, **flags):
    base = {"id": number, "content": content, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": True}
    return {**base, **flags}


def make_vocabulary(seed, byte_pieces=True, rounding=0.5, doubles=0):
    """Pieces cut out of fuzzed text; rounded scores, so that many paths tie."""
    rng = random.Random(seed)
    pieces = ["<pad>", "</s>", "<s>", "<unk>"]
    if byte_pieces:
        left_out = () if byte_pieces is True else byte_pieces
        pieces += [f"<0x{b:02X}>" for b in range(256) if b not in left_out]
    seen = set(pieces)
    stock = [p.replace(" ", MARK) for p in make_texts(1200, seed + 77)]
    while len(pieces) < 3000:
        text = MARK + rng.choice(stock)
        begin = rng.randrange(len(text))
        piece = text[begin:begin + rng.choice((1, 1, 2, 2, 3, 4, 6, 9))]
        if piece and "\0" not in piece and piece not in seen:
            seen.add(piece)
            pieces.append(piece)
    pieces += rng.sample(pieces[300:], doubles)
    return [[piece, 0.0 if i < 4 else
             -round(rng.uniform(1, 12) / rounding) * rounding if rounding else
             -rng.uniform(1, 12)] for i, piece in enumerate(pieces)]


def make_tokenizer(vocabulary, normalizer, pre_tokenizer, extra=(), **model):
    size = len(vocabulary)
    tokens = [added("<pad>", 0), added("</s>", 1)] if extra is not None else []
    for content, flags in extra or ():
        known = [i for i, (piece, _) in enumerate(vocabulary) if piece == content]
        if not known:
            size += 1
        tokens.append(added(content, known[-1] if known else size - 1, **flags))
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, **model}}


EXTRAS = [("<extra_id_0>", {"lstrip": True, "rstrip": True}),
          ("<extra_id_1>", {"lstrip": True}), ("[keep]", {"rstrip": True}),
          ("Word", {"single_word": True, "special": False}),
          ("<unk>", {}), ("<mask>", {"normalized": True, "special": False}),
          ("cAfe\u0301", {"normalized": True, "special": False}),
          ("e", {"single_word": True, "normalized": True, "special": False}),
          ("<extra_id_", {})]


def settings():
    stock = charsmap()
    plain = make_vocabulary(1)
    yield "stock", json.loads(STOCK.read_text())
    yield "always", make_tokenizer(plain, stock, metaspace(prepend_scheme="always"))
    yield "never", make_tokenizer(plain, stock, metaspace(prepend_scheme="never"))
    yield "first", make_tokenizer(plain, sequence(stock, SPACES_TO_MARK),
                                  metaspace(prepend_scheme="first"))
    yield "first_strip", make_tokenizer(plain, sequence(STRIP_BOTH, stock, STRIP_BOTH),
                                        metaspace(prepend_scheme="first"))
    yield "first_nmt", make_tokenizer(plain, sequence({"type": "Nmt"}, {"type": "NFKC"}),
                                      metaspace(prepend_scheme="first"))
    yield "no_split", make_tokenizer(plain, sequence(stock, STRIP, SPACES_TO_MARK),
                                     metaspace(prepend_scheme="first", split=False))
    yield "old_keys", make_tokenizer(plain, stock, metaspace(add_prefix_space=True))
    yield "underscore", make_tokenizer(
        plain, replace("a", "_"), {"type": "Metaspace", "replacement": "_",
                                   "prepend_scheme": "always", "split": True})
    yield "bare", make_tokenizer(plain, None, None)
    yield "no_added", make_tokenizer(plain, stock, metaspace(), None)
    yield "white", make_tokenizer(plain, {"type": "NFC"}, pre(WHITE, metaspace()))
    yield "white_first", make_tokenizer(plain, stock, pre(
        WHITE, metaspace(prepend_scheme="first")))
    yield "white_after", make_tokenizer(plain, None, pre(metaspace(), WHITE))
    yield "white_only", make_tokenizer(plain, {"type": "NFKC"}, WHITE)
    yield "bytes", make_tokenizer(plain, stock, metaspace(), byte_fallback=True)
    yield "some_bytes", make_tokenizer(make_vocabulary(2, (0xe2, 0xcc, 0xf0)), None,
                                       metaspace(), byte_fallback=True)
    yield "no_bytes", make_tokenizer(make_vocabulary(3, False), stock, metaspace(),
                                     byte_fallback=True)
    yield "doubles", make_tokenizer(make_vocabulary(4, doubles=300), stock, metaspace())
    yield "no_ties", make_tokenizer(make_vocabulary(5, rounding=0), stock, metaspace())
    yield "equal", make_tokenizer(make_vocabulary(6, rounding=100), stock, metaspace())
    yield "flags", make_tokenizer(plain, stock, metaspace(), EXTRAS)
    yield "flags_first", make_tokenizer(plain, sequence(stock, STRIP_BOTH),
                                        metaspace(prepend_scheme="first"), EXTRAS)
    yield "replacements", make_tokenizer(plain, sequence(
        replace("ab", "c"), replace("\u3002", ". "), replace("e", ""), {"type": "Nmt"},
        SPACES_TO_MARK, STRIP_BOTH), metaspace(prepend_scheme="first"))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Texts, our lines, and the tokenizers in the order of our lists."""
    folder = tmp_path_factory.mktemp("tokenizers")
    theirs, paths = {}, []
    for name, content in settings():
        path = folder / (name + ".json")
        path.write_text(json.dumps(content))
        theirs[name] = tokenizers.Tokenizer.from_file(str(path))
        paths.append(path)
    raw = make_texts(CASES, SEED + 1)
    texts = raw[:CASES // 2] + [line["cleaned"] for line in probe(raw[CASES // 2:])]
    return texts, probe(texts, paths), theirs


@pytest.mark.parametrize("name", [name for name, _ in settings()])
def test_ids_are_those_of_tokenizers(comparison, name):
    texts, lines, theirs = comparison
    place = list(theirs).index(name)
    report([(text, want, line["ids"][place]) for text, line in zip(texts, lines)
            if line["ids"][place] != (want := theirs[name].encode(text).ids)])


def test_a_character_that_has_no_token_is_refused(tmp_path):
    content = make_tokenizer([["a", -1.0], ["b", -2.0]], None, None, None, unk_id=None)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    with pytest.raises(Exception, match="unk"):
        tokenizers.Tokenizer.from_file(str(path)).encode("abc")
    refused, fine = probe(["abc", "ab"], [path])
    assert "unk_id" in refused["ids"][0]["error"]
    assert fine["ids"][0] == [0, 1, 1]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
