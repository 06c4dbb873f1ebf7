"""What the risk desk would say of an order is what it then says, and asking it writes nothing."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from decimal import Decimal

import pytest

from orders import by_hand
from orders.deciding import InvalidOrder, OrderDenied, UnknownInstrument
from orders.models import Decision, Order
from orders.rehearsal import rehearse
from risk import control
from risk.engine.facts import OrderType, Side
from risk.models import RiskSettings
from tests.conftest import open_the_limits

pytestmark = pytest.mark.django_db


def test_it_says_what_the_decision_then_says_and_writes_nothing(desk, wish):
    asked = wish(quantity=2)

    rehearsed = rehearse(desk, asked)
    assert (Decision.objects.count(), Order.objects.count()) == (0, 0)
    with contextlib.suppress(OrderDenied):
        by_hand.place(desk, asked)

    told = {each["control"]: each["passed"] for each in Decision.objects.get().verdicts}
    assert told == {each.control: each.passed for each in rehearsed.decision.verdicts}


@pytest.mark.parametrize("cap", [Decimal(1404), Decimal(1405), Decimal(2809), Decimal(2810)])
def test_the_room_is_the_last_quantity_that_passes(desk, wish, cap):
    open_the_limits()
    RiskSettings.objects.update(order_value_max=cap)

    room = rehearse(desk, wish(limit_price=Decimal("1405.00"))).room

    assert room.quantity == int(cap // 1405)
    assert "ORDER_VALUE_EXCEEDED" in room.held_by
    if room.quantity:
        by_hand.place(desk, wish(quantity=room.quantity))
    with pytest.raises(OrderDenied):
        by_hand.place(desk, wish(quantity=room.quantity + 1))


def test_a_sale_is_split_into_what_closes_and_what_opens(desk, wish, held):
    held(3)

    rehearsed = rehearse(desk, wish(side=Side.SELL, quantity=5, limit_price=Decimal("1395.00")))

    assert (rehearsed.closes, rehearsed.opens) == (3, 2)
    assert rehearsed.room.quantity == 3
    assert {"SHORT_NOT_ALLOWED", "WOULD_FLIP"} & set(rehearsed.room.held_by)


def test_while_halted_nothing_would_pass_and_it_says_what_holds_it(desk, wish):
    control.halt(desk.mode, by="priya", reason="odd fills", now=desk.clock())

    rehearsed = rehearse(desk, wish())

    assert rehearsed.room.quantity == 0
    assert "TRADING_HALTED" in rehearsed.room.held_by
    assert next(each.control for each in rehearsed.decision.breaches) == "TRADING_HALTED"


def test_without_a_price_the_value_is_unknown_and_what_opens_is_refused(desk, wish, paper):
    paper.fault("quote", "error_503", times=100)

    rehearsed = rehearse(desk, wish(order_type=OrderType.MARKET, limit_price=None))

    assert rehearsed.value is None
    assert "PRICE_MISSING" in {each.control for each in rehearsed.decision.breaches}


def test_terms_that_no_order_can_have_are_refused_as_they_are_when_it_is_placed(desk, wish):
    with pytest.raises(InvalidOrder):
        rehearse(desk, wish(quantity=0))
    with pytest.raises(UnknownInstrument):
        rehearse(desk, replace(wish(), symbol="NOSUCH"))
