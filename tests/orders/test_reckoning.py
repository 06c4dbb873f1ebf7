"""A position goes on from where it stands, from its day or from the beginning: always to the same numbers."""

from __future__ import annotations

import os
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orders import ledger
from orders.average_cost import realised_on
from orders.desk import trading_date
from orders.ledger import Line, settle, steps_since, take_broker_id
from orders.models import Order, Position, PositionDay

from .ledger_book import A_DAY, LINES, MIDNIGHT, MONDAY, Book
from .reckoned import check_days_around, check_the_book, check_the_day, check_the_steps_since
from .test_positions_exactly import taken_back

HISTORIES_DRAWN = int(os.environ.get("HISTORIES", "12"))

pytestmark = pytest.mark.django_db


# --- Whatever is recorded, and whenever -------------------------------------------------------------------------------

PRICES = st.integers(1, 10**8).map(lambda units: Decimal(units) / 10_000)
LATE = st.sampled_from([0, 0, 0, 0, 1, 60, -1, A_DAY, 3 * A_DAY, -A_DAY])  # seconds before now
TRADES = st.lists(st.tuples(st.integers(1, 300), PRICES, LATE, st.sampled_from("ABC")), min_size=1, max_size=3)
DOINGS = st.one_of(
    st.tuples(st.just("order"), st.sampled_from(["BUY", "SELL"]), st.integers(0, 1)),
    *[st.tuples(st.just("trades"), st.integers(0, 5), TRADES)] * 4,
    st.tuples(st.just("hand"), st.integers(0, 5), st.integers(1, 600), PRICES),
    st.tuples(st.just("strangers"), st.integers(0, 5), TRADES),
    st.tuples(st.just("others"), TRADES),
    st.tuples(st.just("again"), st.integers(0, 5)),
    st.tuples(st.just("scale"), st.integers(0, 1), st.integers(1, 7), st.integers(1, 3)),
    st.tuples(st.just("restate"), st.integers(0, 1), st.integers(-300, 300), PRICES),
    st.tuples(st.just("touch"), st.integers(0, 1)),
)
GAPS = st.sampled_from([0, 0, 0, 1, 60, 5 * 3600, A_DAY, 3 * A_DAY, -60, -A_DAY])


class Told(Book):
    """A history drawn at random; several orders are there from the first."""

    def __init__(self) -> None:
        super().__init__()
        self.orders = [self.order(side, line) for line in (0, 1) for side in ("BUY", "SELL")]

    def pick(self, number) -> Order:
        return self.orders[number % len(self.orders)]

    def do_order(self, side, line) -> None:
        self.orders.append(self.order(side, line))

    def do_trades(self, number, trades) -> None:
        for shares, price, late, name in trades:
            self.write(self.pick(number), shares, price, at=self.now - timedelta(seconds=late), name=name)
        self.settle(self.pick(number))

    def do_hand(self, number, shares, price) -> None:
        self.fill(self.pick(number), shares, price, source="HAND")

    def do_strangers(self, number, trades) -> None:
        """Fills taken for somebody else's, until the order is known to be ours; it may have been marked meanwhile."""
        ours = self.pick(number)
        stranger = self.stranger(ours)
        for shares, price, late, name in trades:
            self.write(stranger, shares, price, at=self.now - timedelta(seconds=late), name=name)
        self.settle(stranger)
        check_days_around(trading_date(self.now))
        number = stranger.broker_order_id
        Order.objects.filter(pk=ours.pk).update(broker_order_id="", trading_date=stranger.trading_date)
        ours.refresh_from_db()
        take_broker_id(ours, number, now=self.now)

    def do_others(self, trades) -> None:
        other = self.order(client_order_id=None, origin="EXTERNAL")
        for shares, price, late, name in trades:
            self.write(other, shares, price, at=self.now - timedelta(seconds=late), name=name)
        self.settle(other)

    def do_again(self, number) -> None:
        self.settle(self.pick(number))

    def do_scale(self, line, new, old) -> None:
        self.adjust(line, kind="SPLIT", ratio_new=new, ratio_old=old)

    def do_restate(self, line, shares, price) -> None:
        self.adjust(line, kind="CORRECTION", new_quantity=shares, price=price if shares else None)

    def do_touch(self, line) -> None:
        """Let something else write the position that knows of no day: then all is reckoned anew."""
        exchange, product = LINES[line]
        Position.objects.filter(exchange=exchange, product=product).update(updated_at=MONDAY - timedelta(days=9))


