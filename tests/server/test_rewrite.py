# SPDX-License-Identifier: Apache-2.0
"""serve --rewrite-prompt: a chat model rewrites prompts before films are accepted; whatever it
does, there is a film and one sentence, and its key is nowhere."""
import http.client
import json
import re
import signal
import subprocess
import threading
import time

import pytest
from chat_server import KEY, REWRITTEN, SENTENCES, serving
from conftest import QUICK, SLOW, png

WORDS = "Ein roter Ball fällt."


@pytest.fixture(scope="module")
def chat():
    with serving() as model:
        yield model


@pytest.fixture
def rewriting(start, chat, tmp_path):
    """Starts a server whose chat model is in that mode."""
    def begin(mode, *flags, key=KEY, seconds=30, **more):
        path = tmp_path / "key.txt"
        path.write_text(key + "\n")
        chat.seen.clear()
        return start("--rate", "0", "--rewrite-prompt", chat.url(mode), "--rewrite-model", "m",
                     "--rewrite-key-file", path, "--rewrite-timeout", seconds, *flags, **more)
    return begin


def without_key(server, *texts):
    """The key is in no answer, no log and no file of the data folder."""
    for text in texts:
        assert KEY not in text
    assert KEY not in server.log.read_text()
    for path in server.folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def counted(server):
    page = server.get("/metrics").body.decode()
    return tuple(int(re.search(rf'rewrites_total{{outcome="{name}"}} (\d+)', page).group(1))
                 for name in ("rewritten", "failed"))


def comment_of(server, video_id):
    """The film's comment, which stands in the file as it is."""
    film = server.film(video_id).decode("latin-1")
    return json.loads(re.search(r'\{"[^\0]*?"width":\d+\}', film).group(0)
                      .encode("latin-1").decode())


# --- good answers -------------------------------------------------------------------------


@pytest.mark.parametrize("form", [True, False])
def test_a_good_answer(rewriting, chat, form):
    server = rewriting("good")
    ask = server.post if form else lambda path, fields: server.request("POST", path, fields)
    reply = ask("/v1/videos", {**QUICK, "prompt": WORDS, "rewrite": "true" if form else True})
    assert reply.status == 200, reply.body
    video = reply.json
    assert video["prompt"] == WORDS and video["rewritten_prompt"] == REWRITTEN
    assert video["rewrite_error"] is None and "rewrite" not in video["settings"]
    done = server.wait(video["id"])
    assert done["status"] == "completed" and done["rewritten_prompt"] == REWRITTEN
    (_, headers, body), = chat.seen
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body["messages"][1]["content"] == WORDS
    assert counted(server) == (1, 0)
    comment = comment_of(server, video["id"])
    assert comment["prompt"] == WORDS and comment["rewritten_prompt"] == REWRITTEN
    without_key(server, json.dumps(done), server.film(video["id"]).decode("latin-1"))
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True).stdout
    assert "--rewrite-key-file" in listed and KEY not in listed


def test_settings_can_be_sent_again(rewriting, chat):
    server = rewriting("good")
    first = server.create(prompt=WORDS, rewrite="true")
    settings = first["settings"]
    assert settings["rewritten_prompt"] == REWRITTEN
    reply = server.request("POST", "/v1/videos", settings)
    assert reply.status == 200, reply.body
    again = reply.json
    assert again["prompt"] == WORDS and again["rewritten_prompt"] == REWRITTEN
    plain = server.create(prompt=WORDS)
    assert plain["rewritten_prompt"] is None and plain["rewrite_error"] is None
    assert len(chat.seen) == 1
    for video in (first, again, plain):
        server.wait(video["id"])
    assert server.film(first["id"]) == server.film(again["id"])
    assert server.film(first["id"]) != server.film(plain["id"])
    assert first["settings"]["seed"] == plain["settings"]["seed"]


