"""The life of an order, as the SDK sees it."""

from __future__ import annotations

import re

import pytest
import requests
from kiteconnect.exceptions import GeneralException, InputException

from .paper_process import until


def last_state(kite, order_id):
    return kite.order_history(order_id)[-1]


def test_a_market_order_fills_at_the_last_price(kite, market_order):
    order_id = kite.place_order(**market_order())

    row = last_state(kite, order_id)

    assert re.fullmatch(r"SIM\d{14}", order_id)
    assert (row["status"], row["filled_quantity"], row["pending_quantity"]) == ("COMPLETE", 10, 0)
    assert row["average_price"] == 1500.0


@pytest.mark.parametrize(("side", "limit"), [("BUY", 1510.0), ("BUY", 1500.0), ("SELL", 1490.0), ("SELL", 1500.0)])
def test_a_marketable_limit_fills_at_the_last_price_not_at_its_limit(kite, order, side, limit):
    order_id = kite.place_order(**order(transaction_type=side, price=limit, product="MIS"))

    row = last_state(kite, order_id)

    assert (row["status"], row["average_price"]) == ("COMPLETE", 1500.0)


def test_a_resting_order_fills_when_the_price_crosses_it(kite, paper, order):
    order_id = kite.place_order(**order(price=1490.0))
    assert last_state(kite, order_id)["status"] == "OPEN"
    paper.set_price("NSE:INFY", "1490.10")
    assert last_state(kite, order_id)["status"] == "OPEN"

    paper.set_price("NSE:INFY", "1480.00")

    row = last_state(kite, order_id)
    assert (row["status"], row["average_price"]) == ("COMPLETE", 1490.0)


def test_a_released_price_moves_again_and_resting_orders_meet_it(kite, paper, order):
    paper.set_price("NSE:INFY", "5000.00")
    order_id = kite.place_order(**order(price=2000.0))

    paper.set_price("NSE:INFY", None)

    until(lambda: last_state(kite, order_id)["status"] == "COMPLETE")


def test_an_ioc_that_cannot_trade_is_cancelled(kite, order):
    order_id = kite.place_order(**order(validity="IOC"))

    row = last_state(kite, order_id)

    assert (row["status"], row["filled_quantity"], row["cancelled_quantity"]) == ("CANCELLED", 0, 10)


def test_a_delivery_sale_of_nothing_is_rejected_after_it_got_an_id(kite, market_order):
    order_id = kite.place_order(**market_order(transaction_type="SELL"))

    (row,) = kite.orders()

    assert row["order_id"] == order_id
    assert row["status"] == "REJECTED"
    assert "Insufficient stock holding" in row["status_message"]
    assert row["exchange_order_id"] is None
    assert (row["pending_quantity"], row["filled_quantity"], row["cancelled_quantity"]) == (0, 0, 0)


def test_shares_cannot_be_sold_twice(kite, order, market_order):
    kite.place_order(**market_order())
    kite.place_order(**order(transaction_type="SELL", quantity=6, price=1600.0))

    second = kite.place_order(**order(transaction_type="SELL", quantity=5, price=1600.0))
    third = kite.place_order(**order(transaction_type="SELL", quantity=4, price=1600.0))

    assert last_state(kite, second)["status"] == "REJECTED"
    assert last_state(kite, third)["status"] == "OPEN"


