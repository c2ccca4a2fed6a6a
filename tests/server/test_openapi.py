# SPDX-License-Identifier: Apache-2.0
"""/openapi.json is true: every path is there, and every answer is as it says."""
import re

import pytest
from conftest import NO_PACKAGE, QUICK, Server, png

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def check(document, schema, value, where="$"):
    """Raises AssertionError where the value is not what the schema says."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return check(document, document["components"]["schemas"][name], value, where)
    if "oneOf" in schema:
        good = 0
        for option in schema["oneOf"]:
            try:
                check(document, option, value, where)
                good += 1
            except AssertionError:
                pass
        assert good == 1, f"{where}: {value!r} fits {good} of oneOf"
        return None
    if "const" in schema:
        assert value == schema["const"], f"{where}: {value!r}"
    if "enum" in schema:
        assert value in schema["enum"], f"{where}: {value!r}"
    kinds = schema.get("type")
    if kinds:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        assert any(is_type(value, k) for k in kinds), f"{where}: {value!r} is no {kinds}"
    if isinstance(value, dict):
        missing = set(schema.get("required", [])) - set(value)
        assert not missing, f"{where}: without {missing}"
        known = schema.get("properties", {})
        if schema.get("additionalProperties") is False:
            assert not set(value) - set(known), f"{where}: {set(value) - set(known)}"
        for key, member in value.items():
            if key in known:
                check(document, known[key], member, f"{where}.{key}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            check(document, schema.get("items", {}), item, f"{where}[{index}]")
    return None


@pytest.fixture(scope="module")
def document(server):
    return server.get("/openapi.json").json


def judge(document, method, path, reply):
    """The reply is one that the description has for this operation."""
    for pattern, item in document["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path.split("?")[0]):
            break
    else:
        raise AssertionError(f"{path} is not described")
    responses = item[method.lower()]["responses"]
    assert str(reply.status) in responses, f"{method} {path}: {reply.status}"
    content = responses[str(reply.status)]["content"]
    kind = reply.headers["content-type"].split(";")[0]
    assert kind in content, f"{method} {path}: {kind}"
    if kind == "application/json":
        check(document, content[kind]["schema"], reply.json)


def test_failures_of_the_disk(start, document):
    """The folder of the films is another one, and a picture is gone that a remix needs."""
    server = start()
    video = server.create({"input_reference": ("a.png", png())})
    server.wait(video["id"])
    videos = server.folder / "videos"
    path = f"/v1/videos/{video['id']}/remix"
    (videos / video["id"] / "first").unlink()
    reply = server.request("POST", path, {"prompt": "x"})
    assert reply.status == 404 and reply.error["code"] == "gone", reply.body
    judge(document, "POST", path, reply)
    videos.rename(server.folder / "aside")
    videos.symlink_to("/proc")          # the films are elsewhere
    for path in ("/v1/videos", "/v1/videos/sync"):
        reply = server.request("POST", path, QUICK)
        assert reply.status == 503 and reply.error["code"] == "no_folder", reply.body
        judge(document, "POST", path, reply)


def test_every_path_is_there(server, document):
    names = {"{video_id}": "video_0123456789ab", "{model}": "tiny",
             "{character_id}": "c_1"}
    for pattern, item in document["paths"].items():
        path = pattern
        for name, value in names.items():
            path = path.replace(name, value)
        for method in item:
            if method == "parameters":
                continue
            reply = server.request(method.upper(), path)
            assert reply.status != 405
            if reply.status == 404:
                assert reply.error["code"] in ("video_not_found",), path
            judge(document, method, path, reply)
        other = server.request("PATCH", path)
        assert other.status == 405
        allowed = set(other.headers["allow"].lower().split(", "))
        assert allowed == set(item) - {"parameters"}, pattern


def test_answers_are_as_described(server, document):
    def ask(method, path, body=None, headers=None):
        reply = server.request(method, path, body, headers)
        judge(document, method, path, reply)
        return reply
    video = ask("POST", "/v1/videos", QUICK).json
    path = "/v1/videos/" + video["id"]
    ask("GET", path)
    ask("GET", path + "/content")
    server.wait(video["id"])
    for query in ("", "?variant=thumbnail", "?variant=spritesheet", "?variant=x"):
        ask("GET", path + "/content" + query)
    ask("GET", path + "/content", headers={"Range": "bytes=0-9"})
    ask("GET", path + "/content", headers={"Range": "bytes=99999999-"})
    ask("GET", path)
    ask("GET", "/v1/videos?limit=1")
    ask("GET", "/v1/videos?limit=0")
    ask("POST", path + "/cancel")
    ask("POST", path, {"starred": True})
    ask("POST", path, {"starred": 1})
    ask("POST", path, "x" * 70000)
    ask("POST", path + "/remix", {"prompt": "x"})
    ask("POST", path + "/remix", {})
    ask("POST", "/v1/videos/sync", QUICK)
    ask("POST", "/v1/videos", {"size": 3})
    ask("POST", "/v1/videos", "x", {"Content-Type": "text/plain"})
    ask("POST", "/session", {"key": "k"})
    ask("POST", "/session", {})
    ask("DELETE", path)
    ask("DELETE", path)


def test_described_fields_are_known(server, document):
    """Each field is taken, or refused for its value, and never as unknown."""
    for name in document["components"]["schemas"]["FilmForm"]["properties"]:
        reply = server.post("/v1/videos", {**QUICK, name: "?"})
        if reply.status == 400:
            assert "not a field" not in reply.error["message"], name
            assert "no effect on this model" not in reply.error["message"], name


def test_schemathesis(model, tmp_path):
    schemathesis = pytest.importorskip("schemathesis",
                                       reason="schemathesis: " + NO_PACKAGE)
    import hypothesis
    server = Server(model, tmp_path / "films", "--rate", "0", "--max-queue", "1000")
    try:
        first = server.create({"input_reference": ("a.png", png())})
        server.wait(first["id"])
        schema = schemathesis.openapi.from_url(
            f"http://127.0.0.1:{server.port}/openapi.json")

        failures = []
        for result in schema.get_all_operations():
            operation = result.ok()
            if operation.path.endswith(("events", "sync")):
                continue

            @hypothesis.settings(max_examples=12, deadline=None, database=None,
                                 derandomize=True,
                                 suppress_health_check=list(hypothesis.HealthCheck))
            @hypothesis.given(case=operation.as_strategy())
            def call(case):
                reply = case.call()
                assert reply.status_code < 500, case.as_curl_command()
                responses = operation.definition.raw["responses"]
                assert str(reply.status_code) in responses, (
                    reply.status_code, case.as_curl_command(), reply.text)
                kind = reply.headers["content-type"][0].split(";")[0]
                assert kind in responses[str(reply.status_code)]["content"]
                if kind == "application/json":
                    check(schema.raw_schema, responses[str(reply.status_code)]["content"]
                          [kind]["schema"], reply.json())
            try:
                call()
            except Exception as error:      # all operations are tried
                failures.append(f"{operation.label}: {error}")
        assert not failures, "\n".join(failures)
        assert server.get("/health").status == 200
    finally:
        server.stop()
