# SPDX-License-Identifier: Apache-2.0
"""Requests byte by byte: what is legal is read as it is meant, whatever two readers could
understand differently is refused, once, with the connection closed; and each answer has
the form of all others."""
import json
import re
import socket

import pytest

HOST = b"Host: localhost\r\n"
END = b"Connection: close\r\n\r\n"
KEY = b'{"key":"abc"}'                  # 401 says that this has come, whole and alone
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def get(target=b"/health", version=b"HTTP/1.1", headers=HOST):
    return b"GET " + target + b" " + version + b"\r\n" + headers + END


def post(headers, body=KEY):
    return b"POST /session HTTP/1.1\r\n" + HOST + headers + END + body


def sized(value, body=KEY):
    return post(b"Content-Length:" + value + b"\r\n", body)


def chunked(body, coding=b"chunked"):
    return post(b"Transfer-Encoding: " + coding + b"\r\n", body)


def chunk(data, extension=b""):
    return b"%x" % len(data) + extension + b"\r\n" + data + b"\r\n"


LAST = b"0\r\n\r\n"

LEGAL = {
    "plain": (get(), 200),
    "the page": (get(b"/"), 200),
    "a query": (get(b"/health?a=1&b&&=c"), 200),
    "an empty query": (get(b"/health?"), 200),
    "a target with escapes": (get(b"/he%61lth"), 200),
    "most parameters": (get(b"/health?" + b"a&" * 64), 200),
    "a long target": (get(b"/health?" + b"a" * 8000), 200),
    "many headers": (get(headers=HOST + b"X: y\r\n" * 90), 200),
    "a long header": (get(headers=HOST + b"X: " + b"y" * 20000 + b"\r\n"), 200),
    "an empty value": (get(headers=HOST + b"X:\r\n"), 200),
    "no blank after the colon": (get(headers=b"Host:localhost\r\n"), 200),
    "blanks after a value": (get(headers=b"Host: localhost  \r\n"), 200),
    "tabs around a value": (get(headers=b"Host:\tlocalhost\t \r\n"), 200),
    "a tab in a value": (get(headers=HOST + b"X: a\tb\r\n"), 200),
    "bytes beyond ASCII in a value": (get(headers=HOST + b"X: \xc3\xa4\xff\r\n"), 200),
    "an unusual name": (get(headers=HOST + b"!#$%&'*+-.^_`|~0aZ: x\r\n"), 200),
    "names in capitals": (get(headers=b"HOST: localhost\r\n"), 200),
    "a host with a port": (get(headers=b"Host: localhost:8000\r\n"), 200),
    "a host with no port": (get(headers=b"Host: localhost:\r\n"), 200),
    "a host in capitals": (get(headers=b"Host: LOCALHOST\r\n"), 200),
    "an address": (get(headers=b"Host: 127.0.0.1\r\n"), 200),
    "an address of IPv6": (get(headers=b"Host: [::1]:80\r\n"), 200),
    "an absolute target": (get(b"http://localhost/health"), 200),
    "an absolute target in capitals": (get(b"HTTP://LocalHost:80/health?a"), 200),
    "an absolute target without a path": (get(b"http://localhost"), 200),
    "HTTP/1.0": (get(version=b"HTTP/1.0"), 200),
    "a later HTTP/1": (get(version=b"HTTP/1.9"), 200),
    "an empty line before": (b"\r\n" + get(), 200),
    "two empty lines before": (b"\r\n\r\n" + get(), 200),
    "OPTIONS of all": (b"OPTIONS * HTTP/1.1\r\n" + HOST + END, 204),
    "an unknown method": (b"BREW / HTTP/1.1\r\n" + HOST + END, 405),
    "an empty body": (get(headers=HOST + b"Content-Length: 0\r\n"), 200),
    "a body of GET": (get(headers=HOST + b"Content-Length: 3\r\n") + b"abc", 200),
    "a length": (sized(b"%d" % len(KEY)), 401),
    "a length between blanks": (sized(b" \t%d \t " % len(KEY)), 401),
    "a length with zeros": (sized(b"000%d" % len(KEY)), 401),
    "one chunk": (chunked(chunk(KEY) + LAST), 401),
    "Chunked": (chunked(chunk(KEY) + LAST, b"Chunked"), 401),
    "chunked and a blank": (chunked(chunk(KEY) + LAST, b"chunked "), 401),
    "chunks of one byte": (chunked(b"".join(chunk(KEY[i:i + 1]) for i in range(len(KEY)))
                                   + LAST), 401),
    "a size in capitals": (chunked(b"D\r\n" + KEY + b"\r\n" + LAST), 401),
    "a size with zeros": (chunked(b"00d\r\n" + KEY + b"\r\n000\r\n\r\n"), 401),
    "extensions": (chunked(chunk(KEY, b';a;b=c;d="e f"') + b"0;z\r\n\r\n"), 401),
    "trailers": (chunked(chunk(KEY) + b"0\r\nX: y\r\nContent-Length: 5\r\n\r\n"), 401),
    "a slash too many": (get(b"//health"), 404),
    "an escaped slash": (get(b"/v1%2fmodels"), 404),
    "dots": (get(b"/v1/../health"), 404),
    "an escaped NUL": (get(b"/health%00"), 404),
    "a blank escape": (get(b"/health%20"), 404),
    "a half escape": (get(b"/health%4"), 404),
}

