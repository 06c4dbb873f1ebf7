"""The local set starts its alerts after the others, and after a while without them: that they fail is to be told."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from config import supervisor as supervising
from config.children import Child
from config.supervisor import Supervisor
from tests.config.conftest import eventually

STAYS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """A supervisor whose web server runs and never answers; it is asked to stop at its third turn, or with alerts."""
    monkeypatch.setattr(supervising, "_answers", lambda port: False)
    found = Supervisor(1, {"ORDER_EXECUTOR_LOCAL": str(tmp_path)}, io.StringIO())
    found.executor, found.web, found.alerts = (Child(name, STAYS, {}) for name in ("executor", "web", "alerts"))
    turns = []

    def turn(children: object) -> None:
        turns.append(children)
        if found.alerts.process is not None or len(turns) == 3:
            found.signals = 1

    monkeypatch.setattr(found, "_turn", turn)
    return found


@pytest.mark.parametrize(("seconds", "start"), [(0.0, True), (3600.0, False)])
def test_alerts_start_after_a_while_though_the_desk_is_not_ready(never_ready, monkeypatch, seconds, start):
    monkeypatch.setattr(supervising, "ALERTS_SECONDS_MAX", seconds)
    children = (never_ready.executor, never_ready.web, never_ready.alerts)
    try:
        never_ready._run_parts("log in")

        assert never_ready.alerts.runs() == start
        assert "ready:" not in never_ready.out.getvalue()
    finally:
        for child in children:
            if child.process is not None:
                child.kill()
                eventually(lambda child=child: not child.runs())
                child.bury()
