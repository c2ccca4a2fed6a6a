# SPDX-License-Identifier: Apache-2.0
"""Files go where their names say: long ones, links, pipes, devices, standard output."""
import os
import pty
import shutil
import signal
import stat
import subprocess
import threading

import pytest

from conftest import PROGRAM
from test_command_line import catches, wait_for
from test_refusals import check_refused

LONG = "\u98a8" * 80 + "abcdefghijk"            # 251 bytes; an ending follows


@pytest.fixture
def make(run, model, tmp_path):
    """Makes a film of 5 frames in the test's folder: make(flag, ...)."""
    def call(*flags, **more):
        return run("generate", "-m", model, "-p", "x", "--t2va", "--height", "32",
                   "--width", "32", "--num-frames", "5", "-s", "1", *flags,
                   cwd=tmp_path, **more)
    return call


def test_names_as_long_as_they_may_be(make, tmp_path):
    for kind in ("mp4", "wav"):
        name = LONG + "." + kind
        assert len(name.encode()) == 255
        for _ in range(2):                      # a new one, and over an older one
            result = make("-o", name)
            assert result.code == 0 and result.out == name + "\n", result.err
    names = [LONG + ".png", LONG + ".lat", LONG + ".prf"]
    result = make("-o", "f.mp4", "--contact-sheet", names[0], "--save-latents", names[1],
                  "--perf-dump-path", names[2])
    assert result.code == 0, result.err
    assert sorted(os.listdir(tmp_path)) == sorted(
        names + ["f.mp4", LONG + ".mp4", LONG + ".wav"])


def test_numbered_pictures_need_room_for_their_number(make, tmp_path):
    result = make("-o", "n" * 251 + ".png")
    check_refused(result, tmp_path, "260 bytes", "255")
    assert result.code == 2
    result = make("-o", "n" * 246 + ".png")
    assert result.code == 0, result.err
    assert sorted(os.listdir(tmp_path))[-1] == "n" * 246 + "-0005.png"


@pytest.mark.parametrize("name", ["-o.wav", "a b.wav", "a\nb.wav", "100%s.wav", "'\".wav",
                                  "\x1b[2J.wav", "x.WAV", b"\xff\xfe.wav"])
