# SPDX-License-Identifier: Apache-2.0
"""The measuring itself: its options, what it leaves behind, and that wrong films have
bad figures."""
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(os.path.dirname(HERE))]

import quality  # noqa: E402
from training import detect, measure, world  # noqa: E402

FAILING = """#!/bin/sh
echo "out of luck" >&2
exit 3
"""
SLOW = """#!/bin/sh
touch "$STARTED"
exec sleep 2
"""


def program(folder, text):
    path = folder / "program"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def call(tmp_path):
    """call(OPTION...) -> (exit status, standard output, standard error); what the script
    leaves in its TMPDIR is an error."""
    folder = tmp_path / "a folder"
    folder.mkdir()

    def make(*options):
        done = subprocess.run([sys.executable, f"{HERE}/quality.py", *options],
                              capture_output=True, text=True, cwd=tmp_path,
                              env=dict(os.environ, TMPDIR=str(folder)))
        assert not list(folder.iterdir())
        return done.returncode, done.stdout, done.stderr
    return make


@pytest.mark.parametrize("options, word", [
    (["--scenes", "0"], "--scenes"), (["--scenes", "1"], "--scenes"),
    (["--scenes", "x"], "--scenes"), (["--seed", "-1"], "--seed"),
    (["--jobs", "0"], "--jobs"), (["--program", "/nowhere/program"], "/nowhere/program")])
def test_wrong_options(call, options, word):
    code, _, message = call(*options)
    assert code == 2 and word in message.splitlines()[-1] and "Traceback" not in message


def test_failing_program(call, tmp_path):
    code, _, message = call("--short", "--program", program(tmp_path, FAILING))
    assert code == 1 and "out of luck" in message and "ended with 3" in message


def test_stopped(tmp_path):
    """Nothing is left behind, and no film is begun any more."""
    folder, started = tmp_path / "temporary", tmp_path / "started"
    folder.mkdir()
    run = subprocess.Popen([sys.executable, f"{HERE}/quality.py", "--short", "--program",
                            program(tmp_path, SLOW)], stderr=subprocess.PIPE, text=True,
                           env=dict(os.environ, TMPDIR=str(folder), STARTED=str(started)))
    while not started.exists():
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    message = run.communicate()[1]
    assert run.returncode == 1 and message == "quality.py: stopped\n"
    assert not list(folder.iterdir())


def test_options_of_sound():
    passed = ["-s", "8", "-s8", "--num-inference-steps=8", "--num-inf", "8", "--precision",
              "f32", "-g2", "--guidance-scale-2", "1", "--graph", "-t", "2"]
    assert quality.of_sound(passed) == ["--precision", "f32", "-t", "2"]


def test_platform():
    assert quality.platform_of([]) == quality.platform_of(["--platform"]) == "cpu"
    assert quality.platform_of(["--platform=cpu", "--platform", "ascend"]) == "ascend"


def test_json_without_a_name(capsys):
    quality.write_json("-", dict(films=dict(sound_ms=math.nan, shape=1.0)))
    assert json.loads(capsys.readouterr().out) == dict(films=dict(sound_ms=None, shape=1.0))


class Perfect:
    """In the program's place: makes the true films, at once."""

    def __init__(self, options, _):
        rng = np.random.default_rng(options.seed)
        scenes = [world.sample_scene(rng) for _ in range(options.scenes)]
        following = dict(zip(world.MATERIALS, world.MATERIALS[1:] + world.MATERIALS[:1]))
        self.scenes = dict(
            scene=scenes, t2va=scenes, free=[s for _, s in quality.free_requests(options.seed)],
            other=[replace(s, material=following[s.material]) for s in scenes])

    def films(self, requests):
        return [quality.true_film(self.scenes[name[:-3]][int(name[-3:])])
                for name, *_ in requests]

    def seconds(self):
        return 0.5


