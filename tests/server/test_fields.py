# SPDX-License-Identifier: Apache-2.0
"""What a field may be, in a form and in JSON, and how other servers' clients send it."""
import base64
import json
import shutil

import pytest
from conftest import QUICK, multipart, png

URI = "data:image/png;base64," + base64.b64encode(png()).decode()


def ask(server, body):
    return server.request("POST", "/v1/videos", body)


@pytest.mark.parametrize("name, value", [
    ("num_inference_steps", "0x2"), ("fps", "0x18"), ("seconds", "0x1"),
    ("guidance_scale", "infinity"), ("guidance_scale", "1_0"), ("seed", "1e-3"),
    ("seed", "5.5"), ("n", "2"), ("generate_sound", "perhaps"),
    ("prompt", ""), ("prompt", " \t\r\n"), ("extra_params", "x"),
    ("extra_params", "[1]"), ("image_reference", "{\"image_url\":"),
])
def test_a_form_refuses(server, name, value):
    reply = server.post("/v1/videos", {**QUICK, name: value})
    assert reply.status == 400 and reply.error["param"] == name, reply.body


@pytest.mark.parametrize("name, value", [
    ("prompt", 5), ("prompt", True), ("prompt", ""), ("negative_prompt", 1),
    ("seed", 2 ** 64), ("seed", 2 ** 80), ("seed", -1), ("seed", True), ("seed", {}),
    ("fps", 10 ** 30), ("size", 64), ("n", True), ("what", None), ("what", {}),
    ("lora", {"name": "x"}), ("input_reference", {}), ("input_reference", 3),
])
def test_json_refuses(server, name, value):
    reply = ask(server, {**QUICK, name: value})
    assert reply.status == 400, reply.body
    assert reply.error["param"].split("[")[0] == name, reply.body


def test_byte_order_marks(server):
    """As files have them that Windows saved: before a body, and in the texts of a form."""
    fields = {**QUICK, "prompt": "\ufeffA red ball.", "negative_prompt": "\ufeffdark"}
    body = b"\xef\xbb\xbf" + json.dumps(fields).encode()
    form = {name: f"\ufeff{value}" for name, value in QUICK.items()}
    videos = [server.request("POST", "/v1/videos", body,
                             {"Content-Type": "application/json"}),
              server.post("/v1/videos", {**form, "prompt": "\ufeffA red ball."}),
              server.post("/v1/videos", {"prompt": "A red ball.",
                                         "extra_params": "\ufeff" + json.dumps(
                                             {k: v for k, v in QUICK.items() if k != "prompt"})})]
    for reply in videos:
        assert reply.status == 200, reply.body
        assert reply.json["prompt"] == "A red ball."
        assert reply.json["settings"]["seed"] == QUICK["seed"]
    assert videos[0].json["settings"]["negative_prompt"] == "dark"
    for reply in videos:
        server.request("DELETE", "/v1/videos/" + reply.json["id"])
    body, kind = multipart(QUICK)
    for codec in ("utf-16", "utf-16-le"):
        reply = server.request("POST", "/v1/videos", body.replace(
            QUICK["prompt"].encode(), QUICK["prompt"].encode(codec)), {"Content-Type": kind})
        assert reply.status == 400 and reply.error["param"] == "prompt", reply.body
        assert "prompt is UTF-16 text" in reply.error["message"], reply.body
    reply = server.request("POST", "/v1/videos", json.dumps(QUICK).encode("utf-16"),
                           {"Content-Type": "application/json"})
    assert reply.status == 400 and "UTF-16" in reply.error["message"], reply.body


def test_an_empty_file(server):
    """A form sends one without a name where none was chosen; one with a name was."""
    form = {**QUICK, "seed": 5}
    none = server.post("/v1/videos", form, {"input_reference": ("", b"")})
    assert none.status == 200 and none.json["settings"]["picture"] is False
    for field in ("input_reference", "last_image"):
        reply = server.post("/v1/videos", form, {field: ("first.png", b"")})
        assert reply.status == 400 and reply.error["param"] == field, reply.body
    server.request("DELETE", "/v1/videos/" + none.json["id"])


def test_a_tile_has_a_stride(server):
    for given, stride in (({}, 64), ({"vae_tile_stride": 80}, 80)):
        video = server.create(vae_tile=96, **given)
        assert video["settings"]["vae_tile_stride"] == stride
        server.request("DELETE", "/v1/videos/" + video["id"])
    reply = server.post("/v1/videos", {**QUICK, "vae_tile_stride": 64})
    assert reply.status == 400 and reply.error["param"] == "vae_tile_stride"


def test_known_fields_may_be_null(server):
    reply = ask(server, {**QUICK, "negative_prompt": None, "lora": None, "user": None,
                         "input_reference": None, "extra_params": None,
                         "image_reference": {"image_url": None}})
    assert reply.status == 200, reply.body
    assert ask(server, {**QUICK, "seed": None}).json["settings"]["seed"] >= 0
    assert ask(server, {**QUICK, "prompt": None}).error["param"] == "prompt"


