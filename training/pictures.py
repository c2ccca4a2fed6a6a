# SPDX-License-Identifier: Apache-2.0
"""PNG and WAV files with numpy and the standard library only."""
import struct
import wave
import zlib

import numpy as np


def write_png(path, picture):
    """picture [H, W, 3], u8."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data \
            + struct.pack(">I", zlib.crc32(kind + data))
    h, w, _ = picture.shape
    rows = b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in picture)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n"
                + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def _unfilter(kind, row, above, step):
    """One row of bytes [n], its filter undone; `above` is the row before it."""
    row = row.astype(int)
    if kind == 2:
        row += above
    elif kind in (1, 3, 4):
        for i in range(len(row)):
            a = row[i - step] if i >= step else 0
            b, c = above[i], above[i - step] if i >= step else 0
            if kind == 4:
                p = a + b - c
                near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            else:
                near = a if kind == 1 else (a + b) // 2
            row[i] = (row[i] + near) & 255
    return row & 255


def read_png(path):
    """[H, W, 3], u8, of an RGB picture with 8 bits a sample and no interlacing."""
    with open(path, "rb") as f:
        data = f.read()
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            w, h, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            if (depth, colour, interlace) != (8, 2, 0):
                raise ValueError(f"{path}: not a plain RGB picture")
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(h, 1 + 3 * w)
    out, above = np.zeros((h, 3 * w), np.uint8), np.zeros(3 * w, int)
    for i, line in enumerate(raw):
        above = _unfilter(line[0], line[1:], above, 3)
        out[i] = above
    return out.reshape(h, w, 3)


def write_wav(path, sound, rate):
    with wave.open(path, "wb") as f:
        f.setnchannels(1), f.setsampwidth(2), f.setframerate(rate)
        f.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def read_wav(path):
    """Mono sound [n], f32 in [-1, 1]."""
    with wave.open(path, "rb") as f:
        data = np.frombuffer(f.readframes(f.getnframes()), "<i2")
        return data.reshape(-1, f.getnchannels()).mean(1).astype(np.float32) / 32768.0
