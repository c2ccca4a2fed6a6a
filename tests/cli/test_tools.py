# SPDX-License-Identifier: Apache-2.0
"""info, bench, the example program and the man page."""
import json
import os
import re
import subprocess

from conftest import BUILD, ROOT


def test_info_names_every_component(run, model):
    result = run("info", model)
    assert result.code == 0, result.err
    for name in ("text_encoder", "video_vae", "audio_vae", "video_dit", "video_dit_2",
                 "audio_dit", "dual_tower_bridge"):
        assert name in result.out
    value = json.loads(run("info", model, "--json").out)
    assert {c["dtype"] for c in value["components"]} <= {"BF16", "F32", "F16", "mixed"}
    assert value["prediction"]["peak_bytes"] > 0
    on_disk = sum(p.stat().st_size for p in model.rglob("*.safetensors"))
    told = sum(c["bytes"] for c in value["components"])
    assert 0.9 * on_disk < told <= on_disk


def test_long_times_are_days_and_hours(run, model):
    size = ["--height", "1024", "--width", "1024", "--num-frames", "1021"]
    value = json.loads(run("info", model, "--json", "--isa", "scalar", *size).out)
    seconds = value["prediction"]["seconds"]
    assert seconds > 90000
    line = [x for x in run("info", model, "--isa", "scalar", *size).out.split("\n")
            if x.startswith("time")][0]
    days, hours = re.search(r"about (\d+) days? (\d+) h on", line).groups()
    assert 0.5 < (24 * int(days) + int(hours)) * 3600 / seconds < 2


def test_estimates_do_not_follow_the_load(run, model):
    def seconds():
        return json.loads(run("info", model, "--json").out)["prediction"]["seconds"]
    alone = min(seconds() for _ in range(3))
    spins = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(8)]
    try:
        assert sorted(seconds() for _ in range(3))[1] < 2 * alone
    finally:
        for spin in spins:
            spin.kill()
            spin.wait()


def test_the_model_in_the_box_knows_its_world(run):
    nano = ROOT / "models" / "nano"

    def warnings(*words):
        done = run("generate", "-m", nano, "--dry-run", *words)
        assert done.code == 0, done.err
        return done.err
    assert warnings("-p", "A green wooden cube drops onto a beige floor.") == ""
    for prompt in json.loads((ROOT / "examples" / "prompts.json").read_text()).values():
        assert warnings("-p", prompt) == "", prompt
    for words, _, _, _ in json.loads((ROOT / "tests/quality/sentences.json").read_text()):
        assert "most words" not in warnings("-p", words)
    assert "ball, sphere, cube, block or box" in warnings("-p", "A dog.")
    assert "English" in warnings("-p", "Ein roter Ball f\u00e4llt auf den Boden.")
    assert "Chinese" in warnings("-p", "\u4e00\u53ea\u72d7")
    assert "64x64" in warnings("-p", "A ball.", "--width", "640", "--height", "352")
    assert "49" in warnings("-p", "A ball.", "--num-frames", "97")
    assert "made_for" in json.loads(run("info", nano, "--json").out)
    assert "ball or a cube" in run("info", nano).out


def test_dry_run_predicts_and_makes_nothing(film, tmp_path):
    result = film(tmp_path / "film.mp4", "--dry-run")
    assert result.code == 0, result.err
    assert "memory" in result.out and "time" in result.out
    assert list(tmp_path.iterdir()) == []


def test_bench_prints_json(run):
    result = run("bench", "--json", "--op", "attention", timeout=240)
    assert result.code == 0, result.err
    value = json.loads(result.out)
    assert set(value) >= {"cpu", "threads", "ceilings", "ops"}
    assert set(value["ceilings"]) == {"f32", "bf16", "int8"}
    assert value["ops"]
    for row in value["ops"]:
        assert row["op"] == "attention"
        assert row["gflops"] > 0 and 0 < row["fraction"] < 1.5


def test_example_makes_frames_and_sound(model, tmp_path):
    done = subprocess.run([str(BUILD / "examples" / "make_film"), str(model), "A ball"],
                          cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    frames, sound = tmp_path / "film.rgb", tmp_path / "film.f32"
    defaults = json.loads((model / "generation_config.json").read_text())
    height, width, count = (defaults[k] for k in ("height", "width", "num_frames"))
    assert frames.stat().st_size == 3 * height * width * count
    assert sound.stat().st_size == 4 * int(48000 * count / defaults["fps"])
    done = subprocess.run([str(BUILD / "examples" / "make_film")], capture_output=True,
                          cwd=tmp_path)
    assert done.returncode == 1 and b"model_path" in done.stderr


def test_example_is_short():
    lines = (ROOT / "examples" / "make_film.c").read_text().split("\n")
    assert len(lines) < 60


def test_man_page_has_the_exit_codes():
    page = (ROOT / "docs" / "phonofilm.1").read_text()
    for code in ("0", "1", "2", "129", "130", "141", "143"):
        assert f".B {code}\n" in page


def test_library_links_no_media(run):
    library = next(p for p in (BUILD / "src" / "pipeline").iterdir()
                   if p.name.startswith("libphonofilm.so") and p.is_file())
    done = subprocess.run(["ldd", str(library)], capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == 0
    for forbidden in ("avcodec", "avformat", "swscale", "libevent"):
        assert forbidden not in done.stdout


def test_help_names_every_flag(run):
    text = run("generate", "--help").out
    for flag in ("model-path", "prompt", "negative-prompt", "image-path",
                 "last-image-path", "height", "width", "num-frames", "fps",
                 "num-inference-steps", "guidance-scale", "guidance-scale-2",
                 "guidance-rescale", "seed", "output-path", "output-file-name",
                 "config"):
        assert "--" + flag in text


def test_model_in_the_box(run, tmp_path):
    """No model named, no picture: the film of the defaults."""
    result = run("generate", "--prompt", "A red metal ball falls.", "-o",
                 tmp_path / "film.mp4")
    assert result.code == 0, result.err
    assert (tmp_path / "film.mp4").stat().st_size > 1000
    defaults = json.loads((ROOT / "models/nano/generation_config.json").read_text())
    described = json.loads(run("info", "--json").out)
    assert described["model"] == str(ROOT / "models" / "nano")
    assert {c["dtype"] for c in described["components"]} == {"BF16"}
    assert defaults["text_only"]


def test_model_in_the_box_is_small():
    files = [path for path in (ROOT / "models/nano").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20e6


def test_installed_program_finds_its_model(tmp_path):
    subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--destdir",
                    str(tmp_path)], check=True, capture_output=True)
    program = next(tmp_path.rglob("bin/phonofilm"))
    film = tmp_path / "film.mp4"
    done = subprocess.run([str(program), "generate", "--prompt", "A ball falls.", "-q", "-o",
                           str(film)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert film.is_file()
    info = subprocess.run([str(program), "info", "--json"], capture_output=True, text=True)
    assert "share/phonofilm/models/nano" in json.loads(info.stdout)["model"]


def test_isa_limits_the_processor(run, model):
    result = run("info", model, "--isa", "scalar", "--json")
    assert result.code == 0, result.err
    described = json.loads(result.out)
    assert (described["platform"], described["isa"]) == ("cpu", "scalar")


def test_isa_passes_devices_by(model):
    """With a device at hand (the emulator) --isa still asks for the processor."""
    environment = {**os.environ,
                   "ASCEND_HOME_PATH": str(BUILD / "tests" / "cann" / "8.3")}
    done = subprocess.run([str(BUILD / "phonofilm"), "info", str(model), "--isa", "scalar",
                           "--json"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["platform"] == "cpu"
