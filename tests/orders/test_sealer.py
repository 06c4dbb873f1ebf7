"""The executor's part in the audit trail: sealed every minute, its triggers looked after, its threads by name."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.utils import timezone

from orders.loops import Loop
from orders.sealer import EVERY_SECONDS, Sealer
from risk.models import AuditEntry, AuditSeal, Incident, Mode

from .paper.paper_process import until


class Stopwatch:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def stopped() -> threading.Event:
    """So that a turn that has nothing to do waits for nothing."""
    event = threading.Event()
    event.set()
    return event


def open_one(subject: str) -> None:
    Incident.objects.open(Incident.Kind.SIGNAL_GAP, mode=Mode.PAPER, title="x", subject=subject, now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_the_trail_is_sealed_at_once_and_then_every_minute(bare_desk, stopwatch, stopped):
    sealer = Sealer(bare_desk, stopped, stopwatch)

    sealer.turn()
    at_once = AuditSeal.objects.count()
    open_one("y")
    stopwatch.seconds += EVERY_SECONDS - 1
    sealer.turn()
    before_the_minute = AuditSeal.objects.count()
    stopwatch.seconds += 1
    sealer.turn()

    assert (at_once, before_the_minute, AuditSeal.objects.count()) == (1, 1, 2)
    assert AuditSeal.objects.order_by("id").last().count == 1


@pytest.mark.django_db
def test_a_missing_trigger_is_one_incident_that_stops_nothing(bare_desk, stopwatch, stopped):
    sealer = Sealer(bare_desk, stopped, stopwatch)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_order DISABLE TRIGGER audit_entry")

    for _ in range(2):
        sealer.turn()
        stopwatch.seconds += EVERY_SECONDS

    incident = Incident.objects.get(kind=Incident.Kind.AUDIT_OPEN)
    assert (incident.count, incident.stops_opening) == (2, False)
    assert incident.detail == "the trigger audit_entry of orders_order"


@pytest.mark.django_db
def test_with_all_triggers_in_place_there_is_no_incident(bare_desk, stopwatch, stopped):
    Sealer(bare_desk, stopped, stopwatch).turn()

    assert not Incident.objects.exists()


class Writes:
    def turn(self) -> None:
        open_one("written by a loop")

    def reset(self) -> None:
        pass


@pytest.mark.django_db(transaction=True)
def test_what_a_thread_of_the_executor_writes_is_its_own_by_name():
    stopping = threading.Event()
    loop = Loop("worker", Writes(), stopping)
    loop.start()
    until(Incident.objects.exists)
    stopping.set()
    loop.join()

    assert AuditEntry.objects.get(table_name="risk_incident", operation="INSERT").actor == "executor: worker"
