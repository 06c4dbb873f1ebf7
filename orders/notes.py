"""Notes of staff on an order: kept among its events, and never changed."""

from __future__ import annotations

from orders.desk import Desk
from orders.models import Order, OrderEvent

# Before every note: the machine's own events are told apart by how they begin, and a person may write anything.
NOTE = "note: "


def write_note(desk: Desk, order: Order, *, by: str, text: str) -> OrderEvent:
    """Keep what a person has to say of the order. Nothing of the book changes, so no lock is needed."""
    return order.note(f"{NOTE}{text}", at=desk.clock(), actor=by)
