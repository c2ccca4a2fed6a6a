# SPDX-License-Identifier: Apache-2.0
"""Weights that are damaged under a running server: the film fails, the server goes on, and
makes films again when they are whole."""
import os
import shutil

import pytest

from conftest import QUICK, SLOW


@pytest.fixture
def copy(model, tmp_path):
    return shutil.copytree(model, tmp_path / "model")


def weights(folder, component):
    """The largest file of a component."""
    return max((folder / component).glob("*.safetensors"), key=lambda p: p.stat().st_size)


def lines(server, word):
    return [line for line in server.log.read_text().split("\n") if word in line]


@pytest.mark.parametrize("flags", [[], ["--keep-resident"]])
@pytest.mark.parametrize("component", ["video_dit", "audio_dit", "audio_vae"])
def test_weights_are_cut_and_put_back(start, model, copy, tmp_path, component, flags):
    server = start("--model-path", copy, "--rate", "0", *flags, folder=tmp_path / "films")
    film = server.film(server.wait(server.create()["id"], "completed")["id"])
    path = weights(copy, component)
    name, size = f"{component}/{path.name}", path.stat().st_size
    slow = server.create(**SLOW) if component != "audio_vae" else server.create(
        **{**QUICK, "num_inference_steps": 200})
    server.wait_for_progress(slow["id"], 1)
    os.truncate(path, size // 2)
    failed = server.wait(slow["id"])
    assert failed["status"] == "failed" and failed["error"]["code"] == "model_error", failed
    message = failed["error"]["message"]
    assert name in message and "cut" in message and str(tmp_path) not in message, failed
    assert len(lines(server, str(path))) == 1, server.log.read_text()
    assert not list((tmp_path / "films").rglob("*.part*"))

    refused = server.post("/v1/videos", QUICK)
    assert refused.status == 500 and refused.error["code"] == "model_error", refused.body
    assert f"{name} is cut: it has {size // 2} of {size} bytes" in refused.error["message"]
    assert server.get("/health").status == 200
    assert server.get("/v1/videos").status == 200

    shutil.copyfile(weights(model, component), path)        # in place
    again = server.wait(server.create()["id"])
    assert again["status"] == "completed", again
    assert server.film(again["id"]) == film

    os.truncate(path, size // 2)
    shutil.copyfile(weights(model, component), tmp_path / "whole")
    (tmp_path / "whole").rename(path)                       # another file of the name
    third = server.wait(server.create()["id"])
    assert third["status"] == "completed", third
    assert server.film(third["id"]) == film


def test_weights_are_written_again(start, model, copy, tmp_path):
    """With what they held: the film that is being made goes on to the same bytes."""
    server = start("--model-path", copy, "--rate", "0", folder=tmp_path / "films")
    fields = {**QUICK, "num_frames": 17, "num_inference_steps": 100}
    film = server.film(server.wait(server.create(**fields)["id"], "completed")["id"])
    video = server.create(**fields)
    server.wait_for_progress(video["id"], 20)
    with open(weights(copy, "audio_dit"), "r+b") as file:
        file.write(weights(model, "audio_dit").read_bytes())
    again = server.wait(video["id"])
    assert again["status"] == "completed", again
    assert server.film(again["id"]) == film
    assert lines(server, "is tried again") and lines(server, "was changed while it was in use")


def test_other_weights_of_the_same_name(start, model, copy, tmp_path):
    """They are not those that the components were made for."""
    server = start("--model-path", copy, "--rate", "0", folder=tmp_path / "films")
    path, other = weights(copy, "video_dit"), weights(copy, "video_vae")
    path.write_bytes(other.read_bytes())
    refused = server.post("/v1/videos", QUICK)
    assert refused.status == 500 and "other tensors" in refused.error["message"], refused.body
    path.write_bytes(b"<!DOCTYPE html>")
    refused = server.post("/v1/videos", QUICK)
    assert refused.status == 500 and "web page" in refused.error["message"], refused.body
    shutil.copyfile(weights(model, "video_dit"), path)
    assert server.wait(server.create()["id"])["status"] == "completed"
