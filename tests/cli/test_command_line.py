# SPDX-License-Identifier: Apache-2.0
"""The command line itself: numbers, flags without effect, names, signals, terminals."""
import json
import os
import pty
import resource
import shutil
import signal
import struct
import subprocess
import time

import pytest

from conftest import PROGRAM, ROOT
from test_films import needs_ffprobe, probe
from test_refusals import check_refused


@pytest.fixture
def plan(run, model, picture, tmp_path):
    """A dry run with these flags, in the test's folder."""
    def call(*flags, prompt=("--prompt", "x"), image=True, **more):
        arguments = ["generate", "--model-path", model, *prompt, "--dry-run"]
        if image:
            arguments += ["--image-path", picture]
        return run(*arguments, *flags, cwd=tmp_path, **more)
    return call


# --- the machine -------------------------------------------------------------------

@pytest.mark.parametrize("flags, words", [
    (["--platform", "cpu", "--device", "1"], ["device", "1", "cpu"]),
    (["--platform", "abacus"], ["abacus", "auto", "cpu"]),
    (["--isa", "mmx"], ["isa", "mmx"]),
    (["--threads", "0"], ["threads", "1 to 256"]),
    (["--device", "-1"], ["device", "0 to 1023"]),
])
def test_every_command_takes_the_machine(run, model, picture, tmp_path, flags, words):
    """The same flags, refused in the same words."""
    said = set()
    for command in (["info", model], ["bench", "--op", "linear"],
                    ["generate", "-m", model, "-p", "x", "-i", picture],
                    ["serve", "-m", model, "--port", "0", "-o", tmp_path / "films"]):
        done = run(*command, *flags, cwd=tmp_path, timeout=20)
        assert done.code == 2
        check_refused(done, tmp_path, *words)
        said.add(done.err.splitlines()[0].replace(command[0], "COMMAND"))
    assert len(said) == 1, said


# --- values ------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--num-frames", "--guidance-scale", "--seed",
                                  "--memory-limit", "--threads", "--fps"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "12abc", "", "0x10",
                                   "5 5", "1e", "-1e5000", "--", "1,5"])
def test_what_is_no_number(plan, flag, value):
    result = plan(f"{flag}={value}")
    assert result.code == 2 and flag in result.err and f"'{value}'" in result.err


@pytest.mark.parametrize("flag, value", [("--num-frames", "5.5"), ("--num-frames", "1e-1"),
                                         ("--seed", "1.5"), ("--seed", "-1"),
                                         ("--memory-limit", "0"), ("--memory-limit", "8g"),
                                         ("--threads", "2.5"), ("--threads", "0")])
def test_what_is_no_whole_number(plan, flag, value):
    assert plan(flag, value).code == 2


def test_numbers_that_are_fine(plan):
    for flags in (("--num-frames", "5"), ("--seed", "18446744073709551615"),
                  ("--seed", "0"), ("--guidance-scale", ".5"), ("--fps", "2.4e1"),
                  ("--memory-limit", "1.5G"), ("--num-frames", "5.0"), ("--seed", "+1"),
                  ("--seed", "-0"), ("--num-frames", " 5 "), ("--threads", "2.")):
        result = plan(*flags)
        assert result.code == 0, result.err


@pytest.mark.parametrize("text, word", [
    ('{"prompt": 5}', "a string"), ('{"height": 32.5}', "32.5"), ('{"height": "3 2"}', "3 2"),
    ('{"height": true}', "true"), ('{"seed": 18446744073709551616}', "18446744073709551616"),
    ('{"seed": 1e-3}', "seed"), ('{"seed": [7]}', "a list"), ('{"height": {}}', "an object"), ('{"memory_limit": 0}', "memory_limit"),
    ('{"memory_limit": 1.5}', "memory_limit"), ('{"config": "x"}', "config"),
    ('{"rng": 1}', "own|torch-cpu"), ('{"fps": 1e400}', "fps is '1e400'"),
    ('{"fps": "24 fps"}', "a number"), ('{"prompt": "a\\u0000b"}', "u0000"), ("", "line"),
    ('{"model-path": "x"}', "model-path"), ('{"prompt": "\xff"}', "0xff"),
    ('{"height": 32,\n "height": 48}', "line 2"), ('{"t2va": "perhaps"}', "true or false")])
def test_config_values(plan, tmp_path, text, word):
    path = tmp_path / "settings.json"
    path.write_bytes(text.encode("latin-1"))
    result = plan("--config", path)
    assert result.code == 2 and word in result.err and "settings.json" in result.err


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_config_in_another_encoding(plan, tmp_path, codec):
    (tmp_path / "settings.json").write_bytes('{"height": 32}'.encode(codec))
    result = plan("--config", "settings.json")
    assert result.code == 2, result.out
    assert "settings.json is UTF-" in result.err and "must be UTF-8" in result.err


