# SPDX-License-Identifier: Apache-2.0
"""The training itself: resuming, starting from an export, and small helpers."""
import subprocess
import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from training import export, latents, parallel, prompts, store, tokenizer, \
    tower_losses, train_audio_vae, train_towers, train_video_vae, world  # noqa: E402
from training.optim import Optimizer, orthogonalize  # noqa: E402
from training.trainer import Stage, seed_step  # noqa: E402


def test_the_model_in_the_box_says_what_it_was_made_for():
    folder = __file__.rsplit("/", 3)[0] + "/models/nano"
    assert store.load_json(f"{folder}/generation_config.json") == export.GENERATION
    assert export.GENERATION["made_for"]["subjects"] == ["ball", "sphere", "cube", "block", "box"]
    assert {"wooden", "falls", "medium-sized"} < set(export.GENERATION["made_for"]["words"].split())


def toy_losses(model):
    def losses(own, shared, _):
        x = torch.from_numpy(own.normal(size=(4, 8))).float() * (1 + shared.integers(3))
        return dict(loss=(model(x) - torch.randn(4, 4)).square().mean())
    return losses


def stage(folder, seconds):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 4))
    made = Stage("toy", str(folder), model, Optimizer(model.named_parameters(), 0.01, 1e-3),
                 seconds, seed=3)
    made.resume()
    return made


def steps(made, until):
    """Train to a step number, at a constant learning rate."""
    def stop(s):
        if s.step >= until:
            s.save()
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        made.run(toy_losses(made.model), before=stop, schedule=lambda progress: 1.0)
    return {k: v.clone() for k, v in made.model.state_dict().items()}


def test_resumed_equals_uninterrupted(tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = steps(stage(tmp_path / "whole", 1e6), 20)
    steps(stage(tmp_path / "parts", 1e6), 9)
    parts = steps(stage(tmp_path / "parts", 1e6), 20)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


TOGETHER = """
import sys
from training.tests.test_training import stage, steps
steps(stage(sys.argv[1], 1e6), 12)
"""


def test_processes_take_the_mean_step(tmp_path, monkeypatch):
    """Two processes end where one does that averages the gradients of both."""
    started = [subprocess.Popen([sys.executable, "-c", TOGETHER, str(tmp_path)], env=e)
               for e in parallel.environments(2, str(tmp_path / "meeting"))]
    assert [p.wait() for p in started] == [0, 0]
    together = store.load_checkpoint(str(tmp_path / "toy.checkpoint"))["model"]
    alone = stage(tmp_path / "none", 1e6)
    losses = toy_losses(alone.model)
    for step in range(12):
        for rank in range(2):
            monkeypatch.setattr(parallel, "rank", lambda: rank)
            (losses(*seed_step(3, "toy", step), 0.0)["loss"] / 2).backward()
        alone.optimizer.step(1.0)
    for name, value in alone.model.state_dict().items():
        assert torch.allclose(together[name], value, atol=1e-5), name


def test_killed_while_writing(tmp_path):
    path = str(tmp_path / "x.checkpoint")
    store.save_checkpoint(path, dict(step=1))
    (tmp_path / "x.checkpoint.part").write_bytes(b"half a file")
    assert store.load_checkpoint(path) == dict(step=1)


FAULTS = """
import resource
import torch
from training import trainer

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in (1 << 20, 1 << 24):
        torch.ones(size).mul(2.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print([faults() for _ in range(10)][-1])
"""


def test_freed_memory_is_kept():
    """Once the heap has found its shape; in a process of its own, for that depends on what
    it went through."""
    done = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True)
    assert int(done.stdout) < 1000       # 34,000 pages are written


