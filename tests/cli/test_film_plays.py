# SPDX-License-Identifier: Apache-2.0
"""That browsers, QuickTime, Windows and phones take the films: profile, level, pixels,
colours, lengths, at every quality and size.  tests/server/test_players.py plays some."""
import math
import shutil
import struct
import subprocess

import pytest

from conftest import BUILD
from test_films import lasts, probe, stream

pytestmark = pytest.mark.skipif(not shutil.which("ffprobe"),
                                reason="ffprobe is not installed")

# ITU-T H.264 table A-1: macroblocks of a frame, of a second, and of all kept frames.
LEVELS = {40: (8192, 245760, 32768), 42: (8704, 522240, 34816),
          51: (36864, 983040, 184320), 52: (36864, 2073600, 184320)}
FRAMES = {(2560, 1440): 1, (1280, 720): 2}
SIZES = [(16, 16), (64, 64), (16, 1024), (1024, 16), (640, 352), (352, 640), (1280, 720),
         (2560, 1440)]


@pytest.fixture
def write(tmp_path):
    def call(ending, size, quality, fps=24, sound=True, frames=9):
        path = tmp_path / f"f.{ending}"
        frames = FRAMES.get(size, frames)
        samples = int(48000 * frames / fps) if sound else 0
        done = subprocess.run(
            [str(BUILD / "tests" / "write_film"), str(path), *map(str, size), str(frames),
             str(fps), str(samples), str(quality)], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return path, frames, samples
    return call


def boxes(data, at=0, end=None, path=()):
    """(path, body) of an MP4's boxes, in order."""
    end = len(data) if end is None else end
    while at < end:
        size, name = struct.unpack(">I4s", data[at:at + 8])
        here = (*path, name.decode("latin1"))
        yield "/".join(here), data[at + 8:at + size]
        if here[-1] in ("moov", "trak", "mdia", "minf", "stbl", "edts"):
            yield from boxes(data, at + 8, at + size, here)
        at += size


def check_level(video, size, fps):
    blocks = math.ceil(size[0] / 16) * math.ceil(size[1] / 16)
    assert video["level"] in LEVELS, video["level"]
    frame, second, kept = LEVELS[video["level"]]
    assert blocks <= frame and max(size) // 16 <= math.sqrt(8 * frame)
    assert blocks * fps <= second
    # Four frames, of which two may be shown later than others that follow them.
    assert 4 * blocks <= kept and video["refs"] <= 4 and video["has_b_frames"] <= 2


def check_colours(video):
    assert video["pix_fmt"] == "yuv420p"
    assert (video["color_space"], video["color_transfer"], video["color_primaries"],
            video["color_range"]) == ("bt709", "bt709", "bt709", "tv")


def check_mp4(path, size, frames, samples, fps):
    data = path.read_bytes()
    info = probe(path)
    video, audio = stream(info, "video"), stream(info, "audio")
    assert (video["codec_name"], video["codec_tag_string"]) == ("h264", "avc1")
    assert video["profile"] == "High" and video["field_order"] == "progressive"
    assert (video["width"], video["height"]) == size
    assert video["chroma_location"] == "left"
    check_colours(video)
    check_level(video, size, fps)
    assert int(video["nb_read_frames"]) == frames
    assert float(video["start_time"]) == 0
    assert abs(float(video["duration"]) - frames / fps) < 1e-5
    if samples:
        assert (audio["codec_name"], audio["codec_tag_string"]) == ("aac", "mp4a")
        assert audio["profile"] == "LC" and float(audio["start_time"]) == 0
        assert abs(float(audio["duration"]) - samples / 48000) < 3e-5
    names = dict(boxes(data))
    order = [name for name in names if "/" not in name]
    assert order.index("moov") < order.index("mdat")        # plays while it loads
    assert order[0] == "ftyp" and b"isom" in names["ftyp"] and b"avc1" in names["ftyp"]
    colours = data[data.index(b"colr") + 4:]                # what QuickTime goes by
    assert colours[:11] == b"nclx\0\1\0\1\0\1\0"
    assert b"edts" in data                                  # the encoders' delays


@pytest.mark.parametrize("quality", range(52))
def test_mp4_of_every_quality(write, quality):
    path, frames, samples = write("mp4", (48, 32), quality, frames=5)
    check_mp4(path, (48, 32), frames, samples, 24)


@pytest.mark.parametrize("size, quality", [
    (size, quality) for size in SIZES for quality in (0, 51)
    if quality == 0 or size[0] * size[1] < 1e6], ids=str)
def test_mp4_of_every_size(write, size, quality):
    path, frames, samples = write("mp4", size, quality)
    check_mp4(path, size, frames, samples, 24)


@pytest.mark.parametrize("fps, sound", [
    (1, True), (12.5, False), (23.976, True), (24000 / 1001, False), (29.97, True),
    (30, False), (120, True)])
def test_mp4_of_every_rate(write, fps, sound):
    path, frames, samples = write("mp4", (64, 48), -1, fps, sound)
    check_mp4(path, (64, 48), frames, samples, fps)


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 49])
def test_mp4_of_every_length(write, frames):
    path, frames, samples = write("mp4", (64, 48), -1, frames=frames)
    check_mp4(path, (64, 48), frames, samples, 24)


def samples_of(path):
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a", "-f",
                           "s16le", "-"], capture_output=True, check=True)
    return len(done.stdout) // 2


@pytest.mark.parametrize("size, quality, fps, frames", [
    (size, 0, 24, 5) for size in SIZES if size[0] * size[1] < 2e6] + [
    ((48, 32), quality, 24, 5) for quality in (1, 20, 51)] + [
    ((64, 48), -1, fps, 9) for fps in (1, 12.5, 24000 / 1001, 30, 120)] + [
    ((64, 48), -1, 24, frames) for frames in (1, 2, 49)])
def test_webm(write, size, quality, fps, frames):
    path, frames, samples = write("webm", size, quality, fps, frames=frames)
    info = probe(path)
    video, audio = stream(info, "video"), stream(info, "audio")
    assert (video["codec_name"], video["profile"]) == ("vp9", "Profile 0")
    assert (video["width"], video["height"]) == size
    check_colours(video)
    assert int(video["nb_read_frames"]) == frames
    assert float(video["start_time"]) == 0
    assert audio["codec_name"] == "opus" and audio["sample_rate"] == "48000"
    assert lasts(path, frames / fps, info) and samples_of(path) == samples
    assert -7 <= 1000 * float(audio["start_time"]) <= -6       # what is not heard
    data = path.read_bytes()
    assert b"webm" in data[:64] and b"\x1c\x53\xbb\x6b" in data     # cues: it can be wound


def test_mp4_that_no_level_holds_is_refused(tmp_path):
    path = tmp_path / "f.mp4"
    done = subprocess.run([str(BUILD / "tests" / "write_film"), str(path), "8192", "8192",
                           "1", "24", "0", "5"], capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"8192x8192" in done.stderr and b".webm" in done.stderr
    assert list(tmp_path.iterdir()) == []
