# SPDX-License-Identifier: Apache-2.0
"""A small chat model on loopback, for the tests of the program and of the server: it speaks
/v1/chat/completions, and misbehaves as the first part of the path says."""
import contextlib
import http.server
import json
import threading
import time

REWRITTEN = "A red ball falls onto a wooden floor, bounces twice and rolls away; dull thuds."
KEY = "sk-Rewrite-0123456789abcdef-secret"

# What each misbehaviour must be called, in one sentence.
SENTENCES = {
    "slow": "gives no answer within 1 s",
    "trickle": "gives no answer within 1 s",
    "refusal": "refuses to rewrite the prompt",
    "sorry": "refuses to rewrite the prompt",
    "nonsense": "answer is no JSON",
    "shape": "answer is no chat completion",
    "controls": "answer holds control characters",
    "empty": "answer is empty",
    "html": "answers with HTML instead of JSON",
    "redirect": "answers with a redirect, which is not followed",
    "large": "answer has more than 65536 bytes",
    "long": "answer has 9000 bytes, but a prompt must have 8192 at most",
    "tokens": "tokens, but 512 are read",
    "cut": "answer is cut short",
    "locked": "does not accept the API key (status 401)",
    "broken": "answers with status 500",
    "echo": "answer holds the API key",
    "nowhere": "cannot be reached",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, body, status=200, kind="application/json", headers=()):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def say(self, content, finish="stop", **message):
        self.reply(json.dumps({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": finish,
                         "message": {"role": "assistant", "content": content, **message}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mode = self.path.split("/")[1]
        chat = self.server.chat
        chat.seen.append((self.path, dict(self.headers), json.loads(body)))
        held = self.headers.get("Authorization", "")[len("Bearer "):]
        if not self.path.endswith("/v1/chat/completions"):
            self.reply("{}", 404)
        elif mode == "slow":
            chat.over.wait(20)
        elif mode == "wait":
            chat.over.wait(20)
            self.say(REWRITTEN)
        elif mode == "trickle":
            self.send_response(200)
            self.end_headers()
            while not chat.over.wait(0.2):
                self.wfile.write(b" ")
                self.wfile.flush()
        elif mode == "refusal":
            self.say(None, refusal="I can't help with that.")
        elif mode == "sorry":
            self.say("I'm sorry, but I can't help with that.")
        elif mode == "nonsense":
            self.reply(b"\x00\xff\xfe nonsense \x1b[31m" + held.encode())
        elif mode == "shape":
            self.reply(json.dumps({"choices": "many", "key": held}))
        elif mode == "controls":
            self.say("A ball\x1b[31m falls.")
        elif mode == "empty":
            self.say(" \n ")
        elif mode == "html":
            self.reply("<!doctype html><html><body>Welcome</body></html>", kind="text/html")
        elif mode == "redirect":
            self.reply("", 307, headers=[("Location", chat.elsewhere)])
        elif mode == "large":
            self.reply(b" " * (5 << 20))
        elif mode == "long":
            self.say("x" * 9000)
        elif mode == "tokens":
            self.say("A ball falls onto the floor. " * 200)
        elif mode == "cut":
            self.say("A red ball falls onto", finish="length")
        elif mode == "locked":
            good = held == KEY
            self.say(REWRITTEN) if good else self.reply(json.dumps(
                {"error": {"message": f"Incorrect API key provided: {held}",
                           "code": "invalid_api_key"}}), 401)
        elif mode == "broken":
            self.reply(json.dumps({"error": f"failed with {held}"}), 500)
        elif mode == "echo":
            self.say(f"A ball with {held} on it.")
        elif mode == "thoughts":
            self.say(f"<think>What is a ball?</think>\n\n\"{REWRITTEN[:30]}\n{REWRITTEN[31:]}\"")
        else:
            self.say(REWRITTEN)

    def log_message(self, *_):
        pass


class Chat:
    """seen: (path, headers, JSON) of each request; over: set when nobody need wait any more."""

    def __init__(self, server, elsewhere):
        self.seen, self.over, self.elsewhere = [], threading.Event(), elsewhere
        self.port = server.server_port
        server.chat = self

    def url(self, mode):
        if mode == "nowhere":
            return "http://127.0.0.1:1/v1"
        return f"http://127.0.0.1:{self.port}/{mode}/v1"

    def await_calls(self, count, seconds=20):
        end = time.monotonic() + seconds
        while len(self.seen) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.seen) >= count, self.seen


@contextlib.contextmanager
def serving():
    """A chat model, and another host (by its port) that nobody may be led to."""
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    for server in servers:
        server.daemon_threads = True
    other = Chat(servers[1], "")
    chat = Chat(servers[0], other.url("good") + "/chat/completions")
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield chat
    finally:
        chat.over.set()
        for server, thread in zip(servers, threads):
            server.shutdown()
            server.server_close()
            thread.join()
    assert other.seen == [], "a redirect was followed"
