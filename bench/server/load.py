#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many connections to a server on this machine while it makes a film.

    bench/server/load.py [--connections 1000] [--readers 200] [--seconds 60]
                         [--stub PYTHON]

A film that takes about --seconds is made three times: by an idle server, under load,
and by an idle server again (if the two idle times differ, so did the machine).  The
load: connections that each ask for a status every few seconds, one in twenty by a new
connection each time; readers of events; ten that download very slowly, ten that send
very slowly, and one that asks for more films than the queue takes.  With --stub, a
Python that has bench/server/requirements.txt: the same calls to bench/server/stub.py
while the server makes the film once more.

Prints one JSON object.  Both ends share the machine, so three times are told apart:
  latency_ms    from sending a status call until the kernel had the whole answer for
                the client (SO_TIMESTAMPNS): what the server is responsible for
  client_ms     the same until the client had read it
  client_lag_ms how late the client itself was: to read what was there, or to send what
                was due.  When it is large the machine is too busy to measure on.
Loopback only, and bounded.
"""
import argparse
import heapq
import json
import os
import pathlib
import resource
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "server"))
from conftest import Server, make_tiny_model, multipart  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--connections", type=int, default=1000)
parser.add_argument("--readers", type=int, default=200)
parser.add_argument("--seconds", type=float, default=60, help="that the film takes")
parser.add_argument("--period", type=float, default=4, help="of a connection's calls")
parser.add_argument("--steps", type=int, help="of the film, instead of --seconds' worth")
parser.add_argument("--stub", help="a Python with fastapi and uvicorn")
options = parser.parse_args()

FILM = {"prompt": "A long rain.", "size": "320x192", "num_frames": 33, "seed": 3}
QUEUE = 4
SO_TIMESTAMPNS = 35
ONE_IN = 20                             # status clients that connect anew every time
SLOW = 10                               # readers, and as many senders


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def spread(values):
    """In milliseconds."""
    if not values:
        return None
    return {f"p{int(100 * p)}": round(1000 * percentile(values, p), 2)
            for p in (0.5, 0.9, 0.99)} | {"max": round(1000 * max(values), 2)}


class Loop:
    """Timers and sockets, as cheap as Python has them."""

    def __init__(self):
        self.poll = select.epoll()
        self.readers, self.timers, self.lag, self.serial = {}, [], [], 0

    def watch(self, connection, read):
        self.poll.register(connection, select.EPOLLIN)
        self.readers[connection.fileno()] = read

    def forget(self, connection):
        self.readers.pop(connection.fileno(), None)
        connection.close()

    def at(self, when, call):
        self.serial += 1
        heapq.heappush(self.timers, (when, self.serial, call))

    def run(self, over):
        while not over():
            wait = self.timers[0][0] - time.monotonic() if self.timers else 0.1
            for fd, _ in self.poll.poll(max(0, min(wait, 0.1))):
                if read := self.readers.get(fd):
                    read()
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                due, _, call = heapq.heappop(self.timers)
                self.lag.append(now - due)
                call()
                now = time.monotonic()


class Load:
    def __init__(self, port, path, film, loop):
        self.address, self.path, self.film, self.loop = ("127.0.0.1", port), path, film, loop
        self.latencies, self.seen, self.errors = [], [], []
        self.worst = (0.0, 0.0)             # latency, seconds after the beginning
        self.events = self.accepted = self.refused = 0
        self.begun = time.monotonic()

    def connect(self):
        connection = socket.create_connection(self.address, 30)
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        connection.setblocking(False)
        return connection

    def ask(self, method, path, headers="", body=b""):
        return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
                ).encode() + body

    def called(self, sent, arrived):
        latency = arrived - sent
        self.latencies.append(latency)
        self.seen.append(time.time() - sent)
        self.loop.lag.append(time.time() - arrived)
        if latency >= self.worst[0]:
            self.worst = (latency, time.monotonic() - self.begun)

    def run(self, over):
        for i in range(options.connections):
            StatusCalls(self, i)
        for _ in range(options.readers):
            Events(self)
        for _ in range(SLOW if self.film else 0):
            SlowReader(self)
            SlowSender(self)
        if self.film:
            Orders(self)
        self.loop.run(over)


class StatusCalls:
    """Asks every few seconds."""

    def __init__(self, load, number):
        self.load, self.fresh = load, number % ONE_IN == 0
        self.request = load.ask("GET", load.path)
        self.connection = None if self.fresh else self.open()
        load.loop.at(time.monotonic() + number / options.connections * options.period,
                     self.send)

    def open(self):
        connection = self.load.connect()
        self.load.loop.watch(connection, self.read)
        return connection

    def send(self):
        self.due = time.monotonic() + options.period
        self.sent, self.got = time.time(), b""
        if self.fresh:
            self.connection = self.open()
        try:
            self.connection.send(self.request)
        except OSError as error:
            self.load.errors.append(repr(error))

    def read(self):
        try:
            data, extra, _, _ = self.connection.recvmsg(65536, 64)
        except OSError as error:
            self.load.errors.append(repr(error))
            data = b""
        if not data:
            self.load.errors.append("closed")
            self.load.loop.forget(self.connection)
            return
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        if not end or len(body) < int(
                head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            return
        seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
        self.load.called(self.sent, seconds + 1e-9 * nanoseconds)
        if not head.startswith(b"HTTP/1.1 200"):
            self.load.errors.append(head[:20].decode())
        if self.fresh:
            self.load.loop.forget(self.connection)
        self.load.loop.at(self.due, self.send)


class Events:
    def __init__(self, load):
        self.load, self.tail = load, b""
        self.connection = load.connect()
        load.loop.watch(self.connection, self.read)
        self.connection.send(load.ask("GET", load.path + "/events"))

    def read(self):
        data = self.connection.recv(262144)
        if not data:
            self.load.loop.forget(self.connection)
        self.load.events += (self.tail + data).count(b"event: ")
        self.tail = data[-6:]


class SlowReader:
    def __init__(self, load):
        self.load, self.connection = load, load.connect()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.connection.send(load.ask("GET", load.film + "/content"))
        self.step()

    def step(self):
        try:
            if not self.connection.recv(64):
                return
        except BlockingIOError:
            pass
        self.load.loop.at(time.monotonic() + 0.5, self.step)


class SlowSender:
    """Never ends its head; dropped by the server, it comes again."""

    def __init__(self, load):
        self.load, self.connection = load, load.connect()
        self.step()

    def step(self):
        try:
            self.connection.send(b"G")
        except OSError:
            self.connection.close()
            self.connection = self.load.connect()
        self.load.loop.at(time.monotonic() + 0.5, self.step)


class Orders:
    """A film every second; beyond the queue a 429 is due."""

    def __init__(self, load):
        body, kind = multipart({**FILM, "num_inference_steps": 1})
        self.load, self.connection = load, load.connect()
        self.request = load.ask("POST", "/v1/videos", f"Content-Type: {kind}\r\n"
                                f"Content-Length: {len(body)}\r\n", body)
        load.loop.watch(self.connection, self.read)
        self.send()

    def send(self):
        self.connection.send(self.request)
        self.load.loop.at(time.monotonic() + 1, self.send)

    def read(self):
        reply = self.connection.recv(65536)
        if reply.startswith(b"HTTP/1.1 200"):
            self.load.accepted += 1
        elif reply.startswith(b"HTTP/1.1 429") and self.load.accepted >= QUEUE:
            self.load.refused += 1
        else:
            self.load.errors.append(reply[:200].decode(errors="replace"))


# --- figures of a process ---------------------------------------------------------------

def memory_of(pid):
    """Resident MiB, and the highest so far."""
    values = dict(line.split(":", 1) for line in pathlib.Path(
        f"/proc/{pid}/status").read_text().splitlines())
    return int(values["VmRSS"].split()[0]) / 1024, int(values["VmHWM"].split()[0]) / 1024


def processor_seconds(pid):
    """Of threads that stand back (they compute), and of all others; ended ones left
    out."""
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    compute = other = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        if int(fields[16]) > ours:
            compute += ticks
        else:
            other += ticks
    hertz = os.sysconf("SC_CLK_TCK")
    return compute / hertz, other / hertz


# --- the runs ---------------------------------------------------------------------------

def make_film(server, steps):
    """Seconds that an idle server takes."""
    video = server.create(**FILM, num_inference_steps=steps)
    end = time.monotonic() + 20 * options.seconds
    while (now := server.video(video["id"]))["status"] in ("queued", "in_progress"):
        if time.monotonic() > end:
            sys.exit("load.py: the machine is too busy: an idle server took more than "
                     f"{20 * options.seconds:.0f} s for a film")
        time.sleep(0.5)
    assert now["status"] == "completed", now
    return now["inference_time_s"], video["id"]


def count_steps(server):
    """Of a film of about --seconds."""
    make_film(server, 1)
    step = (make_film(server, 31)[0] - make_film(server, 1)[0]) / 30
    return max(2, min(1000, int(options.seconds / step)))


def under_load(server, steps, target, film):
    """The film once more, while `target` (a port, or None: the server itself) is asked."""
    video = server.create(**FILM, num_inference_steps=steps)
    server.wait(video["id"], "in_progress", "completed")
    path = "/v1/videos/" + video["id"]
    load = Load(target or server.port, path, film, Loop())
    end = [time.monotonic() + options.seconds]
    looked, done = [0.0], [False]

    def over():
        now = time.monotonic()
        if not done[0] and now - looked[0] > 1:
            looked[0] = now
            done[0] = server.video(video["id"])["status"] == "completed"
        return now > end[0] and done[0] or now > end[0] + 10 * options.seconds
    mine = time.process_time()
    before = processor_seconds(server.process.pid)
    load.run(over)
    mine = time.process_time() - mine
    after = processor_seconds(server.process.pid)
    seconds = server.wait(video["id"])["inference_time_s"]
    report = {
        "status_calls": len(load.latencies), "latency_ms": spread(load.latencies),
        "client_ms": spread(load.seen), "client_lag_ms": spread(load.loop.lag),
        "worst_after_seconds": round(load.worst[1], 1),
        "errors": len(load.errors), "first_errors": load.errors[:3],
        "events_read": load.events, "film_seconds": round(seconds, 2),
        "processor_seconds": {"client": round(mine, 2),
                              "answering": round(after[1] - before[1], 2)}}
    if film:
        report["orders"] = {"accepted": load.accepted, "refused": load.refused}
    return report


def run_stub(server, steps):
    process = subprocess.Popen([options.stub, str(HERE / "stub.py")],
                               stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        return under_load(server, steps, port, None)
    finally:
        process.kill()                  # it would wait for its readers of events
        process.wait()


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = make_tiny_model(folder / "model")
        server = Server(model, folder / "films", "--rate", "0", "--connections", "4096",
                        "--max-queue", QUEUE)
        try:
            steps = options.steps or count_steps(server)
            idle, film = make_film(server, steps)
            before, most_idle = memory_of(server.process.pid)
            loaded = under_load(server, steps, None, "/v1/videos/" + film)
            after, most = memory_of(server.process.pid)
            metrics = server.get("/metrics").body.decode()
            for video in server.get("/v1/videos?limit=100").json["data"]:
                if video["status"] in ("queued", "in_progress"):
                    server.request("DELETE", "/v1/videos/" + video["id"])
            again, _ = make_film(server, steps)
            stub = run_stub(server, steps) if options.stub else None
        finally:
            code = server.stop()
    print(json.dumps({
        "connections": options.connections, "event_readers": options.readers,
        "steps": steps, **loaded,
        "film_seconds": {"idle": round(idle, 2), "loaded": loaded["film_seconds"],
                         "idle_again": round(again, 2)},
        "memory_mib": {"idle": round(before, 1), "idle_highest": round(most_idle, 1),
                       "loaded": round(after, 1), "loaded_highest": round(most, 1)},
        "dropped": [line.split()[1] for line in metrics.splitlines()
                    if line.startswith("phonofilm_http_dropped_total")][0],
        "exit": code, "processors": os.cpu_count(),
        "load_average": os.getloadavg()[0]} | ({"stub": stub} if stub else {}), indent=2))
    return 1 if loaded["errors"] or code else 0


if __name__ == "__main__":
    sys.exit(main())
