"""Cancels of staff: what became of each order that a cancel was asked for, in words, of one order or of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages

from orders import execution
from orders.admin.order_dialogs import cannot_be_cancelled, in_words
from orders.admin.refusals import REFUSALS
from orders.admin.wording import order_badge
from orders.desk import Desk
from orders.lifecycle import OrderStatus
from orders.models import Order
from risk.admin.display import sentence

LEVELS = {messages.SUCCESS: "good", messages.WARNING: "warning", messages.ERROR: "bad"}


@dataclass(frozen=True)
class Result:
    """What is told of one order: how it went, and in which words."""

    order: Order
    level: int
    said: str
    asked: bool = False  # whether the cancel was asked for, whatever came of it

    @property
    def name(self) -> str:
        return f"{in_words(self.order)} ({self.order.client_order_id or self.order.broker_order_id})"

    @property
    def message(self) -> str:
        return f"{self.name}: {self.said}."

    def row(self) -> dict[str, Any]:
        """Return what a table shows of it."""
        return {
            "row": self.order,
            "words": in_words(self.order),
            "status": order_badge(self.order),
            "tone": LEVELS[self.level],
            "said": sentence(self.said),
        }


def cancel_one(desk: Desk, order: Order, *, by: str, reason: str) -> Result:
    """Ask for the cancel if one makes sense, and return what became of it. Raise the use case's refusals."""
    if refusal := cannot_be_cancelled(order):
        return Result(order, messages.WARNING, f"it was not cancelled: {refusal}")
    execution.cancel(desk, order, by=by, reason=reason)
    withdrawn, sent = order.status == OrderStatus.WITHDRAWN, order.is_unfinished and order.broker_order_id
    level = messages.SUCCESS if withdrawn or sent else messages.WARNING
    return Result(order, level, execution.after_a_cancel(order), asked=True)


def cancel_each(desk: Desk, orders: list[Order], *, by: str, reason: str) -> list[Result]:
    """Cancel one by one and return a result for each: the trouble of one does not keep the others from it."""
    results = []
    for order in orders:
        try:
            results.append(cancel_one(desk, order, by=by, reason=reason))
        except REFUSALS as refusal:
            results.append(Result(order, messages.ERROR, f"it was not cancelled: {refusal}"))
    return results
