"""
The rate governor: whether there is room for an order now, and what becomes of it when there is none.

What opens stays unsent when a signal asked for it, and is tried again while its decision is fresh; a person is told
when there will be room. What closes waits for a moment, never under the lock. A cancel is never refused; each of many
waits for its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from orders.desk import Desk
from orders.ledger import ask_own_quantity, own_quantity
from orders.models import Order, OrderModification
from orders.rejections import rejections_of
from orders.traffic import ask_traffic, is_turned_away_again, requests_of_today, traffic
from risk import control as switch
from risk import limit_versions
from risk.engine.broker_rules import too_many_rejections
from risk.engine.facts import Origin, Side, Traffic
from risk.engine.rates import (
    BROKER_DAY,
    BROKER_DAY_WARNING,
    DAY_FOR_EXITS,
    PATIENCE,
    RATE_LIMIT_EXCEEDED,
    Window,
    tightest_for_cancelling_many,
    tightest_for_closing,
    tightest_for_opening,
    why_not_now,
)
from risk.engine.rules import CATALOGUE
from risk.models import Incident, RiskSettings, TradingControl

AGAIN_AFTER = timedelta(seconds=2)
AGAIN_AFTER_MAX = timedelta(minutes=1)
PAUSE_MIN = timedelta(milliseconds=20)  # so that a wait ends, whatever the clock does


class HeldUp(NamedTuple):
    """There is no room: try again after `pause`, or withdraw it for the reason, or, with neither, leave it unsent."""

    pause: timedelta = timedelta(0)
    withdrawn_because: str = ""


def ask_held_up(desk: Desk, order: Order, now: datetime) -> Callable[[RiskSettings, timedelta], HeldUp | None]:
    """
    Ask what is to be done with an order that has no room now; None is told when it may go. The caller holds the lock.

    What is returned wants the limits in force, and how long the order waited. What closes goes after `PATIENCE`
    whatever the count: the broker's refusal is the worst that can come of it.
    """
    seen, own = ask_traffic(desk, now), ask_own_quantity(order.mode, order.exchange, order.symbol)

    def told(limits: RiskSettings, waited: timedelta) -> HeldUp | None:
        if _opens(order, own()):
            return _entry_held_up(desk, order, seen(), limits, now)
        window = tightest_for_closing(seen(), now)
        if not window.is_full or waited >= PATIENCE:
            return None
        _note_the_wait(order, window, now)
        return HeldUp(pause=_until_there_is_room(window, now))

    return told


def _entry_held_up(desk: Desk, order: Order, seen: Traffic, limits: RiskSettings, now: datetime) -> HeldUp | None:
    if seen.today >= BROKER_DAY - DAY_FOR_EXITS:
        return HeldUp(withdrawn_because="the rest of the broker's orders of the day is for exits")
    window = tightest_for_opening(seen, desk.tighten(limits.limits()), now)
    if not window.is_full:
        return None
    if order.origin != Origin.AUTO:
        return HeldUp(withdrawn_because=f"{RATE_LIMIT_EXCEEDED}: {why_not_now(window, waits=False)}")
    _note_the_wait(order, window, now)
    return HeldUp()


def pause_before_cancel(desk: Desk) -> None:
    """
    Wait for room before the next of many cancels, a second at most: then it goes, whatever the count.

    A cancel alone waits for nothing. Of many the broker would turn away those past its second, and they would be late.
    """
    now = desk.clock()
    window = tightest_for_cancelling_many(traffic(desk, now), now)
    if window.is_full:
        desk.pause(_until_there_is_room(window, now).total_seconds())


def until_the_next_try(tries: int) -> timedelta:
    """Return how long to wait with what was tried so often in vain: two seconds, then ever longer, up to a minute."""
    return min(AGAIN_AFTER * 1.25 ** min(max(0, tries - 4), 30), AGAIN_AFTER_MAX)


def modification_held_up(
    desk: Desk, modification: OrderModification, waited: timedelta, now: datetime
) -> HeldUp | None:
    """Return likewise what is to be done with a modification: one that adds exposure is withdrawn, any other waits."""
    seen = traffic(desk, now)
    if opens(modification.order) and not modification.tightens:
        window = tightest_for_opening(seen, desk.tighten(limit_versions.in_force(now=now).limits()), now)
        reason = f"{RATE_LIMIT_EXCEEDED}: {why_not_now(window, waits=False)}"
        return HeldUp(withdrawn_because=reason) if window.is_full else None
    window = tightest_for_closing(seen, now)
    if not window.is_full or waited >= PATIENCE:
        return None
    return HeldUp(pause=_until_there_is_room(window, now))


def _until_there_is_room(window: Window, now: datetime) -> timedelta:
    until = window.room_at or now + PATIENCE
    return min(max(until - now, PAUSE_MIN), PATIENCE)


def opens(order: Order) -> bool:
    """Return whether it may open exposure: a BUY that is no exit and covers no short position."""
    return _opens(order, own_quantity(order.mode, order.exchange, order.symbol))


def _opens(order: Order, own: int) -> bool:
    return order.side == Side.BUY and not order.is_exit and own >= 0


def _note_the_wait(order: Order, window: Window, now: datetime) -> None:
    """Leave one event, however often the order is tried."""
    if not order.events.filter(note__startswith=RATE_LIMIT_EXCEEDED).exists():
        order.note(f"{RATE_LIMIT_EXCEEDED}: {why_not_now(window, waits=True)}", at=now, actor="executor")


def stop_when_turned_away_again(desk: Desk, reason: str) -> None:
    """Turn auto-trading off when the broker refused two requests in a row for their rate: then we count wrongly."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        if not is_turned_away_again(desk):
            return
        now = desk.clock()
        title = "The broker refused two requests in a row for their rate"
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


def stop_after_rejections(mode: str, *, now: datetime) -> None:
    """
    Trip the breaker if the broker refused too much: REDUCE_ONLY, auto-trading off, an incident. The caller holds the
    lock.

    The cancel of each entry is asked for with it: what rests could still fill. The tracker carries them out.
    """
    reason = too_many_rejections(*rejections_of(mode, now=now), limit_versions.settle(now=now).limits())
    if reason is None:
        return
    switch.auto_trading_off(mode, by="executor", reason=reason, now=now)
    switch.reduce_only(mode, by="executor", reason=reason, now=now)
    for order in Order.objects.unfinished(mode):
        if opens(order):
            order.request_cancel(by="executor", reason=f"reduce only: {reason}", at=now)
    control = CATALOGUE["REJECT_STREAK"]
    Incident.objects.open(
        Incident.Kind.REJECT_STREAK,
        mode=mode,
        title=f"{control.title}: {reason}"[:200],
        detail=control.sentence,
        what_to_do="Find out why: the refused orders say what the broker said. Then resume trading, and turn "
        "auto-trading on.",
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
