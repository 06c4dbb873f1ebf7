"""What the executor keeps for the pages: the day's line, what may be spent, and when the stream was heard."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orders.broker.prices import StreamedPrices
from orders.desk import Desk, start_of_day
from orders.models import BrokerSession, DayPoint, Position
from orders.observations import Observations, keep_day_point
from orders.reconciliation import reconcile
from orders.start import forget_paper_book
from orders.tracker import Tracker
from risk.engine.facts import Funds
from tests.conftest import StillClock


@pytest.fixture
def clock() -> StillClock:
    return StillClock().at_noon()


def points() -> list[tuple[Decimal, Decimal]]:
    return [(point.realised, point.unrealised) for point in DayPoint.objects.order_by("since")]


def reprice(price: int) -> None:
    Position.objects.update(last_price=Decimal(price))


def test_a_point_has_what_the_risk_desk_reckons(desk: Desk, held: Any):
    held(2)
    reprice(1410)

    point = keep_day_point(desk)

    assert point is not None
    assert (point.realised, point.unrealised) == (0, 20)
    assert point.charges == Decimal("3.36")  # 0.12 % of 2,800
    assert point.exposure == 2820
    assert point.result == Decimal("16.64")


def test_what_stays_the_same_is_one_row_that_grows(desk: Desk, held: Any, clock: StillClock):
    held(1)
    for _ in range(4):
        keep_day_point(desk)
        clock.advance(minutes=2)

    only = DayPoint.objects.get()
    assert only.as_of - only.since == timedelta(minutes=6)


def test_there_is_one_row_a_minute_at_most(desk: Desk, held: Any, clock: StillClock):
    held(1)
    for price, seconds in ((1401, 0), (1402, 30), (1403, 29), (1404, 1)):
        clock.advance(seconds=seconds)
        reprice(price)
        keep_day_point(desk)

    assert points() == [(0, 3), (0, 4)]


def test_a_new_day_begins_a_new_row(desk: Desk, clock: StillClock):
    keep_day_point(desk)
    clock.advance(hours=12)
    keep_day_point(desk)

    today = DayPoint.objects.of_day(desk.mode, start_of_day(clock()))
    assert (DayPoint.objects.count(), today.count()) == (2, 1)


def test_a_row_of_a_clock_that_was_set_back_is_left_alone(desk: Desk, clock: StillClock):
    keep_day_point(desk)
    clock.advance(minutes=-5)

    point = keep_day_point(desk)

    assert point is not None
    assert point.since == point.as_of == clock()
    assert DayPoint.objects.count() == 2


def test_what_cannot_be_known_is_no_point(desk: Desk, held: Any):
    held(1)
    Position.objects.update(last_price=None, broker_as_of=desk.clock() + timedelta(seconds=5))

    assert keep_day_point(desk) is None
    assert points() == []


def test_nobody_looks_twice_within_five_seconds_and_funds_are_read_once_a_minute(desk: Desk, paper: Any):
    now, reads = [0.0], []
    desk = replace(desk, asked_funds=_Counting(reads))
    observations = Observations(desk, stopwatch=lambda: now[0])

    for moment in (0, 4.9, 5.0, 59.9, 60.0):
        now[0] = moment
        observations.keep(with_funds=True)

    assert len(reads) == 2
    session = BrokerSession.objects.get(mode=desk.mode)
    assert (session.funds, session.stream_heard_at) == (Decimal(5), None)


class _Counting:
    def __init__(self, reads: list[int]) -> None:
        self._reads = reads

    def last(self, ask: Any, *, clock: Any) -> Any:
        self._reads.append(1)
        return Funds(available=Decimal(5), as_of=clock())


def test_the_stream_counts_as_heard_by_its_heartbeats_until_the_link_is_down(desk: Desk, clock: StillClock):
    prices = StreamedPrices(age_max=timedelta(seconds=2))
    desk = replace(desk, streamed_prices=prices)
    prices.hear([], heard_at=clock())

    Observations(desk).keep()

    assert BrokerSession.objects.get(mode=desk.mode).stream_heard_at == clock()
    prices.forget()
    assert prices.heard_at() is None


def test_connections_to_the_stream_are_counted_over_all_executors_that_ever_led(desk: Desk, clock: StillClock):
    kept = []
    for made in (1, 2):  # an executor, and the one after it
        prices = StreamedPrices(age_max=timedelta(seconds=2))
        stopwatch = [0.0]
        observations = Observations(replace(desk, streamed_prices=prices), stopwatch=lambda at=stopwatch: at[0])
        for _ in range(made):
            prices.connected()
            prices.hear([], heard_at=clock())
            observations.keep()
            stopwatch[0] += 60
        observations.keep()  # nothing new
        kept.append(BrokerSession.objects.get(mode=desk.mode).stream_connects)

    assert kept == [1, 3]


def test_the_tracker_keeps_them(desk: Desk, held: Any):
    held(1)
    reconcile(desk)
    tracker = Tracker(desk, ready=threading.Event(), busy_seconds=0, idle_seconds=0)

    tracker.turn()

    assert DayPoint.objects.count() == 1
    assert BrokerSession.objects.get(mode=desk.mode).funds is not None


def test_forgetting_the_paper_book_forgets_its_days(desk: Desk):
    keep_day_point(desk)

    forget_paper_book()

    assert points() == []