def test_config_as_windows_saves_it(plan, tmp_path):
    """With a byte order mark and CRLF; strings that came from such a file have a mark, too."""
    (tmp_path / "settings.json").write_bytes(
        '\r\n'.join(["\ufeff{", '"height": 48,', '"prompt": "\ufeffA ball."', "}", ""]).encode())
    result = plan("--config", "settings.json")
    assert result.code == 0, result.err


def test_config_from_a_pipe(plan):
    result = plan("--config", "/dev/stdin", stdin=b'\xef\xbb\xbf{"height": 32.5}')
    assert result.code == 2 and "32.5" in result.err


def test_config_that_is_fine(plan, tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({
        "seed": "18446744073709551615", "memory_limit": 1 << 33, "fps": 24,
        "t2va": False, "guidance_scale": 3, "rng": "torch-cpu"}))
    assert plan("--config", "settings.json").code == 0
    for path in (tmp_path, "none.json", "/dev/null"):
        result = plan("--config", path)
        assert result.code == 2 and str(path) in result.err


# --- flags without effect ------------------------------------------------------------


@pytest.mark.parametrize("flags, word", [
    (["-o", "f.wav", "--quality", "5"], "--quality"),
    (["-o", "f.png", "--quality", "5"], "--quality"),
    (["-o", "f.mp4", "--no-video-output", "--quality", "5"], "--quality"),
    (["-o", "f.wav", "--contact-sheet", "s.png"], "--contact-sheet"),
    (["-o", "f.mp4", "--no-video-output", "--contact-sheet", "s.png"], "--contact-sheet"),
    (["-o", "f.wav", "--no-audio-output"], "--no-audio-output"),
    (["-o", "f.png", "--no-video-output"], "--no-video-output"),
    (["--adjust-frames"], "--adjust-frames"),
    (["--vae-tile-stride", "64"], "--vae-tile-stride"),
    (["--rng", "own", "--cuda-sm-count", "132"], "--cuda-sm-count"),
    (["--rng", "torch-cpu", "--cuda-sm-count", "132"], "--cuda-sm-count"),
    (["--guidance-scale", "1", "--negative-prompt", "x"], "--negative-prompt"),
    (["--guidance-scale", "1", "--guidance-rescale", "0.5"], "--guidance-rescale"),
    (["--guidance-scale", "1", "--bridge-guidance-scale", "1", "--negative-prompt", "x"],
     "--negative-prompt"),
    (["--num-frames", "1", "--last-image-path", "first"], "--last-image-path"),
    (["--platform", "reference", "--isa", "avx2"], "isa"),
    (["--t2va"], "--t2va"),
    (["-o", "f.mp4", "--output-file-name", "g.mp4"], "choose one"),
    (["-o", "f.mp4", "--output-path", "g"], "choose one"),
])
def test_flags_without_effect(plan, picture, flags, word):
    result = plan(*[picture if flag == "first" else flag for flag in flags])
    assert result.code == 2 and word in result.err, result.err


@pytest.fixture(scope="module")
def latents(run, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("latents") / "x.safetensors"
    result = run("generate", "-m", model, "-p", "x", "--t2va", "--num-frames", "5",
                 "--height", "32", "--width", "32", "-s", "1", "-o", path.parent / "x.wav",
                 "--save-latents", path)
    assert result.code == 0, result.err
    return path


@pytest.mark.parametrize("flags", [
    ["--prompt", "x"], ["--negative-prompt", "x"], ["--image-path", "first"], ["--t2va"],
    ["--last-image-path", "first"], ["--height", "32"], ["--width", "32"],
    ["--num-frames", "5"], ["--fps", "24"], ["--seed", "1"], ["--rng", "torch-cpu"],
    ["--num-inference-steps", "1"], ["--guidance-scale", "2"],
    ["--guidance-scale-2", "2"], ["--bridge-guidance-scale", "2"],
    ["--guidance-rescale", "0.5"], ["--visual-shift", "3"], ["--audio-shift", "3"],
    ["--bridge-inv-freq", "f32"], ["--save-latents", "y.safetensors"]])
def test_finished_latents_are_only_decoded(plan, picture, latents, flags):
    result = plan("--from-latents", latents,
                  *[picture if flag == "first" else flag for flag in flags],
                  prompt=(), image=False)
    assert result.code == 2 and flags[0] in result.err and "no effect" in result.err


def test_what_finished_latents_take(plan, latents):
    for flags in ((), ("-o", "f.wav"), ("-o", "f.mp4", "--vae-tile", "64")):
        assert plan("--from-latents", latents, *flags, prompt=(), image=False).code == 0
    result = plan("--from-latents", latents, "-o", "f.wav", "--vae-tile", "64",
                  prompt=(), image=False)
    assert result.code == 2 and "--vae-tile" in result.err


def after_step(latents, step, steps, path):
    """These latents, as if they were those of a film that has got so far."""
    data = latents.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] |= {"step": str(step), "steps": str(steps)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])
    return path


