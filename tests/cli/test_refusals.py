# SPDX-License-Identifier: Apache-2.0
"""What is wrong is refused in one clear sentence, and leaves nothing behind."""
import json
import os
import resource
import signal
import struct
import subprocess
import time

import pytest

from conftest import PROGRAM, write_png


def check_refused(result, tmp_path, *words):
    assert result.code != 0
    lines = result.err.strip().split("\n")
    assert lines[0].startswith("phonofilm"), result.err
    for word in words:
        assert word in result.err, result.err
    assert not list(tmp_path.glob("film*")), "something was left behind"


@pytest.mark.parametrize("flags, words", [
    (["--height", "360"], ["height", "360", "16"]),
    (["--width", "50"], ["width", "50", "16"]),
    (["--num-frames", "192"], ["--num-frames", "192", "189", "193"]),
    (["--num-frames", "0"], ["--num-frames", "0"]),
    (["--num-inference-steps", "0"], ["--num-inference-steps", "0", "1000"]),
    (["--num-inference-steps", "1001"], ["1001"]),
    (["--fps", "0.5"], ["fps", "0.5"]),
    (["--fps", "nan"], ["fps", "nan"]),
    (["--guidance-scale", "-1"], ["--guidance-scale", "-1"]),
    (["--guidance-rescale", "2"], ["--guidance-rescale", "2"]),
    (["--guidance-scale", "1", "--guidance-rescale", "0.5"], ["no effect"]),
    (["--guidance-scale", "1", "--negative-prompt", "x"], ["no effect"]),
    (["--visual-shift", "3"], ["--audio-shift", "together"]),
    (["--visual-shift", "3", "--audio-shift", "0"], ["--audio-shift", "0"]),
    (["--cuda-sm-count", "132"], ["--cuda-sm-count", "no effect"]),
    (["--rng", "torch-cuda"], ["--cuda-sm-count"]),
    (["--rng", "dice"], ["rng", "dice", "own|torch-cpu|torch-cuda"]),
    (["--seed", "-1"], ["seed", "-1"]),
    (["--seed", "18446744073709551616"], ["seed"]),
    (["--t2va"], ["--t2va", "--image-path"]),
    (["--no-audio-output", "--no-video-output"], ["nothing"]),
    (["--vae-tile", "100"], ["--vae-tile", "100"]),
    (["--threads", "0"], ["threads", "0"]),
    (["--isa", "mmx"], ["mmx"]),
    (["--platform", "abacus"], ["abacus", "cpu"]),
    (["--precision", "low"], ["precision", "low", "fast|f32|ref"]),
    (["--memory-limit", "1M"], ["memory"]),
    (["--memory-limit", "lots"], ["memory-limit", "lots"]),
    (["--no-such-flag"], ["no-such-flag"]),
    (["stray"], ["stray"]),
])
def test_flags(film, tmp_path, flags, words):
    check_refused(film(tmp_path / "film.mp4", *flags), tmp_path, *words)


def test_usage_errors_have_exit_code_2(film, run, tmp_path):
    assert film(tmp_path / "film.mp4", "--no-such-flag").code == 2
    assert film(tmp_path / "film.mp4", "--height", "360").code == 2
    assert run().code == 2
    assert run("paint").code == 2
    assert run("generate").code == 2
    assert run("--version").out.startswith("phonofilm ")
    assert "Usage" in run("--help").out
    assert run("generate", "--help").code == 0


def test_output_names(film, tmp_path):
    for name in ("film.avi", "film", "film.mp4.txt"):
        check_refused(film(tmp_path / name), tmp_path, ".mp4")
    check_refused(film(tmp_path / "missing" / "film.mp4"), tmp_path, "missing")
    check_refused(film(tmp_path / "film.wav", "--no-audio-output"), tmp_path)
    check_refused(film(tmp_path / "film.mp4", "--output-path", "x"), tmp_path,
                  "choose one")


