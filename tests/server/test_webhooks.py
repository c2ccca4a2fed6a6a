# SPDX-License-Identifier: Apache-2.0
"""Webhooks: signed, retried, and only where they may go; pictures by address."""
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import re
import socket
import sqlite3
import threading
import time

import pytest
from conftest import BUILD, QUICK, SANITIZED, SLOW, png

SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((dict(self.headers), body))
        code = self.server.codes.pop(0) if self.server.codes else 200
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/other")
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.picture)

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen, server.codes, server.picture = [], [], png()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hooked(start, receiver, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xef\xbb\xbfwhsec_" + SECRET.encode() + b"\r\n")
    return start("--webhook-hosts", f"127.0.0.1:{receiver.server_port}",
                 "--webhook-secret-file", secret, "--rate", "0",
                 "--picture-hosts", "127.0.0.1,localhost")


def wait_for(receiver, count, seconds=40):
    end = time.monotonic() + seconds
    while len(receiver.seen) < count and time.monotonic() < end:
        time.sleep(0.02)
    assert len(receiver.seen) >= count
    return receiver.seen


def check(headers, body):
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(base64.b64decode(SECRET), text, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_signed_and_tried_again(hooked, receiver):
    receiver.codes = [500, 302]
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    video = hooked.create(webhook_url=url)
    seen = wait_for(receiver, 3)
    for headers, body in seen:
        check(headers, body)
        event = json.loads(body)
        assert event["type"] == "video.completed" and event["object"] == "event"
        assert event["data"] == {"id": video["id"]}
        assert event["id"] == headers["webhook-id"]
    assert len({h["webhook-id"] for h, _ in seen}) == 1


@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first")
def test_tried_again_whatever_the_calendar_says(hooked, receiver):
    assert hooked.stop() == 0
    hooked.environment = {"LD_PRELOAD": str(BUILD / "tests" / "backward_clock.so")}
    hooked.start()
    receiver.codes = [500, 500]
    hooked.create(webhook_url=f"http://127.0.0.1:{receiver.server_port}/hook")
    wait_for(receiver, 3)               # after a second, and four more
    metrics = hooked.get("/metrics").body.decode()
    assert float(re.search(r"^phonofilm_uptime_seconds (\S+)$", metrics, re.M)[1]) >= 5


def test_cancelled_is_failed(hooked, receiver):
    """Whether it was running or still waited; a deleted one is nobody's business."""
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    running, queued, deleted = (hooked.create(**SLOW, webhook_url=url) for _ in range(3))
    hooked.wait(running["id"], "in_progress")
    hooked.request("DELETE", "/v1/videos/" + deleted["id"])
    for video in (queued, running):
        hooked.request("POST", f"/v1/videos/{video['id']}/cancel")
    bodies = [json.loads(body) for _, body in wait_for(receiver, 2, 60)]
    assert {b["data"]["id"] for b in bodies} == {running["id"], queued["id"]}
    assert {b["type"] for b in bodies} == {"video.failed"}
    assert len({b["id"] for b in bodies}) == 2


def test_given_up_is_failed(hooked, receiver):
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    video = hooked.create(**SLOW, webhook_url=url)
    state = hooked.folder / "videos" / video["id"] / "state.safetensors"
    while not state.exists():
        time.sleep(0.005)
    hooked.die_while_making(video, 20)
    hooked.start()
    event = json.loads(wait_for(receiver, 1, 60)[0][1])
    assert event["type"] == "video.failed" and event["data"] == {"id": video["id"]}
    assert hooked.wait(video["id"])["error"]["code"] == "gave_up"
    assert not state.exists()


def test_delivered_after_a_restart(hooked, receiver):
    receiver.codes = [500]
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    hooked.create(webhook_url=url)
    wait_for(receiver, 1)
    hooked.restart()
    wait_for(receiver, 2)


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:1/", "http://example.com/", "http://127.0.0.1.evil.example/",
    "http://evil@127.0.0.1/", "ftp://127.0.0.1/", "file:///etc/passwd", "nonsense"])
def test_only_where_they_may_go(hooked, url):
    reply = hooked.post("/v1/videos", {**QUICK, "webhook_url": url})
    assert reply.status == 400 and reply.error["param"] == "webhook_url"


def test_pictures_by_address(hooked, receiver):
    url = f"http://127.0.0.1:{receiver.server_port}/a.png"
    video = hooked.create(**{"input_reference[image_url]": url})
    direct = hooked.create({"input_reference": ("a.png", png())})
    for each in (video, direct):
        assert hooked.wait(each["id"])["status"] == "completed"
    assert hooked.film(video["id"]) == hooked.film(direct["id"])
    # A name that leads to this machine is not what was allowed.
    for bad, words in ((url.replace("127.0.0.1", "localhost"), "private"),
                       ("http://169.254.169.254/latest", "host"),
                       (f"http://[::1]:{receiver.server_port}/a.png", "host")):
        reply = hooked.post("/v1/videos", {**QUICK, "reference_url": bad})
        assert reply.status == 400 and reply.error["param"] == "reference_url"
        assert words in reply.error["message"]
    receiver.picture = b"x" * (21 << 20)
    reply = hooked.post("/v1/videos", {**QUICK, "reference_url": url})
    assert reply.status == 400 and "bytes" in reply.error["message"]