def test_remixes(rewriting, chat):
    server = rewriting("good")
    video = server.create(prompt=WORDS, rewrite="true")
    path = f"/v1/videos/{video['id']}/remix"

    def remix(**fields):
        reply = server.request("POST", path, fields)
        assert reply.status == 200, reply.body
        return reply.json
    assert remix(prompt=WORDS, seed=5)["rewritten_prompt"] == REWRITTEN
    assert remix(prompt="Another.")["rewritten_prompt"] is None
    assert remix(prompt="Another.", rewritten_prompt="More.")["rewritten_prompt"] == "More."
    assert len(chat.seen) == 1
    assert remix(prompt="Another.", rewrite=True)["rewritten_prompt"] == REWRITTEN
    assert len(chat.seen) == 2
    reply = server.request("POST", path, {"prompt": "x", "size": "48x32"})
    assert reply.status == 400 and "rewritten_prompt" in reply.error["message"]


def test_pictures_come_first(rewriting, chat):
    """A film that is refused costs no call; one that is not has its picture."""
    server = rewriting("good")
    wrong = server.post("/v1/videos", {**QUICK, "rewrite": "true"},
                        {"input_reference": ("a.png", b"no picture")})
    assert wrong.status == 400
    wrong = server.post("/v1/videos", {**QUICK, "rewrite": "true", "size": "7x7"})
    assert wrong.status == 400 and chat.seen == []
    video = server.create({"input_reference": ("a.png", png())}, rewrite="true")
    assert video["settings"]["picture"] is True and video["rewritten_prompt"] == REWRITTEN
    assert server.wait(video["id"])["status"] == "completed"


# --- all others -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", SENTENCES)
def test_every_failure_ends_in_a_film_and_one_sentence(rewriting, mode):
    late = mode in ("slow", "trickle")
    server = rewriting(mode, seconds=1 if late else 30,
                       key=KEY + "-wrong" if mode == "locked" else KEY)
    video = server.create(prompt=WORDS, rewrite="true")
    assert video["prompt"] == WORDS and video["rewritten_prompt"] is None
    assert SENTENCES[mode] in video["rewrite_error"], video
    assert "127.0.0.1" not in video["rewrite_error"]
    assert "rewrite_error" not in video["settings"]
    assert server.wait(video["id"])["status"] == "completed"
    assert counted(server) == (0, 1)
    lines = [line for line in server.log.read_text().splitlines() if "not rewritten" in line]
    assert len(lines) == 1 and SENTENCES[mode] in lines[0]
    comment = comment_of(server, video["id"])
    assert comment["prompt"] == WORDS and SENTENCES[mode] in comment["rewrite_error"]
    without_key(server, json.dumps(server.video(video["id"])))


@pytest.mark.parametrize("fields, wrong, sentence", [
    ({"rewrite": "true"}, "rewrite", "has no chat model"),
    ({"rewrite": "perhaps"}, "rewrite", "rewrite is 'perhaps'"),
    ({"rewrite": "true", "rewritten_prompt": "More."}, "rewrite", "beside rewritten_prompt"),
    ({"rewritten_prompt": "   "}, None, None),
])
def test_refusals_without_a_chat_model(server, fields, wrong, sentence):
    reply = server.post("/v1/videos", {**QUICK, **fields})
    assert reply.status == (400 if wrong else 200), reply.body
    if wrong:
        assert reply.error["param"] == wrong and sentence in reply.error["message"]


def test_without_a_chat_model(server):
    assert server.get("/v1/models").json["data"][0]["rewrites_prompts"] is False
    assert server.post("/v1/videos", {**QUICK, "rewrite": "false"}).status == 200
    video = server.create(rewritten_prompt="A blue ball.")
    assert video["rewritten_prompt"] == "A blue ball." and video["prompt"] == QUICK["prompt"]
    assert counted(server) == (0, 0)


# --- waiting, kills, leaving -------------------------------------------------------------------


def create_in_background(server, **fields):
    replies = []
    thread = threading.Thread(target=lambda: replies.append(
        server.post("/v1/videos", {**QUICK, "rewrite": "true", **fields})))
    thread.start()
    return thread, replies


def test_others_go_on_meanwhile(rewriting, chat):
    chat.over.clear()
    server = rewriting("wait")
    assert server.get("/v1/models").json["data"][0]["rewrites_prompts"] is True
    waiting = [create_in_background(server) for _ in range(10)]
    chat.await_calls(8)
    begun = time.monotonic()
    video = server.create()
    assert server.wait(video["id"])["status"] == "completed"
    assert server.get("/health").status == 200 and time.monotonic() - begun < 15
    assert len(chat.seen) == 8          # eight at a time
    chat.over.set()
    for thread, replies in waiting:
        thread.join()
        assert replies[0].status == 200 and replies[0].json["rewritten_prompt"] == REWRITTEN
    chat.over.clear()


