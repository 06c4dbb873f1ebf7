"""
Whoever decides and sends goes first: who reads the broker's book beside it waits a moment between two of its steps.

Python runs one thread at a time, and a thread that waits for the database may have to wait for the other one after each
answer. Never under the mode's lock, which those who go first would wait for, and never for long: then it goes on. What
will take the lock waits before it begins: whoever goes first would find it taken for as long as that lasts.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from psycopg.pq import TransactionStatus

STEP_SECONDS_MAX = 0.03  # of waiting before one step
TURN_SECONDS_MAX = 0.25  # before all steps of what is done at once


class RightOfWay:
    """Taken by those who go first; the others give it."""

    def __init__(self, free: threading.Event | None = None) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._free = free or threading.Event()
        self._free.set()

    @property
    def is_taken(self) -> bool:
        return not self._free.is_set()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Go first in this block."""
        with self._lock:
            self._holders += 1
            self._free.clear()
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._free.set()

    @contextlib.contextmanager
    def given(self, stopwatch: Callable[[], float] = time.monotonic) -> Iterator[Giving]:
        """
        Give way in this block, before each statement of its own and before the first of each transaction.

        What is yielded says how long.
        """
        giving = Giving(self._free, stopwatch)
        with connection.execute_wrapper(giving):
            yield giving


class Giving:
    """Waits before a statement for those who go first, until it has waited long enough in all."""

    def __init__(self, free: threading.Event, stopwatch: Callable[[], float]) -> None:
        self._free = free
        self._stopwatch = stopwatch
        self._left = TURN_SECONDS_MAX

    @property
    def waited(self) -> float:
        """Seconds, in all."""
        return TURN_SECONDS_MAX - self._left

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        self.before_together()
        return execute(sql, params, many, context)

    def before_together(self) -> None:
        """Wait likewise before what is asked together, which goes past `execute`."""
        if self._left > 0 and not self._free.is_set() and _holds_nothing():
            began = self._stopwatch()
            self._free.wait(min(STEP_SECONDS_MAX, self._left))
            self._left -= self._stopwatch() - began


def _holds_nothing() -> bool:
    """Return whether no transaction is open; the first statement of one opens it, and is still to come here."""
    status: TransactionStatus = connection.connection.info.transaction_status
    return status == TransactionStatus.IDLE
