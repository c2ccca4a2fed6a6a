# SPDX-License-Identifier: Apache-2.0
"""What a film will lack although it is made: told by the video, the model and a check."""
import json
import shutil
import subprocess

import pytest
from conftest import PROGRAM, QUICK, Server

LONG = "A red ball falls on a wooden floor. " * 200
MADE_FOR = {"about": "Balls fall.", "sizes": ["48x32"], "num_frames": [9],
            "languages": ["en"], "subjects": ["ball"], "words": "a red dog bounces"}


@pytest.fixture(scope="module")
def modest(model, tmp_path_factory):
    """The tiny model, which says what it was made for."""
    copy = tmp_path_factory.mktemp("modest") / "model"
    shutil.copytree(model, copy)
    path = copy / "generation_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "made_for": MADE_FOR}))
    return copy


@pytest.fixture
def humble(modest, tmp_path):
    server = Server(modest, tmp_path / "films")
    yield server
    server.stop()


def test_nothing_to_say(server):
    video = server.post("/v1/videos", QUICK).json
    assert video["warnings"] == [] and "warnings" not in video["settings"]


def test_long_prompts_are_told_and_kept(model, tmp_path):
    server = Server(model, tmp_path / "films")
    video = server.post("/v1/videos", {**QUICK, "prompt": LONG, "negative_prompt": LONG}).json
    first, second = video["warnings"]
    assert first.startswith("prompt has ") and "512" in first
    assert second.startswith("negative_prompt has ")
    assert "warnings" not in video["settings"]
    server.wait(video["id"])
    listed = server.get("/v1/videos").json["data"][0]
    assert listed["warnings"] == video["warnings"]
    server.stop()
    server = Server(model, tmp_path / "films")
    again = server.get("/v1/videos/" + video["id"]).json
    assert again["warnings"] == video["warnings"] and "warnings" not in again["settings"]
    # Those of a remix are its own.
    remix = server.post(f"/v1/videos/{video['id']}/remix", {"prompt": "Short."}).json
    assert remix["warnings"] == [second]
    server.stop()


def test_what_the_model_was_made_for(humble):
    model = humble.get("/v1/models").json["data"][0]
    assert model["made_for"] == {k: v for k, v in MADE_FOR.items() if k != "words"}
    assert humble.post("/v1/videos", QUICK).json["warnings"] == []
    warnings = humble.post("/v1/videos", {**QUICK, "size": "64x32", "num_frames": 13,
                                          "prompt": "A red dog bounces."}).json["warnings"]
    assert len(warnings) == 3
    assert "names no ball" in warnings[0] and "Balls fall." in warnings[0]
    assert "64x32" in warnings[1] and "48x32" in warnings[1]
    assert "num_frames" in warnings[2] and "13" in warnings[2]


def test_a_model_that_says_nothing(server):
    assert server.get("/v1/models").json["data"][0]["made_for"] == {
        "about": None, "sizes": [], "num_frames": [], "languages": [], "subjects": []}


def test_checking_makes_no_film(humble):
    reply = humble.post("/v1/videos/check", {"prompt": "Ein Hund.", "size": "48x32"})
    assert reply.status == 200, reply.body
    answer = reply.json
    assert answer["object"] == "video.check" and answer["most_tokens"] == 512
    assert 1 < answer["prompt_tokens"] < 20 and answer["negative_prompt_tokens"] > 0
    assert "most words" in answer["warnings"][0] and "English" in answer["warnings"][0]
    long = humble.post("/v1/videos/check", {"prompt": LONG}).json
    assert long["prompt_tokens"] > 512
    assert humble.post("/v1/videos/check", {"prompt": "x", "size": "7x7"}).status == 400
    assert humble.post("/v1/videos/check", {}).error["param"] == "prompt"
    assert humble.post("/v1/videos/check", {"prompt": "x" * 70000}).status == 400
    assert humble.get("/v1/videos").json["data"] == []


def test_the_client_tells_them(humble, tmp_path):
    def make(*flags):
        done = subprocess.run(
            [str(PROGRAM), "generate", "--server", f"http://127.0.0.1:{humble.port}", "-p",
             "A red dog.", "--t2va", "--height", "32", "--width", "48", "--num-frames", "9",
             "-s", "1", "-o", str(tmp_path / "film.mp4"), *flags],
            capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr
    assert "warning: prompt names no ball, and the model" in make()
    assert make("-q") == ""
