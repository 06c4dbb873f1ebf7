"""A broker that answers, and too slowly: its book is old when it arrives, so auto-trading goes off, once."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from orders.models import BrokerSession, Signal
from orders.tracker import Tracker
from orders.worker import Worker
from risk.models import Incident, Mode, TradingControl
from tests.conftest import switch_on

from .stand_ins import BookGateway

pytestmark = pytest.mark.django_db


class SlowGateway(BookGateway):
    """Takes a given time for a book, by the stopwatch of the test."""

    seconds = 0.0
    now = 1000.0

    def book(self, as_of):
        self.now += self.seconds
        return super().book(as_of)

    def stopwatch(self):
        return self.now


@pytest.fixture
def slow():
    return SlowGateway()


@pytest.fixture
def tracker(desk, slow, monkeypatch):
    tracker = Tracker(replace(desk, gateway=slow), ready=threading.Event(), stopwatch=slow.stopwatch)
    monkeypatch.setattr(tracker, "_wait", lambda: None)
    monkeypatch.setattr(tracker, "_prepare", lambda: None)
    monkeypatch.setattr(tracker, "_load_instruments", lambda: None)
    return tracker


def take(tracker, slow, *seconds):
    for each in seconds:
        slow.seconds = each
        tracker.turn()


def auto_trading() -> bool:
    return TradingControl.objects.get(mode=Mode.PAPER).auto_trading


@pytest.mark.parametrize(
    ("seconds", "on"),
    [
        ([5.0] * 9, True),
        ([5.1], True),  # a hiccup
        ([5.1, 5.1], False),  # ten seconds without a good answer
        ([10.0], True),
        ([10.1], False),
        ([6.0, 1.0, 6.0, 1.0], True),
    ],
)
def test_auto_trading_goes_off_after_twice_the_slow_seconds_without_a_good_book(tracker, slow, seconds, on):
    take(tracker, slow, *seconds)

    assert auto_trading() is on
    assert Incident.objects.exists() is not on


def test_a_book_that_fails_in_between_does_not_make_a_slow_one_good(tracker, slow, paper, desk):
    take(tracker, slow, 5.1)
    paper.fault("orders", "error_503")
    tracker._desk = desk
    tracker.turn()
    tracker._desk = replace(desk, gateway=slow)
    assert auto_trading()

    take(tracker, slow, 5.1)

    assert not auto_trading()


def test_a_slow_book_is_taken_over_all_the_same_and_lets_nothing_wait(tracker, slow):
    BrokerSession.objects.update(reconciled_at=None)

    take(tracker, slow, 9.0)

    assert BrokerSession.objects.get().reconciled_at is not None
    assert tracker._ready.is_set()


def test_a_broker_that_stays_slow_is_one_incident_and_auto_trading_stays_off_when_it_is_quick_again(tracker, slow):
    take(tracker, slow, *[20.0] * 50)
    told = Incident.objects.get()
    assert (told.kind, told.title, told.count) == ("BROKER_UNREACHABLE", "The broker answers too slowly", 1)
    assert told.detail == "its book took 20.0 s to be read"

    take(tracker, slow, 0.1, 0.1)

    assert not auto_trading()
    assert Incident.objects.get().detail.count("It was read again at") == 1


def test_it_goes_off_again_when_a_person_turned_it_on_and_the_broker_is_slow_anew(tracker, slow, desk):
    take(tracker, slow, 11.0, 0.1)
    switch_on(desk)

    take(tracker, slow, 11.0)

    assert not auto_trading()


def test_a_process_that_stood_still_itself_blames_no_broker(desk, slow, monkeypatch):
    tracker = Tracker(
        replace(desk, gateway=slow), ready=threading.Event(), stopwatch=slow.stopwatch, leads=lambda: False
    )
    monkeypatch.setattr(tracker, "_wait", lambda: None)
    monkeypatch.setattr(tracker, "_prepare", lambda: None)
    monkeypatch.setattr(tracker, "_load_instruments", lambda: None)

    take(tracker, slow, 60.0)

    assert auto_trading()


@pytest.mark.parametrize(("seconds", "on"), [(5.0, True), (5.1, False)])
def test_an_order_that_was_answered_too_slowly_turns_it_off_at_once(tracker, slow, seconds, on):
    tracker.order_took(seconds)
    tracker.order_took(0.1)

    take(tracker, slow, 0.1)

    assert auto_trading() is on
    if not on:
        assert Incident.objects.get().detail == "an order took 5.1 s to be answered"
        take(tracker, slow, 0.1)
        assert "It was read again at" in Incident.objects.get().detail


def test_the_worker_says_how_long_the_broker_needed_for_an_order(desk, received, paper):
    took: list[float] = []
    ready = threading.Event()
    ready.set()
    signal = received()
    paper.fault("place", "delay", seconds=1.2)

    Worker(desk, ready=ready, sent=lambda: None, took=took.append).turn()

    signal.refresh_from_db()
    assert signal.status == Signal.Status.APPROVED
    assert len(took) == 1
    assert took[0] >= 1.2


def test_an_order_in_doubt_is_not_called_slow_as_well(desk, received, paper):
    took: list[float] = []
    ready = threading.Event()
    ready.set()
    received()
    paper.fault("place", "drop_after")

    Worker(desk, ready=ready, sent=lambda: None, took=took.append).turn()

    assert took == []
    assert Incident.objects.get().kind == "ORDER_IN_DOUBT"
