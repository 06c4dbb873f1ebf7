"""The day so far is read from what was reckoned with the positions, and is what all the fills of the date add up to."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import day as days
from orders.desk import trading_date
from orders.models import Fill, Position, PositionDay

from .ledger_book import MIDNIGHT, MONDAY, Book
from .reckoned import check_days_around

LINE = ("NSE", "RELIANCE", "CNC")

pytestmark = pytest.mark.django_db


@pytest.fixture
def book():
    """One buy of 3 at ₹100 and one sale of 1 at ₹110, on Monday."""
    told = Book()
    told.fill(told.order(), 3, "100")
    told.fill(told.order("SELL"), 1, "110")
    return told


def traded(day):
    with CaptureQueriesContext(connection) as queries:
        told = days._traded_by_us("PAPER", day)
    of_line = told.get(LINE, days._Traded())
    return (of_line.bought, of_line.sold, of_line.paid, of_line.received), len(queries)


def test_it_is_one_question_that_no_fill_is_read_for(book):
    with CaptureQueriesContext(connection) as queries:
        told = days._traded_by_us("PAPER", MONDAY.date())

    assert (told[LINE].bought, told[LINE].sold, told[LINE].paid, told[LINE].received) == (3, 1, 300, 110)
    assert told[LINE].newest.price == 110
    assert len(queries) == 1
    assert "orders_fill" not in queries[0]["sql"]


@pytest.mark.parametrize(("before", "of_monday", "of_tuesday"), [(1, 4, 0), (0, 3, 1)])
def test_a_day_begins_at_midnight_in_mumbai(book, before, of_monday, of_tuesday):
    book.now = MIDNIGHT + timedelta(seconds=1)
    book.fill(book.order(), at=MIDNIGHT - timedelta(microseconds=before))

    found = [traded(MONDAY.date() + timedelta(days=day))[0][0] for day in (0, 1)]

    assert found == [of_monday, of_tuesday]
    check_days_around(trading_date(book.now))


def test_the_day_after_nothing_is_traded_and_no_fill_is_looked_for(book):
    assert traded(MONDAY.date() + timedelta(days=1)) == ((0, 0, 0, 0), 1)


def test_of_a_day_that_is_over_the_fills_are_added_up(book):
    """As after the clock was set back, or a moment before midnight by another clock."""
    book.now += timedelta(days=1)
    book.fill(book.order(), 7)

    (found, queries) = traded(MONDAY.date())

    assert found == (3, 1, 300, 110)
    assert queries == 3


def test_a_fill_of_tomorrow_is_found_tomorrow(book):
    """The broker's clock turned the day before ours did."""
    book.now = MIDNIGHT - timedelta(seconds=1)
    book.fill(book.order(), 7, at=MIDNIGHT)

    assert traded(MONDAY.date())[0] == (3, 1, 300, 110)
    assert traded(MONDAY.date() + timedelta(days=1))[0] == (7, 0, 700, 0)


@pytest.mark.parametrize("kept", ["nothing", "what another wrote"])
def test_where_no_day_is_in_force_the_fills_are_added_up(book, kept):
    if kept == "nothing":
        PositionDay.objects.all().delete()
    else:
        PositionDay.objects.update(bought=999)
        Position.objects.update(updated_at=book.now + timedelta(seconds=1))

    assert traded(MONDAY.date())[0] == (3, 1, 300, 110)
    check_days_around(MONDAY.date())


def test_what_only_shows_others_shares_is_not_asked_about(book):
    Position.objects.create(mode="PAPER", exchange="NSE", symbol="INFY", product="CNC", updated_at=book.now)

    assert traded(MONDAY.date())[1] == 1


def test_what_is_of_another_mode_does_not_count(book):
    Position.objects.update(mode="LIVE")

    assert traded(MONDAY.date()) == ((0, 0, 0, 0), 1)


def test_what_others_traded_is_added_up_by_the_database(book):
    others = [book.order(side, client_order_id=None, origin="EXTERNAL") for side in ("BUY", "SELL", "BUY")]
    for number, other in enumerate(others):
        book.write(other, 10 + number, f"10{number}.5", at=book.now - timedelta(minutes=number))
        book.write(other, 1, "99", at=book.now - timedelta(days=1))
        book.settle(other)

    with CaptureQueriesContext(connection) as queries:
        told = days._traded_by_others("PAPER", MONDAY.date())

    assert len(queries) == 2
    of_line = told[LINE]
    assert (of_line.bought, of_line.sold) == (22, 11)
    assert (of_line.paid, of_line.received) == (10 * Decimal("100.5") + 12 * Decimal("102.5"), 11 * Decimal("101.5"))
    assert of_line.newest.pk == Fill.objects.latest("pk").pk
    check_days_around(MONDAY.date())
