"""
What a client written years ago does to an account, as the integration suite of zerodha/pykiteconnect does.

It places orders without market protection and at any hour, stops below the price, limits without a price, and
reckons its prices in floats a hundredth below the last one, in whole rupees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from kiteconnect import KiteConnect
from kiteconnect.exceptions import InputException, TokenException

from orders.paper.indian_time import IST

from .paper_process import PaperProcess, until

KEY, TOKEN = "older", "token"
MIS = {"exchange": "NSE", "tradingsymbol": "RELIANCE", "transaction_type": "BUY", "quantity": 1, "product": "MIS"}
SPANS = {"minute": 30, "3minute": 90, "5minute": 90, "10minute": 90, "15minute": 180, "30minute": 180, "60minute": 365}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    options = ("--profile", "relaxed", "--api-key", KEY, "--access-token", TOKEN)
    server = PaperProcess(tmp_path_factory.mktemp("older"), *options, rate_limits=True)
    yield server
    server.stop()


@pytest.fixture
def kite(server: PaperProcess) -> KiteConnect:
    client = server.kite()
    client.api_key = KEY
    client.set_access_token(TOKEN)
    return client


@pytest.fixture
def below(kite) -> Callable[[], float]:
    """Return a price a hundredth below the last one, in whole rupees from it."""

    def reckoned() -> float:
        last = kite.ltp("NSE:RELIANCE")["NSE:RELIANCE"]["last_price"]
        difference = last * 0.01
        return last - (difference - difference % 1)

    return reckoned


def last_state(kite, order_id: str) -> dict:
    return kite.order_history(order_id)[-1]


def test_a_market_order_needs_no_protection(kite):
    order_id = kite.place_order("regular", **MIS, order_type="MARKET", tag="mytag")

    until(lambda: last_state(kite, order_id)["status"] == "COMPLETE")
    assert kite.order_history(order_id)[0]["tag"] == "mytag"
    assert last_state(kite, order_id)["order_type"] == "MARKET"
    assert kite.place_order("regular", **MIS | {"transaction_type": "SELL"}, order_type="MARKET")


@pytest.mark.parametrize("variety", ["regular", "amo"])
def test_a_limit_order_is_changed_and_taken_back(kite, below, variety):
    price = below()
    order_id = kite.place_order(variety, **MIS, order_type="LIMIT", price=price)
    assert (last_state(kite, order_id)["price"], last_state(kite, order_id)["variety"]) == (price, variety)

    kite.modify_order(variety, order_id, quantity=2, price=price - 1)
    assert (last_state(kite, order_id)["price"], last_state(kite, order_id)["quantity"]) == (price - 1, 2)

    assert kite.cancel_order(variety, order_id, parent_order_id=None) == order_id
    assert last_state(kite, order_id)["status"] == "CANCELLED"


def test_stops_below_the_price_are_taken_and_triggered(kite, below):
    price = below()
    limited = kite.place_order("regular", **MIS, order_type="SL", price=price, trigger_price=price - 1)
    at_market = kite.place_order("regular", **MIS, order_type="SL-M", trigger_price=price)

    until(lambda: last_state(kite, at_market)["status"] == "COMPLETE")
    assert last_state(kite, at_market)["price"] == 0
    assert last_state(kite, at_market)["trigger_price"] == price
    assert (last_state(kite, limited)["price"], last_state(kite, limited)["order_type"]) == (price, "SL")
    kite.cancel_order("regular", limited)


def test_a_cover_order_without_a_price_gets_an_id_and_is_rejected(kite, below):
    order_id = kite.place_order("co", **MIS, order_type="LIMIT", trigger_price=below())

    row = last_state(kite, order_id)
    assert (row["product"], row["variety"], row["status"]) == ("CO", "co", "REJECTED")


def test_a_cover_orders_leg_is_found_by_its_parent_and_exited(kite, below):
    order_id = kite.place_order("co", **MIS, order_type="MARKET", trigger_price=below())
    (leg,) = [row for row in kite.orders() if row["parent_order_id"] == order_id]

    kite.exit_order("co", leg["order_id"], parent_order_id=order_id)

    until(lambda: last_state(kite, leg["order_id"])["status"] == "COMPLETE")
    pending = kite.place_order("co", **MIS, order_type="LIMIT", price=below(), trigger_price=below() - 1)
    kite.cancel_order("co", pending)
    assert last_state(kite, pending)["status"] == "CANCELLED"


@pytest.mark.parametrize(("interval", "days"), SPANS.items())
def test_histories_are_as_long_as_they_were_in_2018(kite, interval, days):
    now = datetime.now(IST).replace(tzinfo=None)

    candles = kite.historical_data(256265, now - timedelta(days=days // 3), now, interval)
    with pytest.raises(InputException, match=f"interval exceeds max limit: {days} days"):
        kite.historical_data(256265, now - timedelta(days=days + 1), now, interval)

    assert set(candles[0]) == {"date", "open", "high", "low", "close", "volume"}


def test_another_token_is_refused_and_the_hook_is_called(kite):
    called = []
    kite.set_session_expiry_hook(lambda: called.append(True))
    kite.set_access_token("invalid_token")

    with pytest.raises(TokenException):
        kite.positions()

    assert called == [True]


def test_the_first_order_of_the_book_was_received_first(kite):
    history = kite.order_history(kite.orders()[0]["order_id"])

    assert "RECEIVED" in history[0]["status"]
    assert history[-1]["status"] in ("OPEN", "COMPLETE", "REJECTED")
