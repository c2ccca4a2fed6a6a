# SPDX-License-Identifier: Apache-2.0
"""Weights that are cut, changed or replaced while a film is being made of them."""
import os
import shutil
import subprocess
import time

import pytest

from conftest import BUILD, PROGRAM, ROOT

FLAGS = ["--prompt", "A ball.", "--t2va", "--height", "32", "--width", "48", "--num-frames", "9"]


@pytest.fixture
def film_during(model_copy, tmp_path):
    """Makes a film of these steps and calls happen(process) when it begins; the exit code,
    what was said, what lies in the film's folder, and the folder."""
    def make(happen, steps, *flags, environment=None):
        folder = tmp_path / f"films-{steps}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        process = subprocess.Popen(
            [PROGRAM, "generate", "--model-path", model_copy, *FLAGS, *map(str, flags),
             "--num-inference-steps", str(steps), "-q", "-o", folder / "film.mp4",
             "--save-latents", folder / "latents"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {})})
        end = time.monotonic() + 60
        while not list(folder.glob("*.part*")) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        happen(process)
        out, err = process.communicate(timeout=120)
        return process.returncode, err, sorted(p.name for p in folder.iterdir()), folder
    return make


def weights(model_copy, component):
    """The largest file of a component."""
    return max((model_copy / component).glob("*.safetensors"), key=lambda p: p.stat().st_size)


@pytest.mark.parametrize("component, steps, flags", [
    ("video_dit", 1000, []), ("video_dit", 1000, ["--keep-resident"]),
    ("video_dit", 1000, ["--platform", "reference"]), ("audio_dit", 1000, ["--threads", "1"]),
    ("dual_tower_bridge", 1000, ["--precision", "ref"]), ("video_dit_2", 100, []),
    ("audio_vae", 60, []), ("video_vae", 60, []),
])
def test_weights_are_cut(film_during, model_copy, component, steps, flags):
    path = weights(model_copy, component)
    whole = path.stat().st_size
    code, err, left, _ = film_during(lambda process: os.truncate(path, 1000), steps, *flags)
    # Latents that were whole before a decoder met the file stay.
    whole_latents = ["latents"] if component.endswith("_vae") else []
    assert code == 1 and left in ([], whole_latents), (code, err, left)
    assert len(err.strip().split("\n")) == 1 and str(path) in err
    # While it is in use, or when it is loaded later.
    assert f"has 1000 of {whole} bytes" in err or "cut" in err, err


def test_weights_are_changed(film_during, model_copy):
    path = weights(model_copy, "audio_dit")
    data = path.read_bytes()

    def write_again(process):           # until the film has really begun
        while process.poll() is None:
            with open(path, "r+b") as file:
                file.write(data)
            time.sleep(0.02)
    code, err, left, _ = film_during(write_again, 1000)
    assert code == 1 and left == [], (code, err, left)
    assert f"{path} was changed while it was in use" in err


def test_weights_are_replaced(film_during, model_copy, tmp_path):
    """By files of the same names, or by none: the film is what it would have been."""
    folder = film_during(lambda process: None, 40)[3]

    def replace(process):
        for path in model_copy.rglob("*.safetensors"):
            other = tmp_path / "other"
            other.write_bytes(b"another file")
            other.rename(path)
        shutil.rmtree(model_copy)
    code, err, left, other = film_during(replace, 40)
    assert code == 0, err
    for name in ("film.mp4", "latents"):
        assert (other / name).read_bytes() == (folder / name).read_bytes()


def test_weights_for_a_device_are_cut(film_during, model_copy):
    """They are read when they are brought to it."""
    path = weights(model_copy, "video_dit_2")
    code, err, left, _ = film_during(
        lambda process: os.truncate(path, 1000), 60, "--platform", "ascend",
        environment={"ASCEND_HOME_PATH": str(BUILD / "tests" / "cann" / "8.3")})
    assert code == 1 and left == [] and str(path) in err and "cut" in err, (code, err, left)


def test_latents_that_are_cut(run, film_during, tmp_path):
    latents = film_during(lambda process: None, 2)[3] / "latents"
    size = latents.stat().st_size
    os.truncate(latents, size - 100)
    result = run("generate", "--from-latents", latents, "-o", tmp_path / "x.mp4")
    assert result.code == 2 and f"has {size - 100} of {size} bytes" in result.err
    latents.write_bytes(b"<html><title>Sign in</title>")
    result = run("generate", "--from-latents", latents, "-o", tmp_path / "x.mp4")
    assert result.code == 2 and "web page" in result.err


@pytest.fixture
def failing_disk(tmp_path):
    """The model in the box on a disk of its own, and a call after which nothing more can be
    read from it."""
    image, place = tmp_path / "disk", tmp_path / "mounted"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(48 << 20)
    try:
        for command in (["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, place]):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file needs root and loop devices")
    shutil.copytree(ROOT / "models" / "nano", place / "model")
    for command in (["umount", place], ["mount", "-o", "loop,ro", image, place]):
        subprocess.run(command, check=True)     # what was written is in no cache now
    yield place / "model", lambda process: os.truncate(image, 1 << 20)
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_fails(film_during, failing_disk):
    model, fail = failing_disk
    code, err, left, _ = film_during(fail, 40, "--model-path", model)
    assert code == 1 and left == [], (code, err, left)
    assert len(err.strip().split("\n")) == 1 and str(model) in err
    assert "could not be read while it was in use" in err, err
