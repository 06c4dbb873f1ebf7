"""What is not HTTP gets Kite's envelope too, and the connection is closed after it."""

from __future__ import annotations

import json
import socket

import pytest

HEAD = b" HTTP/1.1\r\nHost: x\r\nAuthorization: token paper:paper\r\n\r\n"
NOT_HTTP = {
    "a raw byte in the query": b"GET /quote/ltp?i=\xff" + HEAD,
    "a raw byte in the path": b"GET /orders/\xff" + HEAD,
    "no method": b"\x00\x01\x02\r\n\r\n",
    "a hello of TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
    "a request line without end": b"GET /orders?i=" + b"x" * 70_000 + HEAD,
    "two lengths": b"POST /orders/regular HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a header without a name": b"GET /orders HTTP/1.1\r\n: x\r\n\r\n",
}


def exchanged(port: int, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(content)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


@pytest.mark.parametrize("content", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_cannot_be_read_is_bad_input_in_kites_envelope(paper, content):
    head, _, body = exchanged(paper.port, content).partition(b"\r\n\r\n")

    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert b"application/json" in head
    answer = json.loads(body)
    assert (answer["status"], answer["error_type"], answer["data"]) == ("error", "InputException", None)
    assert answer["message"] == "The request is not HTTP that can be read."


def test_a_connection_that_was_sound_is_closed_after_it(paper):
    with socket.create_connection(("127.0.0.1", paper.port), timeout=5) as connection:
        connection.sendall(b"GET /user/profile" + HEAD)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(NOT_HTTP["a raw byte in the query"])
        assert connection.recv(65536).startswith(b"HTTP/1.0 400")
        assert connection.recv(65536) == b""


def test_requests_on_one_connection_are_answered_in_their_order(paper):
    asked = (b"/user/profile", b"/nowhere", b"/orders", b"/quote/ltp?i=NSE:INFY")
    last = b"GET /trades HTTP/1.1\r\nHost: x\r\nAuthorization: token paper:paper\r\nConnection: close\r\n\r\n"

    answers = exchanged(paper.port, b"".join(b"GET " + path + HEAD for path in asked) + last)

    parts = answers.split(b"HTTP/1.1 ")[1:]
    assert [int(part[:3]) for part in parts] == [200, 404, 200, 200, 200]
    assert b"PAPER1" in parts[0]
    assert b"NSE:INFY" in parts[3]


def test_the_log_is_not_filled_with_it(start_paper, capfd):
    server = start_paper()

    for content in NOT_HTTP.values():
        exchanged(server.port, content)
    server.stop()

    assert capfd.readouterr().err == ""
