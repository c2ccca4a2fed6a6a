# SPDX-License-Identifier: Apache-2.0
"""How pictures are turned and what becomes of their colours: as viewers have it, and to
the bit as Pillow and Little CMS do."""
import io
import subprocess
import zlib

import pytest

from picture_files import (LINEAR, P3, chunk, decode, difference, encoded, exif, give_profile,
                           icc, number, parts, png, profile, with_chunks, with_segments)
from test_pictures import noisy, pillow  # noqa: F401
from tiny_model import BUILD

SIDE = {1: (40, 24), 2: (40, 24), 3: (40, 24), 4: (40, 24), 5: (24, 40), 6: (24, 40),
        7: (24, 40), 8: (24, 40)}


def read(tmp_path, data):
    path = tmp_path / "picture"
    path.write_bytes(data)
    return decode(path)


@pytest.fixture(scope="module")
def files(pillow):  # noqa: F811
    """KIND: a file of 40x24 pixels, and a function that gives it an EXIF block."""
    image = noisy(pillow, 40, 24, 5)
    jpeg = encoded(image, "JPEG", quality=90)
    plain = encoded(image, "PNG")
    webp = encoded(image, "WEBP", lossless=True)
    return {
        "jpeg": (jpeg, lambda e: with_segments(jpeg, (0xE1, e))),
        "png": (plain, lambda e: plain[:33] + chunk(b"eXIf", e) + plain[33:]),
        "png, late": (plain, lambda e: plain[:-12] + chunk(b"eXIf", e) + plain[-12:]),
        "webp": (webp, lambda e: with_chunks(webp, (b"EXIF", e), width=40, height=24)),
    }


TURNS = ["", "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE",
         "ROTATE_270", "TRANSVERSE", "ROTATE_90"]


@pytest.mark.parametrize("kind", ["jpeg", "png", "png, late", "webp"])
def test_all_orientations(tmp_path, pillow, files, kind):  # noqa: F811
    plain, give = files[kind]
    width, height, pixels = read(tmp_path, plain)
    upright = pillow.frombytes("RGB", (width, height), pixels)
    for value in range(1, 9):
        turn = TURNS[value - 1]
        wanted = upright.transpose(getattr(pillow, turn)) if turn else upright
        blocks = [exif(value), exif(value, big=False), exif(value, kind=4),
                  exif(value, False, kind=1), exif(value, before=bytes(7))]
        if kind != "jpeg":              # whose segments are told apart by that
            blocks.append(exif(value, prefix=b""))
        for block in blocks:
            got = read(tmp_path, give(block))
            assert got[:2] == SIDE[value] == wanted.size
            assert got[2] == wanted.tobytes(), value


GARBAGE = [
    b"", b"Exif\0\0", b"MM", b"MM\0*", b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xff",
    b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"MM\0*\0\0\0\x08\0\1\1\x12",
    b"XX\0*" + exif(6)[10:], exif(0), exif(9), exif(0xFFFF), exif(6, kind=5),
    exif(6, kind=7), exif(6, count=2), exif(6, count=0), exif(6)[:-8], exif(6, entries=0),
    exif(6).replace(b"MM\0*", b"MM\0+"), exif(6).replace(b"\x01\x12", b"\x01\x13"),
]


def test_garbage_is_upright(tmp_path, files):
    for kind, (plain, give) in files.items():
        wanted = read(tmp_path, plain)
        for block in GARBAGE:
            assert read(tmp_path, give(block)) == wanted, (kind, block)


