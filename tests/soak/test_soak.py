"""The soak in short, as CI runs it, on servers of its own; `make soak` is the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from tests.soak.conductor import Conductor
from tests.soak.crash_points import EXECUTOR, POINTS, STAFF
from tests.soak.plan import Plan
from tests.soak.witnesses import TABLES, _dictionaries

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


def test_a_witness_that_does_not_answer_is_no_clean_one():
    class Cut:
        """PostgreSQL whose connection is cut after its first answer."""

        answers: ClassVar = [[(1,)]]

        def rows(self, query):
            return self.answers.pop() if self.answers and query == "SELECT 1" else []

    with pytest.raises(AssertionError, match="PostgreSQL answers"):
        _dictionaries(Cut(), TABLES["incidents"])


def test_a_leader_that_ended_by_itself_was_not_killed(tmp_path):
    class Cast:
        executors: ClassVar = {}
        turn = staticmethod(lambda: None)

        def wait_for_a_leader(self):
            gone = subprocess.Popen(["true"])
            gone.wait()
            return gone.pid

    conductor = Conductor(SimpleNamespace(folder=tmp_path), seed=1)
    conductor.cast = Cast()

    conductor._kill_after(0)

    assert conductor.kills == 0


def test_a_seed_draws_the_same_plan_again_and_every_point_comes_in_turn():
    first, again, other = Plan(1), Plan(1), Plan(2)

    points = [first.point() for _ in range(len(POINTS) * 3)]

    assert points == [again.point() for _ in points]
    assert points != [other.point() for _ in points]
    executor = [point for point in points if point in EXECUTOR]
    staff = [point for point in points if point in STAFF]
    assert set(executor[: len(EXECUTOR)]) == set(EXECUTOR)
    assert set(staff[: len(STAFF)]) == set(STAFF)
