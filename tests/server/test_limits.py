# SPDX-License-Identifier: Apache-2.0
"""Keys, limits, and requests that are meant to do harm."""
import json
import os
import socket
import stat
import subprocess
import time

import pytest
from conftest import (BUILD, PROGRAM, QUICK, SANITIZED, SLOW, make_certificate, multipart,
                      png)

KEY = "correct-horse-battery"


@pytest.fixture
def keyed(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"# staff\nann:{KEY}\n\nbob:another-key-of-bob\n")
    return start("--api-key-file", keys, "--rate", "0", key=KEY)


def test_keys(keyed):
    assert keyed.get("/v1/videos").status == 200
    for header in ("Bearer wrong-key-wrong-key", "Bearer ", "Basic abc", KEY):
        reply = keyed.get("/v1/videos", headers={"Authorization": header})
        assert reply.status == 401 and reply.error["code"] == "invalid_api_key"
        assert reply.error["type"] == "authentication_error"
        assert reply.headers["www-authenticate"] == "Bearer"
    keyed.key = None
    for path in ("/v1/videos", "/v1/models", "/metrics", "/v1/videos/video_0/content"):
        assert keyed.get(path).status == 401
    for path in ("/", "/app.js", "/style.css", "/health", "/ready", "/openapi.json"):
        assert keyed.get(path).status == 200
    # Refused before the body is read.
    assert keyed.post("/v1/videos", QUICK, {"input_reference": ("a.png", png())}
                      ).status == 401


def test_sessions(keyed):
    keyed.key = None
    assert keyed.get("/session").json == {"needs_key": True, "signed_in": False,
                                          "name": None}
    wrong = keyed.request("POST", "/session", {"key": "nonsense-nonsense"})
    assert wrong.status == 401 and "set-cookie" not in wrong.headers
    assert keyed.request("POST", "/session", {}).error["param"] == "key"
    good = keyed.request("POST", "/session", {"key": KEY})
    cookie = good.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert KEY not in cookie
    headers = {"Cookie": "other=1; " + cookie.split(";")[0]}
    assert keyed.get("/session", headers=headers).json["name"] == "ann"
    assert keyed.get("/v1/videos", headers=headers).status == 200
    last = "1" if headers["Cookie"][-1] == "0" else "0"
    for forged in (headers["Cookie"][:-1] + last, headers["Cookie"].replace("ann", "bob"),
                   "phonofilm_session=", "phonofilm_session=ann."):
        assert keyed.get("/v1/videos", headers={"Cookie": forged}).status == 401
    assert "Max-Age=0" in keyed.request("DELETE", "/session").headers["set-cookie"]
    keyed.restart()
    assert keyed.get("/v1/videos", headers=headers).status == 200


def test_rates(start):
    server = start("--rate", "3", "--max-queue", "50")
    codes = [server.post("/v1/videos", QUICK) for _ in range(5)]
    assert [r.status for r in codes[:3]] == [200] * 3
    assert codes[4].status == 429
    assert codes[4].error["code"] == "rate_limit_exceeded"
    assert 1 <= int(codes[4].headers["retry-after"]) <= 20


def refused(tmp_path, *flags):
    done = subprocess.run([str(PROGRAM), "serve", "--port", "0", "-o",
                           str(tmp_path / "films"), *map(str, flags)],
                          capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr


def test_what_does_not_start(model, tmp_path):
    bad_keys = tmp_path / "bad"
    bad_keys.write_text("ann:short\n")
    secret = tmp_path / "secret"
    secret.write_text("tiny\n")
    blank = tmp_path / "blank"
    blank.write_text("# staff\nann: correct-horse-battery\n")
    shared, nul = tmp_path / "shared", tmp_path / "nul"
    shared.write_text(f"ann:{KEY}\nbob:{KEY}\n")
    nul.write_text(f"ann:{KEY}\0\nbob:another-key-of-bob\n")
    for flags, words in (
            (["--host", "0.0.0.0"], "API keys"),
            (["--host", "no such host"], "host"),
            (["--api-key-file", bad_keys], "line 1"),
            (["--api-key-file", tmp_path / "none"], "none"),
            (["--api-key-file", blank], "line 2"),
            (["--api-key-file", shared], "line 2 is that of ann"),
            (["--api-key-file", nul], "NUL byte"),
            (["--api-key-file", bad_keys, "--no-auth"], "no_auth"),
            (["--header-timeout", "0"], "from 0.1 to 600"),
            (["--tls-cert", bad_keys], "tls_key"),
            (["--webhook-hosts", "a.example"], "webhook_secret_file"),
            (["--webhook-hosts", "a.example", "--webhook-secret-file", secret], "16"),
            (["--retention", "soon"], "retention"),
            (["--served-model-name", ""], "served_model_name"),
            (["--served-model-name", "x" * 128], "served_model_name"),
            (["--served-model-name", "a\nb"], "served_model_name"),
            (["--max-queue", "0"], "max-queue")):
        code, text = refused(tmp_path, "-m", model, *flags)
        assert code == 2 and words in text, text
    code, text = refused(tmp_path, "-m", tmp_path / "nowhere")
    assert code == 2 and "nowhere" in text
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "films").write_text("a file")
    code, text = refused(occupied, "-m", model)
    assert code == 1 and "no folder" in text


