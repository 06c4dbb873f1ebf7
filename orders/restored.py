"""
A database that was made from a backup: what happened after the dump was taken is forgotten here, and not at the broker.

So it comes up halted, with auto-trading off and an incident that says what to compare, and what it knows of the
broker's book counts as never read. A signal of before is never acted on by itself: its order would get the id of the
one that was forgotten, and would be a second one.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from orders.broker.kite_rows import IST
from orders.models import BrokerSession, ExecutorHeartbeat, MissedExit, Signal
from risk import control as switch
from risk.models import Incident, Mode, TradingControl

BY = "restore"
WHY = "it is of before this database was restored from a backup, and may have been acted on already"


def make_safe(*, taken_at: datetime, now: datetime) -> None:
    """Halt both modes of a database that was just restored from a dump of `taken_at`, and say what to do."""
    as_of = f"{taken_at.astimezone(IST):%a %d %b %Y, %H:%M:%S}"
    with transaction.atomic(durable=True):
        for mode in Mode:
            switch.halt_after_restore(mode, by=BY, reason=f"restored from the backup of {as_of}", now=now)
            _tell(mode, as_of, now)
        # How fresh a fact is, is no fact of this database: the book is compared anew before anything is sent.
        BrokerSession.objects.update(reconciled_at=None, stream_heard_at=None, funds=None, funds_at=None)
        ExecutorHeartbeat.objects.all().delete()


def _tell(mode: str, as_of: str, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.RESTORED,
        mode=mode,
        subject=now.isoformat(timespec="seconds"),
        title=f"Restored from the backup of {as_of}: what happened since is forgotten here",
        detail="Orders sent and signals received after the backup have no rows. Their ids would be used again, so "
        "signals of before the restore are not acted on.",
        what_to_do="Start the executor: it compares the broker's book, and each order it lacks becomes an incident. "
        "Check every position against the broker's own app and adjust it on its page. Then resolve this, and resume "
        "on Trading control.",
        stops_opening=True,
        now=now,
    )


def is_of_before(control: TradingControl, signal: Signal) -> bool:
    """Return whether the signal was made before the restore, and not repeated by a person since, who wishes it now."""
    if control.restored_at is None:
        return False
    by_staff = signal.source == Signal.Source.STAFF
    made_at = signal.received_at if by_staff else signal.signal_at or signal.received_at
    return made_at <= control.restored_at


def is_at_the_broker(control: TradingControl, our_id: str) -> bool:
    """Return whether the broker's book was seen to have an order of this id that the restored book lacks."""
    if control.restored_at is None:
        return False
    unknown = Incident.objects.filter(mode=control.mode, kind=Incident.Kind.UNKNOWN_ORDER)
    return unknown.filter(first_at__gte=control.restored_at, detail__contains=f"tag {our_id},").exists()


def leave_to_a_person(signal: Signal, now: datetime) -> None:
    """Conclude it, and keep one that would have closed a position for a person. The caller holds the lock."""
    MissedExit.objects.open(signal, why=WHY, at=now)
    signal.conclude(Signal.Status.EXPIRED, reason=WHY, now=now)
