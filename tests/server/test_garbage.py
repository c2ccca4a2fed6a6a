# SPDX-License-Identifier: Apache-2.0
"""Requests that are broken in a thousand seeded ways: an answer, or a closed
connection; never a server that is gone."""
import random
import re

from conftest import QUICK, multipart, png

PIECES = [b"\r\n", b"\n", b"\0", b"%00", b"%", b"%zz", b"../", b"?", b"&", b"=", b"#",
          b"\xff", b" ", b"\t", b"Host: x\r\n", b"Content-Length: 0\r\n",
          b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n",
          b"ffffffffffffffff\r\n", b"bytes=0-,", b"limit=99999999999999999999&",
          b"after=video_&", b"Expect: 100-continue\r\n", b"A" * 5000]


def seeds(video):
    body, kind = multipart(QUICK, {"input_reference": ("a.png", png(20, 20))})
    film = f"/v1/videos/{video}/content".encode()
    head = b" HTTP/1.1\r\nHost: localhost\r\n"
    return [
        b"GET /v1/videos?limit=3&order=asc&after=video_00 HTTP/1.1\r\nHost: localhost"
        b"\r\n\r\n",
        b"GET " + film + b"?variant=thumbnail" + head + b"Range: bytes=0-9\r\n\r\n",
        b"HEAD " + film + head + b"Range: bytes=-5\r\n\r\n",
        b"GET /v1/videos/" + video.encode() + b"/events" + head + b"\r\n",
        b"POST /v1/videos" + head + b"Content-Type: " + kind.encode()
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        b"POST /v1/videos" + head + b"Content-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n10\r\n{\"prompt\": \"x\",  \r\n"
        b"1\r\n}\r\n0\r\n\r\n",
        b"POST /session" + head + b"Cookie: phonofilm_session=a.b; x\r\n"
        b"Content-Length: 11\r\n\r\n{\"key\":\"k\"}",
        b"DELETE /v1/videos/video_0123" + head + b"Origin: http://localhost\r\n\r\n",
    ]


def mutate(chance, data):
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        what = chance.randrange(4)
        if what == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif what == 1:
            data[at:at] = chance.choice(PIECES)
        elif what == 2:
            del data[at:at + chance.randint(1, 30)]
        else:
            data[at:at] = data[:chance.randint(0, 60)]
    return bytes(data)


def test_garbage(start):
    server = start("--header-timeout", "1", "--rate", "0", "--max-queue", "1000")
    video = server.create(num_frames=1, num_inference_steps=1)["id"]
    server.wait(video)
    chance = random.Random(11)
    texts = seeds(video)
    answers = 0
    for _ in range(200):
        out = server.raw(mutate(chance, chance.choice(texts)), 0.15)
        if out:
            assert re.match(rb"HTTP/1\.[01] \d{3} ", out), out[:80]
            assert not out.startswith(b"HTTP/1.1 500"), out
            answers += 1
    assert answers > 50
    assert server.process.poll() is None
    assert server.get("/health").status == 200
    assert server.get("/v1/videos/" + video).status in (200, 404)
    assert server.stop() == 0
