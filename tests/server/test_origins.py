# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins: --allow-origin, and what stays the own page's alone."""
import json
import re
import subprocess

import pytest
from conftest import PROGRAM, QUICK, multipart
from tiny_model import ROOT

APP, OTHER, KEY = "http://localhost:3000", "https://app.example", "correct-horse-battery"


@pytest.fixture(scope="module")
def keyed(model, tmp_path_factory):
    from conftest import Server
    folder = tmp_path_factory.mktemp("origins")
    (folder / "keys").write_text(f"alice:{KEY}\n")
    shared = Server(model, folder / "films", "--rate", "0", "--api-key-file", folder / "keys",
                    "--allow-origin", APP, "--allow-origin", "https://App.Example:443")
    yield shared
    assert shared.stop() == 0


def preflight(server, origin, path="/v1/videos", method="POST", names="authorization", **more):
    return server.request("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": names, **more})


@pytest.mark.parametrize("origin", [APP, OTHER])
def test_an_allowed_page_asks_first(keyed, origin):
    reply = preflight(keyed, origin, names="authorization, content-type,x-stainless-os")
    assert reply.status == 204 and reply.body == b""
    assert reply.headers["access-control-allow-origin"] == origin
    assert {"GET", "POST"} <= set(reply.headers["access-control-allow-methods"].split(", "))
    assert "x-stainless-os" in reply.headers["access-control-allow-headers"]
    assert int(reply.headers["access-control-max-age"]) > 0
    assert reply.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in reply.headers
    assert "access-control-allow-private-network" not in reply.headers
    near = preflight(keyed, origin, **{"Access-Control-Request-Private-Network": "true"})
    assert near.headers["access-control-allow-private-network"] == "true"
    one = preflight(keyed, origin, "/v1/videos/video_0123", "DELETE")
    assert "DELETE" in one.headers["access-control-allow-methods"]


def test_an_allowed_page_makes_a_film(keyed):
    body, kind = multipart(QUICK)
    mine = {"Origin": APP, "Authorization": "Bearer " + KEY}
    made = keyed.request("POST", "/v1/videos", body, {**mine, "Content-Type": kind})
    assert made.status == 200 and made.headers["access-control-allow-origin"] == APP
    keyed.key = KEY
    keyed.wait(made.json["id"])
    keyed.key = None
    film = keyed.get(f"/v1/videos/{made.json['id']}/content",
                     headers={**mine, "Range": "bytes=0-9"})
    assert film.status == 206 and film.headers["access-control-allow-origin"] == APP
    exposed = film.headers["access-control-expose-headers"].lower()
    for name in ("x-request-id", "content-range", "retry-after", "openai-poll-after-ms"):
        assert name in exposed
    events = keyed.get(f"/v1/videos/{made.json['id']}/events", headers=mine)
    assert events.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize("path, headers, status", [
    ("/v1/videos", {}, 401), ("/nothing", {}, 404),
    ("/v1/videos?x=1", {"Authorization": "Bearer " + KEY}, 400)])
def test_an_allowed_page_reads_refusals(keyed, path, headers, status):
    reply = keyed.get(path, headers={"Origin": APP, **headers})
    assert reply.status == status and reply.error["message"]
    assert reply.headers["access-control-allow-origin"] == APP
    large = keyed.request("POST", "/v1/videos", None, {
        "Origin": APP, "Authorization": "Bearer " + KEY, "Content-Length": "999999999"})
    assert large.status == 413 and large.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize("origin", [
    "http://localhost:3001", "https://localhost:3000", "http://localhost", "null",
    "http://app.example", "https://app.example.evil.com", "https://evil.app.example",
    "https://app.example:444", "http://localhost:3000/", "*", "x"])
