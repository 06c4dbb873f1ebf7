"""What orders block, to the paisa, whatever becomes of them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.states import Status
from orders.paper.market.sessions import ExchangeHours

from .stage import MONDAY, WEDNESDAY, Stage, fills

EVENING = MONDAY.replace(hour=20)
MORNING = WEDNESDAY.replace(hour=9, minute=15)  # Tuesday is a holiday


def partly_filled(stage: Stage, **changes):
    """Return an order of ten at 1500 of which four have filled."""
    side = "sell" if changes.get("transaction_type", "BUY") == "BUY" else "buy"
    stage.price("1500", MONDAY, **{side: [("1500", 4)]})
    return stage.place(order_type="LIMIT", price="1500", **changes)


def test_a_partly_filled_order_needs_money_only_for_its_rest():
    stage = Stage(cash=Decimal(16_000))
    order = partly_filled(stage)

    stage.modify(order, price="1499")

    assert stage.book.blocked == 6 * 1499


def test_a_partly_filled_order_cannot_grow_beyond_the_money():
    short_of, enough = Stage(cash=Decimal(16_505)), Stage(cash=Decimal(16_510))  # four in ten cost 7.21 in charges

    with pytest.raises(KiteRefusal, match="Required margin is 10500"):
        short_of.modify(partly_filled(short_of), quantity=11)

    enough.modify(partly_filled(enough), quantity=11)
    assert enough.book.blocked == 7 * 1500


def test_the_rest_of_a_closing_order_still_needs_nothing_when_changed(stage):
    stage.place(product="MIS")
    order = partly_filled(stage, product="MIS", transaction_type="SELL")

    stage.modify(order, price="1510")

    assert stage.book.blocked == 0


def test_an_overdrawn_account_may_make_its_order_smaller():
    stage = Stage(cash=Decimal(20_000))
    order = stage.rest()
    stage.desk.add_funds(Decimal(-10_000), MONDAY)

    stage.modify(order, quantity=9)

    assert stage.book.blocked == 9 * 1400


def test_what_was_blocked_in_thirds_comes_back_whole(stage):
    stage.place(product="MIS", transaction_type="SELL", quantity=1)
    stage.price("1500", MONDAY, sell=[("1500", 1)])
    stage.rest(quantity=100, price="1399.9")
    order = stage.place(product="MIS", quantity=3, order_type="LIMIT", price="1500.1")
    others = [stage.rest(quantity=7, product="MIS", price="1383.3") for _ in range(3)]

    for one in [order, *others]:
        stage.cancel(one)

    assert stage.book.blocked == 100 * Decimal("1399.9")


def test_an_after_market_order_may_sell_all_that_is_held():
    stage = Stage(sessions=ExchangeHours())
    stage.place()
    order = stage.rest(EVENING, variety="amo", transaction_type="SELL", price="1500")

    stage.pass_time(MORNING)

    assert fills(order) == [("1500.00", 10)]


def test_an_after_market_order_is_judged_by_the_quantity_it_was_changed_to():
    stage = Stage(sessions=ExchangeHours(), cash=Decimal(20_000))
    order = stage.rest(EVENING, variety="amo", quantity=5)
    stage.modify(order, EVENING, quantity=14)

    stage.pass_time(MORNING)

    assert order.state.status is Status.OPEN
    assert stage.book.blocked == 14 * 1400


def test_the_twenty_fifth_change_is_taken_and_the_next_is_not(stage):
    order = stage.rest()
    for number in range(25):
        stage.modify(order, MONDAY + timedelta(seconds=number), quantity=11 + number)

    with pytest.raises(KiteRefusal, match="400"):
        stage.modify(order, quantity=9)

    assert order.state.quantity == 35
