"""
How many orders may be sent in a second, a minute and a day: the broker's quotas, and our own limits inside them.

A second and a minute are the ones before now, wherever they begin: what no such window exceeds, no calendar second or
minute does, by whosever clock. A modification counts in both as an order does, and not in the day. What opens leaves a
part of each quota to exits. An exit waits for the broker's second for at most `PATIENCE` and is sent then; a cancel
waits for nothing, but that of many each waits for its turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from risk.engine.control import Applies, Control, Finding
from risk.engine.facts import Origin, Portfolio, ProposedOrder, Traffic, is_closing
from risk.engine.limits import Limits

MUMBAI = ZoneInfo("Asia/Kolkata")

# Kite's, of July 2026 ("Exceptions and errors", "API rate limits"), and what of them is left to exits.
BROKER_SECOND, SECOND_FOR_EXITS = 10, 2
BROKER_MINUTE, MINUTE_FOR_EXITS = 400, 40
BROKER_DAY, DAY_FOR_EXITS = 5000, 500
BROKER_DAY_WARNING = BROKER_DAY * 80 // 100
MODIFICATIONS_MAX, MODIFICATIONS_FOR_EXITS = 25, 5  # of one order

RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"  # the code of the control: orders name it, too
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NEVER = datetime.max.replace(tzinfo=MUMBAI)
PATIENCE = timedelta(seconds=1)  # how long an exit waits for room


@dataclass(frozen=True, kw_only=True)
class Window:
    """How many orders one window has and how many it may have. `room_at` is when one more fits; None for never."""

    name: str
    count: int
    allowed: int
    room_at: datetime | None

    @property
    def is_full(self) -> bool:
        return self.count >= self.allowed

    @property
    def measured(self) -> str:
        return f"{self.count} in the last {self.name}"

    @property
    def limit(self) -> str:
        return f"{self.allowed} a {self.name}"

    @property
    def room(self) -> str:
        if self.room_at is None:
            return "there is never room: the limit is 0 or not set"
        return f"there is room from {self.room_at.astimezone(MUMBAI):%H:%M:%S.%f}"[:-4] + " on"


def tightest_for_opening(traffic: Traffic, limits: Limits, now: datetime) -> Window:
    """Return the window that an order which opens has to wait for longest, or else the one nearest to its limit."""
    windows = windows_for_opening(traffic, limits, now)
    return max(windows, key=lambda each: (each.is_full, each.room_at or NEVER, each.count - each.allowed))


def windows_for_opening(traffic: Traffic, limits: Limits, now: datetime) -> tuple[Window, ...]:
    """Return our own second and minute and the broker's, as they count for an order that opens."""
    return (
        _window("second", traffic.placed, SECOND, limits.orders_per_second_max or 0, now),
        _window("minute", traffic.placed, MINUTE, limits.orders_per_minute_max or 0, now),
        _window("second at the broker", _in_the_second(traffic), SECOND, BROKER_SECOND - SECOND_FOR_EXITS, now),
        _window("minute at the broker", traffic.placed, MINUTE, BROKER_MINUTE - MINUTE_FOR_EXITS, now),
    )


def tightest_for_closing(traffic: Traffic, now: datetime) -> Window:
    """Return what an order that closes waits for: the broker's second, all of it."""
    return _window("second at the broker", _in_the_second(traffic), SECOND, BROKER_SECOND, now)


def tightest_for_cancelling_many(traffic: Traffic, now: datetime) -> Window:
    """Return what each of many cancels waits for: the broker's second but for what it leaves to exits."""
    allowed = BROKER_SECOND - SECOND_FOR_EXITS
    return _window("second at the broker", _in_the_second(traffic), SECOND, allowed, now)


def order_rate_is_within_limits(
    proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime
) -> Finding:
    """The orders of the last second and minute, others' too. A signal's order waits for room, a person's is refused."""
    window = tightest_for_opening(portfolio.traffic, limits, now)
    if not window.is_full:
        return Finding(window.measured, window.limit, None)
    return Finding(window.measured, window.limit, why_not_now(window, waits=proposed.origin == Origin.AUTO))


def broker_day_has_room(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """The broker refuses even exits once its day is full, so what opens stops earlier."""
    count, allowed = portfolio.traffic.today, BROKER_DAY - DAY_FOR_EXITS
    reason = f"{count} orders today: the rest of the broker's {BROKER_DAY} a day is for exits"
    return Finding(f"{count} today", f"{allowed} a day at the broker", reason if count >= allowed else None)


def order_may_be_modified_again(
    proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime
) -> Finding:
    """The broker modifies an order so often and never again; the last times are kept for what closes."""
    if proposed.replaces is None:
        return Finding("a new order", "none", None)
    count, closing = proposed.replaces.modified, is_closing(proposed, portfolio.holding)
    allowed = MODIFICATIONS_MAX if closing else MODIFICATIONS_MAX - MODIFICATIONS_FOR_EXITS
    reason = f"it was modified {count} times, the limit is {allowed}: cancel it and place a new one"
    return Finding(f"{count} times", f"{allowed} times", reason if count >= allowed else None)


def why_not_now(window: Window, *, waits: bool) -> str:
    """Say in a sentence why an order does not go now, and when it may."""
    what_next = "" if window.room_at is None else "; it waits" if waits else "; send it again then"
    return f"{window.measured}, the limit is {window.allowed}: {window.room}{what_next}"


def _in_the_second(traffic: Traffic) -> list[datetime]:
    """Return what the broker counts in its second; one in which it turned an order away is full by its own word."""
    turned_away = [] if traffic.turned_away_at is None else [traffic.turned_away_at] * BROKER_SECOND
    return [*traffic.placed, *traffic.cancelled, *turned_away]


def _window(name: str, moments: Iterable[datetime], span: timedelta, allowed: int, now: datetime) -> Window:
    # A little ahead of our clock is another machine's: it cannot be later than now.
    began = now - span
    recent = [moment for moment in moments if moment > began]
    count = len(recent)
    if count < allowed:
        return Window(name=name, count=count, allowed=allowed, room_at=now)
    room_at = min(sorted(recent)[count - allowed], now) + span if allowed > 0 else None
    return Window(name=name, count=count, allowed=allowed, room_at=room_at)


CONTROLS = (
    Control(
        code=RATE_LIMIT_EXCEEDED,
        title="Pace of orders",
        sentence="After so many orders in a second or a minute a signal's entry waits, and a person's is refused.",
        unit="orders",
        rule=order_rate_is_within_limits,
        limits=("orders_per_second_max", "orders_per_minute_max"),
    ),
    Control(
        code="BROKER_DAY_EXCEEDED",
        title="The broker's orders of a day",
        sentence="Nothing is opened once only the part of the broker's daily orders that is kept for exits is left.",
        unit="orders",
        rule=broker_day_has_room,
        new_orders_only=True,
    ),
    Control(
        code="MODIFY_LIMIT",
        title="Modifications of one order",
        sentence="An order is modified 20 times at most, one that closes 25 times, which is all that the broker takes.",
        unit="times",
        rule=order_may_be_modified_again,
        applies=Applies.ALWAYS,
    ),
)