@pytest.mark.parametrize("given, kept", [
    ("1", "1"), ("01", "1"), ("1.0", "1"), ("1.50", "1.5"), (1, "1"), (1.0, "1"),
    (0.5, "0.5"), ("1e0", "1")])
def test_seconds_are_plain_text(server, given, kept):
    reply = ask(server, {"prompt": "x", "size": "32x32", "num_inference_steps": 1,
                         "fps": 2, "seconds": given})
    assert reply.status == 200, reply.body
    assert reply.json["seconds"] == kept == reply.json["settings"]["seconds"]


def test_a_number_is_one_however_it_is_written(server):
    video = ask(server, {**QUICK, "seed": 7.0, "num_inference_steps": 2.0, "n": 1.0,
                         "guidance_scale": -0.0}).json
    assert json.dumps(video["settings"]["seed"]) == "7"
    assert json.dumps(video["settings"]["num_inference_steps"]) == "2"
    assert json.dumps(video["settings"]["guidance_scale"]) == "0.0"


def test_what_python_calls_true(server):
    form = {**QUICK, "generate_sound": True, "enable_teacache": False}
    reply = server.post("/v1/videos", form)
    assert reply.status == 200 and reply.json["settings"]["generate_sound"] is True


@pytest.mark.parametrize("shell", ["extra_params", "extra_body", "extra_json",
                                   "video_params"])
def test_json_within_a_form(server, shell):
    small = {k: v for k, v in QUICK.items() if k != "seed"}
    reply = server.post("/v1/videos", {**small, shell: '{"seed": 4, "fps": 12}'})
    assert reply.status == 200, reply.body
    assert reply.json["settings"]["seed"] == 4 and reply.json["settings"]["fps"] == 12
    within = ask(server, {**small, shell: '{"extra_params": "{\\"seed\\": 5}"}'})
    assert within.json["settings"]["seed"] == 5
    assert ask(server, {**small, shell: {"seed": 6}}).json["settings"]["seed"] == 6
    twice = server.post("/v1/videos", {**QUICK, shell: '{"seed": 4}'})
    assert twice.status == 400 and twice.error["param"] == "seed"
    unknown = server.post("/v1/videos", {**QUICK, shell: '{"what": 4}'})
    assert unknown.status == 400 and unknown.error["param"] == "what"


@pytest.mark.parametrize("name", ["image_reference", "input_reference", "last_image"])
def test_a_picture_as_json_within_a_form(server, name):
    reply = server.post("/v1/videos", {**QUICK, name: json.dumps({"image_url": URI})})
    assert reply.status == 200, reply.body
    member = "last_picture" if name == "last_image" else "picture"
    assert reply.json["settings"][member] is True
    wrong = server.post("/v1/videos", {**QUICK, name: '{"image_url": "x"}'})
    assert wrong.status == 400 and wrong.error["param"] == name + "[image_url]"


def test_a_large_picture_in_base64(start):
    """The limit is the picture's, in whatever form it comes."""
    server = start("--max-upload", len(png()) + 10)
    assert server.post("/v1/videos", {**QUICK, "reference_url": URI}).status == 200
    assert ask(server, {**QUICK, "reference_url": URI}).status == 200


def base64_lines(ending, columns=76):
    text = base64.b64encode(png()).decode()
    return ending.join(text[i:i + columns] for i in range(0, len(text), columns)) + ending


@pytest.mark.parametrize("uri", [
    "data:image/png;base64," + base64_lines("\n"),
    "data:image/png;base64," + base64_lines("\r\n", 64),
    "data:image/png;base64,\n " + base64_lines(" "),
    " \n" + URI + "\n",
    URI.rstrip("="),
    "data:image/png;base64," + base64.urlsafe_b64encode(png()).decode(),
    "data:image/png;charset=utf-8;base64," + URI.split(",")[1],
    "data:image/png;name=a.png;BASE64," + URI.split(",")[1],
    "DATA:image/png; base64 ," + URI.split(",")[1],
    "data:;base64," + URI.split(",")[1],
    "data:image/png;base64," + URI.split(",")[1].replace("+", "%2B").replace("=", "%3d"),
], ids=["lines", "crlf", "blanks", "around", "no padding", "url-safe", "parameter",
        "upper case", "scheme", "no type", "percent"])
def test_base64_as_browsers_take_it(server, uri):
    """In JSON, and in a form where line breaks arrive as they are."""
    for reply in (ask(server, {**QUICK, "input_reference": {"image_url": uri}}),
                  server.post("/v1/videos", {**QUICK, "reference_url": uri})):
        assert reply.status == 200, reply.body
        assert reply.json["settings"]["picture"] is True
        server.request("DELETE", "/v1/videos/" + reply.json["id"])


@pytest.mark.parametrize("uri", [
    "data:image/png;base64," + "!" + URI.split(",")[1], URI + "A", URI + "====",
    "data:image/png," + URI.split(",")[1], "data:image/pngbase64," + URI.split(",")[1],
    "data:image/png;base64", "data:image/png;base64,%zz", "data:image/png;base64,",
], ids=["sign", "after padding", "padding", "plain", "no semicolon", "no comma", "percent",
        "empty"])
