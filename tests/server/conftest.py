# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the server's tests: the real program on a port of this machine."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import uuid
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from tiny_model import BUILD, PROGRAM, make_tiny_model, model  # noqa: E402, F401

# Why a package of requirements.txt may be missing.
NO_PACKAGE = os.environ.get("PHONOFILM_NO_PACKAGES",
                            "not installed; ./check does that in build/venv")

# Whether the program watches itself.  One that looks for leaks does so at a proper end only.
SANITIZED = any(name in PROGRAM.read_bytes()
                for name in (b"__asan_init", b"__tsan_init", b"__ubsan_handle"))

# Signals by which a test may have ended a server.
SENT = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# A film that the tiny model makes in a fifth of a second.
QUICK = {"prompt": "A red ball bounces.", "size": "48x32", "num_frames": 9,
         "num_inference_steps": 2, "seed": 7}
# One that takes a few seconds, so that something can happen meanwhile.
SLOW = {"prompt": "A long way to go.", "size": "160x96", "num_frames": 33,
        "num_inference_steps": 100, "seed": 9}


def png(width=80, height=64):
    """An RGB PNG with a gradient."""
    rows = b"".join(b"\0" + bytes(v for x in range(width)
                                  for v in (3 * x % 256, 2 * y % 256, x * y % 256))
                    for y in range(height))

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(
            ">I", zlib.crc32(body))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def multipart(fields, files=None, boundary=None):
    """Body and content type; files: {name: (filename, bytes)}."""
    boundary = boundary or uuid.uuid4().hex
    out = b""
    for name, value in fields.items():
        out += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
                f"\r\n\r\n{value}\r\n").encode()
    for name, (filename, data) in (files or {}).items():
        out += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
                f'filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'
                ).encode() + data + b"\r\n"
    out += f"--{boundary}--\r\n".encode()
    return out, f"multipart/form-data; boundary={boundary}"


def make_certificate(name, cert, key):
    """A certificate of that host name, signed by itself."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate and is not here")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)


class Reply:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


class Server:
    def __init__(self, model, folder, *flags, key=None, environment=None, before=()):
        self.command = [*before, str(PROGRAM), "serve", "--model-path", str(model), "--port", "0",
                        "--output-dir", str(folder), "--threads", "2", *map(str, flags)]
        self.folder = pathlib.Path(folder)
        self.log = self.folder.parent / (self.folder.name + ".log")
        self.key = key
        self.environment = environment
        self.start()

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, **(self.environment or {})})
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)$", line.strip())
        if not found:
            self.process.wait()
            self.process.stdout.close()
            self.judge()
            raise AssertionError("no start: " + self.log.read_text())
        self.port = int(found.group(1))
        self.command[self.command.index("--port") + 1] = str(self.port)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        self.judge()
        return code

    def judge(self):
        """Fails if the process crashed, or a sanitizer has found something in it."""
        log, code = self.log.read_text(), self.process.poll()
        assert not re.search("Sanitizer|runtime error:", log), log
        assert code is None or code >= 0 or -code in SENT, f"ended by signal {-code}\n{log}"

    def die_while_making(self, video, starts):
        """Killed, with what the store holds when that was so for the `starts`th time."""
        self.stop(signal.SIGKILL)
        with contextlib.closing(sqlite3.connect(self.folder / "phonofilm.db")) as store:
            store.execute("UPDATE videos SET status = 1, starts = ? WHERE id = ?",
                          (starts, video["id"]))
            store.commit()

    def restart(self, number=signal.SIGKILL):
        self.stop(number)
        self.start()

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers or {})
        if self.key:
            headers.setdefault("Authorization", "Bearer " + self.key)
        if isinstance(body, dict):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        reply = Reply(response, response.read())
        connection.close()
        return reply

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, fields, files=None, headers=None, **more):
        body, kind = multipart(fields, files)
        return self.request("POST", path, body,
                            {"Content-Type": kind, **(headers or {})}, **more)

    def create(self, files=None, headers=None, **fields):
        """A video that must be accepted."""
        reply = self.post("/v1/videos", {**QUICK, **fields}, files, headers)
        assert reply.status == 200, reply.body
        return reply.json

    def video(self, video_id):
        reply = self.get("/v1/videos/" + video_id)
        assert reply.status == 200, reply.body
        return reply.json

    def wait_until(self, video_id, is_so, seconds=120):
        """The video, as soon as that is so of it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            video = self.video(video_id)
            if is_so(video):
                return video
            time.sleep(0.03)
        raise AssertionError(f"still {video}")

    def wait(self, video_id, *statuses, seconds=120):
        """Until the status is one of these, or at its end."""
        statuses = statuses or ("completed", "failed")
        return self.wait_until(video_id, lambda v: v["status"] in statuses, seconds)

    def wait_for_progress(self, video_id, percent):
        """Until a film that is on its way says so much; what it says."""
        video = self.wait_until(video_id, lambda v: v["progress"] >= percent
                                or v["status"] in ("completed", "failed"))
        assert video["status"] == "in_progress", video
        return video["progress"]

    def film(self, video_id):
        reply = self.get(f"/v1/videos/{video_id}/content")
        assert reply.status == 200, reply.body
        return reply.body

    def raw(self, data, seconds=5.0):
        """Sends bytes and reads until the server closes, or for so long."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as connection:
            connection.sendall(data)
            connection.settimeout(seconds)
            out = b""
            try:
                while piece := connection.recv(65536):
                    out += piece
                    if b"Content-Length: 0" not in out and b"\r\n\r\n" in out:
                        length = re.search(rb"Content-Length: (\d+)", out)
                        head = out.index(b"\r\n\r\n") + 4
                        if length and len(out) >= head + int(length.group(1)):
                            break
            except (TimeoutError, ConnectionResetError):
                pass
            return out

    def events(self, video_id, seconds=60, until=None):
        """(event, data) of the stream until it ends, or `until` says so."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        headers = {"Authorization": "Bearer " + self.key} if self.key else {}
        connection.request("GET", f"/v1/videos/{video_id}/events", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("content-type") == "text/event-stream"
        out, event = [], None
        while line := response.readline():
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                out.append((event, json.loads(line[6:])))
                if until and until(*out[-1]):
                    break
        connection.close()
        return out


@pytest.fixture
def start(model, tmp_path):
    """Starts servers that end with the test: start(flag, ..., key=...)."""
    started = []

    def begin(*flags, folder=None, **more):
        server = Server(model, folder or tmp_path / "films", *flags, **more)
        started.append(server)
        return server
    yield begin
    failures = []
    for server in started:
        try:
            if server.process.poll() is None:
                code = server.stop(signal.SIGTERM if SANITIZED else signal.SIGKILL)
                assert code == 0 or not SANITIZED
            server.judge()
        except (AssertionError, subprocess.TimeoutExpired) as failure:
            server.process.kill()
            failures.append(failure)
    if failures:
        raise failures[0]


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    """One server that the tests of a file share."""
    shared = Server(model, tmp_path_factory.mktemp("shared") / "films", "--rate", "0")
    yield shared
    assert shared.stop() == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of six megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder],
                          capture_output=True)
    if done.returncode != 0:
        pytest.skip("a small file system needs the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