def test_a_modified_order_trades_on_its_new_terms(kite, order):
    order_id = kite.place_order(**order())

    kite.modify_order("regular", order_id, price=1500.0, quantity=7)

    row = kite.orders()[0]
    assert (row["status"], row["quantity"], row["average_price"], row["modified"]) == ("COMPLETE", 7, 1500.0, True)
    states = [state["status"] for state in kite.order_history(order_id)]
    assert states[-5:] == ["MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "OPEN", "COMPLETE"]


def test_a_limit_becomes_a_market_order_only_with_protection(kite, order):
    order_id = kite.place_order(**order())

    with pytest.raises(InputException, match="without market protection"):
        kite.modify_order("regular", order_id, order_type="MARKET")
    kite.modify_order("regular", order_id, order_type="MARKET", market_protection=-1)

    assert last_state(kite, order_id)["status"] == "COMPLETE"


def test_the_26th_modification_is_refused(kite, order):
    order_id = kite.place_order(**order())
    for _ in range(25):
        kite.modify_order("regular", order_id, price=1480.0)

    with pytest.raises(InputException, match="Maximum allowed order modifications exceeded"):
        kite.modify_order("regular", order_id, price=1480.0)


def test_an_order_is_cancelled_once(kite, order):
    order_id = kite.place_order(**order())

    assert kite.cancel_order("regular", order_id) == order_id

    row = last_state(kite, order_id)
    assert (row["status"], row["cancelled_quantity"]) == ("CANCELLED", 10)
    with pytest.raises(InputException, match="Order cannot be cancelled as it is being processed"):
        kite.cancel_order("regular", order_id)


def test_a_finished_order_cannot_be_changed(kite, market_order):
    order_id = kite.place_order(**market_order())

    with pytest.raises(InputException, match="Order cannot be modified as it is being processed"):
        kite.modify_order("regular", order_id, quantity=1)
    with pytest.raises(InputException, match="Order cannot be cancelled as it is being processed"):
        kite.cancel_order("regular", order_id)


@pytest.mark.parametrize("call", ["order_history", "order_trades"])
def test_an_unknown_order_is_not_found(kite, call):
    with pytest.raises(GeneralException, match="Couldn't find that `order_id`") as refused:
        getattr(kite, call)("SIM20200101000001")

    assert refused.value.code == 404


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variety": "auction"}, "variety"),
        ({"variety": "bo"}, "variety"),
        ({"variety": "amo"}, "only while the market is closed"),
        ({"tradingsymbol": "NOSUCH"}, "does not exist"),
        ({"exchange": "NFO"}, "does not exist"),
        ({"tradingsymbol": "NIFTY 50"}, "does not exist"),
        ({"tradingsymbol": ""}, "Missing or empty field `tradingsymbol`"),
        ({"transaction_type": "HOLD"}, "transaction_type"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": "1e3"}, "quantity"),
        ({"quantity": "٣"}, "quantity"),
        ({"quantity": ""}, "Missing or empty field `quantity`"),
        ({"product": "MTF"}, "product"),
        ({"order_type": "SL"}, "Missing or empty field `trigger_price`"),
        ({"validity": "TTL"}, "validity"),
        ({"price": None}, "Missing or empty field `price`"),
        ({"price": 0}, "price"),
        ({"price": -1490.0}, "price"),
        ({"price": float("nan")}, "price"),
        ({"price": float("inf")}, "price"),
        ({"price": 1490.05}, "Tick size for this script is 0.10"),
        ({"tag": "x" * 21}, "tag"),
        ({"order_type": "MARKET"}, "Market orders without market protection are not allowed via API"),
        ({"order_type": "MARKET", "market_protection": 0}, "Market orders without market protection"),
        ({"order_type": "MARKET", "market_protection": -2}, "market_protection"),
        ({"order_type": "MARKET", "market_protection": 100.5}, "market_protection"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_no_order(kite, paper, order, changes, message):
    with pytest.raises(InputException, match=message) as refused:
        kite.place_order(**order(**changes))

    assert refused.value.code == 400
    assert paper.accepted() == []


def test_twenty_characters_of_tag_are_kept(kite, order):
    kite.place_order(**order(tag="a" * 20))

    assert kite.orders()[0]["tag"] == "a" * 20


@pytest.mark.parametrize("body", [b"x" * 100_000, b"a=1&" * 200, b"\xff\xfe", b"", b"{}"])
def test_a_body_that_is_no_form_is_refused(paper, body):
    headers = {"Authorization": "token paper:paper", "Content-Type": "application/x-www-form-urlencoded; charset=none"}

    answer = requests.post(f"{paper.root}/orders/regular", data=body, headers=headers, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error_type"] == "InputException"


def test_the_journal_is_a_witness(kite, paper, order):
    order_id = kite.place_order(**order(tag="mine"))
    paper.set_price("NSE:INFY", "1490.00")

    accepted, filled = paper.journal()

    assert (accepted["event"], accepted["tag"], accepted["quantity"]) == ("accepted", "mine", 10)
    assert (filled["event"], filled["order_id"], filled["price"]) == ("filled", order_id, 1490.0)
    assert accepted["tradingsymbol"] == filled["tradingsymbol"] == "INFY"


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "1.234", "much", "99999999"])
def test_a_price_that_is_none_cannot_be_set(paper, price):
    answer = requests.put(f"{paper.root}/paper/prices/NSE/INFY", json={"price": price}, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error_type"] == "InputException"