def test_first_directory_alone_counts(tmp_path, files):
    """The second is that of the thumbnail."""
    plain, give = files["jpeg"]
    block = (b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\0\0\3\0\0\0\1\0\x28\0\0\0\0\0\x1a"
             b"\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
    assert read(tmp_path, give(block)) == read(tmp_path, plain)


@pytest.mark.parametrize("precision", [[], ["--precision", "ref"]])
def test_films_begin_upright(film, tmp_path, files, precision):
    """A turned picture makes the film of the one that was turned before."""
    plain, give = files["png"]
    width, height, pixels = read(tmp_path, give(exif(6)))
    rows = b"".join(b"\0" + pixels[3 * width * y:3 * width * (y + 1)] for y in range(height))
    for name, data in (("a", give(exif(6))), ("b", png(width, height, rows=rows))):
        (tmp_path / f"{name}.png").write_bytes(data)
        done = film(tmp_path / f"{name}.mp4", "--image-path", tmp_path / f"{name}.png",
                    "--save-latents", tmp_path / f"{name}.safetensors", *precision,
                    "--seed", "3", image=False)
        assert done.code == 0, done.err
    assert (tmp_path / "a.safetensors").read_bytes() == (
        tmp_path / "b.safetensors").read_bytes()


# --- colours --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cms(pillow):  # noqa: F811
    return pytest.importorskip("PIL.ImageCms", reason="Pillow has no Little CMS")


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("points", [P3, None])
def test_profiles_are_converted(tmp_path, pillow, cms, files, kind, points):  # noqa: F811
    data = profile(points=points) if points else profile()
    size, pixels = (40, 24), read(tmp_path, files[kind][0])[2]
    wanted = cms.profileToProfile(pillow.frombytes("RGB", size, pixels),
                                  cms.ImageCmsProfile(io.BytesIO(data)),
                                  cms.createProfile("sRGB")).tobytes()
    got = read(tmp_path, give_profile(files, kind, data))[2]
    assert difference(got, wanted) <= 1 and difference(got, pixels) > 20


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_srgb_profiles_change_nothing(tmp_path, cms, files, kind):
    data = cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()
    assert read(tmp_path, give_profile(files, kind, data)) == read(tmp_path, files[kind][0])


def test_grey_profiles(tmp_path, pillow, cms):  # noqa: F811
    """Of a grey picture they count, of a colour picture they do not."""
    data, grey = profile(1.0, grey=True), bytes(range(0, 240, 6)) * 24
    rows = b"".join(b"\0" + grey[40 * y:40 * (y + 1)] for y in range(24))
    got = read(tmp_path, png(40, 24, 8, 0, rows=rows, before=icc(data)))[2]
    for value, out in zip(grey[:40], zip(*[iter(got)] * 3)):
        light = value / 255
        wanted = 255 * (12.92 * light if light < 0.0031308
                        else 1.055 * light ** (1 / 2.4) - 0.055)
        assert max(abs(level - wanted) for level in out) <= 2
    jpeg = encoded(pillow.frombytes("L", (40, 24), grey), "JPEG")
    plain = read(tmp_path, jpeg)[2]
    assert difference(read(tmp_path, with_segments(jpeg, *parts(data)))[2], plain) > 40
    colour = read(tmp_path, png(40, 24, before=icc(data)))
    assert colour == read(tmp_path, png(40, 24))


SRGB = number(31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
WIDE = number(31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
ADOBE = icc(profile())
SHADES = b"".join(b"\0" + bytes(3 * x + k for x in range(20) for k in range(3))
                  for _ in range(18))


def shades(tmp_path, before):
    return read(tmp_path, png(rows=SHADES, before=before))[2]


def test_what_a_png_says_of_its_colours(tmp_path):
    """The order of precedence, and values that mean sRGB."""
    plain = shades(tmp_path, b"")
    linear, adobe = shades(tmp_path, LINEAR), shades(tmp_path, ADOBE)
    assert difference(linear, plain) > 50 and difference(adobe, plain) > 2
    wide = shades(tmp_path, chunk(b"cHRM", WIDE))
    p3 = chunk(b"cICP", bytes([12, 13, 0, 1]))
    assert difference(shades(tmp_path, p3), wide) <= 1
    srgb, srgb_codes = chunk(b"sRGB", b"\0"), chunk(b"cICP", bytes([1, 13, 0, 1]))
    for before, wanted in (
            (chunk(b"gAMA", number(45455)), plain), (chunk(b"gAMA", number(45000)), plain),
            (chunk(b"cHRM", SRGB), plain), (srgb, plain), (srgb + LINEAR, plain),
            (LINEAR + srgb, plain), (ADOBE + LINEAR, adobe), (srgb + ADOBE, adobe),
            (srgb_codes + ADOBE + LINEAR, plain), (ADOBE + p3, shades(tmp_path, p3)),
            (LINEAR + chunk(b"gAMA", number(45455)), linear),
            (chunk(b"cICP", bytes([1, 8, 0, 1])), linear)):
        assert difference(shades(tmp_path, before), wanted) <= (0 if wanted is plain else 1)
    late = png(rows=SHADES)[:-12] + LINEAR + png()[-12:]
    assert read(tmp_path, late)[2] == plain


def notes_of(path):
    done = subprocess.run([str(BUILD / "tests" / "decode_picture"), str(path)],
                          capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(b"\n", 1)[1], done.stderr.decode()


NOTED = {
    "nonsense": (icc(b"nonsense"), "broken"),
    "cut": (icc(profile()[:300]), "broken"),
    "not deflated": (chunk(b"iCCP", b"x\0\0" + b"nonsense"), "broken"),
    "of another method": (chunk(b"iCCP", b"x\0\1" + zlib.compress(profile())), "broken"),
    "without a name's end": (chunk(b"iCCP", b"x" * 90 + b"\0\0" + zlib.compress(
        profile())), "broken"),
    "empty": (chunk(b"iCCP", b""), "broken"),
    "of 300 MB": (icc(bytes(300 << 20)), "broken"),
    "for CMYK": (icc(profile().replace(b"RGB ", b"CMYK")), "other pictures"),
    "of a link": (icc(profile().replace(b"mntr", b"link")), "other pictures"),
    "gamma 0": (chunk(b"gAMA", number(0)), "gamma"),
    "gamma 4294967295": (chunk(b"gAMA", number(2**32 - 1)), "gamma"),
    "no colours": (chunk(b"cHRM", bytes(32)), "chromaticities"),
    "one colour": (chunk(b"cHRM", number(*[31270, 32900] * 4)), "chromaticities"),
    "huge colours": (chunk(b"cHRM", b"\xff" * 32), "chromaticities"),
    "unknown codes": (chunk(b"cICP", bytes([99, 13, 0, 1])), "cICP"),
    "luma and chroma": (chunk(b"cICP", bytes([1, 13, 1, 1])), "cICP"),
}


@pytest.mark.parametrize("name", NOTED)
def test_what_cannot_be_followed_is_said(tmp_path, name):
    before, word = NOTED[name]
    path = tmp_path / "picture.png"
    path.write_bytes(png(rows=SHADES))
    plain, note = notes_of(path)
    assert note == ""
    path.write_bytes(png(rows=SHADES, before=before))
    pixels, note = notes_of(path)
    assert pixels == plain
    assert str(path) in note and word in note and "sRGB" in note, note


def test_parts_of_a_profile_that_are_missing(tmp_path, files):
    plain = files["jpeg"][0]
    for segments in (parts(profile())[1:], parts(profile())[:-1],
                     [(0xE2, b"ICC_PROFILE\0\1")], [(0xE2, b"ICC_PROFILE\0\0\0x")],
                     [(0xE2, b"ICC_PROFILE\0\5\2x")]):
        assert read(tmp_path, with_segments(plain, *segments)) == read(tmp_path, plain)


def test_program_says_it(film, tmp_path):
    path = tmp_path / "first.png"
    path.write_bytes(png(48, 32, before=icc(b"nonsense")))
    done = film(tmp_path / "f.mp4", "--image-path", path, image=False)
    assert done.code == 0
    assert done.err == (f"phonofilm: warning: {path}: its colour profile is broken; its "
                        "colours are taken as sRGB\n")


def test_hdr_is_refused(tmp_path):
    for transfer in (16, 18):
        message = read(tmp_path, png(before=chunk(b"cICP", bytes([9, transfer, 0, 1]))))
        assert "HDR" in message and "sRGB" in message
