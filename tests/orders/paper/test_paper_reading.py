"""What the SDK reads from the paper server."""

from __future__ import annotations

from datetime import datetime

import pytest
import requests
from kiteconnect.exceptions import InputException, TokenException

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
TRADE_KEYS = {
    "trade_id",
    "order_id",
    "exchange",
    "tradingsymbol",
    "instrument_token",
    "product",
    "average_price",
    "quantity",
    "exchange_order_id",
    "transaction_type",
    "fill_timestamp",
    "order_timestamp",
    "exchange_timestamp",
}


def test_an_order_row_has_kites_keys_and_types(kite, market_order):
    order_id = kite.place_order(**market_order(tag="abc"))

    (row,) = kite.orders()

    assert set(row) - {"tags"} == ORDER_KEYS
    assert row["order_id"] == order_id
    assert row["tag"] == "abc"
    assert row["tags"] == ["abc"]
    assert isinstance(row["order_timestamp"], datetime)
    assert isinstance(row["exchange_update_timestamp"], str)
    assert isinstance(row["average_price"], float)
    assert isinstance(row["instrument_token"], int)


def test_the_history_tells_the_whole_life(kite, market_order):
    order_id = kite.place_order(**market_order())

    rows = kite.order_history(order_id)

    assert [row["status"] for row in rows] == [
        "PUT ORDER REQ RECEIVED",
        "VALIDATION PENDING",
        "OPEN PENDING",
        "OPEN",
        "COMPLETE",
    ]
    assert len(rows[0]) == 26
    assert rows[0]["exchange_order_id"] is None
    assert rows[0]["instrument_token"] == 1


def test_trades_have_kites_keys(kite, market_order):
    order_id = kite.place_order(**market_order())

    (trade,) = kite.trades()

    assert set(trade) == TRADE_KEYS
    assert trade == kite.order_trades(order_id)[0]
    assert isinstance(trade["fill_timestamp"], datetime)
    assert len(trade["order_timestamp"]) == 8
    assert (trade["quantity"], trade["average_price"]) == (10, 1500.0)


def test_an_order_that_has_not_traded_has_no_trades(kite, order):
    assert kite.order_trades(kite.place_order(**order())) == []


def test_a_position_adds_up(kite, paper, market_order):
    kite.place_order(**market_order())
    paper.set_price("NSE:INFY", "1510.00")
    kite.place_order(**market_order(transaction_type="SELL", quantity=4))

    positions = kite.positions()

    (net,), (day,) = positions["net"], positions["day"]
    assert len(net) == 29
    assert net == day
    assert (net["quantity"], net["buy_quantity"], net["sell_quantity"]) == (6, 10, 4)
    assert (net["average_price"], net["buy_value"], net["sell_value"]) == (1500.0, 15000.0, 6040.0)
    assert net["value"] == net["sell_value"] - net["buy_value"]
    assert net["pnl"] == net["value"] + 6 * 1510.0 == 100.0


def test_what_came_over_the_night_is_in_the_day_only_as_far_as_it_was_traded(start_paper, market_order):
    paper = start_paper()
    paper.control("POST", "clock", {"at": "2026-11-23T10:00:00+05:30", "speed": 0})
    paper.kite().place_order(**market_order(product="NRML", transaction_type="SELL", quantity=3))
    paper.control("POST", "clock", {"at": "2026-11-24T10:00:00+05:30", "speed": 0})

    positions = paper.kite().positions()

    assert ([row["overnight_quantity"] for row in positions["net"]], positions["day"]) == ([-3], [])

    paper.kite().place_order(**market_order(product="NRML", quantity=1))
    (net,), (day,) = paper.kite().positions().values()

    assert (net["quantity"], net["overnight_quantity"], net["buy_quantity"], net["sell_quantity"]) == (-2, -3, 1, 3)
    assert (day["quantity"], day["overnight_quantity"], day["buy_quantity"], day["sell_quantity"]) == (1, 0, 1, 0)


def test_a_closed_position_stays_listed(kite, market_order):
    kite.place_order(**market_order(product="MIS"))
    kite.place_order(**market_order(product="MIS", transaction_type="SELL"))

    (net,) = kite.positions()["net"]

    assert (net["quantity"], net["average_price"]) == (0, 0)


def test_a_short_position_is_negative(kite, market_order):
    kite.place_order(**market_order(product="MIS", transaction_type="SELL"))

    (net,) = kite.positions()["net"]

    assert (net["quantity"], net["average_price"], net["pnl"]) == (-10, 1500.0, 0.0)


def test_quotes_answer_what_they_know(kite):
    keys = ["NSE:INFY", "NSE:M&M", "NSE:NOSUCH"]

    assert kite.ltp(keys)["NSE:INFY"] == {"instrument_token": 408065, "last_price": 1500.0}
    assert set(kite.ohlc(keys)) == {"NSE:INFY", "NSE:M&M"}
    quote = kite.quote(keys)["NSE:M&M"]
    assert len(quote["depth"]["buy"]) == len(quote["depth"]["sell"]) == 5
    assert isinstance(quote["timestamp"], datetime)
    assert quote["lower_circuit_limit"] < quote["last_price"] < quote["upper_circuit_limit"]


def test_too_many_quotes_are_refused(kite):
    with pytest.raises(InputException):
        kite.quote(["NSE:INFY"] * 501)


def test_instruments_are_parsed_by_the_sdk(kite):
    infy = next(row for row in kite.instruments("NSE") if row["tradingsymbol"] == "INFY")

    assert infy["instrument_token"] == 1594 * 256 + 1
    assert (infy["tick_size"], infy["lot_size"], infy["segment"]) == (0.1, 1, "NSE")
    assert len(kite.instruments()) >= 50


def test_a_future_is_listed_under_the_name_of_the_share_it_is_on(kite):
    shares = {row["tradingsymbol"]: row for row in kite.instruments("NSE")}
    futures = {row["name"]: row for row in kite.instruments("NFO")}

    assert {row["instrument_type"] for row in futures.values()} == {"FUT"}
    assert {"RELIANCE", "INFY"} <= set(futures) < set(shares)
    assert "ABFRL" not in futures
    infy = futures["INFY"]
    assert infy["tradingsymbol"] == f"INFY{infy['expiry']:%y%b}FUT".upper()
    assert (infy["expiry"].weekday(), infy["lot_size"] % 25, infy["segment"]) == (1, 0, "NFO-FUT")
    assert kite.ltp(f"NFO:{infy['tradingsymbol']}") == {}


def test_the_account_answers(kite):
    assert kite.profile()["user_id"] == "PAPER1"
    assert kite.margins("equity") == kite.margins()["equity"]
    assert kite.margins()["equity"]["net"] > 0
    assert kite.holdings() == []


@pytest.mark.parametrize("header", [None, "token paper", "token paper:", "token :paper", "Bearer a:b"])
def test_a_request_without_both_tokens_is_refused(paper, header):
    answer = requests.get(f"{paper.root}/orders", headers={"Authorization": header}, timeout=5)

    assert answer.status_code == 403
    assert answer.json()["error_type"] == "TokenException"


def test_the_sdk_sees_a_missing_token(paper):
    kite = paper.kite()
    kite.set_access_token("")

    with pytest.raises(TokenException):
        kite.orders()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("PATCH", "/orders", 405), ("POST", "/quote", 405)]
)
def test_a_wrong_route_or_method_is_json(paper, method, path, status):
    answer = requests.request(method, paper.root + path, timeout=5)

    assert answer.status_code == status
    assert answer.json()["error_type"] == "GeneralException"
