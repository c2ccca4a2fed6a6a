# SPDX-License-Identifier: Apache-2.0
"""The site of packaging/nginx.conf in front of the server."""
import http.client
import json
import re
import socket
import ssl
import urllib.parse

import pytest
from conftest import QUICK, SLOW, make_certificate, multipart, png
from nginx import BELOW, MISSING, NGINX, free_port, nginx
from tiny_model import ROOT

pytestmark = pytest.mark.skipif(not NGINX, reason=MISSING)
KEY = "correct-horse-battery"
NAME = "films.example.com"


class Site:
    """Requests through nginx, as a client that takes it for films.example.com."""

    def __init__(self, folder, port):
        self.port = port
        self.context = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))

    def open(self):
        raw = socket.create_connection(("127.0.0.1", self.port), 120)
        connection = http.client.HTTPConnection(NAME, self.port)
        connection.sock = self.context.wrap_socket(raw, server_hostname=NAME)
        return connection

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and body; a header that is None is not sent."""
        connection = self.open()
        headers = {"Authorization": "Bearer " + KEY, **(headers or {})}
        connection.request(method, path, body,
                           {name: value for name, value in headers.items() if value})
        reply = connection.getresponse()
        answer = reply.status, reply.headers, reply.read()
        connection.close()
        return answer


@pytest.fixture
def backend(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"ann:{KEY}\n")
    return start("--api-key-file", keys, "--rate", "0", key=KEY)


@pytest.fixture
def site(backend, tmp_path):
    folder = tmp_path / "nginx"
    folder.mkdir()
    make_certificate(NAME, folder / "fullchain.pem", folder / "privkey.pem")
    port = free_port()
    text = (ROOT / "packaging" / "nginx.conf").read_text()
    for was, becomes in (
            ("listen 443", f"listen 127.0.0.1:{port}"),
            ("    listen [::]:443 ssl http2;\n", ""),
            (f"/etc/letsencrypt/live/{NAME}", str(folder)),
            ("http://127.0.0.1:8000", f"http://127.0.0.1:{backend.port}")):
        assert was in text
        text = text.replace(was, becomes)
    with nginx(folder, text):
        yield Site(folder, port)


def test_create_follow_and_fetch(site):
    body, kind = multipart({**QUICK, "num_inference_steps": 12})
    status, _, reply = site.ask("POST", "/v1/videos", body, {"Content-Type": kind})
    assert status == 200, reply
    video = json.loads(reply)["id"]
    connection = site.open()
    connection.request("GET", f"/v1/videos/{video}/events",
                       headers={"Authorization": "Bearer " + KEY})
    stream = connection.getresponse()
    while not (line := stream.readline()).startswith(b"data: "):
        assert line
    assert json.loads(line[6:])["status"] != "completed"    # it comes at once
    assert b'"completed"' in stream.read()
    connection.close()
    path = f"/v1/videos/{video}/content"
    status, _, film = site.ask("GET", path)
    assert status == 200
    status, headers, part = site.ask("GET", path, headers={"Range": "bytes=100-299"})
    assert status == 206 and part == film[100:300]
    assert headers["content-range"] == f"bytes 100-299/{len(film)}"


def test_the_film_by_sync(site):
    body, kind = multipart(QUICK)
    status, headers, film = site.ask("POST", "/v1/videos/sync", body, {"Content-Type": kind})
    assert status == 200 and film[4:8] == b"ftyp" and headers["x-video-id"]


def test_uploads_of_the_limit(site):
    """20 MB, as Base64 in JSON also; the server refuses what is larger, not nginx."""
    picture = png()
    large = picture + bytes(20 * (1 << 20) - len(picture))
    body, kind = multipart(SLOW, {"input_reference": ("a.png", large)})
    status, _, reply = site.ask("POST", "/v1/videos", body, {"Content-Type": kind})
    assert status == 200, reply
    site.ask("DELETE", "/v1/videos/" + json.loads(reply)["id"])
    body, kind = multipart(SLOW, {"input_reference": ("a.png", large + b"x")})
    status, _, reply = site.ask("POST", "/v1/videos", body, {"Content-Type": kind})
    assert status in (400, 413) and json.loads(reply)["error"]["message"]


def test_the_page_and_its_cookie(site):
    status, headers, page = site.ask("GET", "/", headers={"Authorization": None})
    assert status == 200 and b"<html" in page
    assert headers["strict-transport-security"]
    origin = f"https://{NAME}:{site.port}"
    sign_in = {"Authorization": None, "Content-Type": "application/json", "Origin": origin}
    status, headers, reply = site.ask("POST", "/session", json.dumps({"key": KEY}), sign_in)
    assert status in (200, 204), reply
    assert "secure" in headers["set-cookie"].lower()
    cookie = headers["set-cookie"].split(";")[0]
    body, kind = multipart(QUICK)
    mine = {"Authorization": None, "Cookie": cookie, "Content-Type": kind}
    status, _, reply = site.ask("POST", "/v1/videos", body, {**mine, "Origin": origin})
    assert status == 200, reply
    evil = {**mine, "Origin": "https://evil.example"}
    assert site.ask("POST", "/v1/videos", body, evil)[0] == 403


@pytest.fixture
def below(backend, tmp_path):
    """The address of a server below a path."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = free_port()
    with nginx(folder, BELOW.format(port=port, backend=backend.port)):
        yield f"http://127.0.0.1:{port}/film/"


def fetch(address, method="GET", body=None, headers=None):
    """Status, headers and body of what a browser would fetch."""
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request(method, parts.path, body, headers or {})
    reply = connection.getresponse()
    answer = reply.status, reply.headers, reply.read()
    connection.close()
    return answer


def test_the_page_below_a_path(below):
    page = fetch(below)[2].decode()
    found = re.findall(r'(?:href|src)="([^"#]+)"', page)
    assert set(found) == {"icon.svg", "style.css", "app.js"}
    for name in [*found, "openapi.json"]:
        assert fetch(urllib.parse.urljoin(below, name))[0] == 200, name
    description = json.loads(fetch(below + "openapi.json")[2])
    base = urllib.parse.urljoin(below + "openapi.json", description["servers"][0]["url"])
    assert base == below


def test_the_session_below_a_path(below):
    """Its cookie is for what lies there, and for nothing else of the host."""
    origin = below[:below.index("/film")]
    body = json.dumps({"key": KEY})
    status, headers, _ = fetch(below + "session", "POST", body, {
        "Content-Type": "application/json", "Origin": origin})
    assert status == 200 and "path" not in headers["set-cookie"].lower()
    mine = {"Cookie": headers["set-cookie"].split(";")[0]}
    assert fetch(below + "v1/videos", headers=mine)[0] == 200
    form, kind = multipart(QUICK)
    status, _, reply = fetch(below + "v1/videos", "POST", form,
                             {**mine, "Origin": origin, "Content-Type": kind})
    assert status == 200
    events = below + f"v1/videos/{json.loads(reply)['id']}/events"
    assert b'"completed"' in fetch(events, headers=mine)[2]