def in_threads(*calls):
    """What each of them replies, all asked at once; join() waits for it."""
    replies = [None] * len(calls)

    def ask(index, call):
        replies[index] = call()
    threads = [threading.Thread(target=ask, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join()
        return replies
    return join


def test_a_silent_receiver_holds_no_other_webhook_up(start, receiver, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("whsec_" + SECRET + "\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        server = start("--webhook-hosts", f"{host},127.0.0.1:{receiver.server_port}",
                       "--webhook-secret-file", secret)
        server.create(webhook_url=f"http://{host}/hook")
        silent.settimeout(20)
        first, _ = silent.accept()      # and says nothing
        server.create(webhook_url=f"http://127.0.0.1:{receiver.server_port}/hook")
        wait_for(receiver, 1, 12)
        # Neither has it been given up for that, nor has another brought it, too.
        silent.settimeout(0.1)
        with pytest.raises(TimeoutError):
            silent.accept()
        first.close()


def test_a_slow_picture_holds_no_other_film_up(start, receiver):
    with socket.create_server(("127.0.0.1", 0)) as slow:
        host = f"127.0.0.1:{slow.getsockname()[1]}"
        server = start("--picture-hosts", f"{host},127.0.0.1:{receiver.server_port}",
                       "--rate", "0")
        join = in_threads(*[lambda: server.post(
            "/v1/videos", {**QUICK, "reference_url": f"http://{host}/a.png"})] * 3)
        slow.settimeout(10)
        asked = [slow.accept()[0] for _ in range(3)]        # all of them at once
        server.create()
        server.create(reference_url=f"http://127.0.0.1:{receiver.server_port}/a.png")
        picture = png()
        for connection in asked:        # none has been given up by now
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                               % len(picture) + picture)
        assert [reply.status for reply in join()] == [200] * 3
        for connection in asked:
            connection.close()
        assert len(server.get("/v1/videos").json["data"]) == 5


def test_one_film_of_two_requests_whose_pictures_come_at_once(start):
    with socket.create_server(("127.0.0.1", 0)) as slow:
        host = f"127.0.0.1:{slow.getsockname()[1]}"
        server = start("--picture-hosts", host)
        join = in_threads(*[lambda: server.post(
            "/v1/videos", {**QUICK, "reference_url": f"http://{host}/a.png"},
            headers={"Idempotency-Key": "once"})] * 2)
        slow.settimeout(10)
        picture = png()
        for connection in [slow.accept()[0] for _ in range(2)]:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                               % len(picture) + picture)
            connection.close()
        replies = join()
        assert [reply.status for reply in replies] == [200, 200]
        assert replies[0].json["id"] == replies[1].json["id"]
        assert len(server.get("/v1/videos").json["data"]) == 1


def test_a_host_that_is_silent_holds_nothing_up(start, tmp_path):
    """SIGTERM waits for no answer; the delivery is made after the next start."""
    secret = tmp_path / "secret"
    secret.write_text("whsec_" + SECRET + "\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        server = start("--webhook-hosts", host, "--webhook-secret-file", secret,
                       "--picture-hosts", host)
        server.create(webhook_url=f"http://{host}/hook")
        silent.settimeout(20)
        hook, _ = silent.accept()       # the webhook is on its way
        replies = []
        asking = threading.Thread(target=lambda: replies.append(server.post(
            "/v1/videos", {**QUICK, "reference_url": f"http://{host}/a.png"})))
        asking.start()
        picture, _ = silent.accept()
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 10
        asking.join()
        assert replies[0].status == 503 and replies[0].error["code"] == "closing"
        hook.close()
        picture.close()
        with contextlib.closing(sqlite3.connect(server.folder / "phonofilm.db")) as base:
            assert base.execute("SELECT attempts FROM deliveries").fetchall() == [(0,)]


def test_a_remix_asks_nobody_who_may_not_be_asked_any_more(hooked, receiver):
    video = hooked.create(webhook_url=f"http://127.0.0.1:{receiver.server_port}/hook")
    hooked.wait(video["id"])
    assert hooked.stop() == 0
    at = hooked.command.index("--webhook-hosts")
    hooked.command[at + 1] = "a.example"
    hooked.start()
    remix = hooked.request("POST", f"/v1/videos/{video['id']}/remix", {"prompt": "Blue."})
    assert remix.status == 200 and "webhook_url" not in remix.json["settings"]
