"""The site of packaging/nginx.conf in front of the server."""
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time

import pytest
from conftest import QUICK, SLOW, make_certificate, multipart, png
from tiny_model import ROOT

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    not NGINX, reason="nginx is not installed; Debian has it in nginx-light")
KEY = "correct-horse-battery"
NAME = "films.example.com"

AROUND = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


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
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, site=text))
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e",
                                folder / "error.log", "-g", "daemon off; user root;"])
    end = time.monotonic() + 20
    while not (folder / "nginx.pid").exists() and time.monotonic() < end:
        assert process.poll() is None, (folder / "error.log").read_text()
        time.sleep(0.05)
    yield Site(folder, port)
    process.terminate()
    assert process.wait(timeout=20) == 0


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