@pytest.mark.parametrize("step", range(4))
def test_unfinished_latents_take_the_flags_of_the_whole_film(plan, latents, tmp_path, step):
    path = after_step(latents, step, 4, tmp_path / "x.safetensors")
    whole = ("--guidance-scale", "3", "--guidance-scale-2", "1", "--negative-prompt", "blur",
             "--guidance-rescale", "0.5")
    result = plan("--from-latents", path, *whole)
    assert result.code == 0, result.err
    result = plan("--from-latents", path, "--guidance-scale", "1", *whole[2:])
    assert result.code == 2 and "no effect" in result.err


# --- names ---------------------------------------------------------------------------


def test_no_output_replaces_an_input_or_another(plan, picture, tmp_path):
    (tmp_path / "f-0002.png").write_bytes(picture.read_bytes())
    (tmp_path / "link.png").symlink_to(picture)
    (tmp_path / "settings.json").write_text("{}")
    for flags in (["-o", "f.mp4", "--contact-sheet", picture],
                  ["-o", "f.mp4", "--contact-sheet", "link.png"],
                  ["-o", "f.mp4", "--save-latents", "f.mp4"],
                  ["-o", "f.mp4", "--perf-dump-path", f"../{tmp_path.name}/f.mp4"],
                  ["-o", "f.mp4", "--perf-dump-path", "x", "--save-latents", "./x"],
                  ["-o", "f.mp4", "--config", "settings.json", "--perf-dump-path",
                   "settings.json"],
                  ["-o", "f.png", "--contact-sheet", "f-0001.png"],
                  ["-o", "f.png", "--last-image-path", "f-0002.png"]):
        result = plan(*flags)
        assert result.code == 2 and "replace" in result.err, (flags, result.err)
    assert plan("-o", "f.mp4", "--contact-sheet", "f.png", "--save-latents", "f.s",
                "--perf-dump-path", "f.json").code == 0


