# SPDX-License-Identifier: Apache-2.0
"""A disk that is really full, and too few files."""
import os
import socket
import subprocess
import time

import pytest
from conftest import PROGRAM, QUICK, SLOW, Server, png


def test_a_full_disk(small_disk, start):
    server = start("--min-free", "0", "--rate", "0", folder=small_disk / "films")
    good = server.create()
    server.wait(good["id"])
    film = server.film(good["id"])
    video = server.create(**{**SLOW, "num_inference_steps": 6})
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as out:
        try:
            while out.write(b"x" * 4096):
                pass
        except OSError:
            pass
    end = time.monotonic() + 30
    while server.get("/ready").status == 200 and time.monotonic() < end:
        time.sleep(0.02)
        with open(filler, "ab", buffering=0) as out:
            try:
                out.write(b"x" * 65536)
            except OSError:
                pass
    ready = server.get("/ready")
    assert ready.status == 503 and ready.error["code"] == "paused"
    assert server.video(video["id"])["status"] == "in_progress"
    refused = server.post("/v1/videos", QUICK, {"input_reference": ("a.png", png(900, 900))})
    assert refused.status == 507 and refused.error["code"] == "no_space"
    for reply in (ready, refused):
        assert str(small_disk) not in reply.error["message"]
    assert f"{small_disk}/films/videos/" in server.log.read_text()
    assert server.film(good["id"]) == film
    filler.unlink()
    assert server.wait(video["id"])["status"] == "completed"
    assert server.film(video["id"])[4:8] == b"ftyp"
    assert server.get("/ready").status == 200
    assert not list(small_disk.rglob("*.part"))


def test_a_client_never_sees_a_path_of_the_server(start):
    """A picture is damaged on the disk while its film waits, one has grown that a remix
    takes, and another folder lies where the films were."""
    server = start("--rate", "0")
    running = server.create(**SLOW)
    video = server.create({"input_reference": ("a.png", png())})
    folder = server.folder / "videos"
    (folder / video["id"] / "first").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    server.request("POST", f"/v1/videos/{running['id']}/cancel")
    failed = server.wait(video["id"])
    assert failed["status"] == "failed" and failed["error"]["code"] == "io_error"
    assert "a file of the server" in failed["error"]["message"]
    seen = [server.get(path).body.decode() for path in (
        "/v1/videos", f"/v1/videos/{video['id']}", f"/v1/videos/{video['id']}/events")]
    os.truncate(folder / video["id"] / "first", 1 << 31)
    replies = [server.request("POST", f"/v1/videos/{video['id']}/remix", {"prompt": "x"})]
    folder.rename(server.folder / "aside")
    folder.symlink_to("/proc")          # nobody makes a folder there
    replies.append(server.post("/v1/videos", QUICK))
    assert [reply.status for reply in replies] == [500, 503]
    for text in [*seen, *(reply.body.decode() for reply in replies)]:
        assert str(server.folder) not in text and "/first" not in text
    assert f"{video['id']}/first" in server.log.read_text()


def test_too_few_files(model, tmp_path):
    """Connections beyond the limit wait or are closed; nothing else is harmed."""
    server = Server(model, tmp_path / "films", "--rate", "0",
                    before=("prlimit", "--nofile=60:60"))
    try:
        video = server.create(num_inference_steps=30)
        sockets = []
        for _ in range(90):
            try:
                sockets.append(socket.create_connection(("127.0.0.1", server.port), 2))
            except OSError:
                break
        time.sleep(0.5)
        for each in sockets:
            each.close()
        assert server.wait(video["id"])["status"] == "completed"
        assert server.get("/health").status == 200
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < 60
    finally:
        assert server.stop() == 0


def test_a_disk_that_cannot_be_written(small_disk, model):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = subprocess.run([PROGRAM, "serve", "-m", model, "--port", "0", "-o",
                           small_disk / "films"], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 1 and "films: Read-only" in done.stderr


def test_a_repeated_request_needs_no_room(start):
    server = start()
    once = {"Idempotency-Key": "once"}
    video = server.create(headers=once)
    assert server.stop() == 0
    server.command += ["--min-free", "1000000T"]
    server.start()
    again = server.post("/v1/videos", QUICK, headers=once)
    assert again.status == 200 and again.json["id"] == video["id"]
    other = server.post("/v1/videos", QUICK)
    assert other.status == 507 and other.error["code"] == "no_space"
    assert other.headers["x-should-retry"] == "false"
