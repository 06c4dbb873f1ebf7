"""
What happened lately is found by the quarter of an hour it happened in: none is left out at a quarter's end, at midnight
in Mumbai, or for being of an order of an earlier day; and none is found that happened a microsecond too early.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orders.committed_funds import ask_committed
from orders.desk import trading_date
from orders.models import Order
from orders.models.quarters import FUTURE_MAX, QUARTER, is_found, lately
from orders.traffic import traffic
from risk.engine.facts import Funds

pytestmark = pytest.mark.django_db

A_MICROSECOND = timedelta(microseconds=1)
MIDNIGHT = datetime(2026, 11, 25, 18, 30, tzinfo=UTC)  # in Mumbai: 26 November begins
MOMENTS = [
    MIDNIGHT + timedelta(seconds=after)
    for after in (-3600 * 5 - 400, -60, -30, -10, -0.000001, 0, 0.000001, 0.5, 10, 30, 60, 72, 102, 899.5, 900)
]


@pytest.fixture
def write(desk):
    """Write an order down, of the Mumbai date it was submitted on; keywords change it."""

    def write(at, **changes):
        number = Order.objects.count()
        usual = {
            "mode": desk.mode,
            "client_order_id": f"LATELY{number}",
            "broker_order_id": f"LATELY{number}",
            "origin": "MANUAL",
            "exchange": "NSE",
            "symbol": "INFY",
            "side": "BUY",
            "product": "CNC",
            "order_type": "LIMIT",
            "quantity": 10**number,  # so that a sum tells which
            "price": Decimal(1),
            "status": "OPEN",
            "trading_date": trading_date(at),
            "created_at": at,
            "submitted_at": at,
        }
        return Order.objects.create(**{**usual, **changes})

    return write


@pytest.mark.parametrize("now", MOMENTS)
def test_what_was_placed_in_the_last_minute_is_found_to_the_microsecond(desk, write, now):
    within = [now - timedelta(seconds=60) + A_MICROSECOND, now - timedelta(seconds=30), now - A_MICROSECOND, now]
    for at in (now - timedelta(seconds=60), *within):
        write(at)
    asked_long_before = now - timedelta(seconds=72)
    write(asked_long_before, status="SUBMITTING")  # it may be counted just now
    write(asked_long_before - A_MICROSECOND, status="SUBMITTING")
    write(asked_long_before, answered_at=now - timedelta(seconds=59))

    assert list(traffic(desk, now).placed) == sorted([*within, now, now - timedelta(seconds=59)])


@pytest.mark.parametrize("now", MOMENTS)
def test_what_another_machine_dated_ahead_is_found_and_what_a_clock_set_back_dated_is_not(desk, write, now):
    today = trading_date(now)
    write(now + FUTURE_MAX, trading_date=today, cancel_tried_at=now + FUTURE_MAX)
    write(now + FUTURE_MAX + A_MICROSECOND, trading_date=today, cancel_tried_at=now + FUTURE_MAX + A_MICROSECOND)

    found = traffic(desk, now)

    assert (found.placed, found.cancelled) == ((now + FUTURE_MAX,), (now + FUTURE_MAX,))


@pytest.mark.parametrize("now", MOMENTS)
def test_a_cancel_tried_in_the_last_second_is_found_of_whatever_day_its_order_is(desk, write, now):
    for days in (0, 1, 4):
        placed = now - timedelta(days=days, minutes=20)
        write(placed, cancel_tried_at=now - timedelta(seconds=days / 4))
        write(placed, cancel_tried_at=now - timedelta(seconds=1) - A_MICROSECOND)

    assert list(traffic(desk, now).cancelled) == [now - timedelta(seconds=days / 4) for days in (4, 1, 0)]


@pytest.mark.parametrize("now", MOMENTS)
@pytest.mark.parametrize("age", [0, 0.5, 10])
def test_a_buy_that_the_broker_came_to_know_since_is_found_of_whatever_day_it_is(desk, write, now, age):
    """One that was sent yesterday is answered after midnight; one of an evening is found in Monday's book."""
    since = now - timedelta(seconds=age)
    for number, answered_at in enumerate(
        [since - A_MICROSECOND, since, now, now + FUTURE_MAX, now + FUTURE_MAX + A_MICROSECOND]
    ):
        write(now - timedelta(days=number, seconds=20), answered_at=answered_at)

    told = ask_committed(desk.mode, Funds(available=Decimal(1), as_of=since), now)()

    assert told.committed == Decimal(1110)


def test_of_funds_read_so_long_ago_that_not_all_since_would_be_found_it_is_unknown_what_is_left(desk, write):
    write(MIDNIGHT, answered_at=MIDNIGHT)
    oldest = MIDNIGHT + FUTURE_MAX - QUARTER

    def committed(as_of):
        return ask_committed(desk.mode, Funds(available=Decimal(1), as_of=as_of), MIDNIGHT)().committed

    assert (committed(oldest), committed(oldest - A_MICROSECOND)) == (Decimal(1), None)


@pytest.mark.parametrize("seconds", [0, 1, 450, 899, 900])
def test_a_span_of_a_quarter_at_most_is_found_whole_wherever_it_begins(write, seconds):
    moments = [MIDNIGHT + timedelta(minutes=minute) for minute in range(-32, 33, 4)]
    for at in moments:
        write(at, quantity=1)
    span = timedelta(seconds=seconds)

    for since in [moment + timedelta(seconds=off) for moment in moments for off in (-0.5, 0, 0.5)]:
        found = Order.objects.filter(lately("submitted_at", since, since + span)).order_by("submitted_at")
        expected = [at for at in moments if since <= at <= since + span]
        assert list(found.values_list("submitted_at", flat=True)) == expected
    assert is_found(MIDNIGHT, MIDNIGHT + span)
    assert not is_found(MIDNIGHT, MIDNIGHT + QUARTER + A_MICROSECOND)
