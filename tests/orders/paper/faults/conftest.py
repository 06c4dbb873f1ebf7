"""Asking for faults in both ways, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from tests.orders.paper.paper_process import PaperProcess


class Asker:
    """Asks for faults as JSON over the control route, or as words of the command."""

    def __init__(self, paper: PaperProcess, way: str) -> None:
        self.paper = paper
        self.way = way

    def __call__(self, *faults: dict) -> None:
        if self.way == "control":
            self.paper.control("POST", "faults", list(faults))
        else:
            call_command("paper_fault", *map(word, faults), "--url", self.paper.root, stdout=StringIO())


def word(fault: dict) -> str:
    more = ",".join(f"{name}={value}" for name, value in fault.items() if name not in ("route", "do"))
    return f"{fault['route']}:{fault['do']}:{more}"


@pytest.fixture(params=["control", "command"])
def ask(request: pytest.FixtureRequest, paper: PaperProcess) -> Asker:
    return Asker(paper, request.param)


class StillClock:
    """The paper Kite's clock, which stands still unless seconds are made to pass."""

    def __init__(self, paper: PaperProcess) -> None:
        self.paper = paper
        self.now = datetime.fromisoformat(paper.control("GET", "clock")["data"]["now"])
        self.pass_on(0)

    def pass_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.paper.control("POST", "clock", {"at": self.now.isoformat(), "speed": 0})


@pytest.fixture
def paper_clock(paper: PaperProcess) -> Iterator[StillClock]:
    yield StillClock(paper)
    paper.control("DELETE", "clock")
