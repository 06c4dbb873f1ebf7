"""
The rate governor: whether there is room for an order now, and what becomes of it when there is none.

What opens stays unsent when a signal asked for it, and is tried again while its decision is fresh; a person is told
when there will be room. What closes waits for a moment, never under the lock. Cancels do not come by here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from orders.desk import Desk
from orders.ledger import own_quantity
from orders.models import Order
from orders.traffic import is_turned_away_again, requests_of_today, traffic
from risk import control as switch
from risk import limit_versions
from risk.engine.facts import Origin, Side
from risk.engine.rates import (
    BROKER_DAY,
    BROKER_DAY_WARNING,
    DAY_FOR_EXITS,
    PATIENCE,
    RATE_LIMIT_EXCEEDED,
    Window,
    tightest_for_closing,
    tightest_for_opening,
    why_not_now,
)
from risk.models import Incident, TradingControl

PAUSE_MIN = timedelta(milliseconds=20)  # so that a wait ends, whatever the clock does


class HeldUp(NamedTuple):
    """There is no room: try again after `pause`, or withdraw it for the reason, or, with neither, leave it unsent."""

    pause: timedelta = timedelta(0)
    withdrawn_because: str = ""


def held_up(desk: Desk, order: Order, waited: timedelta, now: datetime) -> HeldUp | None:
    """
    Return what is to be done with an order that has no room now; None when it may go. The caller holds the lock.

    What closes goes after `PATIENCE` whatever the count: the broker's refusal is the worst that can come of it.
    """
    seen = traffic(desk, now)
    if not opens(order):
        window = tightest_for_closing(seen, now)
        if not window.is_full or waited >= PATIENCE:
            return None
        _note_the_wait(order, window, now)
        until = window.room_at or now + PATIENCE
        return HeldUp(pause=min(max(until - now, PAUSE_MIN), PATIENCE))
    if seen.today >= BROKER_DAY - DAY_FOR_EXITS:
        return HeldUp(withdrawn_because="the rest of the broker's orders of the day is for exits")
    window = tightest_for_opening(seen, desk.tighten(limit_versions.in_force(now=now).limits()), now)
    if not window.is_full:
        return None
    if order.origin != Origin.AUTO:
        return HeldUp(withdrawn_because=f"{RATE_LIMIT_EXCEEDED}: {why_not_now(window, waits=False)}")
    _note_the_wait(order, window, now)
    return HeldUp()


def opens(order: Order) -> bool:
    """Return whether it may open exposure: a BUY that is no exit and covers no short position."""
    buys = order.side == Side.BUY and not order.is_exit
    return buys and own_quantity(order.mode, order.exchange, order.symbol) >= 0


def _note_the_wait(order: Order, window: Window, now: datetime) -> None:
    """Leave one event, however often the order is tried."""
    if not order.events.filter(note__startswith=RATE_LIMIT_EXCEEDED).exists():
        order.note(f"{RATE_LIMIT_EXCEEDED}: {why_not_now(window, waits=True)}", at=now, actor="executor")


def stop_when_turned_away_again(desk: Desk, reason: str) -> None:
    """Turn auto-trading off when the broker refused two orders in a row for their rate: then we count wrongly."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        if not is_turned_away_again(desk):
            return
        now = desk.clock()
        title = "The broker refused two orders in a row for their rate"
        switch.auto_trading_off(desk.mode, by="executor", reason=f"{title}: {reason}", now=now)
        Incident.objects.open(
            Incident.Kind.RATE_REFUSED,
            mode=desk.mode,
            title=title,
            detail=reason,
            what_to_do="Auto-trading was turned off. Does another program send orders on this account? Turn it on "
            "again when that is clear.",
            now=now,
        )


def tell_when_the_day_runs_out(desk: Desk) -> None:
    """Open an incident, once a day, when most of the orders that the broker takes in a day were sent."""
    today, now = desk.today(), desk.clock()
    count = requests_of_today(desk, now)
    kind = Incident.Kind.BROKER_DAY_FILLS
    if count < BROKER_DAY_WARNING or Incident.objects.told(kind, mode=desk.mode, subject=f"{today}"):
        return
    Incident.objects.open(
        kind,
        mode=desk.mode,
        subject=f"{today}",
        title=f"{count} of the {BROKER_DAY} orders that the broker takes a day were sent",
        what_to_do="Is a strategy, or another program on this account, sending in a circle? The last ones are kept for "
        "exits: what opens will be refused before the day is full.",
        now=now,
    )
