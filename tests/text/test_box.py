# SPDX-License-Identifier: Apache-2.0
"""The tokenizer and the text encoder's table of the model in the box."""
import json
import pathlib
import subprocess
import unicodedata

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = ROOT / "build" / "tests" / "text" / "text_probe"
MODEL = ROOT / "models" / "nano"
CONTENTS = json.loads((MODEL / "tokenizer/tokenizer.json").read_text(encoding="utf-8"))
UNKNOWN = CONTENTS["model"]["unk_id"]

LATIN = ["O minge roșie de oțel cade pe podea și sună.",
         "Một quả bóng kim loại đỏ rơi xuống sàn nhà và nảy lên.",
         "Qırmızı metal top döşəməyə düşür.",
         "Ẹja — Yorùbá, ọ̀pọ̀; “Ŋdaw” ɓaleere… ʼn",
         "Ein großer Würfel fällt; ÉLÈVE, Łódź, Þór, ǎǐǒǔ, ĳ, ẞ, €5 – №1",
         "".join(chr(c) for c in range(0x21, 0x250)
                 if unicodedata.category(chr(c))[0] in "LNPS")]


def ids(texts):
    done = subprocess.run([PROBE, MODEL / "tokenizer/tokenizer.json"], text=True,
                          input=json.dumps(texts), capture_output=True, check=True)
    return [json.loads(line)["ids"][0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("text", LATIN)
def test_latin_text_has_pieces(text):
    found, = ids([text])
    assert len(found) > 5 and UNKNOWN not in found


def test_other_scripts_are_unknown():
    found, = ids(["Мяч падает"])
    assert found.count(UNKNOWN) == 2


def latents(tmp_path, name, prompt):
    path = tmp_path / name
    subprocess.run([ROOT / "build/phonofilm", "generate", "--model-path", MODEL, "--prompt",
                    prompt, "--image-path", ROOT / "examples/red-ball.png", "--seed", "1",
                    "--num-inference-steps", "2", "--save-latents", path, "-o",
                    tmp_path / "film.mp4"], check=True, capture_output=True)
    return path.read_bytes()


def test_capitals_say_the_same(tmp_path):
    """Also where no sentence of the training has them."""
    small = latents(tmp_path, "small", "A red metal ball falls.")
    capital = latents(tmp_path, "capital", "A Red Metal Ball Falls.")
    other = latents(tmp_path, "other", "A Red Rubber Ball Falls.")
    assert small == capital != other
