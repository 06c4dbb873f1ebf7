"""The soak in short, as CI runs it, on servers of its own; `make soak` is the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.crash_points import EXECUTOR, POINTS, STAFF
from tests.soak.plan import Plan

REPOSITORY = Path(__file__).resolve().parents[2]
ZEROS = {"lost": 0, "duplicated": 0, "unexplained": 0, "limit_breaches": 0}


@pytest.mark.processes
def test_after_twenty_kills_nothing_is_lost_doubled_or_unexplained():
    run = subprocess.run(
        [sys.executable, "manage.py", "soak", "--kills", "20", "--seed", "7"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures.items() >= ZEROS.items()
    assert figures["kills"] >= 20
    assert figures["orders"] >= 10
    assert set(figures) == {*ZEROS, "kills", "faults", "signals", "orders", "pubsub_missed", "seconds"}


def test_a_seed_draws_the_same_plan_again_and_every_point_comes_in_turn():
    first, again, other = Plan(1), Plan(1), Plan(2)

    points = [first.point() for _ in range(len(POINTS) * 3)]

    assert points == [again.point() for _ in points]
    assert points != [other.point() for _ in points]
    executor = [point for point in points if point in EXECUTOR]
    staff = [point for point in points if point in STAFF]
    assert set(executor[: len(EXECUTOR)]) == set(EXECUTOR)
    assert set(staff[: len(STAFF)]) == set(STAFF)
