"""What the routes of orders add to the exchange behind them."""

from __future__ import annotations

import pytest
from kiteconnect.exceptions import InputException

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.forms import read_ticket
from orders.paper.exchange.quirks import NO_QUIRKS
from orders.paper.server.order_routes import OrderRoutes
from tests.orders.paper.exchange.stage import MONDAY, Stage
from tests.orders.paper.server.logging_in import client

BEFORE_THE_SQUARE_OFF = "2026-11-25T15:09:00"


def test_an_order_is_changed_and_cancelled_by_its_own_variety_only(kite, order):
    order_id = kite.place_order(**order())

    for change in (
        lambda: kite.modify_order("iceberg", order_id, price=1480.0),
        lambda: kite.cancel_order("co", order_id),
    ):
        with pytest.raises(InputException, match="Invalid `variety`: the order is regular"):
            change()

    assert (kite.orders()[0]["status"], kite.orders()[0]["price"]) == ("OPEN", 1490.0)


def test_of_a_field_that_comes_twice_the_last_counts(kite, paper, order):
    twice = [*order().items(), ("quantity", 3), ("tag", "one"), ("tag", "two")]

    answer = paper.http.post(
        f"{paper.root}/orders/regular", data=twice, headers={"Authorization": "token paper:paper"}, timeout=5
    )

    (row,) = kite.orders()
    assert answer.json()["data"] == {"order_id": row["order_id"]}
    assert (row["quantity"], row["tag"]) == (3, "two")


def test_a_square_off_is_signed_by_the_broker(start_paper, market_order):
    server = start_paper("--market-hours", "nse", "--clock", BEFORE_THE_SQUARE_OFF)
    kite = client(server, "paper", "paper")
    placed = kite.place_order(**market_order(product="MIS"))

    server.control("POST", "clock", {"at": "2026-11-25T15:10:00+05:30", "speed": 0})

    mine, brokers = kite.orders()
    assert (mine["order_id"], mine["placed_by"], mine["transaction_type"]) == (placed, "PAPER1", "BUY")
    assert (brokers["placed_by"], brokers["transaction_type"], brokers["status"]) == ("ADMINSQF", "SELL", "COMPLETE")


def test_a_slice_that_is_refused_leaves_its_error_beside_the_ids_of_the_others(monkeypatch):
    """Over the wire nothing changes between two slices, so that one is refused here by hand."""
    exchange, placed = Stage().exchange, []
    place = exchange.place

    def refuse_the_second(ticket, now, quirks):
        if len(placed) == 1:
            placed.append(None)
            raise KiteRefusal(400, "MarginException", "Not enough.")
        placed.append(place(ticket, now, quirks))
        return placed[-1]

    monkeypatch.setattr(exchange, "place", refuse_the_second)
    form = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "product": "MIS", "price": "1490"}
    ticket = read_ticket("regular", form | {"order_type": "LIMIT", "quantity": "200001"})

    answer = OrderRoutes(exchange, lambda: MONDAY)._place_sliced(ticket, NO_QUIRKS)

    assert answer == {
        "order_id": placed[0],
        "children": [
            {"error": {"code": 400, "error_type": "MarginException", "message": "Not enough.", "data": None}},
            {"order_id": placed[2]},
        ],
    }
