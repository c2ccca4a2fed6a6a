# SPDX-License-Identifier: Apache-2.0
"""Nobody has all of the server: connections, streams, and who makes room."""
import contextlib
import json
import select
import socket
import subprocess
import time

import pytest
from conftest import BUILD, PROGRAM, QUICK, SANITIZED, SLOW, multipart

ALICE, BOB = "alice-key-0123456789", "bob-key-0123456789ab"
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
LONG = {**SLOW, "num_inference_steps": 1000}


@pytest.fixture
def keyed(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{ALICE}\nbob:{BOB}\n")
    return lambda *flags: start("--api-key-file", keys, "--rate", "0", *flags)


def bearer(key):
    return {"Authorization": "Bearer " + key}


@contextlib.contextmanager
def connections(server, count, data=b""):
    """Open at the same time; each has sent the data."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            one = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), 10))
            one.sendall(data)
            opened.append(one)
        yield opened


def ask(path, key=None, more=""):
    key = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{key}{more}\r\n".encode()


def status_of(connection):
    return int(connection.recv(4096)[9:12])


def figure(server, name, **more):
    for line in server.get("/metrics", **more).body.decode().splitlines():
        if line.startswith(f"phonofilm_{name} "):
            return float(line.split()[1])
    raise AssertionError(name)


def wait_until_gone(server, **more):
    """Nobody is connected but who asks."""
    end = time.monotonic() + 3
    while figure(server, "http_connections", **more) > 1:
        assert time.monotonic() < end


def a_long_film(server, headers=None):
    body, kind = multipart(LONG)
    reply = server.request("POST", "/v1/videos", body,
                           {"Content-Type": kind, **(headers or {})})
    assert reply.status == 200, reply.body
    return reply.json["id"]


def test_streams_of_one_key(keyed):
    """More than it may have are refused; others are answered, and places come back."""
    server = keyed("--connections", "64", "--client-streams", "8")
    video = a_long_film(server, bearer(ALICE))
    stream = ask(f"/v1/videos/{video}/events", ALICE)
    with connections(server, 80, stream) as readers:
        statuses = [status_of(one) for one in readers]
        assert statuses.count(200) == 8 and statuses.count(429) == 72
        assert server.get("/v1/videos", headers=bearer(BOB), timeout=5).status == 200
        refused = server.get(f"/v1/videos/{video}/events", headers=bearer(ALICE))
        assert refused.status == 429 and int(refused.headers["retry-after"]) > 0
        assert refused.error["code"] == "too_many_requests"
    for _ in range(2):                  # the places of those that have gone are free
        wait_until_gone(server, headers=bearer(BOB))
        with connections(server, 8, stream) as readers:
            assert [status_of(one) for one in readers] == [200] * 8


def test_waiting_for_a_film_is_a_stream(keyed):
    server = keyed("--client-streams", "2")
    body, kind = multipart(LONG)
    post = (f"POST /v1/videos/sync HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
            f"{ALICE}\r\nContent-Type: {kind}\r\nIdempotency-Key: one\r\nContent-Length: "
            f"{len(body)}\r\n\r\n").encode() + body
    with connections(server, 3, post) as waiting:
        answered, _, _ = select.select(waiting, [], [], 20)
        assert [status_of(one) for one in answered] == [429]
        assert server.get("/v1/videos", headers=bearer(ALICE)).status == 200
        others = [one for one in waiting if one not in answered]
        assert select.select(others, [], [], 0.3)[0] == []


def test_streams_of_everybody_leave_room(start):
    server = start("--connections", "32", "--client-streams", "100")
    video = a_long_film(server)
    with connections(server, 30, ask(f"/v1/videos/{video}/events")) as readers:
        statuses = [status_of(one) for one in readers]
        assert statuses.count(200) == 16 and statuses.count(503) == 14
        assert server.get("/health", timeout=5).status == 200


def test_requests_of_one_key(keyed):
    """Slow bodies, for instance."""
    server = keyed("--client-connections", "3")
    slow = (f"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ALICE}"
            "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{").encode()
    with connections(server, 3, slow):
        end = time.monotonic() + 10
        while server.get("/v1/videos", headers=bearer(ALICE)).status != 429:
            assert time.monotonic() < end
        assert server.get("/v1/videos", headers=bearer(BOB)).status == 200
    end = time.monotonic() + 10
    while server.get("/v1/videos", headers=bearer(ALICE)).status != 200:
        assert time.monotonic() < end


@pytest.mark.parametrize("sent", [
    b"", b"GET /hea", HEALTH, b"POST /session HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 100\r\n\r\n{"])
def test_those_who_only_wait_make_room(start, sent):
    """Silent, in the middle of a head, kept alive after a reply, in the middle of a body."""
    server = start("--connections", "16")
    with connections(server, 40, sent):
        for _ in range(5):
            assert server.get("/health", timeout=5).status == 200
        assert figure(server, "http_displaced_total") >= 20
        assert figure(server, "http_connections") <= 16


def test_who_has_a_key_stays(keyed):
    server = keyed("--connections", "16")
    with connections(server, 1, ask("/v1/videos", ALICE)) as (mine,):
        assert status_of(mine) == 200
        with connections(server, 60, HEALTH):
            assert server.get("/health", timeout=5).status == 200
            mine.sendall(ask("/v1/videos", ALICE))
            assert status_of(mine) == 200


def test_no_room_is_an_answer(start):
    """Half of the connections may wait for films: the next is told so, and closed."""
    server = start("--connections", "16", "--client-streams", "100")
    video = a_long_film(server)
    body, kind = multipart({**LONG, "seed": 10})
    with connections(server, 8, ask(f"/v1/videos/{video}/events")) as readers:
        assert {status_of(one) for one in readers} == {200}
        busy = server.request("POST", "/v1/videos/sync", body, {"Content-Type": kind})
        assert busy.status == 503 and busy.error["code"] == "busy"
        assert figure(server, "http_connections") <= 16


def test_addresses_that_proxies_tell(start):
    server = start("--client-streams", "2")
    path = f"/v1/videos/{a_long_film(server)}/events"

    def reader(address):
        return ask(path, more=f"X-Forwarded-For: {address}\r\n")
    with contextlib.ExitStack() as stack:
        def readers(*addresses):
            return [status_of(stack.enter_context(connections(server, 1, reader(one)))[0])
                    for one in addresses]
        assert readers("203.0.113.7", "198.51.100.1, 203.0.113.7") == [200, 200]
        assert readers("203.0.113.7") == [429]
        assert readers("203.0.113.7, 203.0.113.8") == [200]
        # A household has a network of IPv6, not an address.
        assert readers("2001:db8::1", "[2001:db8::2]:80", "2001:db8::3") == [200, 200, 429]
        assert readers(*["127.0.0.1"] * 3, *["x"] * 3) == [200] * 6


def own_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return probe.getsockname()[0]


@pytest.mark.parametrize("trusted", [False, True])
def test_connections_of_one_address(start, trusted):
    address = own_address()
    server = start("--host", "0.0.0.0", "--no-auth", "--client-connections", "4",
                   *(["--trusted-proxies", f"192.0.2.9,{address}"] if trusted else []))
    with contextlib.ExitStack() as stack:
        answers = []
        for _ in range(8):
            one = stack.enter_context(socket.create_connection((address, server.port), 10))
            one.sendall(HEALTH)
            answers.append(one.recv(65536))
        statuses = [int(answer[9:12]) for answer in answers]
        assert statuses == ([200] * 8 if trusted else [200] * 4 + [429] * 4)
        if not trusted:
            head, _, body = answers[-1].partition(b"\r\n\r\n")
            assert b"x-request-id: req_" in head and b"Connection: close" in head
            assert json.loads(body)["error"]["code"] == "too_many_connections"
        assert server.get("/health").status == 200      # on loopback


def test_what_is_no_proxy(model, tmp_path):
    done = subprocess.run(
        [PROGRAM, "serve", "-m", model, "--port", "0", "-o", tmp_path / "films",
         "--trusted-proxies", "10.0.0.1,proxy.example"], capture_output=True, text=True,
        timeout=20)
    assert done.returncode == 2 and "trusted_proxies" in done.stderr
    assert "proxy.example" in done.stderr


def test_a_reader_that_goes_is_noticed_at_once(start):
    server = start()
    path = f"/v1/videos/{a_long_film(server)}/events"
    with connections(server, 20, ask(path)) as readers:
        assert {status_of(one) for one in readers} == {200}
        assert figure(server, "http_connections") == 21
    wait_until_gone(server)


def test_a_film_by_sync_whose_client_goes(start):
    """It is cancelled, as soon as the connection is closed."""
    server = start()
    body, kind = multipart(LONG)
    post = (f"POST /v1/videos/sync HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    with connections(server, 1, post):
        end = time.monotonic() + 20
        while not (known := server.get("/v1/videos").json["data"]):
            assert time.monotonic() < end
    assert server.wait(known[0]["id"], seconds=20)["error"]["code"] == "cancelled"
    assert server.create(**QUICK)


def test_fewer_files_than_connections(start):
    """What the system gives is enough for an answer, and for a film."""
    server = start(before=["prlimit", "--nofile=100:100"])
    assert "50 connections, not more" in server.log.read_text()
    with connections(server, 150):
        assert server.get("/health", timeout=5).status == 200
        assert figure(server, "http_connections") <= 50
        assert server.wait(server.create()["id"])["status"] == "completed"


@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first")
def test_who_takes_no_byte_of_a_film_is_dropped(start):
    """By a clock that runs thirty times as fast: a minute is two seconds."""
    server = start(environment={"LD_PRELOAD": str(BUILD / "tests" / "fast_clock.so")})
    video = server.create()["id"]
    server.wait(video)
    with open(server.folder / "videos" / video / "film.mp4", "r+b") as film:
        film.truncate(64 << 20)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", server.port))
        reader.sendall(ask(f"/v1/videos/{video}/content"))
        end = time.monotonic() + 30
        while figure(server, "http_dropped_total") < 1:
            assert time.monotonic() < end
            time.sleep(0.2)
    assert server.get("/health").status == 200