def limit_file_size():
    """No file may grow past 1 kB: what a full disk is like."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


@pytest.mark.parametrize("name, flags", [
    ("film.mp4", []), ("film.wav", []), ("film.webm", []),
    ("film.mp4", ["--save-latents", "film.safetensors"])])
def test_full_disk(model, tmp_path, name, flags):
    done = subprocess.run(
        [str(PROGRAM), "generate", "--model-path", str(model), "--prompt", "x", "--t2va",
         "--num-frames", "5", "-o", name, *flags], cwd=tmp_path, capture_output=True,
        preexec_fn=limit_file_size, timeout=120)
    assert done.returncode == 1, done.stderr
    assert b"cannot write" in done.stderr or b"too large" in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(film, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    check_refused(film(folder / "film.mp4"), tmp_path, "locked")


# --- prompts ---------------------------------------------------------------------


def test_prompts(film, tmp_path):
    path = tmp_path / "film.mp4"
    check_refused(film(path, prompt="-", stdin=b"\xff\xfe"), tmp_path, "prompt",
                  "UTF-8")
    check_refused(film(path, prompt="-", stdin=b"a" * 1_000_000), tmp_path, "prompt")
    check_refused(film(path, prompt="-", stdin=b"a\0b"), tmp_path, "NUL")
    assert film(tmp_path / "x.wav", prompt="").code == 0
    assert film(tmp_path / "y.wav", prompt="word " * 3000).code == 0


# --- pictures --------------------------------------------------------------------


@pytest.fixture
def refuse_picture(run, model, tmp_path):
    def check(path, *words):
        check_refused(run("generate", "--model-path", model, "--prompt", "x", "-i",
                          path, "-o", tmp_path / "film.mp4"), tmp_path, *words)
    return check


def test_bad_pictures(refuse_picture, picture, tmp_path):
    small, text, cut = (tmp_path / n for n in ("1.png", "text.png", "cut.png"))
    write_png(small, 1, 1, lambda x, y: (0, 0, 0))
    text.write_text("This is no picture.\n")
    cut.write_bytes(picture.read_bytes()[:-60])
    refuse_picture(small, "1x1")
    refuse_picture(text, "text.png")
    refuse_picture(cut, "cut.png")
    refuse_picture(tmp_path / "none.png", "none.png")
    refuse_picture(tmp_path, str(tmp_path))


def test_picture_bomb(refuse_picture, picture, tmp_path):
    data = bytearray(picture.read_bytes())
    data[16:24] = struct.pack(">II", 30000, 30000)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(data)
    refuse_picture(bomb, "30000x30000")


# --- models ----------------------------------------------------------------------


@pytest.fixture
def refuse_model(run, model_copy, tmp_path):
    def check(*words):
        result = run("generate", "--model-path", model_copy, "--prompt", "x",
                     "--t2va", "-o", tmp_path / "film.mp4")
        check_refused(result, tmp_path, *words)
    return check


def edit(path, **changes):
    value = json.loads(path.read_text())
    for key, new in changes.items():
        if new is ...:
            value.pop(key, None)
        else:
            value[key] = new
    path.write_text(json.dumps(value))


def test_missing_component(refuse_model, model_copy):
    (model_copy / "audio_dit").rename(model_copy / "elsewhere")
    refuse_model("audio_dit")


def test_missing_weights(refuse_model, model_copy):
    for path in (model_copy / "audio_vae").glob("*.safetensors"):
        path.unlink()
    refuse_model("audio_vae")


def test_truncated_shard(refuse_model, model_copy):
    shard = sorted((model_copy / "video_dit").glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-10])
    refuse_model(shard.name)


def test_broken_json(refuse_model, model_copy):
    (model_copy / "video_dit" / "config.json").write_text('{"dim": ')
    refuse_model("config.json", "JSON")


def test_nan_in_config(refuse_model, model_copy):
    path = model_copy / "audio_dit" / "config.json"
    path.write_text(path.read_text().replace("1e-6", "NaN", 1))
    refuse_model("config.json")


@pytest.mark.parametrize("component, key, value", [
    ("video_dit", "has_image_input", True),
    ("video_dit", "num_heads", 5),
    ("video_dit", "dim", 112),
    ("video_dit", "num_layers", 3),
    ("video_dit_2", "ffn_dim", 8),
    ("audio_dit", "vae_type", "tape"),
    ("dual_tower_bridge", "interaction_strategy", "psychic"),
    ("dual_tower_bridge", "head_dim", 7),
    ("video_vae", "is_residual", True),
    ("video_vae", "z_dim", 5),
    ("audio_vae", "continuous", False),
    ("text_encoder", "feed_forward_proj", "relu"),
    ("text_encoder", "num_heads", 0),
])
def test_config_values(refuse_model, model_copy, component, key, value):
    edit(model_copy / component / "config.json", **{key: value})
    refuse_model()


def test_swapped_components_do_not_fit(refuse_model, model_copy):
    index = model_copy / "model_index.json"
    edit(index, boundary_ratio=2)
    refuse_model("boundary_ratio", "2")
    edit(index, boundary_ratio=0.9, audio_vae_type="oobleck")
    refuse_model("audio_vae_type")


def test_broken_tokenizer(refuse_model, model_copy):
    path = model_copy / "tokenizer" / "tokenizer.json"
    value = json.loads(path.read_text())
    value["model"]["type"] = "BPE"
    path.write_text(json.dumps(value))
    refuse_model("BPE")


def test_no_model(run, tmp_path):
    result = run("generate", "--model-path", tmp_path / "none", "--prompt", "x",
                 "--t2va")
    check_refused(result, tmp_path, "none")
    assert run("info", tmp_path / "none").code != 0


# --- config files and latents ------------------------------------------------------


@pytest.mark.parametrize("text, words", [
    ('{"hight": 32}', ["hight"]),
    ('{"height": "tall"}', ["height", "tall"]),
    ('{"height": 32, "height": 48}', ["config"]),
    ('[1]', ["object"]),
    ('{"seed": -4}', ["seed"]),
    ('{"t2va": 1}', ["t2va"]),
])
def test_config_files(film, tmp_path, text, words):
    config = tmp_path / "settings.json"
    config.write_text(text)
    check_refused(film(tmp_path / "film.mp4", "--config", config), tmp_path, *words)


def test_latents_of_another_model(run, model, film, tmp_path):
    latents = tmp_path / "x.safetensors"
    assert film(tmp_path / "x.wav", "--save-latents", latents).code == 0

    def decode(path, *flags):
        return run("generate", "--model-path", model, "--from-latents", path, "-o",
                   tmp_path / "film.mp4", *flags)
    check_refused(decode(latents, "--seed", "4"), tmp_path, "seed", "no effect")
    check_refused(decode(latents, "--prompt", "x"), tmp_path, "prompt", "no effect")
    data = latents.read_bytes()
    broken = tmp_path / "y.safetensors"
    broken.write_bytes(data[:-4])
    check_refused(decode(broken), tmp_path, "y.safetensors")
    size = struct.unpack("<Q", data[:8])[0]
    body = data[:8 + size] + struct.pack("<f", float("nan")) * (
        (len(data) - 8 - size) // 4)
    broken.write_bytes(body)
    check_refused(decode(broken), tmp_path, "finite")


# --- cancelling --------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancel_leaves_nothing(model, picture, tmp_path, number):
    process = subprocess.Popen(
        [str(PROGRAM), "generate", "--model-path", str(model), "--prompt", "x", "-i",
         str(picture), "--num-inference-steps", "1000", "-o",
         str(tmp_path / "film.mp4")], stderr=subprocess.PIPE)
    time.sleep(1.5)
    process.send_signal(number)
    _, message = process.communicate(timeout=30)
    assert process.returncode == -number         # shells say 128 + number
    assert b"cancelled" in message
    assert list(tmp_path.iterdir()) == []