REFUSED = {
    # The request line.
    "HTTP/0.9": (b"GET /health\r\n\r\n", 400),
    "no method": (b" /health HTTP/1.1\r\n" + HOST + END, 400),
    "a method of other characters": (b"GE(T /health HTTP/1.1\r\n" + HOST + END, 400),
    "two blanks": (b"GET  /health HTTP/1.1\r\n" + HOST + END, 400),
    "a tab": (b"GET\t/health HTTP/1.1\r\n" + HOST + END, 400),
    "a blank at the end": (get(version=b"HTTP/1.1 "), 400),
    "a blank in the target": (get(b"/hea lth"), 400),
    "no version": (get(version=b""), 400),
    "http/1.1": (get(version=b"http/1.1"), 400),
    "HTTP/1": (get(version=b"HTTP/1"), 400),
    "HTTP/1.10": (get(version=b"HTTP/1.10"), 400),
    "HTTP/01.1": (get(version=b"HTTP/01.1"), 400),
    "HTTP/2.0": (get(version=b"HTTP/2.0"), 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 60, 400),
    "three empty lines before": (b"\r\n\r\n\r\n" + get(), 400),
    "an LF before": (b"\n" + get(), 400),
    # Targets.
    "no slash": (get(b"health"), 400),
    "a fragment": (get(b"/health#x"), 400),
    "a NUL in the target": (get(b"/health\0"), 400),
    "a control character in the target": (get(b"/health\x0b"), 400),
    "DEL in the target": (get(b"/health\x7f"), 400),
    "bytes beyond ASCII in the target": (get(b"/h\xc3\xa4lth"), 400),
    "a backslash": (get(b"/v1\\models"), 400),
    "* of GET": (get(b"*"), 400),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + END, 400),
    "another scheme": (get(b"ftp://localhost/health"), 400),
    "an absolute target of another host": (get(b"http://evil/health"), 400),
    "an absolute target with a user": (get(b"http://a@localhost/health"), 400),
    "too many parameters": (get(b"/v1/videos?" + b"a&" * 400), 400),
    "too long a target": (get(b"/" + b"a" * 9000), 414),
    "far too long a target": (get(b"/" + b"a" * 100000), 414),
    # Ends of lines.
    "LF alone": (get().replace(b"\r\n", b"\n"), 400),
    "LF after the request line": (get().replace(b"\r\n", b"\n", 1), 400),
    "LF at the end": (get()[:-2] + b"\n", 400),
    "CR alone": (b"GET /health HTTP/1.1\rHost: localhost\r\n" + END, 400),
    "CR in a value": (get(headers=HOST + b"X: a\rb\r\n"), 400),
    "CR CR LF": (get(headers=HOST + b"X: a\r\r\n"), 400),
    # Headers.
    "a folded header": (get(headers=HOST + b"X: a\r\n b\r\n"), 400),
    "a header folded by a tab": (get(headers=HOST + b"X: a\r\n\tb\r\n"), 400),
    "a blank first line": (get(headers=b" X: a\r\n" + HOST), 400),
    "a folded length": (sized(b"\r\n 13"), 400),
    "a length folded in the middle": (sized(b" 1\r\n 3"), 400),
    "a folded coding": (chunked(chunk(KEY) + LAST, b"\r\n chunked"), 400),
    "a blank before the colon": (get(headers=HOST + b"X : a\r\n"), 400),
    "a blank before the colon of a length": (post(b"Content-Length : 13\r\n"), 400),
    "a tab before the colon of a coding": (
        post(b"Transfer-Encoding\t: chunked\r\n", chunk(KEY) + LAST), 400),
    "no name": (get(headers=HOST + b": a\r\n"), 400),
    "no colon": (get(headers=HOST + b"X\r\n"), 400),
    "a name of other characters": (get(headers=HOST + b"X(Y): a\r\n"), 400),
    "a name beyond ASCII": (get(headers=HOST + b"X\xff: a\r\n"), 400),
    "a NUL in a value": (get(headers=HOST + b"X: a\0b\r\n"), 400),
    "a NUL in a name": (get(headers=HOST + b"X\0Y: a\r\n"), 400),
    "a control character in a value": (get(headers=HOST + b"X: a\x01b\r\n"), 400),
    "DEL in a value": (get(headers=HOST + b"X: a\x7fb\r\n"), 400),
    "a NUL in a length": (sized(b" 13\0"), 400),
    "too many headers": (get(headers=HOST + b"X: y\r\n" * 101), 431),
    "too long a header": (get(headers=HOST + b"X: " + b"y" * 40000 + b"\r\n"), 431),
    "two keys": (get(headers=HOST + b"Authorization: Bearer a\r\n" * 2), 400),
    "two types": (sized(b"13\r\nContent-Type: a/b\r\nContent-Type: c/d"), 400),
    "two origins": (get(headers=HOST + b"Origin: http://a\r\nOrigin: http://b\r\n"), 400),
    # Host.
    "no host": (get(headers=b""), 400),
    "no host of HTTP/1.0": (get(version=b"HTTP/1.0", headers=b""), 400),
    "two hosts": (get(headers=HOST + HOST), 400),
    "two other hosts": (get(headers=HOST + b"Host: evil\r\n"), 400),
    "an empty host": (get(headers=b"Host:\r\n"), 400),
    "a blank host": (get(headers=b"Host:  \t\r\n"), 400),
    "a host with a user": (get(headers=b"Host: a@localhost\r\n"), 400),
    "a host with a user and a port": (get(headers=b"Host: localhost:80@evil\r\n"), 400),
    "a host with a path": (get(headers=b"Host: localhost/x\r\n"), 400),
    "a host with a scheme": (get(headers=b"Host: http://localhost\r\n"), 400),
    "a blank in the host": (get(headers=b"Host: local host\r\n"), 400),
    "hosts with a comma": (get(headers=b"Host: localhost,evil\r\n"), 400),
    "a port of letters": (get(headers=b"Host: localhost:http\r\n"), 400),
    "too large a port": (get(headers=b"Host: localhost:65536\r\n"), 400),
    "two ports": (get(headers=b"Host: localhost:80:80\r\n"), 400),
    "a port below 0": (get(headers=b"Host: localhost:-1\r\n"), 400),
    "a port alone": (get(headers=b"Host: :80\r\n"), 400),
    "an open bracket": (get(headers=b"Host: [::1\r\n"), 400),
    "an address and more": (get(headers=b"Host: [::1]evil\r\n"), 400),
    "an escaped host": (get(headers=b"Host: localhos%74\r\n"), 400),
    # Lengths.
    "+13": (sized(b"+13"), 400),
    "-13": (sized(b"-13"), 400),
    "0x0d": (sized(b"0x0d"), 400),
    "13.0": (sized(b"13.0"), 400),
    "1 3": (sized(b"1 3"), 400),
    "13,13": (sized(b"13,13"), 400),
    "13, 13": (sized(b"13, 13"), 400),
    "13;": (sized(b"13;"), 400),
    "letters": (sized(b"d"), 400),
    "no length": (sized(b""), 400),
    "a length beyond ASCII": (sized("\u0661\u0663".encode()), 400),
    "two lengths": (sized(b"13\r\nContent-Length: 13"), 400),
    "two other lengths": (sized(b"13\r\nContent-Length: 5"), 400),
    "too large a length": (sized(b"99999999"), 413),
    "a length beyond 64 bits": (sized(b"18446744073709551629"), 413),
    "a length of 400 digits": (sized(b"9" * 400), 413),
    # Codings.
    "a length and chunks": (post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                                 chunk(KEY) + LAST), 400),
    "chunks and a length": (post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                                 chunk(KEY) + LAST), 400),
    "two codings": (chunked(chunk(KEY) + LAST, b"chunked\r\nTransfer-Encoding: chunked"),
                    400),
    "chunked, identity": (chunked(chunk(KEY) + LAST, b"chunked, identity"), 400),
    "identity, chunked": (chunked(chunk(KEY) + LAST, b"identity, chunked"), 400),
    "chunked twice": (chunked(chunk(KEY) + LAST, b"chunked, chunked"), 400),
    "gzip, chunked": (chunked(chunk(KEY) + LAST, b"gzip, chunked"), 400),
    "xchunked": (chunked(chunk(KEY) + LAST, b"xchunked"), 400),
    "chunked;q=1": (chunked(chunk(KEY) + LAST, b"chunked;q=1"), 400),
    "quoted": (chunked(chunk(KEY) + LAST, b'"chunked"'), 400),
    "an empty coding": (chunked(chunk(KEY) + LAST, b""), 400),
    "identity": (chunked(KEY, b"identity"), 400),
    "a vertical tab": (chunked(chunk(KEY) + LAST, b"\x0bchunked"), 400),
    "chunks of HTTP/1.0": (
        b"POST /session HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n" + END
        + chunk(KEY) + LAST, 400),
    # Chunks.
    "no size": (chunked(b"\r\n" + KEY + b"\r\n" + LAST), 400),
    "a size of letters": (chunked(b"xd\r\n" + KEY + b"\r\n" + LAST), 400),
    "a size of 0x": (chunked(b"0xd\r\n" + KEY + b"\r\n" + LAST), 400),
    "a size of +": (chunked(b"+d\r\n" + KEY + b"\r\n" + LAST), 400),
    "a size below 0": (chunked(b"-d\r\n" + KEY + b"\r\n" + LAST), 400),
    "a blank before the size": (chunked(b" d\r\n" + KEY + b"\r\n" + LAST), 400),
    "a blank after the size": (chunked(b"d \r\n" + KEY + b"\r\n" + LAST), 400),
    "a size beyond 64 bits": (chunked(b"1000000000000000d\r\n" + KEY + b"\r\n" + LAST), 400),
    "LF after the size": (chunked(b"d\n" + KEY + b"\r\n" + LAST), 400),
    "CR after the size": (chunked(b"d\r" + KEY + b"\r\n" + LAST), 400),
    "LF after the data": (chunked(b"d\r\n" + KEY + b"\n" + LAST), 400),
    "too small a size": (chunked(b"c\r\n" + KEY + b"\r\n" + LAST), 400),
    "too large a size": (chunked(b"e\r\n" + KEY + b"\r\n" + LAST), 400),
    "LF in an extension": (chunked(chunk(KEY, b";a\nb") + LAST), 400),
    "a NUL in an extension": (chunked(chunk(KEY, b";a\0b") + LAST), 400),
    "endless extensions": (chunked(chunk(KEY, b";" + b"a" * 9000) + LAST), 400),
    "a folded trailer": (chunked(chunk(KEY) + b"0\r\nX: y\r\n z\r\n\r\n"), 400),
    "a trailer without a colon": (chunked(chunk(KEY) + b"0\r\nX\r\n\r\n"), 400),
    "LF after the trailers": (chunked(chunk(KEY) + b"0\r\n\n"), 400),
    "endless trailers": (chunked(chunk(KEY) + b"0\r\n" + b"X: y\r\n" * 3000 + b"\r\n"), 400),
    # Wishes.
    "another expectation": (sized(b"13\r\nExpect: a-film"), 417),
}


