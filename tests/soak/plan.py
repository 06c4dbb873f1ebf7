"""What a run is going to do, drawn from its seed: which kill comes when, and what else goes wrong with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.soak.crash_points import POINTS, Point
from tests.soak.faults import BROKER, OUTAGES

BROKER_FAULT_CHANCE = 0.30
OUTAGE_CHANCE = 0.04


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill: at a point, or `after` so many seconds of a leader's work; with what else happens before it."""

    number: int
    point: Point | None
    after: float
    broker_fault: str
    outage: str


def kills(count: int, seed: int) -> list[Kill]:
    """Return the plan: every other kill at a named point, all points in turn in an order drawn from the seed."""
    draw = random.Random(f"soak:{seed}")
    points, broker, outages = (_in_turn(draw, each) for each in (POINTS, BROKER, sorted(OUTAGES)))
    return [
        Kill(
            number=number,
            point=next(points) if number % 2 else None,
            after=draw.uniform(0.05, 1.0),
            broker_fault=next(broker) if draw.random() < BROKER_FAULT_CHANCE else "",
            outage=next(outages) if draw.random() < OUTAGE_CHANCE else "",
        )
        for number in range(1, count + 1)
    ]


def _in_turn(draw: random.Random, things: tuple | list) -> Iterator:
    while True:
        yield from draw.sample(list(things), len(things))