def test_no_auth_beyond_loopback_when_said(start):
    server = start("--host", "0.0.0.0", "--no-auth")
    assert server.get("/health").status == 200


def test_the_port_is_taken(start, model, tmp_path):
    server = start()
    (tmp_path / "other").mkdir()
    code, text = refused(tmp_path / "other", "-m", model, "--port", server.port)
    assert code == 1 and str(server.port) in text


@pytest.mark.parametrize("head", [
    "Content-Length: 3\r\nContent-Length: 5\r\n",
    "Content-Length: 3\r\nContent-Length: 3\r\n",
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    "Host: other\r\nContent-Length: 3\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: identity\r\n",
])
def test_heads_that_can_be_read_in_two_ways(server, head):
    out = server.raw((f"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\n{head}\r\nabc"
                      "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").encode(), 3)
    assert out.startswith(b"HTTP/1.1 400"), out[:100]
    assert out.count(b"HTTP/1.1") == 1      # the rest is no second request


def test_unusual_but_right_requests(server):
    out = server.raw(b"GET http://localhost/health?a HTTP/1.1\r\nHost: localhost\r\n"
                     b"Connection: close\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 200")
    out = server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
                     b"GET /v1/videos/video_0123456 HTTP/1.1\r\nHost: localhost\r\n"
                     b"Connection: close\r\n\r\n", 1)
    assert out.startswith(b"HTTP/1.1 200")      # the second one is not lost
    packed = server.request("POST", "/v1/videos", b"\x1f\x8b", {
        "Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert packed.status == 415 and packed.error["param"] == "Content-Encoding"
    other = server.request("POST", "/v1/videos", b"{}",
                           {"Content-Type": "application/jsonp"})
    assert other.status == 415
    no_text = server.get("/v1/videos?%ff=1")
    assert no_text.status == 400 and no_text.error["param"] == "?"


@pytest.mark.parametrize("head", [
    b"GET /health HTTP/1.1\r\n\r\n", b"GET /health HTTP/1.0\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
    b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length : 3\r\n\r\nabc"])
def test_heads_without_a_host_or_with_blanks(server, head):
    out = server.raw(head + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    begin, _, body = out.partition(b"\r\n\r\n")
    assert begin.startswith(b"HTTP/1.1 400") and b"x-request-id: req_" in begin
    assert json.loads(body)["error"]["code"] == "malformed_request"


def test_a_null_in_a_path_ends_nothing(server):
    for path in ("/health%00", "/health%00x", "/v1/videos%00?limit=1", "/%00"):
        assert server.get(path).status == 404, path
    assert server.get("/he%61lth").status == 200
    assert server.get("/health%").status == server.get("/health%zz").status == 404


def test_other_pages_may_not_use_it(server):
    local = {"Host": f"localhost:{server.port}"}
    evil = server.get("/v1/videos", headers={"Host": "evil.example"})
    assert evil.status == 403 and evil.error["code"] == "wrong_host"
    body, kind = multipart(QUICK)
    for origin, status in (("http://evil.example", 403), ("null", 403),
                           (f"http://localhost:{server.port}", 200)):
        reply = server.request("POST", "/v1/videos", body, {
            **local, "Origin": origin, "Content-Type": kind})
        assert reply.status == status, reply.body
    assert server.get("/health", headers=local).status == 200
    assert server.get("/health", headers={"Host": "[::1]:80"}).status == 200


def test_large_heads(server):
    out = server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100000
                     + b"\r\n\r\n")
    assert out == b"" or b" 431 " in out[:40] or b" 413 " in out[:40]
    out = server.raw(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert out == b"" or b" 414 " in out[:40]
    assert server.get("/health").status == 200


def test_large_bodies(start):
    server = start("--max-upload", "100K", "--rate", "0")
    declared = server.raw(b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Length: 99999999\r\n\r\n")
    assert declared.startswith(b"HTTP/1.1 413")
    huge = server.raw(b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\n"
                      b"Content-Length: 99999999999999999999999\r\n\r\n")
    assert huge.startswith(b"HTTP/1.1 4")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    chunked = server.raw(
        b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
        b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 22 + b"0\r\n\r\n")
    assert chunked.startswith(b"HTTP/1.1 413"), chunked[:80]
    picture = png(320, 240)
    noise = picture + os.urandom(150_000)
    reply = server.post("/v1/videos", QUICK, {"input_reference": ("a.png", noise)})
    assert reply.status == 400 and reply.error["param"] == "input_reference"
    assert server.post("/v1/videos", {**QUICK, "prompt": "p" * 70000}
                       ).error["param"] == "prompt"
    many = {f"f{i}": 1 for i in range(80)}
    assert server.post("/v1/videos", many).status == 400
    assert "more than" in server.post(
        "/v1/videos", {f"extra_params[x{i}]": 1 for i in range(80)}).error["message"]


def test_pixel_bombs(server):
    bomb = bytearray(png())
    bomb[16:24] = (30000).to_bytes(4, "big") * 2
    reply = server.post("/v1/videos", QUICK, {"input_reference": ("a.png", bytes(bomb))})
    assert reply.status == 400 and reply.error["param"] == "input_reference"


@pytest.mark.parametrize("break_it", [
    lambda body: body[:-20],                            # no last boundary
    lambda body: body[:len(body) // 2],
    lambda body: b"",
    lambda body: body.replace(b"form-data", b"attachment", 1),
    lambda body: body.replace(b'; name="prompt"', b"", 1),
    lambda body: body.replace(b"\r\n\r\n", b"\r\n", 1),
    lambda body: body.replace(b"prompt", b"seed", 1),   # seed twice
    lambda body: body.replace(b"prompt", b"\xff\xfe", 1),
])
def test_broken_multipart(server, break_it):
    body, kind = multipart(QUICK)
    reply = server.request("POST", "/v1/videos", break_it(body), {"Content-Type": kind})
    assert reply.status == 400, reply.body
    assert reply.error["message"]


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=",
                                  "multipart/form-data; boundary=" + "b" * 80])
def test_bad_boundaries(server, kind):
    reply = server.request("POST", "/v1/videos", multipart(QUICK)[0],
                           {"Content-Type": kind})
    assert reply.status == 400


def test_good_multipart_of_other_clients(server):
    body, _ = multipart(QUICK, boundary="b")
    for kind in ("multipart/form-data; boundary=b", 'multipart/form-data; boundary="b"',
                 "Multipart/Form-Data; charset=utf-8; boundary=b"):
        assert server.request("POST", "/v1/videos", b"preamble\r\n" + body + b"epilogue",
                              {"Content-Type": kind}).status == 200, kind
    # Chunked, and asked for permission first.
    chunked = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    out = server.raw(b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nExpect: "
                     b"100-continue\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n" + chunked, 2)
    assert out.startswith(b"HTTP/1.1 100 Continue") and b"HTTP/1.1 200" in out


@pytest.mark.parametrize("head, taken", [
    ('name="input_reference"; filename*=UTF-8\'\'b%C3%A4r.png', True),
    ('filename="a;\\"b.png"; name="input_reference"', True),
    ('name="input_reference"; filename="b\u00e4r.png"', True),
    ('name="input_reference"\r\nContent-Type: image/png', True),
    ('name="input_reference"', False),
    ('name="input_reference"; filename*="', False),
])
def test_parts_that_are_files(server, head, taken):
    body, kind = multipart(QUICK, boundary="b")
    body = body[:-len(b"--b--\r\n")] + (
        f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n").encode() + png() + (
        b"\r\n--b--\r\n")
    reply = server.request("POST", "/v1/videos", body, {"Content-Type": kind})
    assert reply.status == (200 if taken else 400), reply.body
    assert not taken or reply.json["settings"]["picture"] is True


def test_a_form_without_a_picture(server):
    """Browsers send an empty file where none was chosen."""
    reply = server.post("/v1/videos", QUICK, {"input_reference": ("", b"")})
    assert reply.status == 200 and reply.json["settings"]["picture"] is False


def test_file_names_of_clients_are_only_names(server):
    for name in ("../../../tmp/evil", "/etc/passwd", "a\\..\\b", "x" * 300):
        video = server.create({"input_reference": (name, png())})
        names = {p.name for p in (server.folder / "videos" / video["id"]).iterdir()}
        assert names <= {"first", "job.json", "job.json.part", "film.mp4", "film.mp4.part", "thumbnail.webp",
                         "spritesheet.webp", "state.safetensors"}


def test_slow_heads_and_bodies_are_dropped(start):
    server = start("--header-timeout", "1")
    body = (b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n"
            b"Content-Type: application/json\r\n\r\n")
    for begin in (b"", b"GET /hea", body):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.settimeout(0.3)
            connection.sendall(begin)
            begun, closed = time.monotonic(), False
            while not closed and time.monotonic() - begun < 8:
                try:
                    connection.sendall(b"x")
                    closed = connection.recv(4096) == b""
                except TimeoutError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    closed = True
            assert closed and time.monotonic() - begun < 6
    assert server.get("/health").status == 200
    metrics = server.get("/metrics").body.decode()
    assert "phonofilm_http_dropped_total 3" in metrics


@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first")
def test_the_clock_is_set_back(start):
    """Slow connections are dropped and films expire all the same."""
    server = start("--header-timeout", "1", "--retention", "1s",
                   environment={"LD_PRELOAD": str(BUILD / "tests" / "early_clock.so")})
    video = server.create()
    with socket.create_connection(("127.0.0.1", server.port), 15) as connection:
        connection.sendall(b"GET /hea")
        assert connection.recv(4096) == b""
    end = time.monotonic() + 60
    while server.get("/v1/videos/" + video["id"]).status == 200:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_idle_connections_are_closed_without_reproach(start):
    server = start("--header-timeout", "1", "--keep-alive", "1")
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while connection.recv(4096):
            pass                        # the reply, and after a while the end
    assert "phonofilm_http_dropped_total 0" in server.get("/metrics").body.decode()
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(4096)
        connection.sendall(b"GET /hea")
        while connection.recv(4096):
            pass
    assert "phonofilm_http_dropped_total 1" in server.get("/metrics").body.decode()


def test_headers_of_the_page(server):
    page = server.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


def test_files_are_private(server):
    video = server.create({"input_reference": ("a.png", png())})
    for path in (server.folder, server.folder / "videos" / video["id"]):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o007


def test_tls(start, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate("localhost", cert, key)
    import ssl
    import urllib.request
    server = start("--tls-cert", cert, "--tls-key", key)
    context = ssl.create_default_context(cafile=str(cert))
    with urllib.request.urlopen(f"https://localhost:{server.port}/health",
                                context=context) as reply:
        assert json.load(reply)["status"] == "ok"
    for version, taken in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True),
                           ("-tls1_3", True)):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", version,
             "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True,
            timeout=20)
        assert (b"Cipher is (NONE)" not in done.stdout) == taken, version


def test_many_connections(server):
    """All of them open at once; each one is answered."""
    sockets = []
    try:
        for _ in range(300):
            sockets.append(socket.create_connection(("127.0.0.1", server.port), 10))
        for each in sockets:
            each.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for each in sockets:
            each.settimeout(10)
            assert each.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        for each in sockets:
            each.close()


def processor_use(server):
    """Ticks of threads that are nicer than those that answer, and of all."""
    folder = f"/proc/{server.process.pid}/task"
    threads = []
    for task in os.listdir(folder):
        try:
            with open(f"{folder}/{task}/stat") as file:
                head, fields = file.read().rsplit(")", 1)
        except FileNotFoundError:
            continue
        fields = fields.split()
        threads.append((head.split("(")[1], int(fields[11]) + int(fields[12]),
                        int(fields[16])))
    answering = max(nice for name, _, nice in threads if name == "http")
    return (sum(ticks for _, ticks, nice in threads if nice > answering),
            sum(ticks for _, ticks, _ in threads))


def test_computing_stands_back(start):
    """Every thread that computes gives the processor up to those that answer."""
    server = start()
    video = server.create(**SLOW)
    server.wait(video["id"], "in_progress")
    time.sleep(0.3)
    before = processor_use(server)
    while (processor_use(server)[1] - before[1] < 50
           and server.video(video["id"])["status"] == "in_progress"):
        time.sleep(0.2)
    polite, everything = (now - was for now, was in zip(processor_use(server), before))
    assert everything >= 20 and polite > 0.7 * everything
    server.request("DELETE", "/v1/videos/" + video["id"])
