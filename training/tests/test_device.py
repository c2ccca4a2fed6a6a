# SPDX-License-Identifier: Apache-2.0
"""No step of the training leaves a tensor behind on another device.

No GPU is needed: PyTorch's meta device computes nothing, yet refuses operations on tensors
of two devices, as a GPU does."""
import contextlib
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch.fx.experimental._config as fx  # noqa: E402
from training import optim, precision, tower_losses, train_audio_vae, train_towers, \
    train_video_vae, world  # noqa: E402

DEVICE = "meta"


@pytest.fixture(autouse=True)
def meta_device(monkeypatch):
    """What the meta device lacks: autocast, and values."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(precision, "fast", lambda device: torch.bfloat16)
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: 1.0)
    with fx.patch(meta_nonzero_assume_all_nonzero=True):
        yield


def learn(model, losses, *progress):
    """A step at each progress; Muon's part of it, AdamW's is PyTorch's own."""
    muon = optim.Optimizer(model.named_parameters(), 0.01, 1e-3).parts[0]
    own, shared = np.random.default_rng(1), np.random.default_rng(2)
    for at in progress:
        losses(own, shared, at)["loss"].backward()
        muon.step()
    assert all(p.grad is None or p.grad.device.type == DEVICE for p in model.parameters())
    assert any(p.grad is not None for p in model.parameters())


def test_video_vae():
    vae = train_video_vae.build().to(DEVICE)
    learn(vae, train_video_vae.Losses(vae, DEVICE), 0.1)


def test_audio_vae():
    vae = train_audio_vae.build().to(DEVICE)
    learn(vae, train_audio_vae.Losses(vae, DEVICE), 0.1, 0.9)


def some_clips(pictures=100, count=200):
    rng, video = np.random.default_rng(0), torch.zeros(count, 16, 13, 8, 8).half()
    return types.SimpleNamespace(
        pictures=pictures, scenes=[world.sample_scene(rng) for _ in range(count)],
        video=video, condition=video[:pictures], white=video[0], cells=video[:, 0],
        audio=torch.zeros(count, 16, world.SLOTS).half(), slots=torch.zeros(count, world.SLOTS),
        visibility=torch.ones(16))


def test_towers():
    model, pieces = train_towers.build()
    model.to(DEVICE)
    losses = tower_losses.Losses(model, some_clips(), pieces, 2, DEVICE)
    learn(model, losses, 0.0, 0.5 * tower_losses.ALONE, 0.3)
    losses.split = True
    learn(model, losses, 0.8, 0.8, 0.8)
    for expert in (model.video_dit, model.video_dit_2):
        assert any(p.grad is not None for p in expert.parameters())
    held_out = losses.check(types.SimpleNamespace(step=200))
    assert {value.device.type for value in held_out.values()} == {DEVICE}


def test_towers_that_listen():
    """Whole clips at once, and the reader, which no model has, is not asked."""
    model, pieces = train_towers.build()
    model.to(DEVICE)
    losses = tower_losses.Losses(model, some_clips(), pieces, 2, DEVICE, listens=True)
    learn(model, losses, 0.0)
    assert all(p.grad is None for p in model.reader.parameters())
    assert any(p.grad is not None for p in model.audio_dit.parameters())