def test_what_is_no_base64(server, uri):
    reply = ask(server, {**QUICK, "reference_url": uri})
    assert reply.status == 400 and reply.error["param"] == "reference_url", reply.body


def test_lines_of_base64_do_not_count(start):
    """The limit is the picture's; line breaks and blanks are not part of it."""
    server = start("--max-upload", len(png()) + 10)
    for uri in (base64_lines("\r\n"), base64_lines("\r\n \t", 4)):
        uri = "data:image/png;base64," + uri
        reply = ask(server, {**QUICK, "reference_url": uri})
        assert reply.status == 200, reply.body
    reply = ask(server, {**QUICK, "reference_url": URI.replace(",", "," + "AAAA" * 3000)})
    assert reply.status == 400 and "at most" in reply.error["message"]


def test_blank_fields_of_a_form_are_not_given(server):
    """As a form of a page sends what nobody filled in."""
    blank = dict.fromkeys(
        ("negative_prompt", "seconds", "width", "height", "fps", "guidance_scale", "rng",
         "format", "generate_sound", "n", "model", "vae_tile", "input_reference",
         "input_reference[image_url]", "webhook_url", "lora", "extra_params",
         "extra_params[quality]", "user"), "")
    blank["guidance_scale_2"] = " \r\n"
    small = {k: v for k, v in QUICK.items() if k != "seed"}
    reply = server.post("/v1/videos", {**small, **blank, "seed": ""},
                        {"last_image": ("", b"")})
    assert reply.status == 200, reply.body
    plain = server.post("/v1/videos", {**small, "seed": reply.json["settings"]["seed"]})
    assert plain.json["settings"] == reply.json["settings"]
    again = server.post(f"/v1/videos/{plain.json['id']}/remix",
                        {"prompt": "Another.", "seed": "", "size": ""})
    assert again.status == 200, again.body
    for video in (reply, plain, again):
        server.request("DELETE", "/v1/videos/" + video.json["id"])
    reply = server.post("/v1/videos", {**QUICK, "prompt": "  "})
    assert reply.status == 400 and reply.error["param"] == "prompt"
    reply = server.post("/v1/videos", {**QUICK, "what": ""})
    assert reply.status == 400 and reply.error["param"] == "what"
    first, _ = multipart({"seed": ""}, boundary="b")
    second, kind = multipart({**small, "seed": 5}, boundary="b")
    reply = server.request("POST", "/v1/videos", first.removesuffix(b"--b--\r\n") + second,
                           {"Content-Type": kind})
    assert reply.status == 200 and reply.json["settings"]["seed"] == 5, reply.body


@pytest.mark.parametrize("prompt", ["é" * 30000, "\U0001f3ac" * 16000, "x" * 65536],
                         ids=["two bytes", "four bytes", "one byte"])
def test_the_longest_prompt_can_be_remixed(server, prompt):
    video = ask(server, {**QUICK, "prompt": prompt}).json["id"]
    path = f"/v1/videos/{video}/remix"
    reply = server.request("POST", path, {"prompt": prompt})    # as \u00e9
    assert reply.status == 200, reply.body
    body, kind = multipart({"prompt": prompt})
    reply = server.request("POST", path, body, {"Content-Type": kind})
    assert reply.status == 200, reply.body
    longer = server.request("POST", path, {"prompt": "x" * 65537})
    assert longer.status == 400 and longer.error["param"] == "prompt"
    for each in (video, reply.json["id"]):
        server.request("DELETE", "/v1/videos/" + each)


def test_scales_of_the_model(start, model, tmp_path):
    """Both guidance scales of the model are used and told, unless others are asked for."""
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    path = copy / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "guidance_scale": 3,
                                "guidance_scale_2": 1}))
    server = start("--rate", "0", "--model-path", copy)
    used = ask(server, QUICK).json["settings"]
    assert (used["guidance_scale"], used["guidance_scale_2"]) == (3, 1)
    used = ask(server, {**QUICK, "guidance_scale_2": 2}).json["settings"]
    assert (used["guidance_scale"], used["guidance_scale_2"]) == (3, 2)


def test_settings_have_what_is_used(start):
    """Also what the model decides; saying it gives the same film."""
    server = start("--rate", "0")
    video = ask(server, {**QUICK, "guidance_scale": 3}).json
    used = video["settings"]
    assert used["visual_shift"] > 0 and used["audio_shift"] > 0
    assert len(used["negative_prompt"]) > 20
    again = ask(server, used)
    assert again.status == 200, again.body
    assert again.json["settings"] == used
    for each in (video["id"], again.json["id"]):
        assert server.wait(each)["status"] == "completed"
    assert server.film(video["id"]) == server.film(again.json["id"])
    other = ask(server, {**used, "picture": True})
    assert other.error["param"] == "picture" and "input_reference" in other.error["message"]
    assert ask(server, {**used, "seconds": "9"}).error["param"] == "seconds"
    assert "negative_prompt" not in ask(server, {**QUICK, "guidance_scale": 1}).json[
        "settings"]
