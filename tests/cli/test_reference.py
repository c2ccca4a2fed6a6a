# SPDX-License-Identifier: Apache-2.0
"""The real program against the Python reference: a whole generation, from prompt, picture
and seed to latents and frames.

Needs a folder of goldens with its whole model, which is too large to be kept here:
PHONOFILM_GOLDENS names it (default: one that lies beside the project).
"""
import array
import json
import os
import pathlib
import shutil
import struct
import subprocess

import pytest

from conftest import ROOT
from test_films import luma

GOLDENS = pathlib.Path(os.environ.get("PHONOFILM_GOLDENS",
                                      ROOT.parent / "shared" / "goldens"))
pytestmark = pytest.mark.skipif(
    not (GOLDENS / "run" / "seeded.safetensors").is_file(),
    reason=f"there are no goldens of whole generations at {GOLDENS}")


class Tensors:
    """A safetensors file, F32 and U8, as flat arrays."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        length, = struct.unpack("<Q", data[:8])
        self.header = json.loads(data[8:8 + length])
        self.data = data[8 + length:]

    def __getitem__(self, name):
        begin, end = self.header[name]["data_offsets"]
        kind = {"F32": "f", "U8": "B"}[self.header[name]["dtype"]]
        return array.array(kind, self.data[begin:end])


@pytest.fixture(scope="module")
def case():
    index = json.loads((GOLDENS / "index.json").read_text())
    return index["run/seeded"]["meta"], Tensors(GOLDENS / "run" / "seeded.safetensors")


@pytest.fixture(scope="module")
def made(case, run, tmp_path_factory):
    """The program's latents, frames and film of the same request."""
    meta, _ = case
    folder = tmp_path_factory.mktemp("reference")
    request = ["--model-path", GOLDENS / meta["model"], "--image-path",
               GOLDENS / meta["image"], "--prompt", meta["prompt"],
               "--negative-prompt", meta["negative_prompt"], "--height", meta["height"],
               "--width", meta["width"], "--num-frames", meta["num_frames"],
               "--num-inference-steps", meta["steps"], "--fps", meta["fps"],
               "--guidance-scale", meta["guidance_scale"], "--seed", meta["seed"],
               "--rng", meta["rng"], "--precision", "f32"]
    latents = folder / "latents.safetensors"
    result = run("generate", *map(str, request), "--save-latents", latents, "-o",
                 folder / "film.mp4")
    assert result.code == 0, result.err
    result = run("generate", *map(str, request), "-o", folder / "frame.png")
    assert result.code == 0, result.err
    return folder, Tensors(latents)


@pytest.mark.parametrize("name", ["latents.video", "latents.audio"])
def test_latents_are_the_references(case, made, name):
    ours, golden = made[1][name], case[1][name]
    assert len(ours) == len(golden)
    largest = max(abs(v) for v in golden)
    assert max(abs(a - b) for a, b in zip(ours, golden)) <= 1e-5 * largest


def raw_frames(*arguments):
    done = subprocess.run(["ffmpeg", "-v", "error", *arguments, "-f", "rawvideo",
                           "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    return done.stdout


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_frames_are_the_references(case, made):
    golden = case[1]["frames_u8"].tobytes()
    pictures = sorted(made[0].glob("frame*.png"))
    ours = b"".join(raw_frames("-i", str(p)) for p in pictures)
    assert len(ours) == len(golden)
    apart = [abs(a - b) for a, b in zip(ours, golden)]
    assert max(apart) <= 1
    assert sum(apart) <= len(apart) // 1000


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_film_is_the_references_up_to_the_codec(case, made):
    """Brightness, since the codec halves the colours' resolution, which the noise of
    a random model does not survive."""
    golden = luma(case[1]["frames_u8"].tobytes())
    ours = luma(raw_frames("-i", str(made[0] / "film.mp4")))
    assert len(ours) == len(golden)
    assert sum(abs(a - b) for a, b in zip(ours, golden)) / len(golden) < 3
