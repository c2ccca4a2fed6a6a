# SPDX-License-Identifier: Apache-2.0
"""Fits preview.json: the linear map from normalised latents to colours that the server's
previews use.  docs/model/pipeline.md#previews.

    python3 -m training.preview MODEL [PROGRAM]

The program renders films of unseen scenes and saves their latents; every latent cell
[16] is fitted to the mean colour of the pixels that it stands for.  Needs numpy and
ffmpeg, not PyTorch.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

from . import pictures, prompts, world

SCENES, FIRST_SEED, SIZE, CELL, STEP = 12, 900000, 64, 8, 4


def read_latents(path):
    """[16, T, h, w] of a file that `--save-latents` wrote."""
    with open(path, "rb") as f:
        data = f.read()
    length, = struct.unpack("<Q", data[:8])
    entry = json.loads(data[8:8 + length])["latents.video"]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    return np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])


def read_frames(path):
    """[F, H, W, 3] in -1..1."""
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt",
                          "rgb24", "-"], check=True, capture_output=True).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, SIZE, SIZE, 3)
    return frames.astype(float) / 127.5 - 1


def cell_colours(frames):
    """[T, h, w, 3]: means over the pixels and frames of each latent cell."""
    f = frames.reshape(len(frames), SIZE // CELL, CELL, SIZE // CELL, CELL, 3).mean((2, 4))
    return np.concatenate([f[:1], f[1:].reshape(-1, STEP, *f.shape[1:]).mean(1)])


def render(program, model, folder, seed):
    """Latents and cell colours of one scene's film."""
    rng = np.random.default_rng(seed)
    scene = world.sample_scene(rng)
    names = [os.path.join(folder, name) for name in ("first.png", "film.mp4", "x.safetensors")]
    pictures.write_png(names[0], world.render(scene, [0])[0])
    subprocess.run([program, "generate", "--quiet", "--model-path", model, "--prompt",
                    prompts.describe(rng, scene), "--image-path", names[0], "-o", names[1],
                    "--save-latents", names[2]], check=True)
    return read_latents(names[2]), cell_colours(read_frames(names[1]))


def main(model, program="build/phonofilm"):
    rows, colours = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + SCENES):
        with tempfile.TemporaryDirectory() as folder:
            latents, cells = render(program, model, folder, seed)
        rows.append(latents.reshape(len(latents), -1).T)
        colours.append(cells.reshape(-1, 3))
    x, y = np.concatenate(rows), np.concatenate(colours)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    solution = np.linalg.lstsq(x, y, rcond=None)[0]
    error = float(np.sqrt(np.mean((x @ solution - y) ** 2)) * 127.5)
    rounded = np.round(solution, 4).tolist()
    with open(os.path.join(model, "preview.json"), "w") as f:
        json.dump({"factors": rounded[:-1], "bias": rounded[-1]}, f, indent=1)
        f.write("\n")
    print(f"preview.json: {error:.1f} of 255 off (root mean square, {len(x)} cells)")


if __name__ == "__main__":
    main(*sys.argv[1:])
