"""The paper Kite's clock: the machine's, or one that was set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orders.paper.clock import LATEST, Clock, Setting
from orders.paper.indian_time import IST

WALL = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
MONDAY = datetime(2026, 11, 23, 23, 59, tzinfo=IST)


class Wall:
    """The machine's clock, in hand."""

    def __init__(self) -> None:
        self.now = WALL

    def __call__(self) -> datetime:
        return self.now


def set_clock(speed: float, moment: datetime = MONDAY) -> tuple[Wall, Clock]:
    wall = Wall()
    clock = Clock(wall)
    clock.set(Setting(moment=moment, speed=speed, set_at=WALL))
    return wall, clock


def test_until_it_is_set_it_is_the_machines_told_in_mumbai():
    clock = Clock(Wall())

    assert clock() == WALL
    assert clock().utcoffset() == timedelta(hours=5, minutes=30)


@pytest.mark.parametrize(
    ("speed", "later"), [(0, 0), (1, 90), (0.5, 45), (60, 5400), (1000, 90_000), (86_400, 90 * 86_400)]
)
def test_it_runs_at_its_own_speed_from_the_moment_it_was_given(speed, later):
    wall, clock = set_clock(speed)
    assert clock() == MONDAY

    wall.now += timedelta(seconds=90)

    assert clock() == MONDAY + timedelta(seconds=later)


def test_at_a_thousand_times_the_speed_midnight_is_sixty_milliseconds_away_and_mumbais():
    wall, clock = set_clock(1000)

    wall.now += timedelta(milliseconds=59)
    assert clock().date() == MONDAY.date()

    wall.now += timedelta(milliseconds=1)
    assert clock().date() == MONDAY.date() + timedelta(days=1)
    assert clock().astimezone(UTC).date() == MONDAY.date()


def test_a_machine_whose_clock_steps_back_does_not_take_it_back_before_its_beginning():
    wall, clock = set_clock(1000)

    wall.now -= timedelta(hours=1)

    assert clock() == MONDAY


def test_it_stops_at_the_last_day_that_can_be_reckoned_with():
    wall, clock = set_clock(86_400)

    wall.now += timedelta(days=4000)

    assert clock() == LATEST


def test_a_moment_in_another_zone_is_the_same_moment():
    _, clock = set_clock(1, MONDAY.astimezone(UTC))

    assert clock() == MONDAY
    assert clock().tzinfo is IST


def test_released_it_is_the_machines_again():
    _, clock = set_clock(60)

    clock.set(None)

    assert clock() == WALL
