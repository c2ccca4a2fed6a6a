# SPDX-License-Identifier: Apache-2.0
"""A value is the same, or is refused in the same words, whichever way it comes: as a flag,
in a file, through --server, as a number or text of JSON, and in a form."""
import json
import subprocess

import pytest
from conftest import PROGRAM, QUICK

# How a field is called on the command line, where that is not its name with hyphens.
FLAGS = {"cuda_multiprocessors": "cuda-sm-count"}

# Field, spellings, and what they are.  The rest of the request fits to each.
SAME = [
    ("num_frames", ["9", "9.0", "+9", " 9 ", "009", "9e0", "0.9e1"], 9),
    ("num_inference_steps", ["2", "2.0", "2.", "20e-1"], 2),
    ("fps", ["12.5", "12.50", "1.25e1", "+12.5"], 12.5),
    ("guidance_scale", ["0", "-0", "-0.0", "0e1"], 0.0),
    ("seed", ["7", "7.0", "+7", "70e-1", " 7"], 7),
    ("seed", ["9007199254740993", "9007199254740993.0"], 9007199254740993),
    ("seed", ["9223372036854775807"], 2 ** 63 - 1),
    ("seed", ["9223372036854775808"], str(2 ** 63)),
    ("seed", ["18446744073709551615", "1844674407370955161.5e1"], str(2 ** 64 - 1)),
    ("seed", ["1e3", "1000"], 1000),
    ("rng", ["torch-cpu", "Torch_CPU", " torch-cpu "], "torch-cpu"),
    ("quality", ["30", "30.0"], 30),
    ("vae_tile", ["96", "96.0"], 96),
]
REFUSED = [
    ("num_frames", ["8", "7.5", "nine", "0x9", "-3", "1e9", "nan", "true"]),
    ("num_inference_steps", ["0", "1001", "2.5", "inf"]),
    ("fps", ["0.5", "121", "1e400", "1,5", "NaN"]),
    ("guidance_scale", ["-1", "100.5", "1_0", "-1e-300"]),
    ("guidance_rescale", ["1.5", "-0.1"]),
    ("seed", ["-1", "18446744073709551616", "1.5", "0x10", "1e20", "1e-1", "seven"]),
    ("rng", ["dice", "own|torch-cpu"]),
    ("cuda_multiprocessors", ["0", "1025", "5"]),
    ("quality", ["52", "-1"]),
    ("vae_tile", ["5", "100", "-16"]),
    ("height", ["40", "0", "x"]),
]


def is_number(text):
    """Whether JSON has it as a number."""
    try:
        return isinstance(json.loads(text, parse_constant=lambda _: None), (int, float)) \
            and text not in ("true", "false")
    except ValueError:
        return False


def body_of(name, spelled):
    """A request with this field, whose value stands in JSON as it is."""
    rest = {k: v for k, v in QUICK.items() if k != name}
    if name == "height":
        del rest["size"]
        rest["width"] = 48
    return json.dumps(rest)[:-1] + f', "{name}": {spelled}}}'


def replies(server, name, text):
    """The answers to all the ways over HTTP."""
    bodies = [body_of(name, json.dumps(text))]
    if is_number(text):
        bodies.append(body_of(name, text.strip()))
    for body in bodies:
        yield server.request("POST", "/v1/videos", body.encode(),
                             {"Content-Type": "application/json"})
    form = json.loads(bodies[0])
    yield server.post("/v1/videos", form)


def generate(model, name, text, tmp_path, *more):
    """The answers of the command line: by a flag, and by a file, as text and as a number."""
    flag = "--" + FLAGS.get(name, name.replace("_", "-"))
    small = {"num-frames": "9", "height": "32", "width": "48", "num-inference-steps": "2",
             "t2va": "true"}
    small.pop(flag[2:], None)
    command = [PROGRAM, "generate", "-p", "A ball.", "-o", tmp_path / "film.mp4", *more,
               *(f"--{k}={v}" for k, v in small.items())]
    if not any(str(m).startswith("--server") for m in more):
        command += ["--dry-run", "-m", model]
    yield subprocess.run([*command, f"{flag}={text}"], capture_output=True, text=True,
                         timeout=60)
    for spelled in [json.dumps(text)] + ([text.strip()] if is_number(text) else []):
        config = tmp_path / "config.json"
        config.write_text('{"%s": %s}' % (flag[2:].replace("-", "_"), spelled))
        yield subprocess.run([*command, "--config", config], capture_output=True, text=True,
                             timeout=60)


@pytest.mark.parametrize("name, texts, value", SAME, ids=lambda v: str(v)[:20])
def test_spellings_of_one_value(server, model, tmp_path, name, texts, value):
    for text in texts:
        for reply in replies(server, name, text):
            assert reply.status == 200, (text, reply.body)
            shown = reply.json["settings"][name]
            assert shown == value and type(shown) is type(value), (text, shown)
            server.request("DELETE", "/v1/videos/" + reply.json["id"])
    for done in generate(model, name, texts[-1], tmp_path):
        assert done.returncode == 0, (texts[-1], done.stderr)


