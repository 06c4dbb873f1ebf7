"""A hidden order is told of as soon as it appears, over the socket and by postback, as what it is by then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.orders.paper.paper_process import PaperProcess, until

from .conftest import Ticker, TickerProcess

pytestmark = pytest.mark.processes

AT = "2026-11-23T10:00:00+05:30"
LATER = "2026-11-23T10:00:59+05:30"
APPEARED = "2026-11-23T10:01:00+05:30"


class Receiver(HTTPServer):
    """The user's server: keeps every postback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.got: list[dict] = []


class Taker(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[PaperProcess]:
    folder: Path = tmp_path_factory.mktemp("hidden")
    url = f"http://127.0.0.1:{receiver.server_port}/"
    server = PaperProcess(folder, "--api-key", "key", "--access-token", "token", "--postback-url", url)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def process(server: PaperProcess) -> Iterator[TickerProcess]:
    process = TickerProcess(server.root.replace("http", "ws"))
    yield process
    process.stop()


@pytest.fixture
def ticker(process: TickerProcess) -> Iterator[Ticker]:
    one = process.ticker()
    one.hear("connect")
    yield one
    one.do("close")
    one.hear("close")


@pytest.fixture
def kite(server: PaperProcess, receiver: Receiver):
    server.control("DELETE", "clock")
    server.reset()
    stand_at(server, AT)
    server.set_price("NSE:INFY", "1500.00")
    receiver.got.clear()
    client = server.kite()
    client.api_key, client.access_token = "key", "token"
    return client


def stand_at(server: PaperProcess, at: str) -> None:
    server.control("POST", "clock", {"at": at, "speed": 0})


def told(ticker: Ticker, how_many: int) -> list[tuple[str, str]]:
    rows = [ticker.hear("order_update")["row"] for _ in range(how_many)]
    return [(row["order_id"], row["status"]) for row in rows]


def posted(receiver: Receiver, how_many: int = 1) -> list[tuple[str, str]]:
    until(lambda: len(receiver.got) >= how_many)
    return [(row["order_id"], row["status"]) for row in receiver.got]


def test_an_order_that_fills_while_hidden_is_told_when_it_appears_and_not_before(server, kite, ticker, receiver, order):
    server.fault("place", "hide", seconds=60)
    hidden = kite.place_order(**order(price=1500.0))
    stand_at(server, LATER)
    shown = kite.place_order(**order(price=1500.0))
    assert told(ticker, 2) == [(shown, "OPEN"), (shown, "COMPLETE")]

    stand_at(server, APPEARED)

    assert told(ticker, 1) == [(hidden, "COMPLETE")]
    assert posted(receiver, 2) == [(shown, "COMPLETE"), (hidden, "COMPLETE")]


@pytest.mark.parametrize(
    ("change", "more", "status"),
    [
        ({"price": 1500.0, "quantity": 9}, {"hide_seconds": 60, "reject_seconds": 1}, "REJECTED"),
        ({"validity": "IOC"}, {"hide_seconds": 60, "hold": False}, "CANCELLED"),
        ({"price": 1500.0}, {"hide_seconds": 60, "shares": 4}, "UPDATE"),
    ],
)
def test_what_became_of_it_while_hidden_is_what_is_told(server, kite, ticker, receiver, order, change, more, status):
    server.fault("place", "delay", seconds=0, **more)
    hidden = kite.place_order(**order(**change))
    stand_at(server, LATER)

    stand_at(server, APPEARED)

    assert told(ticker, 1) == [(hidden, status)]
    assert posted(receiver) == [(hidden, status)]


def test_one_that_only_rests_is_told_open_over_the_socket_alone_and_once(server, kite, ticker, receiver, order):
    server.fault("place", "hide", seconds=60)
    hidden = kite.place_order(**order())
    stand_at(server, APPEARED)
    assert told(ticker, 1) == [(hidden, "OPEN")]

    kite.cancel_order("regular", hidden)

    assert told(ticker, 1) == [(hidden, "CANCELLED")]
    assert posted(receiver) == [(hidden, "CANCELLED")]


def test_what_happens_to_an_order_that_has_appeared_is_told_at_once_and_in_order(server, kite, ticker, order):
    server.fault("place", "hide", seconds=60)
    hidden = kite.place_order(**order())
    stand_at(server, APPEARED)
    server.set_price("NSE:INFY", "1490.00")
    other = kite.place_order(**order(price=1000.0, quantity=1))

    rows = [ticker.hear("order_update")["row"]]
    while rows[-1]["order_id"] != other:
        rows.append(ticker.hear("order_update")["row"])

    statuses = [row["status"] for row in rows if row["order_id"] == hidden]
    assert statuses in (["COMPLETE"], ["OPEN", "COMPLETE"])
