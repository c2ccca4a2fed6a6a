# SPDX-License-Identifier: Apache-2.0
"""Film files of known colours and a known tone, read back with ffprobe and ffmpeg."""
import math
import shutil
import struct
import subprocess

import pytest

from conftest import BUILD
from test_films import frames_of, lasts, probe, stream

pytestmark = pytest.mark.skipif(not shutil.which("ffprobe"),
                                reason="ffprobe is not installed")

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0),
           (128, 128, 128), (200, 120, 40), (30, 90, 160)]
WIDTH, HEIGHT = 64, 32


@pytest.fixture
def write(tmp_path):
    """write(NAME, frames=, fps=, samples=, quality=, sheet=) -> (path, message)"""
    def call(name, frames=9, fps=24, samples=0, quality=-1, sheet=None):
        path = tmp_path / name
        arguments = [path, WIDTH, HEIGHT, frames, fps, samples, quality]
        done = subprocess.run(
            [str(BUILD / "tests" / "write_film"),
             *map(str, arguments + ([tmp_path / sheet] if sheet else []))],
            capture_output=True, timeout=60)
        return path, done.stderr.decode()
    return call


def sound_of(path):
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-"],
                          capture_output=True, check=True)
    return struct.unpack(f"<{len(done.stdout) // 4}f", done.stdout)


def sine(i):
    return 0.5 * math.sin(2 * math.pi * 440 * i / 48000)


def boxes(data):
    """The names of an MP4's top boxes, in order."""
    at, names = 0, []
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at:at + 8])
        names.append(name.decode())
        at += size
    return names


@pytest.mark.parametrize("fps, rate", [(24, "24/1"), (23.976, "2997/125"),
                                       (24000 / 1001, "24000/1001"), (12.5, "25/2"),
                                       (1, "1/1"), (120, "120/1")])
@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_rate_and_length(write, ending, fps, rate):
    path, message = write("f." + ending, fps=fps, samples=int(48000 * 9 / fps))
    assert message == ""
    info = probe(path)
    assert stream(info, "video")["r_frame_rate"] == rate
    assert stream(info, "video")["nb_read_frames"] == "9"
    assert lasts(path, 9 / fps)


@pytest.mark.parametrize("ending, codecs", [("mp4", ("h264", "aac")),
                                            ("webm", ("vp9", "opus"))])
