"""
When the market trades: the exchange's calendar as values, and what it says of a moment.

Times are wall-clock times in Mumbai, and the hours of each group of instruments are dated, for both change by circular.
A year whose holidays are not all known is closed for what opens exposure; a special session whose times are not known
is closed for whatever is automatic. Each phase begins at its first moment and ends before the next one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo

MUMBAI = ZoneInfo("Asia/Kolkata")
SATURDAY = 5
DECEMBER = 12
ONE_DAY = timedelta(days=1)
DAYS_LOOKED_AHEAD = 30  # no market stays closed for longer
# Names for a person alone: nothing is sent before the continuous session, and nothing after it.
PRE_OPEN_FOR = timedelta(minutes=15)
POST_UNTIL = time(16, 0)


class Phase(StrEnum):
    """What the market does with an order now. Orders go out in CONTINUOUS only."""

    CLOSED = "CLOSED"
    PRE_OPEN = "PRE_OPEN"
    CONTINUOUS = "CONTINUOUS"
    AUCTION = "AUCTION"
    POST = "POST"


class InstrumentGroup(StrEnum):
    """Instruments that keep the same hours."""

    EQ_NO_FNO = "EQ_NO_FNO"  # shares without derivatives
    EQ_FNO_UNDERLYING = "EQ_FNO_UNDERLYING"  # shares with derivatives: their day ends in a closing auction
    FO = "FO"  # futures and options


class DayKind(StrEnum):
    HOLIDAY = "HOLIDAY"
    SPECIAL = "SPECIAL"  # a session of its own hours, also on a weekend


@dataclass(frozen=True, kw_only=True)
class CalendarEntry:
    """A day that is not as its weekday says. Both times, or neither: then they are not known."""

    kind: DayKind
    name: str
    opens: time | None = None
    closes: time | None = None

    @property
    def lacks_hours(self) -> bool:
        return self.kind == DayKind.SPECIAL and self.opens is None


@dataclass(frozen=True, kw_only=True)
class SessionHours:
    """The hours of a group from one date on, until newer ones of the group begin."""

    group: InstrumentGroup
    effective_from: date
    continuous_open: time
    continuous_close: time
    auction_close: time | None = None  # the closing auction begins where the continuous session ends


@dataclass(frozen=True, kw_only=True)
class TradingDay:
    """The sessions of one group on one day."""

    opens_at: datetime
    closes_at: datetime
    auction_ends_at: datetime | None = None
    post_ends_at: datetime | None = None

    def phase(self, at: datetime) -> Phase:
        if self.opens_at <= at < self.closes_at:
            return Phase.CONTINUOUS
        if self.auction_ends_at is not None and self.closes_at <= at < self.auction_ends_at:
            return Phase.AUCTION
        if self.opens_at - PRE_OPEN_FOR <= at < self.opens_at:
            return Phase.PRE_OPEN
        if self.post_ends_at is not None and self.closes_at <= at < self.post_ends_at:
            return Phase.POST
        return Phase.CLOSED


@dataclass(frozen=True, kw_only=True)
class MarketSession:
    """
    What the calendar says of one group at one moment: a fact of a decision.

    `opens_at` and `closes_at` are today's continuous session, None on a day without one. `phase` goes by the days and
    hours that are known, and `year_complete` says whether all of them are.
    """

    phase: Phase
    group: InstrumentGroup | None = None  # None where no hours are kept
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    auction_ends_at: datetime | None = None
    next_open_at: datetime | None = None  # None when it is not known
    year_complete: bool = True
    lacks_hours: bool = False  # a special session whose times nobody has entered
    day_name: str = ""

    @property
    def keeps_hours(self) -> bool:
        return self.group is not None


ROUND_THE_CLOCK = MarketSession(phase=Phase.CONTINUOUS)  # the paper market, unless it is told to keep the NSE's hours


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """The days and hours that are loaded."""

    complete_years: frozenset[int]
    entries: Mapping[date, CalendarEntry]
    hours: tuple[SessionHours, ...]

    def phase(self, group: InstrumentGroup, at: datetime) -> Phase:
        """Return the phase as it counts for an order that opens: CLOSED in a year that is not complete."""
        session = self.session(group, at)
        return session.phase if session.year_complete else Phase.CLOSED

    def session(self, group: InstrumentGroup, at: datetime) -> MarketSession:
        day = at.astimezone(MUMBAI).date()
        trading, entry = self.trading_day(group, day), self.entries.get(day)
        return MarketSession(
            group=group,
            phase=trading.phase(at) if trading else Phase.CLOSED,
            opens_at=trading.opens_at if trading else None,
            closes_at=trading.closes_at if trading else None,
            auction_ends_at=trading.auction_ends_at if trading else None,
            next_open_at=self.next_open(group, at),
            year_complete=day.year in self.complete_years,
            lacks_hours=entry is not None and entry.lacks_hours,
            day_name=entry.name if entry else "",
        )

    def trading_day(self, group: InstrumentGroup, day: date) -> TradingDay | None:
        """Return the day's sessions by the days and hours that are known; None where it has none."""
        if entry := self.entries.get(day):
            if entry.kind == DayKind.HOLIDAY or entry.opens is None or entry.closes is None:
                return None
            return TradingDay(opens_at=_at(day, entry.opens), closes_at=_at(day, entry.closes))
        hours = self._hours_on(group, day)
        if hours is None or day.weekday() >= SATURDAY:
            return None
        return TradingDay(
            opens_at=_at(day, hours.continuous_open),
            closes_at=_at(day, hours.continuous_close),
            auction_ends_at=_at(day, hours.auction_close) if hours.auction_close else None,
            post_ends_at=_at(day, POST_UNTIL),
        )

    def next_open(self, group: InstrumentGroup, after: datetime) -> datetime | None:
        """Return the next beginning of a continuous session; None when a year that is not complete comes before it."""
        today = after.astimezone(MUMBAI).date()
        for days in range(DAYS_LOOKED_AHEAD):
            day = today + days * ONE_DAY
            if day.year not in self.complete_years:
                return None
            trading = self.trading_day(group, day)
            if trading is not None and trading.opens_at > after:
                return trading.opens_at
        return None

    def opened_by(self, later: Calendar) -> list[date]:
        """Return the days on which the later calendar lets something trade at a time at which this one does not."""
        return [
            day
            for year in sorted(later.complete_years)
            for day in _days_of(year)
            if any(self._is_widened(later, group, day) for group in InstrumentGroup)
        ]

    def years_lacking(self, today: date) -> list[int]:
        """Return which years should be complete by now and are not: this one, and from December on the next."""
        wanted = [today.year, today.year + 1] if today.month == DECEMBER else [today.year]
        return [year for year in wanted if year not in self.complete_years]

    def _is_widened(self, later: Calendar, group: InstrumentGroup, day: date) -> bool:
        then = later.trading_day(group, day)
        if then is None:
            return False
        now = self.trading_day(group, day) if day.year in self.complete_years else None
        return now is None or then.opens_at < now.opens_at or then.closes_at > now.closes_at

    def _hours_on(self, group: InstrumentGroup, day: date) -> SessionHours | None:
        return next((hours for hours in self._newest_first[group] if hours.effective_from <= day), None)

    @cached_property
    def _newest_first(self) -> dict[InstrumentGroup, list[SessionHours]]:
        newest = sorted(self.hours, key=lambda hours: hours.effective_from, reverse=True)
        return {group: [hours for hours in newest if hours.group == group] for group in InstrumentGroup}


def _at(day: date, wall_clock: time) -> datetime:
    return datetime.combine(day, wall_clock, MUMBAI)


def _days_of(year: int) -> Iterator[date]:
    day = date(year, 1, 1)
    while day.year == year:
        yield day
        day += ONE_DAY
