# SPDX-License-Identifier: Apache-2.0
"""The program's latents of a whole film against the same model in PyTorch, both F32.

Set PHONOFILM to the program and MODEL to the model's folder; skipped without them."""
import os
import subprocess

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from training import pictures, store, world  # noqa: E402
from training.sample import sample  # noqa: E402

PROGRAM, MODEL = os.environ.get("PHONOFILM", ""), os.environ.get("MODEL", "")
needs_program = pytest.mark.skipif(not (os.path.exists(PROGRAM) and os.path.isdir(MODEL)),
                                   reason="PHONOFILM and MODEL name no program and model")
PROMPT = "A small red wooden ball falls onto the grey floor, then rests: café."


@needs_program
def test_same_latents(tmp_path):
    scene = world.sample_scene(np.random.default_rng(4))
    picture, first = world.render(scene, [0])[0], str(tmp_path / "first.png")
    pictures.write_png(first, picture)
    saved = str(tmp_path / "latents.safetensors")
    subprocess.run([PROGRAM, "generate", "--quiet", "--model-path", MODEL, "--prompt", PROMPT,
                    "--image-path", first, "--seed", "11", "--rng", "torch-cpu",
                    "--precision", "f32", "--save-latents", saved,
                    "-o", str(tmp_path / "film.wav")], check=True)
    theirs = store.load_weights(saved)
    ours = sample(MODEL, PROMPT, picture, 11)
    for name, mine in zip(("video", "audio"), ours):
        tensor = next(t for k, t in theirs.items() if name in k)
        error = float((tensor.reshape(mine.shape) - mine).abs().max() / mine.abs().max())
        print(f"{name}: {error:.2e}")
        assert error <= 1e-4
