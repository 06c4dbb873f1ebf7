"""What refers only to itself is collected once a minute, in a moment when nobody decides."""

from __future__ import annotations

import gc

import pytest

from orders.right_of_way import RightOfWay
from orders.sweeping import BY_ITSELF_AFTER, OVERDUE_SECONDS, SWEEP_SECONDS, Sweep, leave_it_to_quiet_moments


class Sweeping:
    """A sweep whose time is ours; `swept` keeps when it swept."""

    def __init__(self) -> None:
        self.now, self.swept, self.way = 1000.0, [], RightOfWay()
        self.sweep = Sweep(self.way, collect=lambda: self.swept.append(self.now), stopwatch=lambda: self.now)

    def look_after(self, seconds: float) -> int:
        self.now += seconds
        self.sweep.look()
        return len(self.swept)


@pytest.fixture
def sweeping() -> Sweeping:
    return Sweeping()


def test_it_sweeps_once_a_minute(sweeping):
    assert sweeping.look_after(SWEEP_SECONDS - 0.001) == 0
    assert sweeping.look_after(0.001) == 1
    assert sweeping.look_after(SWEEP_SECONDS - 0.001) == 1
    assert sweeping.look_after(0.001) == 2


def test_while_somebody_decides_it_waits_for_a_quiet_moment(sweeping):
    with sweeping.way.taken():
        assert sweeping.look_after(SWEEP_SECONDS) == 0
        assert sweeping.look_after(OVERDUE_SECONDS - SWEEP_SECONDS - 0.001) == 0
    assert sweeping.look_after(0) == 1


def test_a_moment_that_never_is_quiet_is_not_waited_for_for_ever(sweeping):
    with sweeping.way.taken():
        assert sweeping.look_after(OVERDUE_SECONDS - 0.001) == 0
        assert sweeping.look_after(0.001) == 1


def test_python_is_left_what_is_young():
    before = gc.get_threshold()
    try:
        leave_it_to_quiet_moments()
        assert gc.get_threshold() == (*before[:2], BY_ITSELF_AFTER)
    finally:
        gc.set_threshold(*before)


def test_what_refers_only_to_itself_is_gone_after_a_sweep():
    class Ring:
        def __init__(self) -> None:
            self.itself = self

    gc.collect()
    Ring()
    now = iter([0.0, SWEEP_SECONDS, SWEEP_SECONDS])
    found: list[int] = []

    Sweep(RightOfWay(), collect=lambda: found.append(gc.collect()), stopwatch=lambda: next(now)).look()

    assert found[0] >= 1
    assert not [each for each in gc.get_objects() if type(each) is Ring]
