"""Modifications at the same moment as other modifications, orders, cancels and fills."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orders.broker.kite import KiteGateway
from orders.deciding import OrderDenied, decide_manual
from orders.execution import cancel
from orders.models import Order, OrderModification
from orders.modifying import ModificationRefused, Wish, modify
from orders.reconciliation import reconcile
from tests.conftest import open_the_limits

from .together import Together, held_up

pytestmark = pytest.mark.django_db(transaction=True)


def wanted(token, **changes):
    return Wish(**{"token": token, "quantity": None, "price": None, "by": "priya", "reason": "x", **changes})


def test_two_orders_modified_at_once_do_not_share_the_last_room(desk, resting, paper):
    """1 and 1 at 1,390.00 are counted at 1,400.00 each: 9,800.00 of 10,000.00 are 7 shares, so one may grow to 6."""
    orders = [resting(), resting()]
    open_the_limits(position_value_max=Decimal(10_000))

    with held_up("orders_decision") as wait_for:
        both = Together(
            *[lambda order=order: modify(desk, order, wanted(str(order.pk), quantity=6)) for order in orders]
        )
        wait_for(2)
    results = both.join()

    assert sorted(type(each).__name__ for each in results) == ["OrderDenied", "OrderModification"]
    assert len([row for row in paper.journal() if row["event"] == "modified"]) == 1


def test_an_order_and_a_modification_at_once_do_not_share_the_last_room(desk, resting, wish, paper):
    order = resting()
    open_the_limits(position_value_max=Decimal(10_000))

    with held_up("orders_decision") as wait_for:
        both = Together(
            lambda: modify(desk, order, wanted("t", quantity=6)),
            lambda: decide_manual(desk, wish(quantity=5, limit_price=Decimal("1390.00"))),
        )
        wait_for(2)
    results = both.join()

    assert len([each for each in results if isinstance(each, OrderDenied)]) == 1


def test_two_of_staff_who_modify_one_order_at_once_are_one_modification(desk, resting, paper):
    order = resting()
    copies = [Order.objects.get(pk=order.pk), Order.objects.get(pk=order.pk)]

    with held_up("orders_decision") as wait_for:
        both = Together(
            *[
                lambda copy=copy, price=price: modify(desk, copy, wanted(price, price=Decimal(price)))
                for copy, price in zip(copies, ["1391.00", "1392.00"], strict=True)
            ]
        )
        wait_for(2)
    results = both.join()

    refusal, modification = sorted(results, key=lambda each: isinstance(each, OrderModification))
    assert isinstance(refusal, ModificationRefused)
    assert modification.state == "ACCEPTED"
    assert [row["price"] for row in paper.journal() if row["event"] == "modified"] == [modification.price]


def test_a_fill_that_comes_before_the_modification_leaves_the_fill(desk, resting, paper, monkeypatch):
    order, real = resting(quantity=2), KiteGateway.modify

    def filled_first(gateway, *terms, **how):
        paper.set_price("NSE:RELIANCE", "1390.00")
        real(gateway, *terms, **how)

    monkeypatch.setattr(KiteGateway, "modify", filled_first)

    modification = modify(desk, order, wanted("t", quantity=5))
    reconcile(desk)

    order.refresh_from_db()
    assert modification.state == "REFUSED"
    assert (order.status, order.quantity, order.filled_quantity) == ("FILLED", 2, 2)


def test_a_cancel_while_the_modification_is_on_its_way_cancels(desk, resting, paper, monkeypatch):
    order, real = resting(), KiteGateway.modify

    def cancelled_first(gateway, *terms, **how):
        cancel(desk, Order.objects.get(pk=order.pk), by="tom", reason="no longer")
        real(gateway, *terms, **how)

    monkeypatch.setattr(KiteGateway, "modify", cancelled_first)

    modification = modify(desk, order, wanted("t", quantity=5))
    reconcile(desk)

    order.refresh_from_db()
    modification.refresh_from_db()
    assert (order.status, modification.state) == ("CANCELLED", "REFUSED")


def test_a_cancel_right_after_a_modification_cancels_what_it_became(desk, resting, paper):
    order = resting()
    modification = modify(desk, order, wanted("t", quantity=5))

    cancel(desk, order, by="tom", reason="no longer")
    reconcile(desk)

    order.refresh_from_db()
    modification.refresh_from_db()
    assert (order.status, order.quantity, modification.state) == ("CANCELLED", 5, "TOOK_EFFECT")
