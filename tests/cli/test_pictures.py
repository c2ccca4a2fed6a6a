# SPDX-License-Identifier: Apache-2.0
"""Picture files: what is refused, and what Pillow makes of the same file.

Fixed pictures with Pillow's pixels are in tests/fixtures/pictures (tests/unit); here
are those that are made on the spot, and, where Pillow is installed, comparisons.
"""
import os
import random
import shutil
import struct
import subprocess
import sys
import zlib

import pytest

from picture_files import chunk, decode, difference, png
from tiny_model import BUILD, ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "pictures"
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"),
                                  reason="ffmpeg is not installed")


def jpeg_header(kind=0xC0, width=64, height=64, components=3, bits=8):
    body = struct.pack(">BHHB", bits, height, width, components) + b"".join(
        bytes([i + 1, 0x11, 0]) for i in range(components))
    return (b"\xff\xd8\xff" + bytes([kind]) + struct.pack(">H", 2 + len(body)) + body
            + b"\xff\xda\x00\x02\xff\xd9")


GOOD = zlib.compress((b"\0" + bytes(60)) * 18)

REFUSED = {
    "nothing": (b"", "empty"),
    "text": (b"This is no picture.\n", "text that begins"),
    "zeros": (bytes(4096), "zeros"),
    "gif": (b"GIF89a\x10\0\x10\0\0\0\0;", "a GIF"),
    "bmp": (b"BM" + bytes(60), "a BMP"),
    "tiff": (b"II*\0\x08\0\0\0" + bytes(60), "a TIFF"),
    "big tiff": (b"MM\0+\0\x08\0\0" + bytes(60), "a TIFF"),
    "raw": (b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "CR2"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    "heif": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
    "avif": (b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf", "AVIF"),
    "cr3": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "CR3"),
    "mov": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "QuickTime"),
    "svg": (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg xmlns='x'/>", "an SVG"),
    "html": (b"<!DOCTYPE html>\n<title>404</title>", "HTML"),
    "pdf": (b"%PDF-1.7\n", "a PDF"),
    "jpeg xl": (b"\xff\x0a" + bytes(20), "JPEG XL"),
    "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    "psd": (b"8BPS\0\1" + bytes(30), "Photoshop"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid x\n", "Git LFS"),
    "png of 1x1": (png(1, 1), "1x1"),
    "png of 15 rows": (png(20, 15), "20x15"),
    "png of 0 columns": (png(0, 16, data=GOOD), "0x16"),
    "png of 30000x30000": (png(30000, 30000, data=GOOD), "30000x30000"),
    "png of 16384x16384": (png(16384, 16384, data=GOOD), "16384x16384"),
    "png of 2^32-1": (png(2**32 - 1, 2**32 - 1, data=GOOD), "4294967295"),
    "png of 3 bits": (png(depth=3, colour=0, data=GOOD), "header"),
    "png of colour type 1": (png(colour=1, data=GOOD), "header"),
    "png of 16-bit palette": (png(depth=16, colour=3, data=GOOD), "header"),
    "png of interlace 2": (png(form=b"\0\0\2"), "header"),
    "png without the last row": (png(rows=(b"\0" + bytes(60)) * 17), "rows"),
    "png without the last byte": (png(rows=((b"\0" + bytes(60)) * 18)[:-1]), "rows"),
    "png with half its data": (png(data=GOOD[:len(GOOD) // 2]), "rows"),
    "png with a wrong checksum of its data":
        (png(data=GOOD[:-1] + bytes([GOOD[-1] ^ 1])), "compressed"),
    "png that inflates to 64 MB": (png(rows=bytes(1 << 26)), "longer"),
    "png with filter 5": (png(rows=(b"\5" + bytes(60)) * 18), "filter"),
    "png without data": (png(data=b""), "rows"),
    "png without end": (png()[:-12], "cut short"),
    "png with a wrong checksum of a text":
        (png(before=chunk(b"tEXt", b"a\0b")[:-1] + b"\0"), "checksum"),
    "png with a wrong checksum": (png()[:-20] + b"\0\0\0\0" + png()[-16:], "damaged"),
    "animated png": (png(before=chunk(b"acTL", struct.pack(">II", 2, 0))), "animated"),
    "png interlaced without its last pass":
        (png(16, 16, 8, 0, rows=b"".join((b"\0" + bytes(w)) * h for w, h in (
            (2, 2), (2, 2), (4, 2), (4, 4), (8, 4), (8, 8))), form=b"\0\0\1"), "rows"),
    "cmyk jpeg": (jpeg_header(components=4), "CMYK"),
    "jpeg of two components": (jpeg_header(components=2), "colour"),
    "arithmetic jpeg": (jpeg_header(kind=0xC9), "arithmetic"),
    "lossless jpeg": (jpeg_header(kind=0xC3), "lossless"),
    "12-bit jpeg": (jpeg_header(bits=12), "8 bits"),
    "jpeg of 65535x65535": (jpeg_header(width=65535, height=65535), "65535x65535"),
    "jpeg of no rows": (jpeg_header(height=0), "64x0"),
    "jpeg of no columns": (jpeg_header(width=0), "width"),
    "jpeg without tables": (jpeg_header(), "damaged"),
    "jpeg of nothing": (b"\xff\xd8\xff\xd9", "holds no picture"),
    "jpeg with 101 scans":
        (jpeg_header()[:-2] + b"\xff\xda\x00\x02" * 101 + b"\xff\xd9", "scans"),
    "avif": (b"\0\0\0\x1cftypavif" + bytes(40), "AVIF"),
    "a film": (b"\0\0\0\x18ftypisom" + bytes(40), "film"),
    "webp of nothing": (b"RIFF\0\0\0\0WEBP", "cut short"),
    "webp with an unknown chunk":
        (b"RIFF" + struct.pack("<I", 32) + b"WEBPVP9 " + struct.pack("<I", 20)
         + bytes(20), "damaged"),
    "animated webp":
        (b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10)
         + b"\2\0\0\0\x3f\0\0\x3f\0\0" + b"ANIM\0\0\0\0", "animated"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name):
    data, word = REFUSED[name]
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    message = decode(path)
    assert isinstance(message, str), "it was taken"
    assert str(path) in message and word in message, message
    assert "\n" not in message


def test_other_kinds_are_told_what_is_read(tmp_path):
    """Whole words, at the end of the sentence; nothing is read beyond the file."""
    for name, (data, word) in list(REFUSED.items())[:20]:
        for size in (len(data), len(data) // 2, 5):
            path = tmp_path / "picture.jpg"
            path.write_bytes(data[:size])
            assert decode(path).endswith("it must be PNG, JPEG or WebP"), (name, size)


def test_what_is_no_file_is_refused(tmp_path, run):
    """With the exit code of a wrong request, and without waiting."""
    os.mkfifo(tmp_path / "pipe.png")
    for path, word in ((tmp_path / "pipe.png", "a pipe and no regular file"),
                       (tmp_path, "a folder and no regular file"),
                       ("/dev/zero", "a device and no regular file"),
                       (tmp_path / "none.png", "No such file")):
        assert word in decode(path)
        done = run("generate", "-p", "x", "-i", path, "-o", tmp_path / "f.mp4", timeout=20)
        assert done.code == 2 and word in done.err and str(path) in done.err


# --- bombs ----------------------------------------------------------------------------

MEGABYTE = 1 << 20
ZEROS = zlib.compress(bytes(200 * MEGABYTE), 9)         # 200 kB


def webp(*chunks):
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(data)) + data + bytes(
        len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def picture_chunk(name):
    """Of a fixture that begins with it."""
    data = (FIXTURES / name).read_bytes()
    return data[12:16], data[20:20 + struct.unpack("<I", data[16:20])[0]]


def tiff_of_tags(count):
    """An EXIF block that claims a long text in every tag."""
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", count) + struct.pack(
        ">HHII", 0x010E, 2, 1 << 20, 0) * count + bytes(1 << 20)


LOSSLESS = picture_chunk("lossless.webp")
WIDE_CANVAS = b"\x2c\0\0\0" + struct.pack("<I", 34)[:3] + struct.pack("<I", 18)[:3]
JPEG = (FIXTURES / "420.jpg").read_bytes()
BOMBS = {
    "zTXt": png(before=b"".join(chunk(b"zTXt", b"k%d\0\0" % i + ZEROS) for i in range(9))),
    "iTXt": png(before=chunk(b"iTXt", b"k\0\1\0\0\0" + ZEROS) * 9),
    "iCCP": png(before=chunk(b"iCCP", b"x\0\0" + ZEROS) * 9),
    "zTXt behind the picture": png()[:-12] + chunk(b"zTXt", b"k\0\0" + ZEROS) * 9
        + png()[-12:],
    "unknown chunks": png(before=chunk(b"quUx", bytes(MEGABYTE)) * 9),
    "empty IDATs": png()[:33] + chunk(b"IDAT", b"") * 500000 + png()[33:],
    "eXIf": png(before=chunk(b"eXIf", tiff_of_tags(65535))),
    "tRNS": png(before=chunk(b"tRNS", bytes(9 * MEGABYTE))),
    "texts of a JPEG": JPEG[:2] + (b"\xff\xfe\xff\xff" + bytes(65533)) * 100 + JPEG[2:],
    "APP1 of a JPEG": JPEG[:2] + (b"\xff\xe1\xff\xff" + tiff_of_tags(5000)[:65533]) * 100
        + JPEG[2:],
    "fill bytes of a JPEG": JPEG[:2] + b"\xff" * (9 * MEGABYTE) + JPEG[2:],
    "EXIF of a WebP": webp((b"VP8X", WIDE_CANVAS), LOSSLESS,
                           *[(b"EXIF", tiff_of_tags(65535))] * 5),
    "ICCP of a WebP": webp((b"VP8X", WIDE_CANVAS), (b"ICCP", bytes(20 * MEGABYTE)), LOSSLESS),
    "XMP of a WebP": webp((b"VP8X", WIDE_CANVAS), LOSSLESS, (b"XMP ", bytes(9 * MEGABYTE))),
    "chunks of a WebP": webp((b"VP8X", WIDE_CANVAS), LOSSLESS, *[(b"quux", b"")] * 500000),
}


def measured(path):
    """(decode's answer, seconds of the processor, MB) of decoding."""
    code = ("import resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL,"
            " stderr=subprocess.PIPE)\n"
            "use = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
            "print(use.ru_utime + use.ru_stime, use.ru_maxrss // 1024, done.returncode,"
            " done.stderr.decode().strip())")
    done = subprocess.run([sys.executable, "-c", code, str(BUILD / "tests/decode_picture"),
                           str(path)], capture_output=True, timeout=60, check=True)
    seconds, megabytes, code, *message = done.stdout.decode().split(None, 3)
    return int(code), "".join(message), float(seconds), int(megabytes)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_nothing(tmp_path, name):
    path = tmp_path / "picture"
    path.write_bytes(BOMBS[name])
    code, message, seconds, megabytes = measured(path)
    assert code in (0, 1) and "memory" not in message
    assert seconds < 1 and megabytes < 150, (seconds, megabytes, message)


def test_scans_are_bounded_by_size(tmp_path):
    """40 scans of a small picture are fine; of the largest they would take too long."""
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    for side, refused in ((64, False), (8192, True)):
        path = tmp_path / "picture.jpg"
        path.write_bytes(jpeg_header(0xC2, side, side)[:-6] + scan * 40 + b"\xff\xd9")
        assert ("too many scans for its size" in decode(path)) == refused


def test_large_pictures_of_few_bytes_are_bounded(tmp_path):
    """64 million pixels of 16 bits and four samples: the most that there is."""
    side = 8192
    data = zlib.compressobj(1)
    row = bytes(1 + 8 * side)
    idat = b"".join(data.compress(row) for _ in range(side)) + data.flush()
    path = tmp_path / "picture.png"
    path.write_bytes(png(side, side, 16, 6, data=idat))
    code, message, seconds, megabytes = measured(path)
    assert (code, message) == (0, "") and seconds < 12 and megabytes < 900


def test_what_is_odd_but_whole_is_taken(tmp_path):
    path = tmp_path / "picture"
    plain = png()
    for data in (plain, plain + b"trailing garbage" * 20,
                 png(before=chunk(b"tEXt", b"a\0b") + chunk(b"quXx", b"?")),
                 png(rows=(b"\0" + bytes(60)) * 18 + b"more"), png(data=GOOD[:-4]),
                 plain[:33] + b"".join(chunk(b"IDAT", GOOD[i:i + 3]) for i in
                                       range(0, len(GOOD), 3)) + plain[-12:]):
        path.write_bytes(data)
        assert decode(path) == (20, 18, bytes(3 * 20 * 18))
    for name in ("420.jpg", "lossy.webp"):
        data = (FIXTURES / name).read_bytes()
        path.write_bytes(data + b"\xff\xd8 trailing garbage")
        assert decode(path) == decode(FIXTURES / name)


def test_jpeg_with_a_hole_is_refused(tmp_path):
    """The end is there, but coded data is missing."""
    data = (FIXTURES / "420.jpg").read_bytes()
    path = tmp_path / "picture.jpg"
    for part in (0.7, 0.8, 0.9):
        path.write_bytes(data[:int(part * len(data))] + b"\xff\xd9")
        assert "damaged" in decode(path)


# --- against Pillow -------------------------------------------------------------------


@pytest.fixture(scope="module")
def pillow():
    return pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def noisy(pillow, width, height, seed):
    rng = random.Random(seed)
    small = pillow.frombytes("RGB", (width // 3 + 1, height // 3 + 1), rng.randbytes(
        3 * (width // 3 + 1) * (height // 3 + 1)))
    return small.resize((width, height))


@needs_ffmpeg
@pytest.mark.parametrize("form", ["yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p",
                                  "yuvj411p"])
def test_jpeg_of_every_sampling(pillow, tmp_path, form):
    for size in ((97, 61), (16, 17), (64, 48)):
        noisy(pillow, *size, seed=1).save(tmp_path / "in.png")
        subprocess.run(["ffmpeg", "-y", "-v", "error", "-i", "in.png", "-pix_fmt", form,
                        "-strict", "-1", "-q:v", "3", "out.jpg"], cwd=tmp_path,
                       check=True)
        wanted = pillow.open(tmp_path / "out.jpg").convert("RGB")
        width, height, pixels = decode(tmp_path / "out.jpg")
        assert (width, height) == wanted.size
        assert difference(pixels, wanted.tobytes()) <= 1


def test_crop_and_resize(pillow, tmp_path):
    version = pytest.importorskip("PIL").__version__
    if int(version.split(".")[0]) < 13:
        pytest.skip(f"Pillow {version} resizes in another order; 13 is the reference")
    path, rng = tmp_path / "in.png", random.Random(2)
    sizes = [(353, 643, 352, 640), (108, 192, 64, 32), (192, 108, 64, 32),
             (64, 32, 64, 32), (16, 16, 160, 32), (300, 16, 16, 96)]
    sizes += [(rng.randrange(16, 200), rng.randrange(16, 200), 16 * rng.randrange(1, 9),
               16 * rng.randrange(1, 9)) for _ in range(20)]
    for number, (iw, ih, width, height) in enumerate(sizes):
        image = noisy(pillow, iw, ih, number)
        image.save(path)
        if ih / iw < height / width:
            cut = int(ih / height * width)
            left = (iw - cut) // 2
            image = image.crop((left, 0, left + cut, ih))
        else:
            cut = int(iw / width * height)
            top = (ih - cut) // 2
            image = image.crop((0, top, iw, top + cut))
        wanted = image.resize((width, height))
        assert decode(path, width, height) == (width, height, wanted.tobytes())
