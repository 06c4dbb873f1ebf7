"""
Every answer to a place (Kite Connect v3, Exceptions), followed through `submit` to what the book says afterwards.

The raw server counts the requests: one was sent, and after a second try it is still one.
"""

from __future__ import annotations

import socket
import struct

import pytest

from orders.broker.kite import KiteGateway
from orders.execution import submit
from risk.models import Incident, TradingControl

from .raw_server import http, kite_error, raw
from .test_kite_gateway import REFUSED, TIMED_OUT

__all__ = ["raw"]


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half(sock: socket.socket) -> None:
    sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"status"')


def chunked(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{")


AMBIGUOUS = {
    "a 400 that timed out": kite_error(400, "OrderException", TIMED_OUT),
    "input that timed out": kite_error(400, "InputException", TIMED_OUT),
    "network 503": kite_error(503, "NetworkException", "down"),
    "network 500": kite_error(500, "NetworkException", "down"),
    "data 502": kite_error(502, "DataException", "unparseable"),
    "data 400": kite_error(400, "DataException", "unparseable"),
    "general 500": kite_error(500, "GeneralException", "unexpected"),
    "order 500": kite_error(500, "OrderException", "unexpected"),
    "order 504": kite_error(504, "OrderException", "gateway"),
    "not listed": kite_error(418, "TeapotException", "short and stout"),
    "gateway html": http(502, "<html>", content_type="text/html"),
    "html that says 429": http(429, "<html>", content_type="text/html"),
    "no data": http(200, {"status": "success"}),
    "data null": http(200, {"status": "success", "data": None}),
    "no order id": http(200, {"status": "success", "data": {}}),
    "a list": http(200, []),
    "no content type": http(200, {"status": "success", "data": {"order_id": "1"}}, content_type=None),
    "error without type": http(400, {"status": "error", "message": "no"}),
    "error without message": http(400, {"status": "error", "error_type": "InputException"}),
    "reset": reset,
    "closed": lambda _sock: None,
    "half a body": half,
    "half a chunk": chunked,
}


@pytest.fixture
def answered(desk, pending, wired, raw):
    """Send an order to the raw server, which answers like this, and try to send it once more."""

    def go(answer):
        raw.answer(answer)
        gateway = KiteGateway(api_key="paper", root=raw.root, access_token=lambda: "paper")
        there, order = wired(desk, gateway=gateway), pending()
        submit(there, order)
        submit(there, order)
        gateway._client().reqsession.close()
        return order

    return go


@pytest.mark.parametrize("answer", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_an_ambiguous_answer_is_in_doubt_with_one_incident_and_one_request(answered, raw, answer):
    order = answered(answer)

    assert (order.status, len(raw.requests)) == ("IN_DOUBT", 1)
    assert [each.kind for each in Incident.objects.all()] == ["ORDER_IN_DOUBT"]
    assert not TradingControl.objects.get(mode="PAPER").auto_trading


SURELY_NOT = [*REFUSED, (403, "TokenException", "Incorrect `api_key` or `access_token`.")]


@pytest.mark.parametrize(("status", "error_type", "text"), SURELY_NOT)
def test_a_sure_refusal_is_the_end_without_an_incident_and_is_not_sent_again(answered, raw, status, error_type, text):
    order = answered(kite_error(status, error_type, text))

    assert (order.status, len(raw.requests)) == ("REJECTED", 1)
    assert text in order.status_reason
    assert not Incident.objects.exists()
    assert TradingControl.objects.get(mode="PAPER").auto_trading


@pytest.mark.parametrize("root", ["http://127.0.0.1:9", "http://no-such-host.invalid", "https://127.0.0.1:{port}"])
def test_what_never_connected_is_the_end_and_no_doubt(desk, pending, wired, raw, root):
    raw.answer(b"this is no handshake")
    raw.listens_first = False
    gateway = KiteGateway(api_key="paper", root=root.format(port=raw.port), access_token=lambda: "paper")
    order = pending()

    submit(wired(desk, gateway=gateway), order)

    assert order.status == "REJECTED"
    assert "not sent" in order.status_reason
    assert not Incident.objects.exists()
