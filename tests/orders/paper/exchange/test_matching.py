"""What an order gets: from the visible book, at which price, and what is left."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders.paper.exchange.matching import automatic_band, band_edge
from orders.paper.exchange.states import Status
from orders.paper.profile import RELAXED
from orders.paper.terms import OrderType, Side

from .stage import INFY, MONDAY, Stage, fills, statuses

THIN = {"buy": [("1499", 30), ("1498", 50)], "sell": [("1500", 40), ("1501", 60), ("1502", 100)]}
SOON = MONDAY + timedelta(seconds=1)


def test_a_market_order_walks_the_book_level_by_level(stage):
    stage.price("1500", MONDAY, **THIN)

    order = stage.place(quantity=150)

    assert fills(order) == [("1500.00", 40), ("1501.00", 60), ("1502.00", 50)]
    assert order.state.status is Status.COMPLETE


def test_what_one_order_took_is_gone_for_the_next(stage):
    stage.price("1500", MONDAY, **THIN)
    stage.place(quantity=40)

    order = stage.place(quantity=10)

    assert fills(order) == [("1501.00", 10)]


def test_a_limit_order_takes_what_its_limit_allows_and_rests_with_the_remainder(stage):
    stage.price("1500", MONDAY, **THIN)

    order = stage.place(quantity=150, order_type="LIMIT", price="1501")

    assert fills(order) == [("1500.00", 40), ("1501.00", 60)]
    assert (order.state.status, order.state.pending_quantity) == (Status.OPEN, 50)


def test_an_ioc_order_fills_in_part_and_its_remainder_is_cancelled(stage):
    stage.price("1500", MONDAY, **THIN)

    order = stage.place(quantity=150, order_type="LIMIT", price="1501", validity="IOC")

    assert order.state.status is Status.CANCELLED
    assert (order.state.filled_quantity, order.state.cancelled_quantity) == (100, 50)


def test_a_resting_order_fills_at_its_own_limit_as_far_as_the_book_goes(stage):
    order = stage.place(quantity=100, order_type="LIMIT", price="1490")

    stage.price("1480", SOON, buy=[("1479", 10)], sell=[("1480", 70), ("1495", 500)])

    assert fills(order) == [("1490.00", 70)]
    assert order.state.pending_quantity == 30


def test_a_partly_filled_order_goes_on_when_the_book_is_renewed(stage):
    order = stage.place(quantity=100, order_type="LIMIT", price="1490")
    stage.price("1480", SOON, sell=[("1480", 70)])

    stage.price("1485", SOON, sell=[("1485", 70)])

    assert fills(order) == [("1490.00", 70), ("1490.00", 30)]


def test_the_better_priced_order_fills_first_and_of_equals_the_older(stage):
    older = stage.place(quantity=50, order_type="LIMIT", price="1490")
    better = stage.place(quantity=50, order_type="LIMIT", price="1491")
    younger = stage.place(quantity=50, order_type="LIMIT", price="1490")

    stage.price("1490", SOON, sell=[("1490", 120)])

    assert [order.state.filled_quantity for order in (better, older, younger)] == [50, 50, 20]


@pytest.mark.parametrize(("side", "edge"), [("BUY", "1507.50"), ("SELL", "1492.50")])
def test_a_protected_market_order_becomes_a_limit_at_the_edge_of_its_band(stage, side, edge):
    stage.price("1500", MONDAY, buy=[("1499", 1)], sell=[("1501", 1)])

    order = stage.place(quantity=10, product="MIS", transaction_type=side)

    assert (order.state.order_type, order.state.price) == (OrderType.LIMIT, Decimal(edge))
    assert (order.state.status, order.state.filled_quantity) == (Status.OPEN, 1)


def test_protection_holds_what_lies_beyond_its_band(stage):
    stage.price("1500", MONDAY, sell=[("1507.5", 10), ("1507.6", 10)])

    order = stage.place(quantity=20)

    assert fills(order) == [("1507.50", 10)]


def test_without_protection_a_relaxed_market_order_takes_any_price():
    stage = Stage(profile=RELAXED)
    stage.price("1500", MONDAY, sell=[("1507.5", 10), ("1600", 10)])

    order = stage.place(quantity=20, market_protection=0)

    assert fills(order) == [("1507.50", 10), ("1600.00", 10)]


@pytest.mark.parametrize(
    ("last", "percent"),
    [("99.99", "2"), ("100", "1"), ("499.99", "1"), ("500", "0.5"), ("90000", "0.5")],
)
def test_the_automatic_band_is_narrower_for_dearer_shares(last, percent):
    assert automatic_band(Decimal(last)) == Decimal(percent)


@pytest.mark.parametrize(
    ("side", "protection", "edge"),
    [
        (Side.BUY, "1", "1515.00"),
        (Side.SELL, "1", "1485.00"),
        (Side.BUY, "0.001", "1500.00"),
        (Side.SELL, "100", "0.1"),
    ],
)
def test_a_band_edge_is_on_tick_and_not_on_the_wrong_side(side, protection, edge):
    assert band_edge(INFY, side, Decimal(1500), Decimal(protection)) == Decimal(edge)


def test_a_stop_waits_for_its_trigger_and_then_trades_up_to_its_limit(stage):
    order = stage.place(order_type="SL", trigger_price="1510", price="1512", product="MIS")
    assert order.state.status is Status.TRIGGER_PENDING
    assert statuses(order)[-2:] == ["OPEN PENDING", "TRIGGER PENDING"]

    stage.price("1509.90", SOON)
    assert order.state.status is Status.TRIGGER_PENDING

    stage.price("1510", SOON)
    assert fills(order) == [("1510.00", 10)]


def test_a_stop_whose_limit_is_jumped_over_rests(stage):
    order = stage.place(order_type="SL", trigger_price="1510", price="1512")

    stage.price("1520", SOON)

    assert (order.state.status, order.state.filled_quantity) == (Status.OPEN, 0)


def test_a_market_stop_sells_within_its_protection_when_the_price_falls(stage):
    order = stage.place(order_type="SL-M", trigger_price="1490", transaction_type="SELL", product="MIS")

    stage.price("1490.10", SOON)
    assert order.state.status is Status.TRIGGER_PENDING

    stage.price("1488", SOON, buy=[("1488", 4), ("1400", 10)])
    assert fills(order) == [("1488.00", 4)]
    assert order.state.price == Decimal("1480.60")


def test_several_stops_are_triggered_by_one_move(stage):
    orders = [stage.place(order_type="SL-M", trigger_price=price) for price in ("1510", "1511", "1530")]

    stage.price("1511", SOON)

    assert [order.state.status for order in orders] == [Status.COMPLETE, Status.COMPLETE, Status.TRIGGER_PENDING]


def test_an_order_with_a_time_to_live_dies_at_its_end(stage):
    order = stage.rest(validity="TTL", validity_ttl=2)

    stage.pass_time(MONDAY + timedelta(minutes=2) - timedelta(microseconds=1))
    assert order.state.status is Status.OPEN

    stage.pass_time(MONDAY + timedelta(minutes=2))
    assert order.state.status is Status.CANCELLED


def test_a_moving_market_fills_within_its_spread(stage):
    stage.price(None, MONDAY)

    order = stage.place(quantity=5)

    last = stage.market.last_price(INFY, MONDAY)
    assert order.state.status is Status.COMPLETE
    assert 0 <= order.trades[0].price - last <= 2 * INFY.tick_size
