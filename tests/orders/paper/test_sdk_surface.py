"""Every public method of the SDK's client, over the wire, against an account in which every list has a row."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from kiteconnect import KiteConnect
from kiteconnect.exceptions import GeneralException, InputException, TokenException

from orders.paper.indian_time import IST

from .paper_process import PaperProcess

KEY, TOKEN = "surface", "todays-token"
ORDER = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": 1,
    "product": "CNC",
    "order_type": "LIMIT",
    "price": 1450.0,
}
GTT_ORDER = {"transaction_type": "SELL", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": 1700.0}
CALCULATED = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "variety": "regular",
    "product": "CNC",
    "order_type": "MARKET",
    "quantity": 1,
    "price": 0,
    "trigger_price": 0,
}
ORDER_KEYS = {
    "placed_by",
    "order_id",
    "exchange_order_id",
    "parent_order_id",
    "status",
    "status_message",
    "status_message_raw",
    "order_timestamp",
    "exchange_update_timestamp",
    "exchange_timestamp",
    "variety",
    "modified",
    "exchange",
    "tradingsymbol",
    "instrument_token",
    "order_type",
    "transaction_type",
    "validity",
    "product",
    "quantity",
    "disclosed_quantity",
    "price",
    "trigger_price",
    "average_price",
    "filled_quantity",
    "pending_quantity",
    "cancelled_quantity",
    "market_protection",
    "meta",
    "tag",
    "guid",
}
# Not answered on paper, in words that say so: mutual funds, and a renewal that only approved platforms have.
REFUSED = {
    "place_mf_order": lambda kite: kite.place_mf_order("INF174K01LS2", "BUY", amount=1000),
    "cancel_mf_order": lambda kite: kite.cancel_mf_order("1"),
    "place_mf_sip": lambda kite: kite.place_mf_sip("INF174K01LS2", 1000, 12, "monthly"),
    "modify_mf_sip": lambda kite: kite.modify_mf_sip("1", status="paused"),
    "cancel_mf_sip": lambda kite: kite.cancel_mf_sip("1"),
}
TESTED: set[str] = set()


def exercises(*methods: str):
    """Note that a test calls these methods of the SDK."""
    TESTED.update(methods)
    return lambda test: test


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    options = ("--api-key", KEY, "--access-token", TOKEN)
    server = PaperProcess(tmp_path_factory.mktemp("surface"), *options)
    yield server
    server.stop()


@pytest.fixture
def kite(server: PaperProcess) -> KiteConnect:
    client = server.kite()
    client.api_key = KEY
    client.set_access_token(TOKEN)
    return client


@exercises("orders", "order_history", "order_trades", "trades")
def test_the_furnished_account_has_an_order_and_a_trade(kite):
    rows = kite.orders()

    assert all(set(row) >= ORDER_KEYS and set(row) - ORDER_KEYS <= {"tags", "validity_ttl"} for row in rows)
    assert {row["status"] for row in rows} >= {"COMPLETE", "OPEN"}
    done = next(row for row in rows if row["status"] == "COMPLETE")
    (history, trades) = kite.order_history(done["order_id"]), kite.order_trades(done["order_id"])
    assert set(history[0]) == ORDER_KEYS - {
        "status_message_raw",
        "exchange_update_timestamp",
        "market_protection",
        "meta",
        "guid",
    }
    assert len(trades[0]) == 13
    assert trades[0] in kite.trades()


@exercises("positions", "holdings", "convert_position", "get_auction_instruments", "profile", "margins")
def test_the_furnished_account_has_a_position_a_holding_and_cash(kite):
    (position,) = [row for row in kite.positions()["net"] if row["product"] == "MIS"]
    (holding,) = kite.holdings()

    assert (len(position), len(holding)) == (29, 25)
    assert position["quantity"] == 1
    assert (holding["tradingsymbol"], holding["quantity"], holding["t1_quantity"]) == ("SBIN", 10, 0)
    assert kite.margins()["equity"] == kite.margins("equity")
    assert set(kite.margins("commodity")) == {"enabled", "net", "available", "utilised"}
    assert kite.get_auction_instruments() == []
    assert kite.profile()["broker"] == "ZERODHA"
    assert kite.convert_position("NSE", "INFY", "BUY", "day", 1, "MIS", "CNC") is True
    assert kite.convert_position("NSE", "INFY", "BUY", "day", 1, "CNC", "MIS") is True


def test_holdings_are_summed_up_for_the_go_client(server, kite):
    headers = {"Authorization": f"token {KEY}:{TOKEN}"}
    compact, summary = (
        server.http.get(f"{server.root}/portfolio/holdings/{name}", headers=headers, timeout=5).json()["data"]
        for name in ("compact", "summary")
    )

    assert compact == [
        {"exchange": "NSE", "tradingsymbol": "SBIN", "instrument_token": 779521, "t1_quantity": 0, "quantity": 10}
    ]
    assert summary["invested_amount"] == 8000.0
    assert summary["total_pnl"] == pytest.approx(summary["current_value"] - 8000)


@exercises("place_order", "modify_order", "cancel_order", "exit_order", "place_autoslice_order")
def test_orders_are_placed_changed_sliced_and_taken_back(kite):
    order_id = kite.place_order("regular", **ORDER)
    assert kite.modify_order("regular", order_id, quantity=2, price=1451.0) == order_id
    assert kite.cancel_order("regular", order_id) == order_id
    assert kite.order_history(order_id)[-1]["status"] == "CANCELLED"

    cover = kite.place_order("co", **ORDER | {"product": "MIS", "trigger_price": 1440.0})
    assert kite.exit_order("co", cover) == cover

    sliced = kite.place_autoslice_order("regular", **ORDER | {"quantity": 100_001, "price": 1450.0})
    assert (set(sliced), len(sliced["children"])) == ({"order_id", "children"}, 1)


@exercises("quote", "ohlc", "ltp", "instruments", "historical_data", "trigger_range")
def test_the_market_is_read(kite):
    both = ["NSE:INFY", "BSE:SENSEX", "NSE:NOSUCH"]

    assert set(kite.quote(both)) == set(kite.ohlc(both)) == set(kite.ltp(both)) == set(both[:2])
    assert len(kite.quote("NSE:INFY")["NSE:INFY"]["depth"]["buy"]) == 5
    assert len(kite.instruments()) >= 200
    assert {row["segment"] for row in kite.instruments("NSE")} == {"NSE", "INDICES"}
    now = datetime.now(IST).replace(tzinfo=None)
    candles = kite.historical_data(408065, now - timedelta(days=3), now, "60minute", oi=True)
    assert set(candles[0]) == {"date", "open", "high", "low", "close", "volume", "oi"}
    assert len(kite.historical_data(408065, now.date() - timedelta(days=9), now.date(), "day")) == 10
    assert set(kite.trigger_range("BUY", "NSE:INFY")) == {"NSE:INFY"}


@exercises("place_gtt", "modify_gtt", "get_gtts", "get_gtt", "delete_gtt")
def test_gtts_are_placed_changed_and_deleted(kite):
    single = kite.place_gtt("single", "SBIN", "NSE", [1200.0], 970.0, [GTT_ORDER])["trigger_id"]
    pair = kite.place_gtt("two-leg", "SBIN", "NSE", [500.0, 1200.0], 970.0, [GTT_ORDER, GTT_ORDER])["trigger_id"]

    assert [row["id"] for row in kite.get_gtts()] == [single, pair]
    assert kite.modify_gtt(single, "single", "SBIN", "NSE", [1250.0], 970.0, [GTT_ORDER]) == {"trigger_id": single}
    assert kite.get_gtt(single)["condition"]["trigger_values"] == [1250.0]
    assert kite.delete_gtt(single) == {"trigger_id": single}
    with pytest.raises(GeneralException, match="not found"):
        kite.get_gtt(single)


@exercises("order_margins", "basket_order_margins", "get_virtual_contract_note")
def test_imaginary_orders_are_reckoned(kite):
    (margin,) = kite.order_margins([CALCULATED])
    basket = kite.basket_order_margins([CALCULATED, CALCULATED], consider_positions=False, mode="compact")
    (note,) = kite.get_virtual_contract_note([CALCULATED | {"order_id": "1", "average_price": 1500.0}])

    assert margin["total"] == margin["cash"] > 0
    assert set(basket) == {"initial", "final", "orders", "charges"}
    assert basket["final"]["total"] == pytest.approx(2 * basket["orders"][0]["total"])
    assert note["charges"]["transaction_tax"] == 1.5


@exercises("mf_orders", "mf_sips", "mf_holdings", "mf_instruments")
def test_lists_of_what_is_not_there_are_empty(kite):
    assert kite.mf_orders() == kite.mf_sips() == kite.mf_holdings() == kite.mf_instruments() == []


@exercises(*REFUSED)
@pytest.mark.parametrize("method", sorted(REFUSED))
def test_what_is_not_available_on_paper_says_so(kite, method):
    with pytest.raises(InputException, match="not available on paper"):
        REFUSED[method](kite)


@exercises(
    "login_url",
    "generate_session",
    "set_access_token",
    "invalidate_access_token",
    "invalidate_refresh_token",
    "renew_access_token",
    "set_session_expiry_hook",
)
def test_a_session_lives_from_its_login_to_its_logout(server, kite):
    expired = []
    kite.set_session_expiry_hook(lambda: expired.append(True))
    kite._default_login_uri = f"{server.root}/connect/login"
    assert server.http.get(kite.login_url(), timeout=5).status_code == 200

    session = kite.generate_session(server.request_token(KEY), api_secret="paper")
    assert isinstance(session["login_time"], datetime)
    assert kite.access_token == session["access_token"] != TOKEN
    assert kite.profile()["user_id"] == session["user_id"]

    with pytest.raises(TokenException):
        kite.renew_access_token("none", "paper")
    assert kite.invalidate_refresh_token("none") is True
    assert kite.invalidate_access_token() is True
    with pytest.raises(TokenException):
        kite.profile()
    assert len(expired) == 2


@exercises("mf_orders", "mf_sips", "holdings")
def test_one_of_what_is_not_there_is_not_found(kite):
    with pytest.raises(GeneralException, match="Not found"):
        kite.mf_orders("1")


def test_no_public_method_is_left_out():
    public = {name for name, member in inspect.getmembers(KiteConnect, inspect.isfunction) if not name.startswith("_")}

    assert public - TESTED == set()