@settings(max_examples=HISTORIES_DRAWN, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(st.tuples(DOINGS, GAPS), min_size=2, max_size=12))
@example(
    history=[
        (("trades", 0, [(7, Decimal("100.0001"), 0, "A")]), 0),
        (("trades", 1, [(3, Decimal("99.9"), 0, "A")]), 60),
        (("trades", 0, [(5, Decimal("101"), A_DAY, "A")]), A_DAY),
        (("trades", 1, [(2, Decimal("98"), 60, "B")]), 1),
        (("hand", 0, 90, Decimal("97.5")), 1),
        (("trades", 0, [(1, Decimal("97"), 0, "B")]), -A_DAY),
    ]
)
def test_a_position_and_its_day_are_what_all_its_executions_say(db, history):
    with taken_back():
        told = Told()
        for (what, *numbers), gap in history:
            told.now += timedelta(seconds=gap)
            getattr(told, f"do_{what}")(*numbers)
            check_the_book()
            check_the_day(trading_date(told.now))
        check_days_around(trading_date(told.now))
        check_the_steps_since(trading_date(told.now))


# --- How far back it reads --------------------------------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch):
    """The orders that were read to reckon a position: how many each time."""
    plainly, counts = ledger._filled, []

    def counted(line, **since):
        found = plainly(line, **since)
        counts.append(len(found))
        return found

    monkeypatch.setattr(ledger, "_filled", counted)
    return counts


@pytest.fixture
def book(db):
    """Monday: one order with one fill at 9:30, another at 9:31; the clock stands at 9:32."""
    told = Book()
    for _ in range(2):
        told.fill(told.order())
        told.now += timedelta(minutes=1)
    return told


def test_the_first_fill_of_a_line_finds_nothing_but_itself(db, read):
    told = Book()

    told.fill(told.order())

    assert read == [1]


def test_a_fill_after_all_others_reads_no_other_order(book, read):
    order = book.order("SELL")

    book.fill(order)
    book.now += timedelta(seconds=1)
    book.fill(order, 2)
    book.settle(order)

    assert read == []
    check_the_book()


@pytest.mark.parametrize(("name", "expected"), [("S", [3]), ("U", [])])
def test_of_two_fills_of_an_order_in_one_second_the_name_says_which_is_later(book, read, name, expected):
    order = book.order()
    book.fill(order)

    book.fill(order, name=name)

    assert read == expected
    check_the_book()


def test_a_fill_that_comes_late_reads_the_orders_of_its_day_alone(book, read):
    book.now += timedelta(days=1)
    book.fill(book.order())
    late = book.order()
    book.fill(book.order(), at=book.now + timedelta(seconds=2))
    assert read == [3], "the day turned: from the first order of the day before"
    read.clear()

    book.fill(late)

    assert read == [3]
    check_the_book()


@pytest.mark.parametrize(("before", "expected"), [(0, [2]), (1, [4])])
def test_what_is_of_midnight_is_of_the_new_day_and_what_is_before_changes_its_opening(book, read, before, expected):
    """It comes late, after one of the new day: from the day's opening, or from the beginning."""
    old = book.order()
    book.now = MIDNIGHT + timedelta(seconds=5)
    book.fill(book.order())
    read.clear()

    book.fill(old, at=MIDNIGHT - timedelta(microseconds=before))

    assert read == expected
    check_the_book()
    check_days_around(trading_date(book.now))


def test_what_is_late_for_yesterday_but_later_than_all_of_it_changes_the_opening_too(book, read):
    old = book.order()
    book.now = MIDNIGHT + timedelta(seconds=5)
    book.settle(Order.objects.earliest("pk"))  # the day turned, and nothing is of it yet
    read.clear()

    book.fill(old, at=MIDNIGHT - timedelta(seconds=1))

    assert read == [3]
    check_the_book()


def test_the_next_day_goes_on_from_the_day_before_and_a_fill_of_its_order_from_what_was_counted(book, read):
    old = book.order()
    book.fill(old)
    book.now += timedelta(days=1)
    for _ in range(2):
        book.fill(book.order("SELL"), 2)
        book.now += timedelta(seconds=1)
    assert read == [4], "the first fill of the day"
    read.clear()

    book.fill(old, at=book.now - timedelta(seconds=2))  # late, of an order of yesterday

    assert read == [3]
    check_the_book()


def test_after_days_without_any_the_last_day_traded_is_what_is_read(book, read):
    for _ in range(2):
        book.now += timedelta(days=4)
        book.fill(book.order())

    assert read == [3, 2]
    check_the_book()