def converse(server, data):
    """All that comes back until the server closes."""
    out = b""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(data)
        while piece := connection.recv(65536):
            out += piece
    return out


def answers(out):
    """(status, headers, body) of each."""
    found = []
    while out:
        head, _, out = out.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3}) [A-Z]", head)
        assert status, head[:80]
        headers = {name.lower(): value.strip() for name, _, value in (
            line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])}
        length = int(headers.get("content-length", 0))
        found.append((int(status.group(1)), headers, out[:length]))
        out = out[length:]
    return found


def check_form(answer):
    status, headers, body = answer
    assert re.fullmatch(r"req_[0-9a-f]{24}", headers["x-request-id"])
    assert "date" in headers
    if status >= 400:
        error = json.loads(body)["error"]
        assert headers["content-type"] == "application/json"
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"] and error["code"]


@pytest.mark.parametrize("name", LEGAL)
def test_legal(server, name):
    data, status = LEGAL[name]
    found = answers(converse(server, data))
    assert [answer[0] for answer in found] == [status], found
    check_form(found[0])


@pytest.mark.parametrize("name", REFUSED)
def test_refused(server, name):
    """Once; what follows on the connection is no second request."""
    data, status = REFUSED[name]
    out = converse(server, data + NEXT)
    found = answers(out)
    assert [answer[0] for answer in found] == [status], found
    assert b"smuggled" not in out
    assert found[0][1]["connection"] == "close"
    check_form(found[0])


