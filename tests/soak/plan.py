"""What a run is going to do, drawn from its seed: which points come in which order, and what else goes wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tests.soak.crash_points import EXECUTOR, STAFF, Point
from tests.soak.faults import BROKER, OUTAGES

BROKER_FAULT_CHANCE = 0.25
OUTAGE_CHANCE = 0.03
STAFF_CHANCE = len(STAFF) / len([*STAFF, *EXECUTOR])
AFTER_SECONDS = (0.05, 0.9)  # of a leader's work, until a timed kill

Thing = TypeVar("Thing")


class Plan:
    """Draws, each from a stream of its own, so that what one of them is asked for does not shift the others."""

    def __init__(self, seed: int) -> None:
        self._draw = {name: random.Random(f"{name}:{seed}") for name in ("turn", "fault", "outage", "time")}
        self._executor_points, self._staff_points, self._broker, self._outages = (
            _in_turn(random.Random(f"{number}:{seed}"), things)
            for number, things in enumerate((EXECUTOR, STAFF, BROKER, sorted(OUTAGES)))
        )

    def point(self) -> Point:
        """Return the next named point: all of them come in turn."""
        staff = self._draw["turn"].random() < STAFF_CHANCE
        return next(self._staff_points if staff else self._executor_points)

    def seconds(self) -> float:
        return self._draw["time"].uniform(*AFTER_SECONDS)

    def broker_fault(self) -> str:
        """Return a fault to ask the broker for now, or nothing."""
        return next(self._broker) if self._draw["fault"].random() < BROKER_FAULT_CHANCE else ""

    def outage(self) -> str:
        return next(self._outages) if self._draw["outage"].random() < OUTAGE_CHANCE else ""


def _in_turn(draw: random.Random, things: Sequence[Thing]) -> Iterator[Thing]:
    while True:
        yield from draw.sample(list(things), len(things))