def test_colours_and_sound_come_back(write, ending, codecs):
    path, message = write("f." + ending, frames=16, samples=32000)
    assert message == ""
    info = probe(path)
    video, audio = stream(info, "video"), stream(info, "audio")
    assert (video["codec_name"], audio["codec_name"]) == codecs
    assert (video["color_space"], video["color_transfer"], video["color_primaries"],
            video["color_range"]) == ("bt709", "bt709", "bt709", "tv")
    assert video["pix_fmt"] == "yuv420p" and audio["channels"] == 1
    frames = frames_of(path, WIDTH, HEIGHT)
    assert len(frames) == 16
    for i, frame in enumerate(frames):
        wanted = COLOURS[i % len(COLOURS)]
        for at in (0, 3 * (WIDTH * HEIGHT // 2 + 7), len(frame) - 3):
            assert max(abs(a - b) for a, b in zip(frame[at:at + 3], wanted)) <= 2
    sound = sound_of(path)                      # in step to the sample
    assert all(abs(sound[i] - sine(i)) < 0.05 for i in range(1000, 30000, 7))


def test_mp4_begins_with_its_index(write):
    path, message = write("f.mp4", samples=18000)
    assert message == ""
    names = boxes(path.read_bytes())
    assert names.index("moov") < names.index("mdat")
    tags = probe(path)["format"]["tags"]
    assert tags["title"] == "Töne" and tags["comment"] == '{"seed":7}'


@pytest.mark.parametrize("name, kinds", [
    ("one.mp4", {"video", "audio"}), ("one.webm", {"video", "audio"}),
    ("silent.mp4", {"video"}), ("silent.webm", {"video"}),
    ("sound.mp4", {"audio"}), ("sound.webm", {"audio"}), ("sound.wav", {"audio"})])
def test_parts_of_films(write, name, kinds):
    frames = 0 if name.startswith("sound") else 1
    path, message = write(name, frames=frames, samples=2000 if "audio" in kinds else 0)
    assert message == ""
    info = probe(path)
    assert {s["codec_type"] for s in info["streams"]} == kinds
    assert lasts(path, 1 / 24)
    if frames:
        assert stream(info, "video")["nb_read_frames"] == "1"


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_sound_is_cut_to_the_picture(write, ending):
    path, message = write("f." + ending, frames=12, samples=48000)
    assert message == ""
    assert lasts(path, 0.5)
    if ending == "webm":                        # an MP4's end is in its edit list
        assert len(sound_of(path)) == 24000


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_quality_runs_from_best_to_worst(write, ending):
    sizes = []
    for quality in (0, 5, 51):
        path, message = write(f"{quality}.{ending}", frames=16, quality=quality)
        assert message == ""
        assert "yuv420p" == stream(probe(path), "video")["pix_fmt"]
        sizes.append(path.stat().st_size)
    assert 1.02 * sizes[0] > sizes[1] > sizes[2]        # flat frames cost nothing
    _, message = write("x." + ending, quality=52)
    assert "quality" in message and "51" in message


def test_pictures_are_exact_and_keep_metadata(write, tmp_path):
    _, message = write("f%02d.png", frames=3)
    assert message == ""
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["f01.png", "f02.png", "f03.png"]
    for i, name in enumerate(names):
        frame = frames_of(tmp_path / name, WIDTH, HEIGHT)[0]
        assert frame == bytes(COLOURS[i]) * (WIDTH * HEIGHT)
    data = (tmp_path / "f01.png").read_bytes()
    assert b"iTXtTitle\0\0\0\0\0T\xc3\xb6ne" in data and b'{"seed":7}' in data


def test_wav_keeps_metadata(write):
    path, message = write("s.wav", frames=0, samples=100)
    assert message == ""
    data = path.read_bytes()
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert data[-208:-204] == b"data" and data[-204:-200] == struct.pack("<I", 200)
    assert probe(path)["format"]["tags"]["comment"] == '{"seed":7}'


def test_contact_sheet(write, tmp_path):
    _, message = write("f.mp4", frames=16, samples=32000, sheet="sheet.png")
    assert message == ""
    info = stream(probe(tmp_path / "sheet.png"), "video")
    width, height = info["width"], info["height"]
    assert (width, height) == (8 + 6 * (WIDTH + 8), HEIGHT + 16 + 96 + 8)
    sheet = frames_of(tmp_path / "sheet.png", width, height)[0]
    for cell in range(6):                       # frames 0 3 6 9 12 15
        at = 3 * (width * 16 + 8 + cell * (WIDTH + 8) + WIDTH // 2)
        assert tuple(sheet[at:at + 3]) == COLOURS[3 * cell % len(COLOURS)]
    wave = [sheet[3 * (width * y + width // 2)] > 100 for y in range(HEIGHT + 16, height)]
    assert 40 < sum(wave) < 60                  # half of full scale


def test_same_film_same_bytes(write):
    for ending in ("mp4", "webm"):
        first, second = (write(f"{n}.{ending}", samples=18000)[0].read_bytes()
                         for n in "ab")
        assert first == second


# --- numbered pictures over older ones ------------------------------------------------


def names_in(folder):
    return sorted(p.name for p in folder.iterdir())


def numbered(*numbers):
    return [f"f-{n:04}.png" for n in numbers]


@pytest.mark.parametrize("name, form", [("f.png", "f-{:04}.png"), ("f%d.png", "f{}.png"),
                                        ("f%02dx.png", "f{:02}x.png")])
def test_a_shorter_film_removes_what_is_left_of_the_older(write, tmp_path, name, form):
    write(name, frames=12)
    _, message = write(name, frames=5)
    assert names_in(tmp_path) == sorted(form.format(n) for n in range(1, 6))
    first, last = (tmp_path / form.format(n) for n in (6, 12))
    assert message == f"{first} to {last}, frames of an older film, were removed\n"
    _, message = write(name, frames=4)
    assert message == (f"{tmp_path / form.format(5)}, a frame of an older film, was "
                       "removed\n")
    assert write(name, frames=4)[1] == "" and write(name, frames=9)[1] == ""


def test_other_names_are_never_removed(write, tmp_path):
    write("f.png", frames=6)
    others = ["f-00007.png", "f-7.png", "f-007.png", "g-0006.png", "f-0005.PNG", "f-0005.jpg",
              "f-0006.png.bak", "xf-0006.png", "f-.png", "f-0x06.png", "f--006.png",
              "f-+006.png", "f- 006.png", "f-99999999999999999999.png"]
    for other in others:
        shutil.copy(tmp_path / "f-0005.png", tmp_path / other)
    _, message = write("f.png", frames=2)
    assert names_in(tmp_path) == sorted(others + numbered(1, 2))
    assert message.count("\n") == 1


def test_what_comes_after_a_gap_is_left_and_named(write, tmp_path):
    write("f.png", frames=8)
    (tmp_path / "f-0006.png").unlink()
    shutil.copy(tmp_path / "f-0008.png", tmp_path / "f-2024.png")
    _, message = write("f.png", frames=4)
    assert names_in(tmp_path) == numbered(1, 2, 3, 4, 7, 8, 2024)
    assert "3 more" in message and str(tmp_path / "f-0007.png") in message


@pytest.mark.parametrize("kind", ["text", "folder", "link", "grey"])
def test_what_is_no_frame_is_left_and_named(write, tmp_path, kind):
    write("f.png", frames=8)
    odd = tmp_path / "f-0006.png"
    odd.unlink()
    if kind == "text":
        odd.write_text("mine")
    elif kind == "folder":
        odd.mkdir()
    elif kind == "link":
        odd.symlink_to("f-0002.png")
    else:
        data = bytearray((tmp_path / "f-0001.png").read_bytes())
        data[25] = 0
        odd.write_bytes(data)
    _, message = write("f.png", frames=4)
    assert names_in(tmp_path) == numbered(1, 2, 3, 4, 6, 7, 8)
    assert "f-0005.png, a frame" in message and str(odd) in message


def test_pictures_of_others_are_left_and_named(write, tmp_path):
    """The first one is not of this program: nor are those that follow."""
    write("f.png", frames=8)
    shutil.copy(tmp_path / "f-0008.png", tmp_path / "f-0001.png")   # without its texts
    _, message = write("f.png", frames=4)
    assert names_in(tmp_path) == numbered(*range(1, 9))
    assert "4 more" in message and str(tmp_path / "f-0005.png") in message


def test_a_film_that_fails_removes_nothing(write, tmp_path):
    write("f.png", frames=8)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    sheet = tmp_path / "sheet.png"
    sheet.mkdir()
    _, message = write("f.png", frames=4, sheet="sheet.png")
    assert "it is a folder" in message
    sheet.rmdir()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_the_program_says_what_it_removed(film, tmp_path):
    """And keeps the picture that a film began with: the last one of the film before."""
    flags = ("--num-inference-steps", "1")
    assert film(tmp_path / "f.png", *flags).code == 0
    done = film("f.png", *flags, "--num-frames", "5", cwd=tmp_path)
    assert done.code == 0 and names_in(tmp_path) == numbered(*range(1, 6))
    assert done.err == ("phonofilm: warning: f-0006.png to f-0009.png, frames of an older "
                        "film, were removed\n")
    last = (tmp_path / "f-0005.png").read_bytes()
    done = film("f.png", *flags, "--num-frames", "1", "--image-path", "f-0005.png",
                image=False, cwd=tmp_path)
    assert done.code == 0 and names_in(tmp_path) == numbered(1, 5)
    assert (tmp_path / "f-0005.png").read_bytes() == last
    assert "f-0002.png to f-0004.png" in done.err and "f-0005.png" in done.err
