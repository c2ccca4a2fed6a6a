#!/usr/bin/env python3
"""Many connections to a server on this machine while it makes a film.

    bench/server/load.py [--connections 1000] [--readers 200] [--seconds 60]

First the film is made by an idle server, then again under load: so many connections
that each ask for a status every few seconds, readers of events, ten that download very
slowly and ten that send very slowly.  Prints one JSON object: latencies of status
calls, errors, both film times, and how much memory the load cost.  Loopback only, and
bounded by --seconds; both ends share the machine, so latencies hold what the client
itself waits for a processor.
"""
import argparse
import asyncio
import json
import logging
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "server"))
from conftest import BUILD, Server  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--connections", type=int, default=1000)
parser.add_argument("--readers", type=int, default=200)
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--period", type=float, default=4, help="of a connection's calls")
parser.add_argument("--steps", type=int, default=1000, help="of the film")
options = parser.parse_args()

# Those who send slowly are dropped, and asyncio would tell every time.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)

FILM = {"prompt": "A long rain.", "size": "128x96", "num_frames": 25, "seed": 3,
        "num_inference_steps": options.steps}


def memory_of(server):
    """Resident MiB, and the highest so far."""
    values = dict(line.split(":", 1) for line in pathlib.Path(
        f"/proc/{server.process.pid}/status").read_text().splitlines())
    return int(values["VmRSS"].split()[0]) / 1024, int(values["VmHWM"].split()[0]) / 1024


class Load:
    def __init__(self, server, path):
        self.server, self.path = server, path
        self.latencies, self.errors, self.events = [], [], 0
        self.worst = (0.0, 0.0)             # latency, seconds after the beginning
        self.end = time.monotonic() + options.seconds

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def status_calls(self, number):
        await asyncio.sleep(number / options.connections * options.period)
        request = (f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n\r\n").encode()
        try:
            reader, writer = await self.connect()
            while time.monotonic() < self.end:
                begun = time.perf_counter()
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.latencies.append(time.perf_counter() - begun)
                if self.latencies[-1] >= self.worst[0]:
                    self.worst = (self.latencies[-1], options.seconds
                                  - (self.end - time.monotonic()))
                if not head.startswith(b"HTTP/1.1 200"):
                    self.errors.append(head[:20].decode())
                await asyncio.sleep(options.period)
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.errors.append(repr(error))

    async def read_events(self):
        try:
            reader, writer = await self.connect()
            writer.write(f"GET {self.path}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
                         .encode())
            while time.monotonic() < self.end:
                left = self.end - time.monotonic()
                line = await asyncio.wait_for(reader.readline(), max(left, 0.1))
                if not line:
                    break
                self.events += line.startswith(b"event:")
            writer.close()
        except TimeoutError:
            writer.close()
        except OSError as error:
            self.errors.append(repr(error))

    async def read_slowly(self, film):
        reader, writer = await self.connect()
        writer.write(f"GET {film}/content HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while time.monotonic() < self.end and await reader.read(64):
            await asyncio.sleep(0.5)
        writer.close()

    async def send_slowly(self):
        try:
            while time.monotonic() < self.end:
                _, writer = await self.connect()
                for byte in b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nX: yyyyyyyyy":
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.5)
                    if time.monotonic() > self.end:
                        break
                writer.close()
        except OSError:
            pass                        # dropped, as it should be

    async def run(self, film):
        tasks = [self.status_calls(i) for i in range(options.connections)]
        tasks += [self.read_events() for _ in range(options.readers)]
        tasks += [self.read_slowly(film) for _ in range(10)]
        tasks += [self.send_slowly() for _ in range(10)]
        await asyncio.gather(*tasks)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = folder / "model"
        subprocess.run([str(BUILD / "tools" / "make_model"), "--preset", "tiny", "--seed",
                        "7", str(model)], check=True, capture_output=True)
        server = Server(model, folder / "films", "--rate", "0", "--connections", "4096")
        idle = server.wait(server.create(**FILM)["id"], seconds=600)
        before, _ = memory_of(server)
        video = server.create(**FILM)
        load = Load(server, "/v1/videos/" + video["id"])
        asyncio.run(load.run("/v1/videos/" + idle["id"]))
        after, most = memory_of(server)
        loaded = server.wait(video["id"], seconds=600)
        metrics = server.get("/metrics").body.decode()
        code = server.stop()
    seconds = load.latencies
    print(json.dumps({
        "connections": options.connections, "event_readers": options.readers,
        "seconds": options.seconds, "status_calls": len(seconds),
        "latency_ms": {f"p{int(100 * p)}": round(1000 * percentile(seconds, p), 2)
                       for p in (0.5, 0.9, 0.99)} | {
                           "max": round(1000 * max(seconds), 2)},
        "worst_after_seconds": round(load.worst[1], 1),
        "errors": len(load.errors), "first_errors": load.errors[:3],
        "events_read": load.events,
        "film_seconds": {"idle": round(idle["inference_time_s"], 2),
                         "loaded": round(loaded["inference_time_s"], 2)},
        "memory_mib": {"idle": round(before, 1), "loaded": round(after, 1),
                       "highest": round(most, 1)},
        "dropped": [line.split()[1] for line in metrics.splitlines()
                    if line.startswith("phonofilm_http_dropped_total")][0],
        "exit": code, "processors": os.cpu_count(),
        "load_average": os.getloadavg()[0]}, indent=2))
    return 1 if load.errors or code else 0


if __name__ == "__main__":
    sys.exit(main())
