"""
Questions to a server that may never answer: a time within which the asker goes on, and one question at a time.

A server that hangs leaves its connection open and says nothing, and no time-out of a statement ends that. So the
question is asked in a thread of its own; while that waits, whoever asks is told so, and no second one is begun.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class NoAnswer(Exception):
    """There was no answer in time; the text says since when one is waited for."""


class Bounded(Generic[T]):
    """One question, asked at most once at a time; an answer is good for `keep_seconds`."""

    def __init__(
        self,
        ask: Callable[[], T],
        *,
        within_seconds: float,
        keep_seconds: float = 0.0,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._within_seconds = within_seconds
        self._keep_seconds = keep_seconds
        self._stopwatch = stopwatch
        self._lock = threading.Lock()
        self._asked: _Asked[T] | None = None

    def begin(self) -> _Asked[T]:
        """Ask, unless it is being asked already or the last answer is still good."""
        with self._lock:
            asked = self._asked
            if asked is None or (asked.over() and self._stopwatch() - asked.begun_at >= self._keep_seconds):
                asked = self._asked = _Asked(self._ask, self._stopwatch(), self._within_seconds)
            return asked

    def answer(self) -> T:
        """Return the answer. Raise `NoAnswer`, or what the question raised."""
        return self.begin().wait(self._stopwatch)


class _Asked(Generic[T]):
    """One question on its way."""

    def __init__(self, ask: Callable[[], T], begun_at: float, within_seconds: float) -> None:
        self.begun_at = begun_at
        self._ask = ask
        self._within_seconds = within_seconds
        self._answers: list[T] = []
        self._trouble: BaseException | None = None
        # A daemon: the end of this process waits for no answer.
        self._thread = threading.Thread(target=self._run, name="bounded question", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answers.append(self._ask())
        except BaseException as trouble:  # noqa: BLE001  # raised again where it is waited for
            self._trouble = trouble

    def over(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, stopwatch: Callable[[], float]) -> T:
        """Wait until so many seconds after it was asked: for one that hangs already, not at all."""
        self._thread.join(max(0.0, self.begun_at + self._within_seconds - stopwatch()))
        if self._thread.is_alive():
            raise NoAnswer(f"no answer for {stopwatch() - self.begun_at:.0f} s")
        if self._trouble is not None:
            raise self._trouble
        return self._answers[0]
