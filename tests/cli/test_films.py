# SPDX-License-Identifier: Apache-2.0
"""The files that the program makes, looked at with ffprobe and ffmpeg."""
import json
import shutil
import struct
import subprocess

import pytest

needs_ffprobe = pytest.mark.skipif(not shutil.which("ffprobe"),
                                   reason="ffprobe is not installed")


def probe(path):
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-count_frames",
         "-of", "json", str(path)], capture_output=True, check=True)
    return json.loads(done.stdout)


def stream(info, kind):
    return next((s for s in info["streams"] if s["codec_type"] == kind), None)


def frames_of(path, width, height):
    """All frames as RGB bytes."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt",
         "rgb24", "-"], capture_output=True, check=True)
    size = 3 * width * height
    return [done.stdout[i:i + size] for i in range(0, len(done.stdout), size)]


def lasts(path, seconds, info=None):
    """Whether a film file says so.  MP4 to the sample.  WebM counts milliseconds, and its
    length is the end of the last block's time, from which players take the 6.5 ms of Opus
    that are not heard (CodecDelay): a last block that holds less than those is still
    written, so that no sample is lost, and the length says up to 6.5 ms more, rounded up
    twice.  The sound that comes out is as long as the picture: samples_of."""
    late = float((info or probe(path))["format"]["duration"]) - seconds
    return -0.002 < late < 0.0085 if path.suffix == ".webm" else abs(late) < 3e-5


def luma(rgb):
    return [0.2126 * rgb[i] + 0.7152 * rgb[i + 1] + 0.0722 * rgb[i + 2]
            for i in range(0, len(rgb), 3)]


@needs_ffprobe
def test_mp4_has_picture_sound_and_metadata(film, tmp_path):
    path = tmp_path / "film.mp4"
    result = film(path, "--seed", "5")
    assert result.code == 0, result.err
    assert result.out.strip() == str(path)
    assert result.err == ""                     # quiet when not on a terminal
    info = probe(path)
    video, audio = stream(info, "video"), stream(info, "audio")
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 48, 32)
    assert video["nb_read_frames"] == "9"
    assert video["avg_frame_rate"] == "24/1"
    assert video["pix_fmt"] == "yuv420p"
    assert video["color_space"] == "bt709"
    assert video["color_range"] == "tv"
    assert (audio["codec_name"], audio["sample_rate"]) == ("aac", "48000")
    assert lasts(path, 9 / 24)
    text = json.dumps(info["format"].get("tags", {}))
    assert "phonofilm" in text.lower()
    assert "seed" in text and "5" in text
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")    # starts while it loads
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.mp4"]


@needs_ffprobe
def test_webm(film, tmp_path):
    path = tmp_path / "film.webm"
    assert film(path).code == 0
    info = probe(path)
    assert stream(info, "video")["codec_name"] == "vp9"
    assert stream(info, "audio")["codec_name"] == "opus"
    assert stream(info, "video")["nb_read_frames"] == "9"


def test_wav_is_cut_to_the_film(film, tmp_path):
    path = tmp_path / "sound.wav"
    assert film(path).code == 0
    data = path.read_bytes()
    assert data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    at = data.index(b"data")
    assert struct.unpack("<I", data[at + 4:at + 8])[0] == 2 * 48000 * 9 // 24
    assert len(data) == at + 8 + 2 * 18000


def test_png_frames(film, tmp_path):
    assert film(tmp_path / "frames.png").code == 0
    names = sorted(p.name for p in tmp_path.rglob("*.png"))
    assert len(names) == 9


@needs_ffprobe
def test_silent_and_sound_only(film, tmp_path):
    silent, sound = tmp_path / "silent.mp4", tmp_path / "sound.mp4"
    assert film(silent, "--no-audio-output").code == 0
    assert film(sound, "--no-video-output").code == 0
    assert stream(probe(silent), "audio") is None
    assert stream(probe(sound), "video") is None
    assert stream(probe(sound), "audio") is not None


@needs_ffprobe
def test_same_seed_same_film(film, tmp_path):
    names = ["a.png", "b.png", "c.png"]
    for name, seed, threads in zip(names, ("1", "1", "2"), ("1", "2", "2")):
        folder = tmp_path / name[0]
        folder.mkdir()
        assert film(folder / name, "--seed", seed, "--threads", threads).code == 0
    read = [[p.read_bytes() for p in sorted((tmp_path / n[0]).rglob("*.png"))]
            for n in names]
    assert read[0] == read[1]
    assert read[0] != read[2]


@needs_ffprobe
def test_decoded_film_is_the_png_film_up_to_the_codec(film, tmp_path):
    (tmp_path / "p").mkdir()
    assert film(tmp_path / "p" / "f.png").code == 0
    assert film(tmp_path / "film.mp4", "--quality", "1").code == 0
    lossy = frames_of(tmp_path / "film.mp4", 48, 32)
    exact = [frames_of(p, 48, 32)[0] for p in sorted((tmp_path / "p").rglob("*.png"))]
    assert len(lossy) == len(exact) == 9
    for a, b in zip(lossy, exact):              # 4:2:0 keeps the luma alone
        luma_a, luma_b = luma(a), luma(b)
        error = sum((x - y) ** 2 for x, y in zip(luma_a, luma_b)) / len(luma_a)
        assert error < 60


def test_modes(film, tmp_path, picture):
    for name, flags, image in (
            ("t2va", ["--t2va"], False),
            ("last", ["--last-image-path", picture], True),
            ("plain", ["--guidance-scale", "1"], True),
            ("dual", ["--bridge-guidance-scale", "2"], True),
            ("tiles", ["--vae-tile", "64", "--height", "96", "--width", "96"], True),
            ("torch", ["--rng", "torch-cpu"], True),
            ("cuda", ["--rng", "torch-cuda", "--cuda-sm-count", "132"], True),
            ("shift", ["--visual-shift", "3", "--audio-shift", "7"], True),
            ("ref", ["--precision", "ref"], True),
            ("f32", ["--precision", "f32", "--keep-resident"], True)):
        result = film(tmp_path / f"{name}.mp4", *flags, image=image)
        assert result.code == 0, (name, result.err)
        assert (tmp_path / f"{name}.mp4").stat().st_size > 1000


@needs_ffprobe
def test_latents_are_decoded_to_the_same_film(film, run, model, tmp_path):
    latents = tmp_path / "film.safetensors"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert film(tmp_path / "a" / "f.png", "--save-latents", latents).code == 0
    result = run("generate", "--model-path", model, "--from-latents", latents,
                 "-o", tmp_path / "b" / "f.png")
    assert result.code == 0, result.err
    read = [[frames_of(p, 48, 32)[0] for p in sorted((tmp_path / n).rglob("*.png"))]
            for n in "ab"]
    assert len(read[0]) == 9 and read[0] == read[1]


def test_config_file_and_flags(film, run, model, picture, tmp_path):
    config = tmp_path / "film.json"
    config.write_text(json.dumps({
        "model_path": str(model), "prompt": "A ball.", "image_path": str(picture),
        "num_frames": 5, "height": 32, "width": 32, "num_inference_steps": 2,
        "seed": 9, "quiet": False}))
    folder = tmp_path / "out"
    result = run("generate", "--config", config, "--num-frames", "9",
                 "--output-path", folder, "--output-file-name", "x.png")
    assert result.code == 0, result.err
    assert len(list(folder.rglob("*.png"))) == 9


def test_prompt_from_standard_input(film, tmp_path):
    a = film(tmp_path / "a.wav", prompt="-", stdin="Ein Ball fällt.\n".encode())
    b = film(tmp_path / "b.wav", prompt="Ein Ball fällt.")
    assert a.code == b.code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert film(tmp_path / "c.wav", prompt="Another one.").code == 0
    assert (tmp_path / "c.wav").read_bytes() != (tmp_path / "b.wav").read_bytes()


def test_long_prompts_are_told(film, tmp_path):
    """Once, on standard error, also into a pipe; not with --quiet."""
    prompt = "A red ball bounces. " * 300
    dump = tmp_path / "perf.json"
    result = film(tmp_path / "f.mp4", "--perf-dump-path", dump, prompt=prompt)
    assert result.code == 0
    line, = [x for x in result.err.split("\n") if "token" in x]
    assert line.startswith("phonofilm: warning: prompt has ") and "512" in line
    assert [line.split("warning: ")[1]] == json.loads(dump.read_text())["warnings"]
    result = film(tmp_path / "g.mp4", "-q", prompt=prompt)
    assert (result.code, result.err) == (0, "")
    result = film(tmp_path / "h.mp4", "--dry-run", "--negative-prompt", prompt)
    assert result.code == 0
    assert result.err.startswith("phonofilm: warning: negative_prompt has ")
    assert "warning" not in film(tmp_path / "i.mp4").err


def test_profile_and_perf_dump(film, tmp_path):
    dump = tmp_path / "perf.json"
    result = film(tmp_path / "f.mp4", "--profile", "--perf-dump-path", dump)
    assert result.code == 0
    assert "denoise" in result.err and "decode video" in result.err
    rows = json.loads(dump.read_text())["profile"]
    assert sum(1 for r in rows if "step" in r) == 2
    assert {r["stage"] for r in rows} >= {"text", "image", "denoise", "decode audio"}
    assert all(r["seconds"] >= 0 for r in rows)


def test_default_name_never_overwrites(run, model, tmp_path):
    for expected in ("film.mp4", "film-2.mp4"):
        result = run("generate", "--model-path", model, "--prompt", "x", "--t2va",
                     "--num-frames", "5", "--height", "32", "--width", "32",
                     "--num-inference-steps", "1", cwd=tmp_path)
        assert result.code == 0, result.err
        assert (tmp_path / expected).exists()
