"""A SELL whose own BUY works still: that is cancelled first, whatever else keeps things from being opened."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orders.deciding import decide
from orders.models import Order, Position
from orders.reconciliation import reconcile
from risk import control as switch
from risk.models import RiskSettings

SELL = {"signal_type": "SELL", "cms_score": -75.0}


def reduce_only(desk):
    switch.reduce_only("PAPER", by="priya", reason="test", now=desk.clock())


def fill_the_pace(desk):
    """Let the second and the minute of what opens be full, and the broker's, too."""
    RiskSettings.objects.update(orders_per_second_max=1, orders_per_minute_max=1)
    buy = Order.objects.get(status="OPEN")
    copies = []
    for number in range(12):
        copy = Order.objects.get(pk=buy.pk)
        copy.pk, copy.decision, copy.symbol, copy.status = None, None, "INFY", "CANCELLED"
        copy.client_order_id = copy.broker_order_id = f"PACE{number}"
        copy.submitted_at = desk.clock() + timedelta(seconds=20)  # counts as now for as long as the test takes
        copies.append(copy)
    Order.objects.bulk_create(copies)


each_hindrance = pytest.mark.parametrize("hinder", [reduce_only, fill_the_pace], ids=["REDUCE_ONLY", "pace"])


@each_hindrance
def test_our_own_buy_is_cancelled_first_and_what_is_held_is_sold_then(desk, received, follow, held, resting, hinder):
    held(3)
    buy = resting(quantity=2)
    hinder(desk)
    signal = received(**SELL)

    assert decide(desk, signal) is None
    signal.refresh_from_db()
    assert signal.status == "RECEIVED"
    reconcile(desk)
    order = follow(signal)

    buy.refresh_from_db()
    assert (buy.status, order.quantity, order.status) == ("CANCELLED", 3, "FILLED")


@each_hindrance
def test_with_nothing_held_yet_the_buy_that_would_open_it_is_cancelled_all_the_same(desk, received, resting, hinder):
    buy = resting(quantity=2)
    hinder(desk)
    signal = received(**SELL)

    assert decide(desk, signal) is None
    signal.refresh_from_db()
    assert signal.status == "RECEIVED"
    reconcile(desk)
    assert decide(desk, signal) is None

    buy.refresh_from_db()
    signal.refresh_from_db()
    assert buy.status == "CANCELLED"
    assert signal.status == "IGNORED"
    assert "NOTHING_TO_SELL" in signal.reason


@each_hindrance
def test_a_buy_that_filled_before_its_cancel_is_sold(desk, received, follow, resting, paper, hinder):
    resting(quantity=2)
    hinder(desk)
    signal = received(**SELL)
    paper.set_price("NSE:RELIANCE", "1390.00")

    assert decide(desk, signal) is None
    reconcile(desk)

    assert follow(signal).quantity == 2
    assert Position.objects.get().quantity == 0


def test_while_halted_a_sell_cancels_nothing_by_itself(desk, received, resting):
    buy = resting(quantity=2)
    switch.halt("PAPER", by="priya", reason="test", now=desk.clock())

    decide(desk, received(**SELL))

    buy.refresh_from_db()
    assert buy.cancel_requested_at is None


def test_while_auto_trading_is_off_a_sell_cancels_nothing(desk, received, resting):
    buy = resting(quantity=2)
    switch.auto_trading_off("PAPER", by="priya", reason="test", now=desk.clock())

    decide(desk, received(**SELL))

    buy.refresh_from_db()
    assert buy.cancel_requested_at is None