@pytest.mark.parametrize("name, texts", REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_one_sentence_refuses(server, model, tmp_path, name, texts):
    """What follows the field's name is the same, to the letter."""
    for index, text in enumerate(texts):
        ends = set()
        for reply in replies(server, name, text):
            assert reply.status == 400 and reply.error["param"] == name, (text, reply.body)
            ends.add(reply.error["message"].removeprefix(name))
        for done in generate(model, name, text, tmp_path) if index < 3 else ():
            assert done.returncode == 2, (text, done.stderr)
            assert len(done.stderr.splitlines()) == 1
            ends.add(done.stderr.splitlines()[0].split(" is ", 1)[1])
        ends = {end.removeprefix(" is ") for end in ends}
        assert len(ends) == 1, (text, ends)


@pytest.mark.parametrize("name, text, value", [
    ("seed", "18446744073709551615", str(2 ** 64 - 1)), ("seed", "70e-1", 7),
    ("rng", "TORCH_CPU", "torch-cpu"), ("fps", "1.25e1", 12.5)])
def test_through_a_server(server, model, tmp_path, name, text, value):
    more = [f"--server=http://127.0.0.1:{server.port}"]
    for done in generate(model, name, text, tmp_path, *more):
        assert done.returncode == 0, done.stderr
        newest = server.get("/v1/videos?limit=1").json["data"][0]
        assert newest["settings"][name] == value


def test_the_largest_seed_makes_the_same_film(server, model, tmp_path):
    """Here and there, and again from the settings that are shown."""
    seed = str(2 ** 64 - 1)
    video = server.create(seed=seed)
    again = server.request("POST", "/v1/videos", video["settings"]).json
    other = server.create(seed=str(2 ** 64 - 2))
    for each in (video, again, other):
        assert server.wait(each["id"])["status"] == "completed"
    film = server.film(video["id"])
    assert film == server.film(again["id"]) and film != server.film(other["id"])


@pytest.mark.parametrize("text", ["48x32", "48X32", "48*32", "48\u00d732", "48 x 32", " 48x32 "])
def test_spellings_of_a_size(server, text):
    for reply in (server.request("POST", "/v1/videos", {**QUICK, "size": text}),
                  server.post("/v1/videos", {**QUICK, "size": text})):
        assert reply.status == 200, reply.body
        assert (reply.json["settings"]["width"], reply.json["settings"]["height"]) == (48, 32)
        server.request("DELETE", "/v1/videos/" + reply.json["id"])


@pytest.mark.parametrize("spelled, value", [
    ("true", True), ("True", True), ("1", True), ("yes", True), ("ON", True),
    ("false", False), ("FALSE", False), ("0", False), ("no", False), (" off", False)])
def test_spellings_of_a_switch(server, model, tmp_path, spelled, value):
    ways = [json.dumps(spelled)] + ([spelled] if spelled in ("true", "false", "1", "0") else [])
    for body in [body_of("generate_sound", s).encode() for s in ways]:
        reply = server.request("POST", "/v1/videos", body, {"Content-Type": "application/json"})
        assert reply.json["settings"]["generate_sound"] is value, reply.body
    reply = server.post("/v1/videos", {**QUICK, "generate_sound": spelled})
    assert reply.json["settings"]["generate_sound"] is value, reply.body
    config = tmp_path / "config.json"
    command = [PROGRAM, "generate", "-m", model, "-p", "x", "--dry-run", "-o", "film.mp4"]
    for s in ways:              # without a picture it needs --t2va
        config.write_text('{"t2va": %s}' % s)
        done = subprocess.run([*command, "--config", config], capture_output=True, cwd=tmp_path)
        assert done.returncode == (0 if value else 2), done.stderr
    done = subprocess.run([*command, "--t2va=" + spelled.strip()], capture_output=True,
                          cwd=tmp_path)
    assert done.returncode == (0 if value else 2), done.stderr


def test_a_number_of_json_is_no_text(server):
    for name, value in (("prompt", 5), ("negative_prompt", 1.5), ("prompt", True)):
        reply = server.request("POST", "/v1/videos", {**QUICK, name: value})
        assert reply.status == 400 and "must be text" in reply.error["message"]
    marked = body_of("seed", '"\\u007f7"').encode()     # no way to write a number
    reply = server.request("POST", "/v1/videos", marked, {"Content-Type": "application/json"})
    assert reply.status == 400 and "control" in reply.error["message"]


def test_ranges_of_the_description(server):
    """What /openapi.json says of a field's range is what is taken."""
    film = server.get("/openapi.json").json["components"]["schemas"]["Film"]["properties"]
    fitting = {"num_inference_steps", "guidance_scale", "guidance_scale_2", "quality", "fps"}
    for name in fitting:
        low, high = film[name]["minimum"], film[name]["maximum"]
        for value in (low - 1, high + 1):
            reply = server.request("POST", "/v1/videos", {**QUICK, name: value})
            assert reply.status == 400 and reply.error["param"] == name
            assert f"from {low} to {high}" in reply.error["message"]
