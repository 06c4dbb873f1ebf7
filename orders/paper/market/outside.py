"""
Prices given from outside: set by a call, or replayed from a file.

Each is a step: from its moment on the price is that, until the next step or the release. What was set by a
call goes before what is replayed. Steps older than a few days are forgotten, save for the last of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

KEPT_FOR = timedelta(days=5)
STEPS_BEFORE_FORGETTING = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    at: datetime
    price: Decimal | None  # INR; None: it moves again


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stretch of time in which one price was given, or none."""

    start: datetime
    end: datetime
    price: Decimal | None  # INR


class Outside:
    """The steps of one instrument."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.replayed: list[Step] = []

    def set(self, price: Decimal | None, at: datetime) -> None:
        """Let the price be this from now on; a clock that was set back takes later steps with it."""
        while self.steps and self.steps[-1].at >= at:
            self.steps.pop()
        self.steps.append(Step(at=at, price=price))
        if len(self.steps) > STEPS_BEFORE_FORGETTING:
            old = bisect_right(self.steps, at - KEPT_FOR, key=lambda step: step.at)
            del self.steps[: max(old - 1, 0)]

    def price_at(self, moment: datetime) -> Decimal | None:
        """Return the price given for the moment, INR, or None when it moves by itself."""
        return latest(self.steps, moment) or latest(self.replayed, moment)

    def pieces(self, start: datetime, end: datetime) -> Iterator[Piece]:
        """Yield what covers the time from start to end, in order and without gaps."""
        moments = {start}
        for steps in (self.steps, self.replayed):
            first = bisect_right(steps, start, key=lambda step: step.at)
            last = bisect_left(steps, end, key=lambda step: step.at)
            moments.update(step.at for step in steps[first:last])
        ordered = sorted(moments)
        for begin, finish in zip(ordered, [*ordered[1:], end], strict=True):
            yield Piece(start=begin, end=finish, price=self.price_at(begin))


def latest(steps: list[Step], moment: datetime) -> Decimal | None:
    index = bisect_right(steps, moment, key=lambda step: step.at) - 1
    return steps[index].price if index >= 0 else None
