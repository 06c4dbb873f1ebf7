"""
Which terms a working order has: the broker's book says so, whoever asked for them.

A modification is answered long before anybody knows whether it came about. Its terms hold when the book shows them, and
do not when the order is over without them, or when a book that began to be read long enough after it was sent still
shows others. The caller holds the mode's lock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from orders.comparison import Match
from orders.lifecycle import ENDED_AT_THE_BROKER, ModificationState
from orders.models import Order, OrderModification
from orders.traffic import CHANGED_ELSEWHERE
from risk.models import Incident

_RESTING = "OPEN"  # while Kite works on a modification it says so by another word, and the terms before hold
_TAKEN_FOR_NOTHING = frozenset({ModificationState.REFUSED, ModificationState.DID_NOT})


def tell_of_new_terms(order: Order, quantity: int, price: Decimal | None, *, now: datetime) -> None:
    """Note whose terms the book shows: those of a modification of ours, or some that were asked for elsewhere."""
    modification = _asked_here(order, quantity, price)
    if modification is None:
        order.note(f"{CHANGED_ELSEWHERE}: {quantity} at {price}", at=now, actor="broker")
        return
    late = modification.state in _TAKEN_FOR_NOTHING
    note = f"the broker's book shows them, as {modification.asked_by} asked: {modification.reason}"
    modification.advance(ModificationState.TOOK_EFFECT, at=now, note=note, actor="broker")
    if late:
        _tell_of_late_effect(order, modification, now)


def judge_modification(
    order: Order, match: Match, as_of: datetime, *, now: datetime, wait: timedelta, wait_after_429: timedelta
) -> None:
    """
    Conclude what became of a modification under way, where the book that was read from `as_of` on proves it.

    `wait` is how long after it was sent its terms may still turn up in the book, and likewise after a 429.
    """
    modification, report = order.modifications.filter(ended_at__isnull=True).first(), match.report
    if modification is None:
        return
    if modification.holds_in(report.quantity, match.price):
        note = "the broker's book shows them"
        modification.advance(ModificationState.TOOK_EFFECT, at=now, note=note, actor="broker")
        return
    if report.status in ENDED_AT_THE_BROKER:
        end_modification(order, now=now, note=f"the broker says {report.status}", actor="broker")
        return
    if modification.sent_at is None or report.status != _RESTING:
        return
    shown = f"the broker's book still shows {report.quantity} at {match.price}"
    if modification.was_turned_away and modification.answered_at is not None:
        if as_of > modification.answered_at + wait_after_429:
            note = f"{modification.state_reason}; {shown}"
            modification.advance(ModificationState.REFUSED, at=now, note=note, actor="broker")
    elif as_of > modification.sent_at + wait:
        modification.advance(ModificationState.DID_NOT, at=now, note=shown, actor="broker")


def end_modification(order: Order, *, now: datetime, note: str, actor: str) -> None:
    """End what is under way for an order that is over: nothing of it can come about any more."""
    for modification in order.modifications.filter(ended_at__isnull=True):
        unsent = modification.state == ModificationState.WISHED
        to = ModificationState.WITHDRAWN if unsent else ModificationState.DID_NOT
        modification.advance(to, at=now, note=note, actor=actor)


def _asked_here(order: Order, quantity: int, price: Decimal | None) -> OrderModification | None:
    """Return the newest modification that asked for these terms, was sent, and was not overtaken by a later one."""
    for modification in order.modifications.left():
        if modification.state == ModificationState.TOOK_EFFECT:
            return None
        if modification.holds_in(quantity, price):
            return modification
    return None


def _tell_of_late_effect(order: Order, modification: OrderModification, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.LATE_APPEARANCE,
        mode=order.mode,
        subject=f"modification {modification.pk} of {order.client_order_id}",
        title=f"{order}: a modification took effect after we took it for nothing",
        detail=f"{modification}",
        what_to_do="Its terms are taken over. Modify the order again, or cancel it, if they are not wanted any more.",
        symbol=order.symbol,
        client_order_id=order.client_order_id or "",
        now=now,
    )
