"""
The loops of the executor: each is a thread that takes turns until it is told to stop.

A turn is short, so that a stop is heard, and none is begun without leadership. Redis, the database or the broker being
away is weathered: the turn is taken again after a pause that grows. Anything else is a defect: the thread ends, the
process with it, and whoever supervises starts it again, which is the same path as any start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog
from django.db import InterfaceError, InternalError, OperationalError, close_old_connections, connection

from orders.receivers import REDIS_AWAY
from risk.audit.who import acting

log = structlog.get_logger(__name__)

PAUSE_SECONDS_MAX = 10.0
NOT_LEADING_SECONDS = 0.1
LINE_SECONDS = 1.0  # a line to the database that was good a moment ago is not asked about again
# InternalError too: that is how a session ends that stood still in a transaction, and how a replica refuses to write.
AWAY = (*REDIS_AWAY, OperationalError, InterfaceError, InternalError)


def keep_lines() -> None:
    """
    Let no line of this process to the database end for its age: what was prepared on it and is remembered of it would.

    For who closes a line that failed him, as a loop does.
    """
    connection.settings_dict["CONN_MAX_AGE"] = None  # the dictionary is that of all threads


def always() -> bool:
    return True


class Turns(Protocol):
    """Something that works in turns and can start afresh after an outage."""

    def turn(self) -> None: ...

    def reset(self) -> None: ...


class Loop(threading.Thread):
    """Takes turns while this process leads, until stopped, pausing longer and longer while what it needs is away."""

    def __init__(
        self, name: str, turns: Turns, stopping: threading.Event, *, leads: Callable[[], bool] = always
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._turns = turns
        self._stopping = stopping
        self._leads = leads
        self.at_rest = threading.Event()
        self.at_rest.set()
        self._line_seen_at = 0.0  # on the monotonic clock

    def run(self) -> None:
        with acting(f"executor: {self.name}"):
            self._take_turns()

    def _take_turns(self) -> None:
        pause = 0.0
        try:
            while not self._stopping.wait(pause):
                self.at_rest.clear()  # before asking: whoever ended the reign and waits must not miss a turn
                pause = self._turn(pause) if self._leads() else NOT_LEADING_SECONDS
                self.at_rest.set()
        except Exception:
            # The one place where a defect ends: the thread does, the process notices, and is started again.
            log.critical("loop.died", loop=self.name, exc_info=True)
        finally:
            connection.close()

    def _turn(self, pause: float) -> float:
        """Take one turn and return how long to pause before the next."""
        if time.monotonic() - self._line_seen_at > LINE_SECONDS:
            close_old_connections()  # which has the next statement ask first whether the line is still good
            self._line_seen_at = time.monotonic()
        try:
            self._turns.turn()
        except AWAY as error:
            if pause == 0.0:
                log.error("loop.waiting", loop=self.name, reason=f"{type(error).__name__}: {error}"[:300])
            connection.close()
            self._turns.reset()
            return min(PAUSE_SECONDS_MAX, max(0.2, pause * 2))
        if pause:
            log.warning("loop.going_on", loop=self.name)
        return 0.0
