"""
More of the cast, for orders: a signal followed to its end, orders by hand, orders that rest or are in doubt.

RELIANCE stands at 1,400.00, so a BUY at 1,390.00 rests and one at 1,405.00 fills at once, at 1,400.00.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from orders import by_hand
from orders.deciding import ManualOrder, decide
from orders.desk import Desk
from orders.execution import submit
from orders.models import Order, Position, Signal
from orders.reconciliation import reconcile
from risk.engine.facts import OrderType, Side
from tests.conftest import open_the_limits
from tests.orders.shadow_cast import second_server, shadow, wire, zerodha  # noqa: F401 - fixtures


@pytest.fixture
def follow(desk: Desk) -> Callable[[Signal], Order | None]:
    """Decide and send a signal, and read the book."""

    def go(signal: Signal) -> Order | None:
        order = decide(desk, signal)
        if order is not None:
            submit(desk, order)
            reconcile(desk)
            order.refresh_from_db()
        signal.refresh_from_db()
        return order

    return go


@pytest.fixture
def pending(desk: Desk, received: Callable[..., Signal]) -> Callable[..., Order]:
    """Decide a signal and return its order, written down and not sent."""

    def make(**changes: Any) -> Order:
        order = decide(desk, received(**changes))
        assert order is not None
        return order

    return make


@pytest.fixture
def wish(desk: Desk) -> Callable[..., ManualOrder]:
    """Return a person's wish: one RELIANCE at a limit that fills at once; keywords change it."""
    numbers = itertools.count(1)

    def make(**changes: Any) -> ManualOrder:
        usual: dict[str, Any] = {
            "token": f"form-{next(numbers)}",
            "side": Side.BUY,
            "exchange": "NSE",
            "symbol": "RELIANCE",
            "quantity": 1,
            "order_type": OrderType.LIMIT,
            "limit_price": Decimal("1405.00"),
            "by": "priya",
        }
        return ManualOrder(**{**usual, **changes})

    return make


@pytest.fixture
def resting(desk: Desk, wish: Callable[..., ManualOrder]) -> Callable[..., Order]:
    """Place an order that rests at the broker, and read the book. No limit is in the way."""
    open_the_limits()

    def make(**changes: Any) -> Order:
        order = by_hand.place(desk, wish(limit_price=Decimal("1390.00"), **changes))
        reconcile(desk)
        order.refresh_from_db()
        return order

    return make


@pytest.fixture
def held(desk: Desk, wish: Callable[..., ManualOrder]) -> Callable[[int], Position]:
    """Buy so many RELIANCE at 1,400.00 and return the position. No limit is in the way."""
    open_the_limits()

    def buy(quantity: int) -> Position:
        by_hand.place(desk, wish(quantity=quantity))
        reconcile(desk)
        return Position.objects.get(symbol="RELIANCE")

    return buy


@pytest.fixture
def in_doubt(desk: Desk, paper: Any, pending: Callable[..., Order]) -> Callable[..., Order]:
    """Send an order whose answer is lost: "drop_before" never reaches the book, "drop_after" does."""

    def make(fault: str = "drop_before", **more: float) -> Order:
        order = pending()
        paper.fault("place", fault, **more)
        submit(desk, order)
        assert order.status == "IN_DOUBT"
        return order

    return make