def test_a_clock_that_was_set_back_a_day_reads_from_the_beginning(book, read):
    order = book.order()
    book.fill(order)
    book.now += timedelta(days=1)
    book.fill(book.order())
    book.now -= timedelta(days=1)
    read.clear()

    book.settle(order)
    book.fill(book.order())

    assert read == [4, 5], "with nothing new, and with what comes before a fill of tomorrow"
    check_the_book()
    check_days_around(trading_date(book.now))


def test_a_mark_of_yesterday_that_gives_way_today_reads_from_the_beginning(book, read):
    marked = book.order()
    book.fill(marked, 5, "90", source="HAND")
    book.now += timedelta(days=1)
    book.fill(book.order())
    read.clear()

    book.fill(marked, 5, "95")

    assert read == [4]
    check_the_book()


def test_a_mark_of_today_that_gives_way_reads_its_day(book, read):
    book.now += timedelta(days=1)
    marked = book.order()
    book.fill(marked, 5, "90", source="HAND")
    read.clear()

    book.fill(marked, 3, "95")

    assert read == [1]
    check_the_book()


def test_the_fills_of_a_stranger_that_is_ours_are_not_taken_for_counted(book, read):
    stranger = book.order(client_order_id=None, origin="EXTERNAL")
    book.write(stranger, 3, "95")
    book.settle(stranger)
    ours = book.order(broker_order_id="")
    book.now += timedelta(seconds=1)
    book.fill(book.order())
    read.clear()

    take_broker_id(ours, stranger.broker_order_id, now=book.now)

    assert read == [4]
    check_the_book()


@pytest.mark.parametrize("kept", ["nothing", "the day of a migration", "what another wrote"])
def test_a_day_that_says_nothing_is_reckoned_from_the_beginning(book, read, kept):
    if kept == "nothing":
        PositionDay.objects.all().delete()
    elif kept == "the day of a migration":
        PositionDay.objects.update(trading_date=None, quantity=0, cost=0, bought=0, paid=0, last_fill=0, last_at=None)
    else:
        Position.objects.update(updated_at=book.now)
    check_days_around(trading_date(book.now))

    book.fill(book.order())

    assert read == [3]
    check_the_book()


def test_an_adjustment_is_part_of_what_the_next_fill_goes_on_from(book, read):
    book.adjust(kind="SPLIT", ratio_new=3, ratio_old=2)
    read.clear()

    book.fill(book.order(), at=book.now + timedelta(seconds=1))
    book.fill(book.order(), at=book.now - timedelta(seconds=1))

    assert read == [4], "the one before the split alone"
    assert Position.objects.get().quantity == 5
    check_the_book()


def test_a_cost_that_no_column_could_round_is_kept_whole(book):
    """Ten thirds of a paisa at a time, and sold a share at a time: each step counts on all the digits."""
    buy = book.order()
    book.fill(buy, 3, "0.0001")
    book.adjust(kind="SPLIT", ratio_new=7, ratio_old=3)
    for _ in range(6):
        book.now += timedelta(seconds=1)
        book.fill(book.order("SELL"), 1, "0.0001")

    day = PositionDay.objects.get()
    assert day.cost.as_tuple().exponent < -20
    check_the_book()


def test_what_a_fill_asks_the_database_does_not_grow(book):
    def asked():
        order = book.order()
        book.write(order, 1, "100")
        order.refresh_from_db()
        book.now += timedelta(seconds=1)
        with CaptureQueriesContext(connection) as queries:
            settle(order, now=book.now, actor="broker")
        return [query["sql"].split(" WHERE ")[0] for query in queries]

    few = asked()
    for _ in range(20):
        book.fill(book.order())

    assert len(asked()) == len(few) <= 10


def test_the_steps_of_a_day_are_had_without_those_before_it(book, read):
    book.now += timedelta(days=1)
    book.fill(book.order("SELL"), 1, "130")
    read.clear()

    opening, steps = steps_since(Line.of(Position.objects.get()), trading_date(book.now))

    assert (opening.quantity, len(steps), read) == (2, 1, [1])
    assert realised_on(steps, trading_date(book.now), opening) == 30


@pytest.mark.parametrize(("days", "expected"), [(0, [3]), (1, [1])])
def test_the_steps_since_a_day_before_the_newest_are_all_there_are(book, read, days, expected):
    book.now += timedelta(days=1)
    book.fill(book.order())
    read.clear()

    _, steps = steps_since(Line.of(Position.objects.get()), MONDAY.date() + timedelta(days=days))

    assert (read, len(steps)) == (expected, *expected)
