# SPDX-License-Identifier: Apache-2.0
"""Pictures that come to the server: turned as cameras were held, bombs, and large ones of
one key while others ask."""
import base64
import itertools
import struct
import threading
import zlib

import pytest
from conftest import QUICK, SANITIZED, png
from picture_files import chunk


def with_chunks(picture, *chunks):
    """Further chunks right behind the header of a PNG."""
    return picture[:33] + b"".join(itertools.starmap(chunk, chunks)) + picture[33:]


def turned_left(width, height):
    """The gradient of conftest.png on its side, as a camera would store it, with a word
    on how to hold it."""
    shown = [[bytes((3 * x % 256, 2 * y % 256, x * y % 256)) for x in range(width)]
             for y in range(height)]
    stored = [[shown[y][x] for y in range(height)] for x in reversed(range(width))]
    rows = b"".join(b"\0" + b"".join(row) for row in stored)
    head = struct.pack(">IIBBBBB", height, width, 8, 2, 0, 0, 0)
    return with_chunks(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(
        b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""), (
            b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"))


def test_turned_pictures_make_the_film_of_upright_ones(server):
    """Uploads, data: URIs and remixes."""
    turned = turned_left(80, 64)
    uri = "data:image/png;base64," + base64.b64encode(turned).decode()
    made = [server.create({"input_reference": ("a.png", png())}, **QUICK),
            server.create({"input_reference": ("a.png", turned)}, **QUICK),
            server.create(input_reference=uri, **QUICK)]
    videos = [server.wait(v["id"], "completed") for v in made]
    again = server.post(f"/v1/videos/{videos[1]['id']}/remix", {
        "prompt": QUICK["prompt"], "seed": QUICK["seed"]}).json
    videos.append(server.wait(again["id"], "completed"))
    films = {server.film(v["id"]) for v in videos}
    assert len(films) == 1


def memory(server):
    """The most that the server ever held, in MB."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if "VmHWM" in line) // 1024


@pytest.mark.skipif(bool(SANITIZED), reason="a sanitizer's memory is counted, too")
def test_bombs_cost_no_memory(start):
    server = start()
    zeros = zlib.compress(bytes(200 << 20), 9)
    for name, body in ((b"iCCP", b"x\0\0"), (b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0")):
        before = memory(server)
        bomb = with_chunks(png(), *[(name, body + zeros)] * 5)
        made = server.create({"input_reference": ("a.png", bomb)}, **QUICK)
        server.wait(made["id"], "completed")    # it is decoded once more
        assert memory(server) - before < 120, name


def test_what_is_passed_over_in_a_picture_is_told(server):
    """A colour profile that is broken: the film is made, with a warning."""
    odd = with_chunks(png(), (b"iCCP", b"x\0\0nonsense"))
    video = server.create({"input_reference": ("a.png", odd)}, **QUICK)
    [warning] = [w for w in video["warnings"] if "profile" in w]
    assert warning == ("input_reference: its colour profile is broken; its colours are "
                       "taken as sRGB")
    again = server.post(f"/v1/videos/{video['id']}/remix", {"prompt": "x"}).json
    assert any("its colour profile is broken" in w for w in again["warnings"])
    plain = server.create({"input_reference": ("a.png", png())}, **QUICK)
    assert not [w for w in plain["warnings"] if "profile" in w]
    assert server.wait(video["id"], "completed")["warnings"] == video["warnings"]


def test_files_that_are_no_picture_are_named(server):
    for data, word in ((b"", "empty"), (b"GIF89a" + bytes(20), "a GIF"), (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"), (b"Hello.", "text")):
        reply = server.post("/v1/videos", QUICK, {"input_reference": ("a.jpg", data)})
        assert reply.status == 400 and reply.error["param"] == "input_reference"
        assert word in reply.error["message"] and "PNG, JPEG or WebP" in reply.error["message"]


def test_large_pictures_of_one_key_do_not_hold_up_another(start, tmp_path):
    """Twelve that take long to decode, and then a request of somebody else: it is answered
    before most of them."""
    keys = tmp_path / "keys"
    keys.write_text("one:key-of-the-first-one\ntwo:key-of-the-other-one\n")
    server = start("--api-key-file", keys, "--rate", "0", key="key-of-the-first-one")
    side, answered, lock = 5000, [], threading.Lock()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    large = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(
        b"IDAT", zlib.compress(bytes(side * (side + 1)), 1)) + chunk(b"IEND", b""))

    def ask():
        reply = server.post("/v1/videos", QUICK, {"input_reference": ("a.png", large)})
        with lock:
            answered.append(reply.status)
    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    while not answered:                         # they are at it
        threads[0].join(0.02)
    other = {"Authorization": "Bearer key-of-the-other-one"}
    for files in (None, {"input_reference": ("a.png", png())}):
        reply = server.post("/v1/videos", QUICK, files, headers=other)
        assert reply.status == 200, reply.json
    before = len(answered)
    for thread in threads:
        thread.join()
    assert set(answered) == {200} and len(answered) == 12
    assert before <= 8, before
