"""What staff, or a script, do to orders stands in the audit trail with their reason, whoever carries it out."""

from __future__ import annotations

from decimal import Decimal

from orders import by_hand
from orders.adjusting import Wish as AdjustmentWish
from orders.adjusting import adjust
from orders.flattening import carry_on, flatten
from orders.models import Adjustment, Order
from orders.modifying import Wish, modify
from risk.models import AuditEntry

from .stand_ins import BookGateway


def reasons(*tables):
    entries = AuditEntry.objects.filter(table_name__in=tables)
    return {entry.reason for entry in entries.order_by("-id")[:1]}


def test_a_modification(desk, resting):
    order = resting(quantity=3)

    modify(desk, order, Wish(token="m", quantity=None, price=Decimal("1391.00"), by="priya", reason="nearer"))

    assert reasons("orders_ordermodification") == {"nearer"}


def test_a_fill_by_hand(desk, resting, wired):
    order = resting(quantity=3)
    fill = by_hand.HandFill(token="t", quantity=3, price=Decimal(1390), by="asha", reason="the contract note")

    by_hand.mark_filled(wired(desk, gateway=BookGateway()), order, fill)

    assert reasons("orders_fill") == {"the contract note"}


def test_an_adjustment(desk, held):
    wish = AdjustmentWish(
        token="a", kind=Adjustment.Kind.BONUS, by="asha", reason="bonus 1:1", ratio_new=1, ratio_old=1
    )

    adjust(desk, held(3), wish)

    assert reasons("orders_adjustment") == {"bonus 1:1"}


def test_what_a_flatten_does_turn_by_turn(desk, held, paper):
    held(3)
    paper.fault("positions", "error_503", times=1000)
    flatten(desk, token="f", by="priya", reason="enough")
    paper.control("DELETE", "faults")

    carry_on(desk)

    assert Order.objects.get(is_exit=True).status == "OPEN"
    assert reasons("orders_order") == {"enough"}
