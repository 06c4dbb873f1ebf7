"""What must hold before the executor starts, and how the paper book is forgotten."""

from __future__ import annotations

import threading

import pgtrigger
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, ProgrammingError, connection, transaction

from orders.desk import Desk
from orders.models import (
    Adjustment,
    BrokerMessage,
    DayPoint,
    Decision,
    EndOfDay,
    Fill,
    Flatten,
    FlattenedPosition,
    Holding,
    LineProof,
    LineProofStage,
    MissedExit,
    Order,
    OrderEvent,
    OrderModification,
    Position,
    Signal,
)
from risk import limit_versions
from risk.models import Incident, Mode, TradingControl

log = structlog.get_logger(__name__)

PAUSE_SECONDS_MAX = 2.0


class StartRefused(Exception):
    """The executor must not start like this; the text says what to do."""


def prepare_start(desk: Desk) -> None:
    """
    Check what a start needs, take over KITE_ACCESS_TOKEN, and say what is odd about the limits in force.

    Raise `StartRefused`.
    """
    if not TradingControl.objects.filter(mode=desk.mode).exists():
        raise StartRefused("the database is not set up: run manage.py migrate")
    for other in set(Mode.values) - {desk.mode}:
        working = Order.objects.unfinished(other).count()
        if working:
            way_out = "run manage.py paper_reset" if other == Mode.PAPER else "finish them"
            raise StartRefused(
                f"{working} {other} orders are unfinished and this start is {desk.mode}: go back to {other} "
                f"and end them there, or {way_out}"
            )
    if desk.mode != Mode.PAPER:
        desk.vault.keep_from_environment(settings.KITE_ACCESS_TOKEN, now=desk.clock())
    limit_versions.keep_within(settings.LIMIT_CEILINGS, mode=desk.mode, now=desk.clock())
    for name, (environment, row) in limit_versions.differences(settings.FIRST_LIMITS, now=desk.clock()).items():
        log.warning("limits.differ", limit=name, environment=environment, in_force=row, applied="in_force")


def prepare_when_possible(desk: Desk, stopping: threading.Event) -> bool:
    """
    Do `prepare_start` as soon as the database answers, however long that takes. Return False when stopped before.

    Raise `StartRefused`.
    """
    told = ""
    pause = 0.0
    while not stopping.wait(pause):
        try:
            prepare_start(desk)
        except ProgrammingError as nothing_there:
            raise StartRefused("the database is not set up: run manage.py migrate") from nothing_there
        except (OperationalError, InterfaceError) as trouble:
            connection.close()
            if told != str(trouble):
                log.error("start.waiting_for_database", reason=str(trouble)[:300])
                told = str(trouble)
            pause = min(PAUSE_SECONDS_MAX, max(0.25, pause * 2))
        else:
            return True
    return False


def forget_paper_book() -> int:
    """Delete every paper row and return how many there were. The switch, the limits and their history stay."""
    with transaction.atomic(), pgtrigger.ignore():
        TradingControl.objects.locked(Mode.PAPER)
        gone = 0
        for rows in (
            OrderEvent.objects.filter(order__mode=Mode.PAPER),
            LineProofStage.objects.filter(proof__mode=Mode.PAPER),
            LineProof.objects.filter(mode=Mode.PAPER),
            BrokerMessage.objects.filter(order__mode=Mode.PAPER),
            Fill.objects.filter(mode=Mode.PAPER),
            OrderModification.objects.filter(order__mode=Mode.PAPER),
            Order.objects.filter(mode=Mode.PAPER),
            Decision.objects.filter(mode=Mode.PAPER),
            MissedExit.objects.filter(mode=Mode.PAPER),
            Signal.objects.filter(mode=Mode.PAPER),
            FlattenedPosition.objects.filter(flatten__mode=Mode.PAPER),
            Flatten.objects.filter(mode=Mode.PAPER),
            Adjustment.objects.filter(mode=Mode.PAPER),
            Position.objects.filter(mode=Mode.PAPER),
            Holding.objects.filter(mode=Mode.PAPER),
            DayPoint.objects.filter(mode=Mode.PAPER),
            Incident.objects.filter(mode=Mode.PAPER),
            EndOfDay.objects.filter(mode=Mode.PAPER),
        ):
            gone += rows.delete()[0]
    log.warning("paper_book.forgotten", rows=gone)
    return gone