def test_perfect_program(monkeypatch, capsys):
    """Reaches all that is wanted, and so do the detectors on the true films."""
    monkeypatch.setattr(quality, "Program", Perfect)
    monkeypatch.setattr(sys, "argv", ["quality.py", "--scenes", "3", "--seed", "9", "--json",
                                      "--program", "/bin/sh", "--", "--precision", "f32"])
    assert quality.run(quality.read_options(), "")
    told = json.loads(capsys.readouterr().out)
    assert (told["scenes"], told["seed"]) == (3, 9) and told["options"] == ["--precision", "f32"]
    assert set(told["films"]) == set(quality.TARGETS)
    for key, value in told["films"].items():
        assert quality.verdict(key, value) in ("wanted", ""), key
        assert key in ("seconds", "other_material") or told["truth"][key] == value


# --- wrong films ------------------------------------------------------------------------

SCENES = [world.sample_scene(np.random.default_rng([5, i])) for i in range(4)]


def figures(change):
    """Of the true films after change(film, sound, scene) -> (film, sound)."""
    films = [change(world.render(s), world.sound(s), s) for s in SCENES]
    return measure.summarize([measure.measure(*f, s) for f, s in zip(films, SCENES)])


def test_true_films():
    seen = figures(lambda film, sound, scene: (film, sound))
    for key, (_, _, wanted, less) in quality.TARGETS.items():
        if wanted is not None and key in seen:
            assert seen[key] <= wanted if less else seen[key] >= wanted, key


def test_silent_films():
    seen = figures(lambda film, sound, scene: (film, 0 * sound))
    assert seen["sound_recall"] == seen["material"] == seen["pitch"] == 0.0
    for key in ("sound_ms", "synchrony_ms", "synchrony_p90_ms"):
        assert quality.verdict(key, seen[key]) == "SHORT"


def test_late_sound():
    late = lambda sound, n: np.concatenate([np.zeros(n, np.float32), sound[:-n]])
    seen = figures(lambda film, sound, scene: (film, late(sound, 1920)))
    assert seen["sound_ms"] == pytest.approx(40, abs=1) and seen["synchrony_ms"] > 35
    seen = figures(lambda film, sound, scene: (film, late(sound, 9600)))
    assert seen["sound_recall"] < 0.5 and seen["sound_extra"] > 1.0


def test_too_many_sounds():
    def more(film, sound, scene):
        hit = 0.5 * world.hit_sound(scene.material, scene.size).astype(np.float32)
        for at in range(4800, world.SAMPLES - 4800, 9600):
            sound[at:at + len(hit)] += hit[:world.SAMPLES - at]
        return film, sound
    assert figures(more)["sound_extra"] > 3.0


def test_other_shape():
    other = dict(ball="cube", cube="ball")
    seen = figures(lambda film, sound, scene:
                   (world.render(replace(scene, shape=other[scene.shape])), sound))
    assert seen["shape"] == 0.0


@pytest.mark.parametrize("whole", [False, True])
def test_flicker_is_an_error_of_colour(whole):
    """A colour that is right on average only is not right."""
    def flicker(film, sound, scene):
        by = np.where(np.arange(world.FRAMES) % 2, 20, -20)[:, None, None, None]
        where = whole or world.thing_mask(scene, world.lifts(scene), 0.0)[..., None]
        return np.clip(film + by * where, 0, 255).astype(np.uint8), sound
    seen = figures(flicker)
    assert seen["thing_colour"] > 12
    assert not whole or (seen["floor_colour"] > 12 and seen["wall_colour"] > 12)


def test_chance():
    films = [measure.measure(world.render(s), world.sound(s), s) for s in SCENES]
    seen = measure.chance(films, SCENES)
    pairs = list(zip(SCENES, SCENES[1:] + SCENES[:1]))
    assert seen["shape"] == np.mean([a.shape == b.shape for a, b in pairs])
    assert seen["material"] == np.mean([a.material == b.material for a, b in pairs])
    assert seen["pitch"] == np.mean([a.size == b.size for a, b in pairs])