def test_a_kill_after_the_acceptance_asks_nobody_again(rewriting, chat):
    server = rewriting("good")
    video = server.create(**{**SLOW, "prompt": WORDS, "rewrite": "true"})
    server.wait_for_progress(video["id"], 5)
    server.restart(signal.SIGKILL)
    again = server.video(video["id"])
    assert again["rewritten_prompt"] == REWRITTEN and again["prompt"] == WORDS
    done = server.wait(video["id"], seconds=300)
    assert done["status"] == "completed" and len(chat.seen) == 1
    same = server.create(**{**SLOW, "prompt": REWRITTEN})
    server.wait(same["id"], seconds=300)
    film, other = server.film(video["id"]), server.film(same["id"])
    frames = slice(film.index(b"mdat"), film.index(b"mdat") + 2000)
    assert film[frames] == other[other.index(b"mdat"):][:2000]


def test_a_kill_before_it_leaves_nothing(rewriting, chat):
    """Nobody was told of a film; the same Idempotency-Key makes it, once."""
    chat.over.clear()
    server = rewriting("wait")
    headers = {"Idempotency-Key": "k1"}

    def ask():
        try:
            server.post("/v1/videos", {**QUICK, "rewrite": "true"}, headers=headers)
        except (http.client.HTTPException, OSError):
            pass
    thread = threading.Thread(target=ask)
    thread.start()
    chat.await_calls(1)
    server.restart(signal.SIGKILL)
    thread.join()
    assert server.get("/v1/videos").json["data"] == []
    chat.over.set()
    first = server.create(rewrite="true", headers=headers)
    second = server.create(rewrite="true", headers=headers)
    assert first["id"] == second["id"] and first["rewritten_prompt"] == REWRITTEN
    assert len(chat.seen) == 2
    chat.over.clear()


def test_a_client_that_leaves_ends_it(rewriting, chat):
    chat.over.clear()
    server = rewriting("wait")
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/v1/videos", json.dumps({**QUICK, "rewrite": True}),
                       {"Content-Type": "application/json"})
    chat.await_calls(1)
    connection.close()
    time.sleep(3)                       # libcurl looks once a second
    chat.over.set()
    video = server.create()
    assert server.wait(video["id"])["status"] == "completed"
    assert [v["id"] for v in server.get("/v1/videos").json["data"]] == [video["id"]]
    assert counted(server) == (0, 0)
    chat.over.clear()


def test_a_silent_chat_model_does_not_hold_up_the_end(rewriting, chat):
    chat.over.clear()
    server = rewriting("wait", seconds=600)
    thread, replies = create_in_background(server)
    chat.await_calls(1)
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 15
    thread.join()
    assert replies[0].status == 503 and replies[0].error["code"] == "closing"


# --- generate --server ----------------------------------------------------------------------


def test_by_the_program(rewriting, chat, tmp_path):
    server = rewriting("good")
    command = [server.command[0], "generate", "--server", f"http://127.0.0.1:{server.port}",
               "-p", WORDS, "--t2va", "--num-frames", "9", "--width", "48", "--height", "32",
               "-s", "2", "-o", str(tmp_path / "f.mp4"), "--rewrite-prompt", "server"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"phonofilm: the film is made from: {REWRITTEN}\n" in done.stderr
    assert len(chat.seen) == 1 and (tmp_path / "f.mp4").stat().st_size > 1000
    without_key(server, done.stdout + done.stderr)


def test_as_described(rewriting):
    server = rewriting("good")
    document = server.get("/openapi.json").json
    video = server.create(rewrite="true")
    schema = document["components"]["schemas"]["Video"]
    assert set(schema["required"]) <= set(video) <= set(schema["properties"])
    for name in ("Film", "FilmForm", "FilmExtras", "Remix", "RemixForm"):
        properties = document["components"]["schemas"][name]["properties"]
        assert {"rewrite", "rewritten_prompt"} <= set(properties), name
