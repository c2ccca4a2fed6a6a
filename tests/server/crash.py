#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills a server at random moments under load, and counts what is lost: nothing.

    tests/server/crash.py [--kills 50] [--seed 1] [--build build]

A few films are always on their way.  After every kill the server starts anew; at the
end every video that was ever answered 200 must be completed, and its bytes must be
those of an undisturbed run.  Exit status 0 and one line of figures when that is so.
"""
import argparse
import hashlib
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--kills", type=int, default=50)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--build", default=None)
options = parser.parse_args()
if options.build:
    os.environ["PHONOFILM_BUILD"] = str(pathlib.Path(options.build).resolve())
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from conftest import Server, make_tiny_model, multipart, png  # noqa: E402

KINDS = [
    {"prompt": "Rain.", "size": "48x32", "num_frames": 9, "num_inference_steps": 12},
    {"prompt": "A ball.", "size": "96x64", "num_frames": 17, "num_inference_steps": 16},
    {"prompt": "Silence.", "size": "64x48", "num_frames": 13, "num_inference_steps": 8,
     "generate_sound": "false", "format": "webm"},
]


def ask(server, kind, accepted):
    """A video, if the server lives long enough to say so."""
    files = {"input_reference": ("a.png", png())} if kind == 1 else None
    body, form = multipart({**KINDS[kind], "seed": kind}, files)
    try:
        reply = server.request("POST", "/v1/videos", body, {"Content-Type": form},
                               timeout=20)
    except OSError:
        return
    except Exception as error:          # half an answer
        if "http.client" not in type(error).__module__:
            raise
        return
    if reply.status == 200:
        accepted.append((reply.json["id"], kind))
    elif reply.status != 429:
        raise SystemExit(f"crash: refused with {reply.status}: {reply.body!r}")


def digest_of(server, video_id):
    return hashlib.sha256(server.film(video_id)).hexdigest()


def undisturbed(model, folder):
    server = Server(model, folder, "--rate", "0")
    accepted = []
    for kind in range(len(KINDS)):
        ask(server, kind, accepted)
    wanted = {}
    for video_id, kind in accepted:
        assert server.wait(video_id, seconds=600)["status"] == "completed"
        wanted[kind] = digest_of(server, video_id)
    assert server.stop() == 0
    return wanted


def torment(server, chance, accepted, kills):
    stop = threading.Event()

    def load():
        mine = random.Random(chance.random())
        while not stop.is_set():
            ask(server, mine.randrange(len(KINDS)), accepted)
            stop.wait(mine.uniform(0.1, 0.5))
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(kills):
            time.sleep(chance.uniform(0.02, 0.9))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.process.stdout.close()
            server.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def main():
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = make_tiny_model(folder / "model")
        wanted = undisturbed(model, folder / "undisturbed")
        server = Server(model, folder / "films", "--rate", "0", "--max-queue", "12")
        accepted = []
        begun = time.monotonic()
        torment(server, chance, accepted, options.kills)
        lost, different, failed = 0, 0, 0
        for video_id, kind in accepted:
            reply = server.get("/v1/videos/" + video_id)
            if reply.status != 200:
                lost += 1
                continue
            done = server.wait(video_id, seconds=600)
            if done["status"] != "completed":
                failed += 1
                print(f"{video_id} failed with {done['error']}")
            else:
                different += digest_of(server, video_id) != wanted[kind]
        seconds = time.monotonic() - begun
        code = server.stop()
    print(f"{options.kills} kills in {seconds:.0f} s: {len(accepted)} videos accepted, "
          f"{lost} lost, {failed} failed, {different} different; exit {code}")
    return 1 if lost or failed or different or code or not accepted else 0


if __name__ == "__main__":
    sys.exit(main())
