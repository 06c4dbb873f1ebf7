"""
The executor's heartbeat as another process sees it: whether it changes, by the own stopwatch.

No two clocks are compared, so that one that was set forward silences nobody, and a machine that slept wakes nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from orders.alerting import wording
from orders.alerting.news import News
from orders.models import Alert, ExecutorHeartbeat
from risk.models import Mode

SILENT_SECONDS = 15.0  # a restart under its supervisor takes four, a standby takes over within five
FRESH_SECONDS = 10.0


class Pulse:
    """What was seen of one mode's heartbeat. Asked once a turn."""

    def __init__(self, mode: str, *, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._mode = mode
        self._stopwatch = stopwatch
        self._seen: tuple[int, datetime] | None = None
        self._seen_at = stopwatch()
        self._beats = False  # one was seen to follow another
        self._back_is_told = False

    def forget(self) -> None:
        """Begin anew: while the database was away nothing could be seen."""
        self._seen_at, self._beats = self._stopwatch(), False

    def look(self, now: datetime) -> list[News]:
        """Return that the executor fell silent, once an outage, or that it is back."""
        row = ExecutorHeartbeat.objects.filter(mode=self._mode).values_list("backend_pid", "beat_at").first()
        if row != self._seen:
            self._beats = self._seen is not None
            self._seen, self._seen_at = row, self._stopwatch()
        if self.is_fresh():
            return self._back(now)
        if not self.is_expected() or self._stopwatch() - self._seen_at <= SILENT_SECONDS:
            return []
        self._back_is_told = False
        last = f"Last seen {wording.stamp(self._seen[1])}." if self._seen else "None was ever seen."
        source = f"silent since {self._seen[1].isoformat() if self._seen else 'ever'}"
        return [wording.executor_silent(source=source, at=now, last_seen=last)]

    def is_expected(self) -> bool:
        """Return whether an executor should run: with a real login, and on paper once one has."""
        return self._mode != Mode.PAPER or self._seen is not None

    def is_fresh(self) -> bool:
        return self._beats and self._stopwatch() - self._seen_at <= FRESH_SECONDS

    def _back(self, now: datetime) -> list[News]:
        if self._back_is_told:
            return []
        self._back_is_told = True
        kinds = [Alert.Kind.EXECUTOR_SILENT, Alert.Kind.EXECUTOR_BACK]
        last = Alert.objects.filter(mode=self._mode, kind__in=kinds).order_by("-pk").first()
        if last is None or last.kind != Alert.Kind.EXECUTOR_SILENT:
            return []
        return [wording.executor_back(silent=last, at=now)]
