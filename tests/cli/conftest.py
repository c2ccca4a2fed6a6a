# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that run the real program."""
import pathlib
import shutil
import struct
import subprocess
import sys
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from tiny_model import BUILD, PROGRAM, ROOT, model  # noqa: E402, F401

GOLDENS = ROOT / "tests" / "fixtures" / "goldens"


def write_png(path, width, height, pixel):
    """An RGB PNG whose pixels are pixel(x, y)."""
    rows = b"".join(
        b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width))
        for y in range(height))

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(
            ">I", zlib.crc32(body))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Result:
    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()


@pytest.fixture(scope="session")
def run():
    """Runs phonofilm with these arguments."""
    def call(*arguments, stdin=b"", cwd=None, timeout=300):
        return Result(subprocess.run(
            [str(PROGRAM), *map(str, arguments)], input=stdin, cwd=cwd,
            capture_output=True, timeout=timeout))
    return call


@pytest.fixture
def model_copy(model, tmp_path):
    """The tiny model in a folder that a test may break."""
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    return copy


@pytest.fixture(scope="session")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "first.png"
    write_png(path, 80, 64, lambda x, y: (3 * x, 2 * y, (x * y) % 256))
    return path


@pytest.fixture
def film(run, model, picture):
    """Makes a small film: film(output, flag, ...)."""
    def make(output, *flags, prompt="A red ball bounces.", image=True, **more):
        arguments = ["generate", "--model-path", model, "--prompt", prompt]
        if image:
            arguments += ["--image-path", picture]
        arguments += ["--num-frames", "9", "--height", "32", "--width", "48",
                      "--num-inference-steps", "2", "-o", output, *flags]
        return run(*arguments, **more)
    return make
