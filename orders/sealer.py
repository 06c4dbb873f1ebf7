"""What the leading executor looks after beside orders: the trail sealed every minute, its protections, the backups."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from orders import backup_watch
from orders.desk import Desk
from risk.audit import sealing, triggers
from risk.models import Incident

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0
BACKUPS_EVERY_SECONDS = 3600.0
TURN_SECONDS_MAX = 1.0


class Sealer:
    """Seals once a minute. Everything else that is written goes on meanwhile: no lock of the book is taken."""

    def __init__(self, desk: Desk, stopping: threading.Event, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._stopping = stopping
        self._stopwatch = stopwatch
        self._due = self._backups_due = stopwatch()

    def turn(self) -> None:
        """Seal when it is time, and wait a little otherwise."""
        left = self._due - self._stopwatch()
        if left > 0:
            self._stopping.wait(min(left, TURN_SECONDS_MAX))
            return
        tell_of_open_doors(self._desk)
        sealing.seal(now=self._desk.clock())
        self._due = self._stopwatch() + EVERY_SECONDS
        if self._stopwatch() >= self._backups_due:
            backup_watch.tell_of_missing(now=self._desk.clock())
            self._backups_due = self._stopwatch() + BACKUPS_EVERY_SECONDS

    def reset(self) -> None:
        self._due = self._stopwatch()


def tell_of_open_doors(desk: Desk) -> None:
    """Open an incident when what writes or protects the trail is missing or not as it must be, or has company."""
    missing = [*triggers.missing(), *triggers.strange()]
    if not missing:
        return
    log.critical("audit.open", count=len(missing), first=missing[0])
    Incident.objects.open(
        Incident.Kind.AUDIT_OPEN,
        mode=desk.mode,
        title=f"The audit trail is not protected: {len(missing)} triggers are missing, changed or not ours",
        detail="\n".join(missing),
        what_to_do=(
            "What is changed meanwhile leaves no trace. Find out who did it, drop what is not ours, then run manage.py"
            " migrate, which sets the others again, and manage.py verify_audit."
        ),
        now=desk.clock(),
    )