def test_orthogonalize():
    for shape in ((3, 5, 9), (2, 9, 5)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
        assert 0.5 < float(values.min()) and float(values.max()) < 1.4


def test_rotated_latents_decode_alike():
    vae = train_audio_vae.build()
    sound = torch.from_numpy(world.sound(world.sample_scene(np.random.default_rng(0))))
    with torch.no_grad():
        z = vae.encode(sound[None, None])
        before = vae.decode(z)
        train_audio_vae.rotate_latents(vae, z[0].T)
        z = vae.encode(sound[None, None])
        assert torch.allclose(vae.decode(z), before, atol=1e-4)
    assert abs(float(z.mean())) < 1e-3


def test_short_condition_is_exact():
    vae = train_video_vae.build()
    rng = np.random.default_rng(0)
    pictures = [world.render(world.sample_scene(rng), [0])[0] for _ in range(3)]
    long = torch.cat([latents.encode(vae, latents.condition_clip(p), "cpu")
                      for p in pictures])
    short = latents.encode_conditions(vae, pictures, "cpu")
    assert long.shape == short.shape
    assert float((long - short).abs().max()) < 0.05 * float(long.abs().max())


def test_clips_keep_their_order():
    vae = train_video_vae.build()
    scenes = [latents.scene_of(1, i) for i in range(3)]
    together = latents.encode_clips(vae, scenes, "cpu")
    for i, scene in enumerate(scenes):
        alone = latents.encode_clips(vae, [scene], "cpu")
        for name, value in alone.items():
            difference = (together[name][i] - value[0]).abs().max()
            assert float(difference) < 0.01 * float(value.abs().max()), name
    assert set(latents.encode_clips(vae, scenes[:1], "cpu", pictures=False)) == {"video"}


def test_films_without_a_picture():
    """They fall in the middle; sentences with them never get a clip with a picture."""
    scenes = [latents.central_scene_of(1, i) for i in range(40)]
    assert {s.x for s in scenes} == {world.SIZE / 2} and len(set(scenes)) == 40
    clips = types.SimpleNamespace(pictures=100, scenes=[None] * 200)
    losses = tower_losses.Losses(None, clips, tokenizer.Tokenizer(
        tokenizer.build(prompts.words())), 8, "cpu")
    blank = np.arange(500) % 2 == 0
    numbers = losses.draw(np.random.default_rng(0), blank)
    assert ((numbers >= 100) == blank).all()
    kept = tower_losses.HELD_OUT
    assert numbers[~blank].max() < 100 - kept and numbers[blank].max() < 200 - kept


@torch.no_grad()
def test_visibility_of_channels():
    torch.manual_seed(0)
    vae, video = train_video_vae.build(), torch.randn(1, 16, 2, 4, 4)
    plain = latents.visibility(vae, video)
    vae.post_quant_conv.weight[:, 3] = 0.0
    vae.post_quant_conv.weight[:, 7] *= 10.0
    shown = latents.visibility(vae, video)
    assert plain.min() > 0.0 and shown[3] == 0.0 and shown[7] > 2.0 * plain[7]
    assert shown.mean() == pytest.approx(1.0)


def test_padding_comes_gradually():
    losses = tower_losses.Losses(None, None, tokenizer.Tokenizer(
        tokenizer.build(prompts.words())), 8, "cpu")
    weights = [losses.padding(p) for p in np.linspace(0, 1, 50)]
    assert weights[0] < 1e-3 and weights == sorted(weights)
    assert losses.padding(tower_losses.ALONE) == 1.0
    rows, lengths = torch.randn(2, 5, 8), torch.tensor([5, 3])
    whole, faint = (train_towers.make_context(rows, lengths, p) for p in (1.0, 0.25))
    assert torch.allclose((whole.bias - faint.bias)[..., -1], torch.tensor(4.0).log())
    assert torch.equal(whole.bias[..., :-1], faint.bias[..., :-1])


def test_reader_learns_what_is_said():
    """A loss that falls shows that gradients reach queries, classes and encoder."""
    torch.manual_seed(0)
    model, pieces = train_towers.build()
    scenes = [latents.scene_of(2, i) for i in range(16)]
    rng, losses = np.random.default_rng(0), []
    lines = [pieces.encode(prompts.describe(rng, s, 1.2)) for s in scenes]
    optimizer = Optimizer(model.named_parameters(), 0.01, 3e-3)
    for _ in range(30):
        loss = model.reader.loss(model.context(lines), scenes)
        loss.backward()
        optimizer.step(1.0)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def tiny_run(folder, seconds, init=None):
    store.save_json(f"{folder}/run.json", dict(preset="cpu", hours=0.0, seed=1, init=init))
    common = dict(seed=1, init=init)
    train_video_vae.train(folder, seconds, **common)
    train_audio_vae.train(folder, seconds, **common)
    latents.cache(folder, 40, 40, 1)
    train_towers.train(folder, seconds, clips=40, blanks=40, batch=2, new_text=bool(init),
                       **common)


CARD = 12e3     # bytes of the model card, which is written by hand


@pytest.mark.slow
def test_export_is_a_start(tmp_path, monkeypatch):
    """Train a moment, export, begin again from the export: the same weights, and on."""
    monkeypatch.setattr(latents, "SHARD", 40)
    first, second, model = (str(tmp_path / n) for n in ("first", "second", "model"))
    tiny_run(first, 2.0)
    assert export.export(first, model) + CARD < 20e6
    began, pieces = train_towers.build(model)
    ended, _ = train_towers.load(first)
    for name, value in ended.state_dict().items():
        if name.startswith("reader."):
            continue                        # only training needs it
        assert torch.equal(value.bfloat16().float(), began.state_dict()[name]), name
    tiny_run(second, 2.0, init=model)
    export.export(second, str(tmp_path / "again"))
    log = store.load_json(str(tmp_path / "again" / "training.json"))
    assert len(log["runs"]) == 2
    assert pieces.encode("a red ball") == tokenizer.Tokenizer(
        tokenizer.build(prompts.words())).encode("a red ball")
