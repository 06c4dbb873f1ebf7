"""
A desk whose pauses move its clock and take no time, and what it held before.

Both tests of what waits for the broker's pace use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orders.desk import Desk
from orders.models import Position
from tests.conftest import StillClock


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def still(desk: Desk, clock: StillClock, wired: Any) -> Desk:
    """The desk whose pauses move its clock."""
    return wired(desk, pause=clock.pause)


@pytest.fixture
def held(held: Callable[[int], Position], clock: StillClock) -> Callable[[int], Position]:
    """Buy so many RELIANCE, two seconds ago: what happened in this moment makes the broker's position doubtful."""

    def buy(quantity: int) -> Position:
        position = held(quantity)
        clock.advance(seconds=2)
        return position

    return buy