def test_other_pages_may_not(keyed, origin):
    asked = preflight(keyed, origin)
    assert asked.status == 403 and asked.error["code"] == "wrong_origin"
    body, kind = multipart(QUICK)
    made = keyed.request("POST", "/v1/videos", body, {
        "Origin": origin, "Content-Type": kind, "Authorization": "Bearer " + KEY})
    assert made.status == 403
    read = keyed.get("/v1/videos", headers={"Origin": origin, "Authorization": "Bearer " + KEY})
    for reply in (asked, made, read):
        assert "access-control-allow-origin" not in reply.headers
        assert reply.headers["vary"] == "Origin"


def test_sessions_are_for_the_own_page(keyed):
    own = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{keyed.port}"}
    key = json.dumps({"key": KEY})
    signed = keyed.request("POST", "/session", key, own)
    cookie = {"Cookie": signed.headers["set-cookie"].split(";")[0]}
    assert keyed.get("/v1/videos", headers=cookie).status == 200
    same = {**cookie, "Sec-Fetch-Site": "same-origin"}
    assert keyed.get("/v1/videos", headers=same).status == 200
    for site in ("same-site", "cross-site"):    # such as a picture of a page on :3000
        assert keyed.get("/v1/videos", headers={
            **cookie, "Sec-Fetch-Site": site}).status == 401
    assert keyed.get("/v1/videos", headers={**cookie, "Origin": APP}).status == 401
    assert keyed.request("POST", "/session", key, {**own, "Origin": APP}).status == 403
    assert preflight(keyed, APP, "/session").status == 403
    assert keyed.request("DELETE", "/session", headers={"Origin": APP}).status == 403


def test_the_own_page_behind_a_proxy_that_changes_host(keyed):
    body, kind = multipart(QUICK)
    reply = keyed.request("POST", "/v1/videos", body, {
        "Origin": "https://films.example", "Sec-Fetch-Site": "same-origin",
        "Content-Type": kind, "Authorization": "Bearer " + KEY})
    assert reply.status == 200


def test_without_the_option_nothing_is_said(server):
    assert preflight(server, APP).status == 403
    assert "vary" not in server.get("/health").headers
    plain = server.request("OPTIONS", "/v1/videos")
    assert plain.status == 204 and "POST" in plain.headers["allow"]


@pytest.mark.parametrize("origin", [
    "*", "null", "localhost:3000", "http://localhost:3000/", "http://a/b", "http://a b",
    "http://user@a", "http://a:0", "http://a:99999", "http://", "//a", "http://a,http://b",
    "http://[::1", "http://" + "a" * 300])
def test_what_is_no_origin(model, tmp_path, origin):
    done = subprocess.run(
        [PROGRAM, "serve", "-m", model, "--port", "0", "-o", tmp_path / "films",
         "--allow-origin", origin], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "allow_origin" in done.stderr
    assert origin[:90] in done.stderr


def test_origins_from_a_file(start, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"allow_origin": [APP, "chrome-extension://abcdef"]}))
    server = start("--config", config)
    for origin in (APP, "chrome-extension://abcdef"):
        assert preflight(server, origin).headers["access-control-allow-origin"] == origin
    config.write_text(json.dumps({"allow_origin": [APP, 7]}))
    done = subprocess.run([PROGRAM, "serve", "--config", config], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 2 and "allow_origin is" in done.stderr


def test_the_hash_of_the_script_in_the_page(server):
    from base64 import b64encode
    from hashlib import sha256
    page = server.get("/")
    scripts = re.findall(r"<script>(.*?)</script>", page.body.decode(), re.S)
    policy = page.headers["content-security-policy"]
    assert len(scripts) == 1
    assert f"'sha256-{b64encode(sha256(scripts[0].encode()).digest()).decode()}'" in policy


def test_the_page_has_relative_addresses_alone():
    for name in ("index.html", "style.css", "app.js"):
        text = (ROOT / "src/server/page" / name).read_text()
        assert not re.search(r'(href|src|action)="/|url\(/|["`\']/(v1|session|health)', text), name