def test_places_are_checked_before_the_model_is_opened(run, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.mp4").mkdir()
    for flags, word in ((["-o", "none/f.mp4"], "none"), (["-o", "file/f.mp4"], "file"),
                        (["-o", "folder.mp4"], "folder.mp4"),
                        (["-o", "f.mp4", "--save-latents", "none/x"], "--save-latents"),
                        (["-o", "f.mp4", "--perf-dump-path", "file/x"], "--perf-dump-path"),
                        (["-o", "f.mp4", "--contact-sheet", "none/s.png"], "none"),
                        (["--output-file-name", "a/b.mp4"], "without a folder")):
        result = run("generate", "-m", "no-model", "-p", "x", "--t2va", *flags,
                     cwd=tmp_path)
        assert result.code in (1, 2) and word in result.err and "no-model" not in result.err


def test_a_refusal_makes_no_folder(plan, run, model, tmp_path):
    assert plan("--output-path", "deep/er").code == 0           # a dry run
    result = run("generate", "-m", model, "-p", "x", "--t2va", "--height", "360",
                 "--output-path", "deep/er", cwd=tmp_path)
    assert result.code == 2
    assert list(tmp_path.iterdir()) == []


def test_folder_and_name(run, model, tmp_path):
    for expected in ("film.mp4", "film-2.mp4"):
        result = run("generate", "-m", model, "-p", "x", "--t2va", "--num-frames", "1",
                     "--height", "32", "--width", "32", "-s", "1", "--output-path",
                     "deep/er", cwd=tmp_path)
        assert result.out == f"deep/er/{expected}\n", result.err


def test_what_is_missing_is_named(run, model, tmp_path):
    in_the_box = (ROOT / "models" / "nano" / "model_index.json").exists()
    for flags, word in (([], "--prompt" if in_the_box else "--model-path"),
                        (["-m", model], "--prompt"),
                        (["-m", model, "-p", "x"], "--image-path")):
        result = run("generate", *flags, cwd=tmp_path)
        assert result.code == 2 and f"{word} is missing" in result.err
        assert result.err.count("\n") == 1 and result.out == ""


@needs_ffprobe
def test_metadata_holds_all(film, tmp_path):
    prompt = "Ein Ball fällt. " * 2000                          # 34 kB
    for name in ("f.mp4", "f.webm", "f.wav"):
        result = film(tmp_path / name, "--seed", "18446744073709551615", prompt=prompt)
        assert result.code == 0, result.err
        tags = {k.lower(): v for k, v in probe(tmp_path / name)["format"]["tags"].items()}
        value = json.loads(tags["comment"])
        assert value["prompt"] == prompt and value["precision"] == "fast"
        assert value["seed"] == "18446744073709551615" and "phonofilm" in value
        assert prompt.startswith(tags["title"]) and len(tags["title"]) > 100


# --- signals, terminals, full files -----------------------------------------------------


def start(model, tmp_path, *flags, **more):
    return subprocess.Popen(
        [str(PROGRAM), "generate", "-m", str(model), "-p", "x", "--t2va", "--num-frames",
         "9", "--height", "32", "--width", "32", *flags], cwd=tmp_path, **more)


def wait_for(condition):
    deadline = time.time() + 20
    while not condition():
        assert time.time() < deadline
        time.sleep(0.02)


def catches(process, number):
    """Whether the process has a handler for the signal by now."""
    with open(f"/proc/{process.pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) >> (number - 1) & 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing(model, tmp_path, number):
    process = start(model, tmp_path, "-s", "1000", "-o", "f.mp4", "--contact-sheet",
                    "s.png", stderr=subprocess.PIPE,
                    # Under nohup it would be ignored, as it should be.
                    preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    wait_for((tmp_path / "f.mp4.part").exists)
    process.send_signal(number)
    begun = time.time()
    _, message = process.communicate(timeout=20)
    assert process.returncode == -number and message == b"phonofilm: cancelled\n"
    assert time.time() - begun < 5
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_file_sizes_is_an_error_of_writing(model, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    process = start(model, tmp_path, "-s", "1", "-o", "f.mp4", stderr=subprocess.PIPE,
                    preexec_fn=limit)
    _, message = process.communicate(timeout=20)
    assert process.returncode == 1 and b"too large" in message
    assert list(tmp_path.iterdir()) == []


def test_standard_output_that_is_full(run, model):
    with open("/dev/full", "w") as full:
        for arguments in (["--version"], ["info", str(model)]):
            done = subprocess.run([str(PROGRAM), *arguments], stdout=full,
                                  stderr=subprocess.PIPE)
            assert done.returncode == 1 and b"No space left" in done.stderr


def read_all(terminal):
    text = b""
    try:
        while piece := os.read(terminal, 65536):
            text += piece
    except OSError:                             # the other end is closed
        pass
    os.close(terminal)
    return text.decode()


def test_progress_on_a_terminal(model, tmp_path):
    terminal, other = pty.openpty()
    process = start(model, tmp_path, "-s", "8", "-o", "f.mp4", stderr=other,
                    stdout=subprocess.PIPE)
    os.close(other)
    text = read_all(terminal)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert "denoise 3 of 8" in text and "s left" in text and "decode video" in text
    assert "\n" not in text and text.endswith("\r\x1b[K")        # one line, then none
    terminal, other = pty.openpty()
    process = start(model, tmp_path, "-s", "1", "-o", "f.mp4", "--quiet", stderr=other,
                    stdout=other)
    os.close(other)
    assert read_all(terminal) == "" and process.wait() == 0


def test_prompt_from_a_terminal(model, picture, tmp_path):
    terminal, other = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), "generate", "-m", str(model), "-p", "-", "-i", str(picture),
         "--dry-run"], cwd=tmp_path, stdin=other, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE)
    os.write(terminal, b"a ball\n\x04")
    _, message = process.communicate(timeout=20)
    os.close(other)
    os.close(terminal)
    assert process.returncode == 0 and b"Ctrl-D" in message


def test_two_runs_with_one_name(model, tmp_path):
    processes = [start(model, tmp_path, "-s", "3", "-o", "f.wav", "--seed", "5")
                 for _ in range(3)]
    assert [p.wait(timeout=60) for p in processes] == [0, 0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["f.wav"]
    data = (tmp_path / "f.wav").read_bytes()
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_what_others_may_not_touch(model, picture, tmp_path):
    for folder in {model.parent, tmp_path, *list(tmp_path.parents)[:2]}:
        folder.chmod(0o755)
    locked = tmp_path / "locked.png"
    locked.write_bytes(picture.read_bytes())
    locked.chmod(0o600)
    program = shutil.copy(PROGRAM, tmp_path)    # the build may lie where nobody comes
    for flags, word in ((["--t2va", "-o", "f.wav"], "f.wav"),
                        (["-i", str(locked), "-o", "/tmp/f.wav"], "locked")):
        done = subprocess.run([program, "generate", "-m", str(model), "-p", "x", *flags],
                              cwd=tmp_path, capture_output=True, user=65534, timeout=20)
        assert done.returncode == 1 and word.encode() in done.stderr, done.stderr
        assert b"Permission denied" in done.stderr
