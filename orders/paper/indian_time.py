"""Kite speaks Indian time: every timestamp on the wire is Mumbai's clock, without an offset."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

# India has had no daylight saving since 1945, so a fixed offset is exact and needs no zone database.
IST = timezone(timedelta(hours=5, minutes=30), "IST")


def trading_date(moment: datetime) -> date:
    """Return the date in Mumbai."""
    return moment.astimezone(IST).date()


def timestamp(moment: datetime) -> str:
    """Return the 19 characters that the SDK recognises as a time."""
    return moment.astimezone(IST).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(moment: datetime) -> str:
    return moment.astimezone(IST).strftime("%H:%M:%S")


def midnight(moment: datetime) -> datetime:
    """Return the start of the moment's day in Mumbai."""
    return datetime.combine(trading_date(moment), time(), IST)
