"""When the market trades: each bound at it and just short of it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from orders.paper.indian_time import IST
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.market.sessions import AlwaysOpen, ExchangeHours

INFY, MRF = INSTRUMENTS["NSE:INFY"], INSTRUMENTS["NSE:MRF"]
NSE = ExchangeHours()
SHORT_OF = timedelta(microseconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.mark.parametrize(
    ("instrument", "opens", "closes"),
    [
        (INFY, "2026-11-23T09:15", "2026-11-23T15:15"),  # it underlies derivatives: a closing auction follows
        (MRF, "2026-11-23T09:15", "2026-11-23T15:30"),
        (INFY, "2026-07-31T09:15", "2026-07-31T15:30"),  # before the closing auction
        (INFY, "2026-12-07T09:15", "2026-12-07T15:30"),  # after it was moved
        (INFY, "2026-02-01T09:15", "2026-02-01T15:30"),  # the budget, a Sunday
    ],
)
def test_trading_is_from_the_opening_up_to_the_close(instrument, opens, closes):
    assert not NSE.is_open(instrument, at(opens) - SHORT_OF)
    assert NSE.is_open(instrument, at(opens))
    assert NSE.is_open(instrument, at(closes) - SHORT_OF)
    assert not NSE.is_open(instrument, at(closes))


@pytest.mark.parametrize("day", ["2026-11-24", "2026-11-22", "2026-11-21", "2026-11-08", "2026-12-25"])
def test_holidays_and_weekends_do_not_trade(day):
    assert not NSE.trading_day(date.fromisoformat(day))
    assert NSE.opens_at(INFY, date.fromisoformat(day)) is None
    assert not NSE.is_open(INFY, at(f"{day}T10:00"))


def test_a_year_that_is_not_in_the_calendar_has_weekends_only():
    assert NSE.trading_day(date(2031, 1, 1))
    assert not NSE.trading_day(date(2031, 1, 4))


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-23T09:14:59", "2026-11-23T09:15"),
        ("2026-11-23T09:15", "2026-11-25T09:15"),  # the next day is a holiday
        ("2026-11-20T16:00", "2026-11-23T09:15"),
        ("2026-11-23T23:59:59", "2026-11-25T09:15"),
    ],
)
def test_the_next_opening_is_found(now, opens):
    assert NSE.next_open(INFY, at(now)) == at(opens)


def test_midnight_is_mumbais():
    utc = datetime.fromisoformat("2026-11-22T18:30:00+00:00")

    assert NSE.next_open(INFY, utc - SHORT_OF) == NSE.next_open(INFY, utc) == at("2026-11-23T09:15")
    assert AlwaysOpen().closes_at(INFY, date(2026, 11, 22)) == utc


@pytest.mark.parametrize(
    ("instrument", "day", "cutoff"),
    [
        (INFY, "2026-11-23", "2026-11-23T15:10"),
        (MRF, "2026-11-23", "2026-11-23T15:20"),
        (INFY, "2026-07-31", "2026-07-31T15:20"),
    ],
)
def test_intraday_positions_are_squared_off_before_the_close(instrument, day, cutoff):
    assert NSE.square_off_at(instrument, date.fromisoformat(day)) == at(cutoff)


def test_where_it_is_always_open_every_day_trades():
    assert AlwaysOpen().is_open(INFY, at("2026-11-22T03:00"))
    assert AlwaysOpen().next_trading_day(date(2026, 11, 21)) == date(2026, 11, 22)
    assert AlwaysOpen().square_off_at(INFY, date(2026, 11, 23)) is None