def test_odd_names(model, tmp_path, name):
    done = subprocess.run(
        [PROGRAM, "generate", "-m", model, "-p", "x", "--t2va", "--height", "32", "--width",
         "32", "--num-frames", "1", "-s", "1", "-o", name],
        cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == os.fsencode(name) + b"\n"     # for programs: as it is
    assert os.listdir(os.fsencode(tmp_path)) == [os.fsencode(name)]


def test_messages_show_odd_names_escaped(model, tmp_path):
    done = subprocess.run([PROGRAM, "generate", "-m", model, "-p", "x", "--t2va", "-o",
                           b"no\ne\x1b[2J\xff\xc2\x85/x.wav"],
                          cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert rb"no\ne\x1B[2J\xFF\xC2\x85/x.wav" in done.stderr
    assert done.stderr.count(b"\n") == 1
    for flags in (["--x\ny"], ["-s", "\x1b[2J"], ["\x1b[2J"], ["--config", "\x1b[2J"],
                  ["-i", "\x1b[2J"], ["--output-file-name", "\x1b/"]):
        done = subprocess.run([PROGRAM, "generate", "-m", model, "-p", "x", *flags],
                              cwd=tmp_path, capture_output=True, timeout=60)
        assert done.returncode == 2 and b"\x1b" not in done.stderr, flags


def test_a_link_leads_to_the_film(make, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "film.wav"
    link.symlink_to("disk/there.wav")
    for _ in range(2):                          # nothing is there yet, then a film
        result = make("-o", "film.wav")
        assert result.code == 0, result.err
        assert link.is_symlink() and os.listdir(tmp_path / "disk") == ["there.wav"]
    assert link.read_bytes()[:4] == b"RIFF"
    result = make("-o", "film.wav", "--perf-dump-path", "disk/there.wav")
    assert result.code == 2 and "replace" in result.err
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    result = make("-o", "loop.wav")
    assert result.code == 2 and "loop.wav: Too many levels" in result.err


def test_permissions_of_a_film_stay(make, tmp_path):
    film = tmp_path / "film.wav"
    film.write_text("old")
    film.chmod(0o640)
    os.link(film, tmp_path / "other.wav")
    assert make("-o", "film.wav").code == 0
    assert stat.S_IMODE(film.stat().st_mode) == 0o640
    assert (tmp_path / "other.wav").read_text() == "old"


def test_folders_are_no_films(make, tmp_path):
    (tmp_path / "d.mp4").mkdir()
    for name in ("d.mp4", "d.mp4/", "none/", ".", "/"):
        result = make("-o", name)
        assert result.code == 2 and "folder" in result.err, name
        assert "--output-path" in result.err
    assert os.listdir(tmp_path) == ["d.mp4"]


def test_output_folders_of_any_length(make, tmp_path):
    deep = "/".join(["f" * 250] * 17)           # beyond PATH_MAX
    result = make("--output-path", deep, "--output-file-name", "x.wav")
    assert result.code == 0, result.err
    for expected in ("film.mp4", "film-2.mp4"):
        result = make("--output-path", deep)
        assert result.out == f"{deep}/{expected}\n", result.err
    result = make("--output-path", "g" * 256)
    assert result.code == 2 and "too long" in result.err
    (tmp_path / "file").write_text("")
    result = make("--output-path", "file/x")
    assert result.code == 1 and "Not a directory" in result.err


# --- where there is nothing to rename ---------------------------------------------------


@pytest.mark.parametrize("name, begin", [("f.wav", b"RIFF"), ("f.mp4", b"\0\0\0"),
                                         ("f.webm", b"\x1a\x45\xdf\xa3"), ("f", b"\0\0\0")])
def test_pipes_get_the_whole_film(make, tmp_path, name, begin):
    os.mkfifo(tmp_path / name)
    got = []
    reader = threading.Thread(
        target=lambda: got.append((tmp_path / name).read_bytes()))
    reader.start()
    result = make("-o", name)
    reader.join(timeout=20)
    assert result.code == 0, result.err
    assert got[0].startswith(begin)
    assert stat.S_ISFIFO((tmp_path / name).stat().st_mode)
    assert os.listdir(tmp_path) == [name]
    plain = "plain" + (name[1:] or ".mp4")
    assert make("-o", plain).code == 0
    assert got[0] == (tmp_path / plain).read_bytes()


@pytest.mark.parametrize("flags, begin", [
    (["-o", "-"], b"\0\0\0"), (["-o", "-", "--format", "wav"], b"RIFF"),
    (["-o", "/dev/stdout", "--format", "webm"], b"\x1a\x45\xdf\xa3")])
def test_standard_output(model, tmp_path, flags, begin):
    """The film alone, behind what the file held before."""
    with open(tmp_path / "out", "wb") as out:
        out.write(b"before")
        out.flush()
        done = subprocess.run(
            [PROGRAM, "generate", "-m", model, "-p", "x", "--t2va", "--height", "32",
             "--width", "32", "--num-frames", "5", "-s", "1", *flags],
            cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, timeout=60)
    data = (tmp_path / "out").read_bytes()
    assert done.returncode == 0 and data[:6] == b"before" and data[6:].startswith(begin)
    assert not data.endswith(b"stdout\n") and os.listdir(tmp_path) == ["out"]


def test_formats(make, tmp_path):
    result = make("-o", "film")
    assert result.code == 2 and "end in" in result.err
    assert make("-o", "film", "--format", "wav").code == 0
    assert (tmp_path / "film").read_bytes()[:4] == b"RIFF"
    assert make("-o", "x.wav", "--format", "wav").code == 0
    result = make("-o", "x.wav", "--format", "mp4")
    assert result.code == 2 and "--format" in result.err and "x.wav" in result.err


def test_devices(make, tmp_path):
    assert make("-o", "/dev/null", "--save-latents", "/dev/zero").code == 0
    result = make("-o", "/dev/full", "--format", "wav")
    assert result.code == 1 and "/dev/full: No space left" in result.err
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and os.listdir(tmp_path) == []


def test_cancelled_while_a_pipe_has_no_reader(model, tmp_path):
    os.mkfifo(tmp_path / "f.wav")
    process = subprocess.Popen(
        [PROGRAM, "generate", "-m", model, "-p", "x", "--t2va", "-s", "1", "-o", "f.wav"],
        cwd=tmp_path, stderr=subprocess.PIPE)
    wait_for(lambda: catches(process, signal.SIGTERM))
    process.terminate()
    _, message = process.communicate(timeout=20)
    assert process.returncode == -15 and message == b"phonofilm: cancelled\n"


def test_a_terminal_gets_names_escaped(model, tmp_path):
    terminal, other = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "generate", "-m", model, "-p", "x", "--t2va", "--height", "32", "--width",
         "32", "--num-frames", "1", "-s", "1", "-o", "\x1b[2J.wav"],
        cwd=tmp_path, stdout=other, stderr=subprocess.DEVNULL)
    os.close(other)
    assert process.wait(timeout=60) == 0 and os.read(terminal, 100) == b"\\x1B[2J.wav\r\n"
    os.close(terminal)


MOUNTS = """set -e
mount -t tmpfs -o size=8k none disk; echo old >disk/f.wav; : >alone.wav; : >on.wav
mount --bind alone.wav on.wav
"$@" -o link.wav 2>message && exit 9            # it leads to a disk that is too small
ls disk; cat disk/f.wav message
mount -o remount,size=1m disk
"$@" -q -o link.wav; "$@" -q -o on.wav; head -c 4 disk/f.wav; head -c 4 alone.wav
mount -o remount,ro disk
"$@" -q -o disk/g.wav 2>&1 || echo " code $?"
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
def test_other_file_systems(model, tmp_path):
    """Full, read-only, behind a link, and a file that is mounted by itself."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.wav").symlink_to("disk/f.wav")
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", MOUNTS, "bash", PROGRAM, "generate", "-m", model,
         "-p", "x", "--t2va", "--height", "32", "--width", "32", "--num-frames", "5", "-s",
         "1"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("this machine mounts nothing for us")
    assert done.stdout == (
        "f.wav\nold\nphonofilm: cannot write link.wav: No space left on device\nRIFFRIFF"
        "phonofilm: -o: cannot write disk/g.wav: folder disk: Read-only file system\n"
        " code 1\n"), done
