"""Who decides and sends goes first; who reads the book waits a moment before a step, and never with the lock."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, transaction

from orders import by_hand
from orders.comparison import Match
from orders.models import BrokerSession, Signal
from orders.plain_matches import take_plain_over
from orders.reconciliation import reconcile
from orders.right_of_way import STEP_SECONDS_MAX, TURN_SECONDS_MAX, RightOfWay
from orders.tracker import Tracker
from orders.worker import Worker
from tests.conftest import open_the_limits

pytestmark = pytest.mark.django_db(transaction=True)


class Waits(threading.Event):
    """Stands in for the event that is waited for: it keeps how long it was to be, and takes a stopwatch on by that."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "nobody waits for ever"
        self.asked.append(timeout)
        self.now += timeout
        return False


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def way(waits) -> RightOfWay:
    return RightOfWay(free=waits)


@pytest.fixture
def ready() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def ask_once() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_while_it_is_taken_a_step_waits_and_then_goes_on(way, waits):
    with way.taken(), way.given(lambda: waits.now) as given:
        ask_once()

    assert waits.asked == [STEP_SECONDS_MAX]
    assert given.waited == pytest.approx(STEP_SECONDS_MAX)


def test_while_it_is_free_nobody_waits(way, waits):
    with way.taken():
        pass
    with way.given(lambda: waits.now):
        ask_once()

    assert waits.asked == []


def test_it_is_free_again_only_when_the_last_of_those_who_go_first_is_done(way, waits):
    with way.given(lambda: waits.now), way.taken():
        with way.taken():
            pass
        ask_once()

    assert len(waits.asked) == 1


def test_it_is_free_again_after_one_that_failed(way, waits):
    with pytest.raises(ZeroDivisionError), way.taken():
        raise ZeroDivisionError
    with way.given(lambda: waits.now):
        ask_once()

    assert waits.asked == []


def test_in_a_transaction_nobody_waits_for_who_may_be_waiting_for_its_lock(way, waits):
    with transaction.atomic():
        ask_once()
        with way.taken(), way.given(lambda: waits.now):
            ask_once()

    assert waits.asked == []


def test_what_will_take_the_lock_waits_before_its_transaction_begins_and_not_again(way, waits):
    with way.taken(), way.given(lambda: waits.now), transaction.atomic():
        ask_once()
        ask_once()

    assert len(waits.asked) == 1


def test_runs_of_orders_that_moved_wait_before_each_takes_the_lock(desk, wish, way, waits, monkeypatch):
    monkeypatch.setattr("orders.plain_matches.RUN_MAX", 2)
    open_the_limits()
    for _ in range(4):
        by_hand.place(desk, wish())
    waited: list[int] = []

    def take_over(*run: Any) -> list[Match]:
        waited.append(len(waits.asked))
        return take_plain_over(*run)

    monkeypatch.setattr("orders.reconciliation.take_plain_over", take_over)

    with way.taken(), way.given(lambda: 0.0):
        reconcile(desk)

    first, second = waited
    assert second > first


def test_all_steps_together_wait_no_longer_than_a_turn_may(way, waits):
    with way.taken(), way.given(lambda: waits.now):
        for _ in range(100):
            ask_once()

    assert sum(waits.asked) == pytest.approx(TURN_SECONDS_MAX)
    assert len(waits.asked) < 100


def test_outside_of_what_gives_way_a_statement_waits_for_nobody(way, waits):
    with way.taken():
        with way.given(lambda: waits.now):
            pass
        ask_once()

    assert waits.asked == []


def test_a_step_goes_on_as_soon_as_the_way_is_free():
    way, taken, ends = RightOfWay(), threading.Event(), threading.Event()

    def go_first() -> None:
        with way.taken():
            taken.set()
            ends.wait(20)

    first = threading.Thread(target=go_first)
    first.start()
    taken.wait(20)
    with way.given(lambda: 0.0):  # of no time that passes: it would wait for ever
        for _ in range(3):
            ask_once()
        ends.set()
        first.join(20)
        ask_once()

    assert not first.is_alive()


def test_the_worker_takes_it_while_it_decides_and_sends(desk, received, ready, monkeypatch):
    way, seen = RightOfWay(), []
    place = type(desk.gateway).place
    monkeypatch.setattr(
        type(desk.gateway), "place", lambda *args, **more: seen.append(way.is_taken) or place(*args, **more)
    )
    received()

    Worker(desk, ready=ready, sent=lambda: None, right_of_way=way).turn()

    assert Signal.objects.get().status == "APPROVED"
    assert seen == [True]
    assert not way.is_taken


def test_the_tracker_reads_the_book_to_its_end_also_while_it_is_never_free(desk, way):
    ready = threading.Event()
    tracker = Tracker(desk, ready=ready, right_of_way=way, busy_seconds=0.0, stopwatch=lambda: 0.0)

    with way.taken():
        tracker.turn()

    assert ready.is_set()


def test_the_limits_are_held_without_giving_way(desk, way, waits, monkeypatch):
    """Their loss is by prices of a moment: what waited would be told of none that came meanwhile."""
    waited = []

    def watch(_: object) -> None:
        before = len(waits.asked)
        ask_once()
        waited.append(len(waits.asked) - before)

    monkeypatch.setattr("orders.tracker.watch_limits", watch)
    tracker = Tracker(desk, ready=threading.Event(), right_of_way=way, busy_seconds=0.3)

    with way.taken():
        tracker.turn()

    assert len(waits.asked) > 0
    assert len(waited) > 1  # after the reading, and while the next one is waited for
    assert set(waited) == {0}


def test_what_was_given_is_no_slowness_of_the_broker(desk, way, waits):
    """Of a book that is read in no time, but for the waiting for others."""
    desk = replace(desk, rules=replace(desk.rules, slow_seconds=0.01))
    tracker = Tracker(desk, ready=threading.Event(), right_of_way=way, busy_seconds=0.0, stopwatch=lambda: waits.now)

    with way.taken():
        tracker.turn()

    assert waits.now > 0.01
    assert BrokerSession.objects.get(mode="PAPER").last_error == ""
