# SPDX-License-Identifier: Apache-2.0
"""A browser plays the films, and shows pictures as they are read here.

tests/cli/test_film_plays.py has the table of all films, by ffprobe.
"""
import base64
import subprocess

import pytest
from picture_files import (LINEAR, P3, chunk, decode, difference, encoded, exif, give_profile,
                           profile, with_chunks, with_segments)
from test_page import By, Page, browser  # noqa: F401
from tiny_model import BUILD

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


@pytest.fixture
def page(browser, tmp_path):  # noqa: F811
    (tmp_path / "index.html").write_text("<!doctype html><title>x</title><body></body>")
    browser.get(f"file://{tmp_path}/index.html")
    browser.set_script_timeout(30)
    return browser


PLAY = """
const [source, done] = arguments;
const video = document.createElement("video");
document.body.append(video);
const tell = (what) => done({what, error: video.error && video.error.message,
    width: video.videoWidth, height: video.videoHeight, duration: video.duration,
    time: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames,
    sound: video.webkitAudioDecodedByteCount, start: video.seekable.start(0)});
video.muted = true;
video.onerror = () => done({what: "error", error: video.error.message});
video.onended = () => tell("ended");
video.src = source;
video.play().catch((e) => done({what: "refused", error: String(e)}));
"""


@pytest.mark.parametrize("ending, width, height, frames, fps, quality", [
    ("mp4", 16, 16, 9, 24, 0), ("mp4", 64, 64, 25, 24, 0), ("mp4", 64, 64, 9, 24, 51),
    ("mp4", 640, 352, 9, 24000 / 1001, -1), ("mp4", 2560, 1440, 3, 24, 51),
    ("mp4", 16, 1024, 5, 12.5, 1), ("mp4", 48, 32, 1, 1, 5), ("mp4", 48, 32, 30, 120, 23),
    ("webm", 16, 16, 9, 24, 0), ("webm", 64, 64, 9, 24, 51), ("webm", 640, 352, 9, 30, -1),
    ("webm", 1024, 16, 5, 12.5, 1)])
def test_films_play_to_their_end(page, tmp_path, ending, width, height, frames, fps, quality):
    path = tmp_path / f"film.{ending}"
    subprocess.run([str(BUILD / "tests/write_film"), str(path), *map(str, (
        width, height, frames, fps, int(48000 * frames / fps), quality))], check=True,
        timeout=60)
    state = page.execute_async_script(PLAY, f"file://{path}")
    assert state["what"] == "ended" and not state["error"], state
    assert (state["width"], state["height"]) == (width, height)
    assert state["start"] == 0 and state["frames"] >= 1 and state["sound"] > 0, state
    assert abs(state["duration"] - frames / fps) < 0.012
    assert abs(state["time"] - frames / fps) < 0.03


SHOW = """
const [sources, done] = arguments;
Promise.all(sources.map(async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.width, canvas.height, Array.from(data).filter((_, i) => i % 4 < 3)];
})).then(done, (e) => done(String(e)));
"""


def variants():
    """NAME: (kind of file, bytes): all orientations, and colours of three profiles.  EXIF in
    WebP, which Pillow and macOS follow, Chromium does not: the page does (below)."""
    image = Image.new("RGB", (40, 24))
    image.putdata([(6 * x, 9 * y, 255 - 6 * x) for y in range(24) for x in range(40)])
    files = {"jpeg": (encoded(image, "JPEG", quality=95, subsampling=0),),
             "png": (encoded(image, "PNG"),),
             "webp": (encoded(image, "WEBP", lossless=True),)}
    jpeg, plain = files["jpeg"][0], files["png"][0]
    out = {}
    for value in range(1, 9):
        for big in (True, False):
            block = exif(value, big)
            out[f"jpeg {value} {big}"] = "jpeg", with_segments(jpeg, (0xE1, block))
        bare = exif(value, prefix=b"")
        out[f"png {value}"] = "png", plain[:33] + chunk(b"eXIf", bare) + plain[33:]
    for kind in files:
        for name, colours in (("p3", profile(points=P3)), ("adobe", profile())):
            out[f"{kind} {name}"] = kind, give_profile(files, kind, colours)
    linear = plain[:33] + LINEAR + plain[33:]
    out["linear"] = "png", linear
    out["srgb over linear"] = "png", plain[:33] + chunk(b"sRGB", b"\0") + linear[33:]
    return out


def test_pictures_are_shown_as_they_are_read(page, tmp_path):
    files = variants()
    shown = page.execute_async_script(SHOW, [
        f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        for kind, data in files.values()])
    assert isinstance(shown, list), shown
    for name, (width, height, pixels) in zip(files, shown):
        (tmp_path / "picture").write_bytes(files[name][1])
        here = decode(tmp_path / "picture")
        assert here[:2] == (width, height), name
        assert difference(here[2], pixels) <= 6, name


SEE = """
const image = document.getElementById("picture-shown");
if (!image.src || !image.complete || !image.naturalWidth) return null;
const canvas = document.createElement("canvas");
canvas.width = image.naturalWidth;
canvas.height = image.naturalHeight;
const context = canvas.getContext("2d");
context.drawImage(image, 0, 0);
const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
return [canvas.width, canvas.height, Array.from(data).filter((_, i) => i % 4 < 3)];
"""


def test_the_page_shows_what_the_film_begins_with(browser, start, tmp_path):  # noqa: F811
    """WebP of every orientation, of both byte orders, and with garbage."""
    page = Page(browser, start())
    image = Image.new("RGB", (40, 24))
    image.putdata([(6 * x, 9 * y, 255 - 6 * x) for y in range(24) for x in range(40)])
    webp = encoded(image, "WEBP", lossless=True)
    blocks = [exif(value, big=value % 2 == 0, prefix=b"Exif\0\0" if value > 4 else b"")
              for value in range(1, 9)] + [b"", b"Exif\0\0MM\0*\xff\xff\xff\xff", exif(9)]
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.webp"
        path.write_bytes(with_chunks(webp, (b"EXIF", block), width=40, height=24))
        browser.find_element(By.ID, "picture").send_keys(str(path))
        here = decode(path)
        page.until(lambda: (page.script(SEE) or [0])[:2] == [*here[:2]], what=path.name)
        page.until(lambda: difference(here[2], page.script(SEE)[2]) <= 1, what=path.name)
