"""
When the market trades: round the clock, or by the exchange's calendar.

The calendar is that of the NSE for 2026, in two files beside this module: holidays and special sessions, and
the hours of each group of instruments with the dates from which they apply. A year that is not in them has
weekends only. Intraday positions are squared off ten minutes before the continuous session ends, or five
where a closing auction follows it: Zerodha's published 15:20 is from before the auction.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from importlib import resources
from typing import Protocol

from orders.paper.indian_time import IST, trading_date
from orders.paper.market.instruments import Instrument

ONE_DAY = timedelta(days=1)
SATURDAY = 5
SQUARE_OFF_BEFORE = timedelta(minutes=10)
SQUARE_OFF_BEFORE_AUCTION = timedelta(minutes=5)


class Sessions(Protocol):
    def is_open(self, instrument: Instrument, now: datetime) -> bool:
        """Tell whether orders trade now."""

    def trading_day(self, day: date) -> bool: ...

    def next_trading_day(self, day: date) -> date:
        """Return the first trading day after this one."""

    def previous_trading_day(self, day: date) -> date:
        """Return the last trading day before this one."""

    def opens_at(self, instrument: Instrument, day: date) -> datetime | None:
        """Return when continuous trading begins, or None on a day without any."""

    def closes_at(self, instrument: Instrument, day: date) -> datetime | None:
        """Return when continuous trading ends, or None on a day without any."""

    def next_open(self, instrument: Instrument, now: datetime) -> datetime:
        """Return the next moment at which it opens."""

    def square_off_at(self, instrument: Instrument, day: date) -> datetime | None:
        """Return when intraday positions are closed, or None when they are not on their day."""


class AlwaysOpen:
    """Every day trades from midnight to midnight."""

    def is_open(self, instrument: Instrument, now: datetime) -> bool:
        return True

    def trading_day(self, day: date) -> bool:
        return True

    def next_trading_day(self, day: date) -> date:
        return day + ONE_DAY

    def previous_trading_day(self, day: date) -> date:
        return day - ONE_DAY

    def opens_at(self, instrument: Instrument, day: date) -> datetime | None:
        return datetime.combine(day, time(), IST)

    def closes_at(self, instrument: Instrument, day: date) -> datetime | None:
        return datetime.combine(day + ONE_DAY, time(), IST)

    def next_open(self, instrument: Instrument, now: datetime) -> datetime:
        return datetime.combine(trading_date(now) + ONE_DAY, time(), IST)

    def square_off_at(self, instrument: Instrument, day: date) -> datetime | None:
        return None


@dataclass(frozen=True, kw_only=True)
class Hours:
    """The hours of a group of instruments between two dates; `until` is the last of them."""

    since: date
    until: date
    opens: time
    closes: time
    auction: bool


class ExchangeHours:
    """The NSE's calendar and hours."""

    def is_open(self, instrument: Instrument, now: datetime) -> bool:
        day = trading_date(now)
        opening, closing = self.opens_at(instrument, day), self.closes_at(instrument, day)
        return opening is not None and closing is not None and opening <= now < closing

    def trading_day(self, day: date) -> bool:
        if day in self._special:
            return True
        return day.weekday() < SATURDAY and day not in self._holidays

    def next_trading_day(self, day: date) -> date:
        return self._step(day, ONE_DAY)

    def previous_trading_day(self, day: date) -> date:
        return self._step(day, -ONE_DAY)

    def opens_at(self, instrument: Instrument, day: date) -> datetime | None:
        if not self.trading_day(day):
            return None
        opens = self._special[day][0] if day in self._special else self._hours(instrument, day).opens
        return datetime.combine(day, opens, IST)

    def closes_at(self, instrument: Instrument, day: date) -> datetime | None:
        if not self.trading_day(day):
            return None
        closes = self._special[day][1] if day in self._special else self._hours(instrument, day).closes
        return datetime.combine(day, closes, IST)

    def next_open(self, instrument: Instrument, now: datetime) -> datetime:
        day = trading_date(now)
        opening = self.opens_at(instrument, day)
        if opening is None or opening <= now:
            opening = self.opens_at(instrument, self.next_trading_day(day))
        assert opening is not None
        return opening

    def square_off_at(self, instrument: Instrument, day: date) -> datetime | None:
        closing = self.closes_at(instrument, day)
        if closing is None:
            return None
        auction = day not in self._special and self._hours(instrument, day).auction
        return closing - (SQUARE_OFF_BEFORE_AUCTION if auction else SQUARE_OFF_BEFORE)

    def _step(self, day: date, step: timedelta) -> date:
        day += step
        while not self.trading_day(day):
            day += step
        return day

    def _hours(self, instrument: Instrument, day: date) -> Hours:
        group = "EQ_FNO_UNDERLYING" if instrument.closes_early else "EQ_NO_FNO"
        return next(hours for hours in self._groups[group] if hours.since <= day <= hours.until)

    @cached_property
    def _holidays(self) -> frozenset[date]:
        return frozenset(
            date.fromisoformat(row["date"]) for row in rows("nse_calendar.csv") if row["kind"] == "HOLIDAY"
        )

    @cached_property
    def _special(self) -> dict[date, tuple[time, time]]:
        """Return the sessions with hours of their own, on days that would not trade otherwise among them."""
        return {
            date.fromisoformat(row["date"]): (time.fromisoformat(row["open"]), time.fromisoformat(row["close"]))
            for row in rows("nse_calendar.csv")
            if row["kind"] != "HOLIDAY" and row["open"] and row["close"]
        }

    @cached_property
    def _groups(self) -> dict[str, list[Hours]]:
        groups: dict[str, list[Hours]] = {}
        for row in rows("nse_sessions.csv"):
            groups.setdefault(row["group"], []).append(
                Hours(
                    since=date.fromisoformat(row["effective_from"]),
                    until=date.fromisoformat(row["effective_to"]) if row["effective_to"] else date.max,
                    opens=time.fromisoformat(row["continuous_open"]),
                    closes=time.fromisoformat(row["continuous_close"]),
                    auction=bool(row["auction_open"]),
                )
            )
        return groups


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file beside this module."""
    text = resources.files("orders.paper.market").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
