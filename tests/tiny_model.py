# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program and of the server share: where things are, and a tiny
model with seeded random weights."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("PHONOFILM_BUILD", ROOT / "build")).resolve()
PROGRAM = BUILD / "phonofilm"


def make_tiny_model(folder):
    subprocess.run([str(BUILD / "tools" / "make_model"), "--preset", "tiny",
                    "--seed", "7", str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
