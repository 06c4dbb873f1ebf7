"""The lock and what is asked under it are one trip, and what is asked sees all that was committed before."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders.models import Signal
from orders.under_lock import WAITED_SECONDS, lock_and_ask
from risk.questions import Question

from .paper.paper_process import until
from .together import Together, direct_connection

pytestmark = pytest.mark.django_db(transaction=True)

SEEN = Question[Signal](lambda mode: Signal.objects.filter(mode=mode), mode=str)
LOCK = "SELECT FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


class Clock:
    """One that goes on by a minute each time it is read."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.told = []

    def __call__(self):
        self.now += timedelta(minutes=1)
        self.told.append(self.now)
        return self.now


def asked_under_the_lock(desk):
    with transaction.atomic():
        control, asked, now = lock_and_ask(desk, lambda now: SEEN.ask(mode="PAPER"))
        return control, asked(), now


@contextlib.contextmanager
def waiting_for_the_lock(desk):
    """Have somebody wait for the lock until the block ends, which gets the holder's line and what joins the other."""
    with direct_connection() as holder, direct_connection() as watcher, holder.transaction():
        holder.execute(LOCK)
        waiting = Together(lambda: asked_under_the_lock(desk))
        until(lambda: watcher.execute(WAITING).fetchone()[0])
        yield holder, waiting.join


def test_what_is_committed_while_the_lock_is_waited_for_is_seen_by_what_is_asked_with_it(desk, received):
    clock = Clock()
    with waiting_for_the_lock(replace(desk, clock=clock)) as (holder, join):
        signal = received()
        holder.execute("UPDATE risk_tradingcontrol SET version = 77 WHERE mode = 'PAPER'")
        holder.execute("SELECT pg_sleep(%s)", [WAITED_SECONDS * 1.2])
    ((control, seen, now),) = join()

    assert control.version == 77
    assert seen == [signal]
    assert (now, len(clock.told)) == (clock.told[-1], 2)  # by the clock of then


def test_even_where_nothing_is_asked_a_second_time(desk, received, monkeypatch):
    monkeypatch.setattr("orders.under_lock.WAITED_SECONDS", 60)
    clock = Clock()
    with waiting_for_the_lock(replace(desk, clock=clock)) as (_, join):
        signal = received()
    ((_, seen, now),) = join()

    assert seen == [signal]
    assert [now] == clock.told


def test_without_a_wait_both_are_told_of_the_moment_before(desk, received, monkeypatch):
    monkeypatch.setattr("orders.under_lock.WAITED_SECONDS", 60)
    signal, clock = received(), Clock()

    with CaptureQueriesContext(connection) as statements:
        _, seen, now = asked_under_the_lock(replace(desk, clock=clock))

    assert seen == [signal]
    assert [now] == clock.told
    assert sum("risk_tradingcontrol" in each["sql"] for each in statements) == 1
    assert sum("orders_signal" in each["sql"] for each in statements) == 1
