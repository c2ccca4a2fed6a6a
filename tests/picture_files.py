# SPDX-License-Identifier: Apache-2.0
"""Picture files that tests make: what they say of turning and colours, and what this
project and Pillow read in them."""
import io
import struct
import subprocess
import zlib

from tiny_model import BUILD


def decode(path, *size):
    """(width, height, RGB bytes), or the message of the refusal."""
    done = subprocess.run([str(BUILD / "tests" / "decode_picture"), str(path),
                           *map(str, size)], capture_output=True, timeout=20)
    if done.returncode == 1:
        return done.stderr.decode().strip()
    assert done.returncode == 0, done
    line, pixels = done.stdout.split(b"\n", 1)
    width, height = map(int, line.split())
    return width, height, pixels


def difference(a, b):
    return max(abs(x - y) for x, y in zip(a, b))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(
        ">I", zlib.crc32(kind + body))


def png(width=20, height=18, depth=8, colour=2, rows=None, data=None, before=b"",
        form=b"\0\0\0"):
    """A PNG, black unless told otherwise."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 1)
    if data is None:
        rows = rows or (b"\0" + bytes((width * bits + 7) // 8)) * height
        data = zlib.compress(rows)
    header = struct.pack(">IIBB", width, height, depth, colour) + form
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before
            + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def exif(value, big=True, kind=3, count=1, prefix=b"Exif\0\0", before=b"", entries=1):
    """An EXIF block whose first directory has one entry, the orientation."""
    e = ">" if big else "<"
    shown = {1: "B3x", 3: "H2x", 4: "I"}.get(kind, "H2x")
    return (prefix + (b"MM\0*" if big else b"II*\0") + struct.pack(e + "I", 8 + len(before))
            + before + struct.pack(e + "HHHI" + shown, entries, 0x0112, kind, count, value)
            + bytes(4))


def with_segments(jpeg, *segments):
    """A JPEG with segments, (marker, body), right behind its start."""
    return jpeg[:2] + b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", 2 + len(body)) + body
        for marker, body in segments) + jpeg[2:]


def with_chunks(webp, *chunks, width=None, height=None):
    """A WebP with further chunks, (name, body)."""
    body = webp[12:]
    if not body.startswith(b"VP8X"):
        head = struct.pack("<I", 0x2C) + struct.pack("<I", width - 1)[:3] + struct.pack(
            "<I", height - 1)[:3]
        body = b"VP8X" + struct.pack("<I", 10) + head + body
    for name, data in chunks:
        body += name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def encoded(image, kind, **settings):
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


def s15(value):
    return struct.pack(">i", round(value * 65536))


def columns(points):
    """XYZ of the primaries under D50, by Bradford from D65."""
    import numpy
    xyz = numpy.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
    white = numpy.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    xyz = xyz * numpy.linalg.solve(xyz, white)
    bradford = numpy.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367],
                            [0.0389, -0.0685, 1.0296]])
    scale = bradford @ [0.9642, 1, 0.8249] / (bradford @ white)
    return (numpy.linalg.inv(bradford) @ numpy.diag(scale) @ bradford @ xyz).T


def profile(gamma=2.2, points=((0.6400, 0.3300), (0.2100, 0.7100), (0.1500, 0.0600)),
            grey=False):
    """An ICC profile of version 2: a matrix and a gamma; Adobe RGB unless told."""
    curve = b"curv\0\0\0\0\0\0\0\1" + struct.pack(">H", round(256 * gamma)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + s15(0.9642) + s15(1) + s15(0.8249)
    text = b"desc\0\0\0\0\0\0\0\2x\0" + bytes(78)
    tags = [(b"desc", text), (b"wtpt", white), (b"cprt", b"text\0\0\0\0x\0\0\0")]
    if grey:
        tags.append((b"kTRC", curve))
    else:
        tags += [(name, b"XYZ \0\0\0\0" + b"".join(map(s15, column))) for name, column in
                 zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns(points))]
        tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s", size, b"lcms", 0x02400000, b"mntr",
                       b"GRAY" if grey else b"RGB ", b"XYZ ", bytes(12), b"acsp")
    head += bytes(28) + s15(0.9642) + s15(1) + s15(0.8249)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def icc(data):
    """The chunk of a PNG."""
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(data))


def parts(data, size=200):
    """The segments of a JPEG."""
    pieces = [data[i:i + size] for i in range(0, len(data), size)]
    return [(0xE2, b"ICC_PROFILE\0" + bytes([i + 1, len(pieces)]) + piece)
            for i, piece in enumerate(pieces)]


def give_profile(files, kind, data):
    plain = files[kind][0]
    if kind == "jpeg":
        return with_segments(plain, *reversed(parts(data)))
    if kind == "png":
        return plain[:33] + icc(data) + plain[33:]
    return with_chunks(plain, (b"ICCP", data), width=40, height=24)


def number(*values):
    return struct.pack(f">{len(values)}I", *values)


P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
LINEAR = chunk(b"gAMA", number(100000))