def test_requests_one_after_the_other(server):
    """On one connection, sent at once: each is answered, in order, up to the wrong one."""
    one = b"GET /nothing/%d HTTP/1.1\r\n" + HOST + b"\r\n"
    keyed = post(b"Content-Length: 13\r\n").replace(b"Connection: close\r\n", b"")
    found = answers(converse(server, one % 1 + keyed + one % 2 + chunked(
        chunk(KEY) + LAST).replace(b"Connection: close\r\n", b"") + get() + one % 3))
    assert [answer[0] for answer in found] == [404, 401, 404, 401, 200]
    assert b"/nothing/1" in found[0][2] and b"/nothing/2" in found[2][2]
    found = answers(converse(server, one % 1 + REFUSED["LF alone"][0] + one % 2))
    assert [answer[0] for answer in found] == [404, 400]


def test_one_byte_at_a_time(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in chunked(chunk(KEY, b";a=b") + b"0\r\nX: y\r\n\r\n"):
            connection.sendall(bytes([byte]))
        out = b""
        while piece := connection.recv(65536):
            out += piece
    assert [answer[0] for answer in answers(out)] == [401]


def test_a_body_that_waits_for_permission(server):
    data = post(b"Expect: 100-continue\r\nContent-Length: 13\r\n", b"")
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(data)
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(KEY)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(data.replace(b": 13", b": 99999999"))
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_the_end_is_told(server):
    """A connection that is kept says for how long, and others that they end."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
            status, headers, _ = answers(connection.recv(65536))[0]
            assert status == 200 and headers["connection"] == "keep-alive"
            assert headers["keep-alive"] == "timeout=620"
    old = b"GET /health HTTP/1.0\r\n" + HOST
    assert answers(converse(server, old + b"\r\n"))[0][1]["connection"] == "close"
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(old + b"Connection: Keep-Alive\r\n\r\n")
        assert answers(connection.recv(65536))[0][1]["connection"] == "keep-alive"


def test_a_refusal_reaches_who_still_sends(server):
    """The connection is not reset while its answer is on the way."""
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(sized(b"99999999", b""))
            for _ in range(30):
                connection.sendall(b"x" * 65536)
            out = b""
            while piece := connection.recv(65536):
                out += piece
            assert [answer[0] for answer in answers(out)] == [413]


def test_who_says_that_it_sends_no_more(server):
    """Its request is answered all the same."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        out = b""
        while piece := connection.recv(65536):
            out += piece
    assert answers(out)[0][0] == 200
