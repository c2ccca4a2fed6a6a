# SPDX-License-Identifier: Apache-2.0
"""The training models against the golden tensors of the reference.

Set GOLDENS to the folder that holds them; without it, or without PyTorch, these tests
are skipped and say so.
"""
import json
import os

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from training import store  # noqa: E402
from training.audio_vae import AudioVAE  # noqa: E402
from training.bridge import Bridge, velocity  # noqa: E402
from training.towers import AudioTower, VideoTower, make_context  # noqa: E402
from training.umt5 import TextEncoder  # noqa: E402
from training.video_vae import VideoVAE  # noqa: E402

ROOT = os.environ.get("GOLDENS", "")
pytestmark = [pytest.mark.skipif(not os.path.exists(os.path.join(ROOT, "index.json")),
                                 reason="GOLDENS does not name the folder of the goldens")]


def golden(name):
    """(meta, tensors) of one golden file."""
    meta = store.load_json(os.path.join(ROOT, "index.json"))[name]["meta"]
    return meta, store.load_weights(os.path.join(ROOT, f"{name}.safetensors"))


def weights(name, prefix=""):
    all_of = store.load_weights(os.path.join(ROOT, f"{name}.safetensors"))
    return {k[len(prefix):]: v for k, v in all_of.items() if k.startswith(prefix)}


def difference(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


def test_towers_and_bridge():
    with torch.no_grad():
        meta, t = golden("step/T0")
        parts = [("video_dit.", VideoTower(meta["video"])),
                 ("audio_dit.", AudioTower(meta["audio"])),
                 ("dual_tower_bridge.", Bridge(meta["bridge"]))]
        for prefix, part in parts:
            part.load_state_dict(weights(meta.get("weights") or "step/T0.weights", prefix))
        rows = t["in.text"]
        length = int(rows.abs().sum(1).nonzero().max()) + 1
        context = make_context(rows[None, :length], torch.tensor([length]))
        times = tuple(torch.tensor([meta[k]]) for k in ("t_video", "t_audio"))
        video, audio = velocity(*(p for _, p in parts), t["in.video"][None],
                                t["in.audio"][None], context, times, meta["fps"])
    assert difference(video[0], t["out.video"]) < 5e-6
    assert difference(audio[0], t["out.audio"]) < 5e-6


@pytest.mark.parametrize("name", ["one", "several"])
def test_video_vae(name):
    index = store.load_json(os.path.join(ROOT, "index.json"))
    cases = [k for k in index if k.startswith("video_vae/") and "tiled" not in k]
    config = store.load_json(os.path.join(ROOT, "model/video_vae/config.json"))
    cases = cases[:1] if name == "one" else cases[1:]
    with torch.no_grad():
        for case in cases:
            meta, t = golden(case)
            vae = VideoVAE(meta.get("config") or config)
            vae.load_state_dict(weights(meta["weights"]))
            if "enc.in" in t:
                mean = vae.encode(t["enc.in"][None])[0]
                assert difference(mean, t["enc.mean"]) < 4e-6, case
            if "dec.in" in t:
                video = vae.decode(t["dec.in"][None])[0].clamp(-1, 1)
                assert difference(video, t["dec.out"]) < 1e-5, case


def test_audio_vae():
    index = store.load_json(os.path.join(ROOT, "index.json"))
    config = store.load_json(os.path.join(ROOT, "model/audio_vae/config.json"))
    with torch.no_grad():
        for case in (k for k in index if k.startswith("audio_vae/")):
            meta, t = golden(case)
            if "weight_norm" in case:
                continue
            vae = AudioVAE(meta.get("config") or config)
            vae.load_state_dict(weights(meta["weights"]))
            if "dec.in" in t:
                assert difference(vae.decode(t["dec.in"][None])[0], t["dec.out"]) < 2e-5
            if "enc.in" in t:
                assert difference(vae.encode(t["enc.in"][None])[0], t["enc.mean"]) < 2e-5


def test_text_encoder():
    folder = os.path.join(ROOT, "model/text_encoder")
    config = store.load_json(os.path.join(folder, "config.json"))
    encoder = TextEncoder(config)
    tensors = store.load_folder(folder)
    tensors.pop("encoder.embed_tokens.weight", None)
    encoder.load_state_dict(tensors)
    cases = json.load(open(os.path.join(ROOT, "tokenizer_cases.json")))
    _, t = golden("text_encoder")
    with torch.no_grad():
        for i, case in enumerate(cases):
            if f"{i}.embed" not in t:
                continue
            ids = torch.tensor(case["ids"])[None]
            rows = encoder(ids, torch.tensor([ids.size(1)]))[0]
            assert difference(rows, t[f"{i}.embed"][:ids.size(1)]) < 2e-5, case["prompt"]
