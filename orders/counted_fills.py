"""What counts of an order's fills: the broker's own, and of what a person marked what those lack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orders.models import Fill


@dataclass(frozen=True, kw_only=True)
class Counted:
    """
    One execution as it counts: when, how many shares, INR a share.

    Kite's times are whole seconds: `name` keeps the order of what happened within one, whenever it is recorded.
    """

    at: datetime
    name: str
    quantity: int
    price: Decimal


def counted_fills(fills: Iterable[Fill]) -> list[Counted]:
    """Return what counts of one order's fills: the broker's, and of what was marked by hand what those lack."""
    fills = list(fills)
    by_broker = [fill for fill in fills if fill.source == Fill.Source.BROKER]
    counted = [
        Counted(at=fill.filled_at, name=fill.trade_id, quantity=fill.quantity, price=fill.price) for fill in by_broker
    ]
    marked = statement(fills)
    lacking = (marked.quantity if marked else 0) - sum(fill.quantity for fill in by_broker)
    if marked and lacking > 0:
        counted.append(Counted(at=marked.filled_at, name="HAND", quantity=lacking, price=marked.price))
    return counted


def statement(fills: Iterable[Fill]) -> Fill | None:
    """Return the last fill by hand: it says what was filled in all, so it replaces the ones before it."""
    by_hand = [fill for fill in fills if fill.source == Fill.Source.HAND]
    return max(by_hand, key=lambda fill: fill.pk, default=None)  # by no clock, which may be set back between
