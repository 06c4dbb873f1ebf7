"""
How much of each limit is used, measured as the risk desk measures it: the same book, the same arithmetic.

It is for looking at. What decides takes the book under its lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orders.desk import Desk, trading_date
from orders.models import DayPoint, Order
from orders.portfolio import OpenBook, open_book
from orders.rejections import rejections_of
from orders.traffic import traffic
from risk import limit_versions
from risk.engine import rates
from risk.engine.control import Control
from risk.engine.exposure_rules import worth
from risk.engine.facts import Traffic
from risk.engine.limits import Limits
from risk.engine.rules import CATALOGUE

Amount = Decimal | int
_PACES = {"second": "orders_per_second_max", "minute": "orders_per_minute_max"}  # of our own; others are the broker's


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What one symbol may be worth, in INR, and the limit that holds for it; None for what is not known or not set."""

    exchange: str
    symbol: str
    quantity: int
    worth: Decimal | None
    limit: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Used:
    """One limit and how much of it is used, in the unit of its control. None is not known, or not set."""

    control: Control
    used: Amount | None
    limit: Amount | None
    what: str = ""  # beside the control's title: which symbol, which window
    name: str = ""  # the limit's own, where it is one that staff set

    @property
    def percent(self) -> int | None:
        """How much of the limit is used, 100 for a limit of 0 and for one that is passed."""
        if self.used is None or self.limit is None:
            return None
        if self.used <= 0:
            return 0
        return 100 if self.used >= self.limit else int(self.used * 100 / self.limit)


def exposures(desk: Desk, limits: Limits, *, now: datetime, book: OpenBook | None = None) -> list[Exposure]:
    """Return every symbol that is held or may be, the largest first."""
    own = limit_versions.of_instruments(now=now)
    found = []
    for (exchange, symbol), line in (book or open_book(desk, limits, now)).lines:
        within = own.get((exchange, symbol))
        limit = (limits.within(within) if within else limits).position_value_max
        found.append(
            Exposure(exchange=exchange, symbol=symbol, quantity=line.own, worth=worth(line, limits), limit=limit)
        )
    return sorted(found, key=lambda each: (each.worth is not None, -(each.worth or 0), each.symbol))


def used_of_limits(
    desk: Desk, limits: Limits, *, day: DayPoint | None, now: datetime, book: OpenBook, open_now: list[Exposure]
) -> list[Used]:
    """Return how much is used of each limit that a day fills up; `day` is today's newest point, if there is one."""
    today = traffic(desk, now)
    return [
        *_of_the_day(desk, limits, day, now),
        *_of_the_book(limits, book, open_now),
        *_of_the_pace(limits, today, now),
        *_of_the_refusals(desk, limits, now),
    ]


def _of_the_day(desk: Desk, limits: Limits, day: DayPoint | None, now: datetime) -> Iterator[Used]:
    trades = Order.objects.trades_of(desk.mode, trading_date(now)).count()
    yield Used(
        control=CATALOGUE["DAILY_TRADES_EXCEEDED"], used=trades, limit=limits.daily_trades_max, name="daily_trades_max"
    )
    lost = None if day is None else max(Decimal(0), -day.result)
    yield Used(control=CATALOGUE["DAILY_LOSS_EXCEEDED"], used=lost, limit=limits.daily_loss_max, name="daily_loss_max")


def _of_the_book(limits: Limits, book: OpenBook, open_now: list[Exposure]) -> Iterator[Used]:
    worths = [each.worth for each in open_now]
    known = [worth for worth in worths if worth is not None]
    gross = sum(known, Decimal(0)) if len(known) == len(worths) else None
    yield Used(
        control=CATALOGUE["GROSS_EXPOSURE_EXCEEDED"],
        used=gross,
        limit=limits.gross_exposure_max,
        name="gross_exposure_max",
    )
    control = CATALOGUE["POSITION_VALUE_EXCEEDED"]
    name = "position_value_max"
    fullest = max(
        (Used(control=control, used=each.worth, limit=each.limit, what=each.symbol, name=name) for each in open_now),
        key=lambda used: 101 if used.percent is None else used.percent,
        default=Used(control=control, used=Decimal(0), limit=limits.position_value_max, name=name),
    )
    yield fullest
    yield Used(
        control=CATALOGUE["MAX_POSITIONS_EXCEEDED"],
        used=len(open_now),
        limit=limits.positions_max,
        name="positions_max",
    )
    control = CATALOGUE["OPEN_ORDERS_EXCEEDED"]
    yield Used(control=control, used=book.open_orders, limit=limits.open_orders_max, name="open_orders_max")
    symbol, count = book.busiest
    allowed, name = limits.symbol_open_orders_max, "symbol_open_orders_max"
    yield Used(control=control, used=count, limit=allowed, what=symbol or "of a symbol and side", name=name)


def _of_the_pace(limits: Limits, today: Traffic, now: datetime) -> Iterator[Used]:
    for window in rates.windows_for_opening(today, limits, now):
        control = CATALOGUE[rates.RATE_LIMIT_EXCEEDED]
        name = _PACES.get(window.name, "")
        yield Used(control=control, used=window.count, limit=window.allowed, what=f"in a {window.name}", name=name)
    allowed = rates.BROKER_DAY - rates.DAY_FOR_EXITS
    yield Used(control=CATALOGUE["BROKER_DAY_EXCEEDED"], used=today.today, limit=allowed)


def _of_the_refusals(desk: Desk, limits: Limits, now: datetime) -> Iterator[Used]:
    streak, lately = rejections_of(desk.mode, now=now)
    control = CATALOGUE["REJECT_STREAK"]
    yield Used(control=control, used=streak, limit=limits.reject_streak_max, what="in a row", name="reject_streak_max")
    yield Used(control=control, used=lately, limit=limits.rejections_max, what="in ten minutes", name="rejections_max")
