"""A server that answers with the very bytes a test gives it: for what no honest server can be asked to do."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Answer = Callable[[socket.socket], None]


class RawServer:
    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: list[Answer] = []
        self.listens_first = True  # for a whole request before it answers
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def answer(self, *answers: Answer | bytes) -> None:
        """Answer the next requests like this, the last answer again and again."""
        self.answers = [self._sender(each) if isinstance(each, bytes) else each for each in answers]

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.settimeout(10)
                if request := read_request(sock) if self.listens_first else sock.recv(65536):
                    self.requests.append(request)
                    answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                    answer(sock)

    @staticmethod
    def _sender(body: bytes) -> Answer:
        return lambda sock: sock.sendall(body)


def read_request(sock: socket.socket) -> bytes:
    """Return one request, headers and body; nothing when the client hangs up before it sent any."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := sock.recv(65536)):
            return received
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length and len(body) < int(length[1]):
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def http(status: int, body: Any = "", *, content_type: str | None = "application/json", **headers: str) -> bytes:
    """Return an HTTP answer that ends the connection; what is not text is sent as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(text.encode())}", "Connection: close"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


def kite_error(status: int, error_type: str, message: str) -> bytes:
    return http(status, {"status": "error", "error_type": error_type, "message": message, "data": None})


@pytest.fixture
def raw() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.stop()
