# SPDX-License-Identifier: Apache-2.0
"""generate --rewrite-prompt: whatever the chat model does, there is a film and one sentence;
and its key is nowhere."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from chat_server import KEY, REWRITTEN, SENTENCES, serving
from conftest import BUILD, PROGRAM, ROOT


WORDS = "Ein roter Ball fällt."
needs_ffprobe = pytest.mark.skipif(not shutil.which("ffprobe"), reason="needs ffprobe")


@pytest.fixture(scope="module")
def chat():
    with serving() as model:
        yield model


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key.txt"
    path.write_text(KEY + "\n")
    return path


@pytest.fixture
def rewrite(film, chat, key_file, tmp_path):
    """A film whose prompt is rewritten by the chat model in that mode."""
    def make(mode, *flags, prompt=WORDS, output="f.mp4"):
        seconds = "1" if mode in ("slow", "trickle") else "30"
        return film(tmp_path / output, "--rewrite-prompt", chat.url(mode), "--rewrite-model",
                    "m", "--rewrite-key-file", key_file, "--rewrite-timeout", seconds, *flags,
                    prompt=prompt, image=False)
    return lambda mode, *flags, **more: make(mode, "--t2va", *flags, **more)


def comment_of(path):
    told = subprocess.run(["ffprobe", "-v", "error", "-show_format", "-of", "json", path],
                          capture_output=True, check=True)
    tags = json.loads(told.stdout)["format"]["tags"]
    return {**json.loads(tags["comment"]), "title": tags["title"]}


def without_key(folder, result):
    """The key is in nothing that was printed, and in no file but its own."""
    assert KEY not in result.out + result.err
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "key.txt":
            assert KEY.encode() not in path.read_bytes(), path


# --- good answers -------------------------------------------------------------------------


@needs_ffprobe
def test_a_good_answer(rewrite, chat, tmp_path):
    chat.seen.clear()
    result = rewrite("good")
    assert result.code == 0 and result.out == f"{tmp_path}/f.mp4\n"
    assert result.err == f"phonofilm: the film is made from: {REWRITTEN}\n"
    (path, headers, body), = chat.seen
    assert path == "/good/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert body["model"] == "m" and body["stream"] is False
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == WORDS
    comment = comment_of(tmp_path / "f.mp4")
    assert comment["prompt"] == WORDS and comment["rewritten_prompt"] == REWRITTEN
    assert comment["title"] == WORDS and "rewrite_error" not in comment
    without_key(tmp_path, result)


def test_the_system_text_is_the_documented_one(rewrite, chat):
    chat.seen.clear()
    assert rewrite("good").code == 0
    page = (ROOT / "docs" / "prompt-rewriting.md").read_text()
    text, = re.findall(r"^```text\n(.*?)^```$", page, re.S | re.M)
    assert chat.seen[0][2]["messages"][0]["content"] == text
    for word in ("seen", "moves", "heard", "<speech>", "<sfx>", "<music>", "<text>", "Prism",
                 "language of the user", "UNCHANGED"):
        assert word in text


def test_it_is_the_film_of_the_rewritten_prompt(rewrite, film, tmp_path):
    assert rewrite("good", "--save-latents", tmp_path / "a").code == 0
    assert film(tmp_path / "g.mp4", "--t2va", "--save-latents", tmp_path / "b",
                prompt=REWRITTEN, image=False).code == 0
    assert film(tmp_path / "h.mp4", "--t2va", "--save-latents", tmp_path / "c", prompt=WORDS,
                image=False).code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_thoughts_quotes_and_lines(rewrite):
    assert rewrite("thoughts").err == f"phonofilm: the film is made from: {REWRITTEN}\n"
    assert rewrite("thoughts", "--quiet").err == ""


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}/good", "http://127.0.0.1:{}/good/v1/",
                                  "http://localhost:{}/good/v1/chat/completions"])
def test_forms_of_the_address(film, chat, tmp_path, form):
    result = film(tmp_path / "f.mp4", "--t2va", "--rewrite-prompt", form.format(chat.port),
                  "--rewrite-model", "m", image=False)
    assert result.code == 0 and REWRITTEN in result.err
    assert "Authorization" not in chat.seen[-1][1]      # nobody gave a key


def test_the_key_of_the_environment(film, chat, tmp_path, monkeypatch):
    flags = ("--t2va", "--rewrite-prompt", chat.url("locked"), "--rewrite-model", "m")
    monkeypatch.setenv("PHONOFILM_REWRITE_KEY", KEY)
    result = film(tmp_path / "f.mp4", *flags, image=False)
    assert result.code == 0 and REWRITTEN in result.err and KEY not in result.err
    monkeypatch.setenv("PHONOFILM_REWRITE_KEY", "sk wrong")
    result = film(tmp_path / "g.mp4", *flags, image=False)
    assert result.code == 2 and "PHONOFILM_REWRITE_KEY" in result.err
    assert "sk wrong" not in result.err and not (tmp_path / "g.mp4").exists()
    monkeypatch.delenv("PHONOFILM_REWRITE_KEY")
    result = film(tmp_path / "h.mp4", *flags, image=False)
    assert result.code == 0 and "asks for an API key (status 401)" in result.err


# --- all others -----------------------------------------------------------------------------


@needs_ffprobe
@pytest.mark.parametrize("mode", SENTENCES)
def test_every_failure_ends_in_a_film_and_one_sentence(rewrite, key_file, tmp_path, mode):
    if mode == "locked":
        key_file.write_text(KEY + "-wrong\n")
    result = rewrite(mode, "--quiet")
    assert result.code == 0 and result.out == ""
    assert result.err.count("\n") == 1
    assert result.err.startswith("phonofilm: the film is made from your own words: ")
    assert SENTENCES[mode] in result.err, result.err
    assert "127.0.0.1" not in result.err and "\x1b" not in result.err
    comment = comment_of(tmp_path / "f.mp4")
    assert comment["prompt"] == WORDS and "rewritten_prompt" not in comment
    assert SENTENCES[mode] in comment["rewrite_error"]
    without_key(tmp_path, result)


def test_words_that_are_not_utf8(run, model, chat, tmp_path):
    result = run("generate", "-m", model, "--t2va", "-p", b"A ball \xff".decode(
        "utf-8", "surrogateescape"), "--num-frames", "1", "--height", "32", "--width", "32", "-s",
        "1", "-o", tmp_path / "f.mp4", "--rewrite-prompt", chat.url("good"), "--rewrite-model",
        "m")
    assert result.code in (0, 2) and "UTF-8" in result.err


# --- the list of processes, and Ctrl-C -----------------------------------------------------


def test_neither_ps_nor_ctrl_c(model, chat, key_file, tmp_path):
    chat.seen.clear()
    process = subprocess.Popen(
        [str(PROGRAM), "generate", "-m", str(model), "-p", WORDS, "--t2va", "--num-frames", "9",
         "--height", "32", "--width", "32", "-o", "f.mp4", "--rewrite-prompt", chat.url("slow"),
         "--rewrite-model", "m", "--rewrite-key-file", str(key_file)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    chat.await_calls(1)
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True).stdout
    assert "--rewrite-key-file" in listed and KEY not in listed
    assert KEY.encode() not in pathlib.Path(f"/proc/{process.pid}/environ").read_bytes()
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - begun < 5
    assert process.returncode == -signal.SIGINT and "cancelled" in err and out == ""
    assert not (tmp_path / "f.mp4").exists()


# --- other flags ------------------------------------------------------------------------------


def test_a_dry_run_and_a_wrong_request_ask_nobody(rewrite, chat, tmp_path):
    chat.seen.clear()
    assert rewrite("good", "--dry-run").code == 0
    assert rewrite("good", "--guidance-scale", "1", "--negative-prompt", "x").code == 2
    assert chat.seen == [] and not (tmp_path / "f.mp4").exists()


@pytest.mark.parametrize("flags, sentence", [
    (["--rewrite-model", "m"], "--rewrite-model has no effect without --rewrite-prompt"),
    (["--rewrite-key-file", "k"], "--rewrite-key-file has no effect without --rewrite-prompt"),
    (["--rewrite-timeout", "5"], "--rewrite-timeout has no effect without --rewrite-prompt"),
    (["--rewrite-prompt", "http://h"], "--rewrite-model is missing"),
    (["--rewrite-prompt", "h:80", "--rewrite-model", "m"], "--rewrite-prompt is"),
    (["--rewrite-prompt", "server", "--rewrite-model", "m"], "--rewrite-prompt is"),
    (["--rewrite-prompt", "ftp://h", "--rewrite-model", "m"], "--rewrite-prompt is"),
    (["--rewrite-prompt", f"http://x:{KEY}@h", "--rewrite-model", "m"], "a user's name"),
    (["--rewrite-prompt", "http://h", "--rewrite-model", "m", "--rewrite-timeout", "0"],
     "--rewrite-timeout is '0'"),
    (["--rewrite-prompt", "http://h", "--rewrite-model", "m", "--rewrite-key-file",
      "/nowhere/key"], "/nowhere/key"),
    (["--rewrite-prompt", "http://h", "--rewrite-model", "m", "--rewrite-key-file",
      "/dev/null"], "--rewrite-key-file is /dev/null"),
    (["--server", "http://127.0.0.1:1", "--rewrite-prompt", "http://h"],
     "beside --server it must be the word server"),
    (["--server", "http://127.0.0.1:1", "--rewrite-prompt", "server", "--rewrite-model", "m"],
     "--rewrite-model has no effect with --server"),
])
def test_refusals(run, model, tmp_path, flags, sentence):
    where = [] if "--server" in flags else ["-m", model]
    result = run("generate", *where, "-p", "x", "--t2va", "-o", tmp_path / "f.mp4", *flags)
    assert result.code == 2 and sentence in result.err, result.err
    assert result.err.count("\n") == 1 and KEY not in result.err


def test_latents_have_their_words(rewrite, film, chat, tmp_path):
    assert rewrite("good", "--save-latents", tmp_path / "latents").code == 0
    chat.seen.clear()
    result = rewrite("good", "--from-latents", tmp_path / "latents")
    assert result.code == 2 and chat.seen == []


def test_serve_refuses(run, model, tmp_path):
    for flags, sentence in (
            (["--rewrite-timeout", "5"], "--rewrite-timeout has no effect without"),
            (["--rewrite-prompt", "http://h"], "--rewrite-model is missing"),
            (["--rewrite-prompt", "server", "--rewrite-model", "m"], "--rewrite-prompt is")):
        result = run("serve", "-m", model, "--port", "0", "--output-dir", tmp_path / "o", *flags,
                     timeout=60)
        assert result.code == 2 and sentence in result.err, result.err


# --- a server of others ---------------------------------------------------------------------


LITELLM = shutil.which("litellm", path=f"{BUILD / 'venv' / 'bin'}:{os.environ['PATH']}")


@pytest.mark.skipif(not LITELLM, reason="litellm[proxy] of PyPI is not installed in build/venv")
def test_a_real_server(film, key_file, tmp_path):
    """LiteLLM's proxy, which many models are served through, with an answer of its own."""
    (tmp_path / "config.yaml").write_text(json.dumps({
        "model_list": [{"model_name": "writer", "litellm_params": {
            "model": "openai/none", "api_key": "none", "mock_response": REWRITTEN}}],
        "general_settings": {"master_key": KEY}}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flags = ("--t2va", "--rewrite-prompt", f"http://127.0.0.1:{port}", "--rewrite-model")
    with open(tmp_path / "litellm.log", "wb") as log, subprocess.Popen(
            [LITELLM, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port),
             "--telemetry", "False"], cwd=tmp_path, stdout=log, stderr=log,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}) as proxy:
        try:
            wait_for_port(port, proxy)
            good = film(tmp_path / "f.mp4", *flags, "writer", "--rewrite-key-file", key_file,
                        image=False)
            keyless = film(tmp_path / "g.mp4", *flags, "writer", image=False)
            other = film(tmp_path / "h.mp4", *flags, "reader", "--rewrite-key-file", key_file,
                         image=False)
        finally:
            proxy.terminate()
    assert good.code == 0 and good.err == f"phonofilm: the film is made from: {REWRITTEN}\n"
    for refused in (keyless, other):    # with which status is LiteLLM's to choose
        assert refused.code == 0 and refused.err.count("\n") == 1
        assert "from your own words: the chat model " in refused.err, refused.err


def wait_for_port(port, process, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("litellm does not listen")
