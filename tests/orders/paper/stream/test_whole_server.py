"""The socket of a whole server: its market, its orders and its faults, as KiteTicker tells of them."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from kiteconnect.exceptions import TokenException

from tests.orders.paper.paper_process import PaperProcess

from .conftest import Ticker, TickerProcess

INFY, SENSEX = 408065, 265

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    folder: Path = tmp_path_factory.mktemp("streaming")
    server = PaperProcess(folder, "--api-key", "key", "--access-token", "token")
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
def kite(server: PaperProcess):
    server.control("DELETE", "faults")
    client = server.kite()
    client.api_key, client.access_token = "key", "token"
    return client


def place(kite, order) -> str:
    return kite.place_order(**order())


def test_ticks_are_the_markets(server, ticker):
    server.set_price("NSE:INFY", "1500.00")
    ticker.do("mode", mode="full", tokens=[INFY, SENSEX])

    ticks = ticker.hear_ticks()

    assert (ticks[INFY]["last_price"], ticks[INFY]["depth"]["buy"][0]["price"]) == (1500.0, 1500.0)
    assert (ticks[SENSEX]["tradable"], ticks[SENSEX]["mode"]) == (False, "full")
    server.set_price("NSE:INFY", "1501.00")
    assert ticker.hear_ticks()[INFY]["last_price"] == 1501.0


def test_order_updates_follow_an_order_to_its_end(server, kite, ticker, order):
    order_id = place(kite, order)
    kite.modify_order("regular", order_id, quantity=11)
    kite.cancel_order("regular", order_id)

    told = [ticker.hear("order_update")["row"] for _ in range(3)]

    assert [(row["order_id"], row["status"]) for row in told] == [
        (order_id, "OPEN"),
        (order_id, "UPDATE"),
        (order_id, "CANCELLED"),
    ]
    assert (told[1]["quantity"], told[2]["cancelled_quantity"]) == (11, 11)


def test_a_partial_fill_is_an_update(server, kite, ticker, order):
    server.control("PUT", "prices/NSE/INFY", {"price": "1490.00", "sell": [{"price": "1490.00", "quantity": 4}]})
    place(kite, order)

    statuses = [ticker.hear("order_update")["row"] for _ in range(2)]

    assert [(row["status"], row["filled_quantity"]) for row in statuses] == [("OPEN", 0), ("UPDATE", 4)]
    server.set_price("NSE:INFY", "1500.00")


def test_an_update_may_come_twice_or_never_or_late(server, kite, ticker, order):
    server.fault("updates", "duplicate")
    first = place(kite, order)
    assert [ticker.hear("order_update")["row"]["order_id"] for _ in range(2)] == [first, first]

    server.fault("updates", "missing")
    place(kite, order)
    server.fault("updates", "late", seconds=0.3)
    late = place(kite, order)
    in_time = place(kite, order)
    assert [ticker.hear("order_update")["row"]["order_id"] for _ in range(2)] == [in_time, late]


def test_updates_may_change_places(server, kite, ticker, order):
    server.fault("updates", "out_of_order")
    first, second = place(kite, order), place(kite, order)

    assert [ticker.hear("order_update")["row"]["order_id"] for _ in range(2)] == [second, first]


def test_the_connection_may_drop_and_comes_back(server, kite, ticker):
    server.fault("stream", "drop")

    ticker.hear("close")
    ticker.hear("connect")


def test_a_logout_closes_the_socket(server, kite, process):
    token = server.log_in("key")
    one = process.ticker(token=token)
    one.hear("connect")

    client = server.kite()
    client.api_key, client.access_token = "key", token
    client.invalidate_access_token()

    one.hear("close")
    one.do("close")


def test_a_second_login_leaves_the_first_alone_and_six_in_the_morning_ends_both(server, kite, process):
    server.control("POST", "clock", {"at": "2026-11-24T05:59:00+05:30", "speed": 0})
    both = [process.ticker(token=server.log_in("key")) for _ in range(2)]
    for one in both:
        one.hear("connect")

    server.control("POST", "clock", {"at": "2026-11-24T06:00:00+05:30", "speed": 0})

    assert [one.hear("close")["code"] for one in both] == [1008, 1008]
    for one in both:
        one.do("close")
    assert kite.profile()["user_id"] == "PAPER1"
    server.control("DELETE", "clock")


@pytest.fixture
def restored(server: PaperProcess) -> Iterator[None]:
    yield
    server.control("POST", "sessions")


@pytest.mark.usefixtures("restored")
def test_a_session_that_ends_in_mid_day_is_403_everywhere_until_it_is_restored(server, kite, process):
    one = process.ticker()
    one.hear("connect")
    told = []
    kite.set_session_expiry_hook(lambda: told.append("expired"))

    assert session("end", server) == "the standing pair has ended, 0 logged in\n"

    assert one.hear("close")["code"] == 1008
    assert "403" in one.hear("close")["reason"]
    with pytest.raises(TokenException) as refusal:
        kite.orders()
    assert (refusal.value.code, told) == (403, ["expired"])

    assert session("restore", server) == "the standing pair is accepted, 0 logged in\n"

    assert kite.profile()["user_id"] == "PAPER1"
    one.hear("connect")
    one.do("close")
    one.hear("close")


@pytest.mark.usefixtures("restored")
def test_after_the_end_of_all_sessions_a_new_login_trades_on(server, kite, order):
    earlier = server.log_in("key")
    server.control("DELETE", "sessions")

    token = server.log_in("key")

    client = server.kite()
    client.api_key, client.access_token = "key", token
    assert client.place_order(**order())
    client.access_token = earlier
    with pytest.raises(TokenException):
        client.orders()
    assert session(None, server) == "the standing pair has ended, 1 logged in\n"


def test_a_fresh_start_restores_the_standing_pair(server, kite):
    server.control("DELETE", "sessions")

    server.reset()

    assert kite.orders() == []


def test_without_a_server_the_command_says_so():
    with pytest.raises(CommandError, match="No paper Kite server answers"):
        call_command("paper_session", "--url", "http://127.0.0.1:9")


def session(what: str | None, server: PaperProcess) -> str:
    out = StringIO()
    call_command("paper_session", *([what] if what else []), "--url", server.root, stdout=out)
    return out.getvalue()
