"""The local set backs itself up at night, once, and never beside a session."""

from __future__ import annotations

import io
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from config.children import Child
from config.local_folder import LocalFolder
from config.nights import LOOK_SECONDS, Nights
from config.supervisor import Supervisor
from orders.backup_files import named
from tests.config.conftest import eventually

FRIDAY_EVENING = "2026-11-27T19:00:00+05:30"


def nights(root: Path, at: str, **environment: str) -> Nights:
    found = Nights(LocalFolder(root), environment, clock=lambda: datetime.fromisoformat(at))
    assert not found.is_due(100.0)
    return found


def keep(folder: Path, at: str, age: timedelta) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in named(folder, datetime.fromisoformat(at) - age).files:
        file.write_text("x")


def test_it_is_looked_at_ten_minutes_after_a_start_and_every_ten_minutes(tmp_path):
    found = nights(tmp_path, FRIDAY_EVENING)

    looks = [found.is_due(100.0 + seconds) for seconds in (LOOK_SECONDS - 1, LOOK_SECONDS, LOOK_SECONDS + 1)]

    assert looks == [False, True, False]
    assert found.is_due(100.0 + 2 * LOOK_SECONDS)


@pytest.mark.parametrize(
    ("at", "due"),
    [
        ("2026-11-27T08:29:59+05:30", True),
        ("2026-11-27T08:30:00+05:30", False),
        ("2026-11-27T16:29:59+05:30", False),
        ("2026-11-27T16:30:00+05:30", True),
        ("2026-11-28T12:00:00+05:30", True),  # Saturday
        ("2026-11-30T12:00:00+05:30", False),  # Monday
        ("2026-11-27T03:15:00+00:00", False),  # 08:45 in Mumbai
    ],
)
def test_not_between_the_morning_and_the_close(tmp_path, at, due):
    assert nights(tmp_path, at).is_due(100.0 + LOOK_SECONDS) == due


@pytest.mark.parametrize(("age", "due"), [(timedelta(hours=23, minutes=59), False), (timedelta(days=1), True)])
def test_one_of_less_than_a_day_is_enough(tmp_path, age, due):
    keep(tmp_path / "backups", FRIDAY_EVENING, age)
    keep(tmp_path / "elsewhere", FRIDAY_EVENING, age)

    assert nights(tmp_path, FRIDAY_EVENING).is_due(100.0 + LOOK_SECONDS) == due
    elsewhere = nights(tmp_path / "empty", FRIDAY_EVENING, BACKUP_DIR=str(tmp_path / "elsewhere"))
    assert elsewhere.is_due(100.0 + LOOK_SECONDS) == due


def test_the_supervisor_starts_it_passes_on_what_it_says_and_forgets_it(tmp_path):
    out = io.StringIO()
    supervisor = Supervisor(1, {"ORDER_EXECUTOR_LOCAL": str(tmp_path)}, out)
    assert supervisor.backup.command[1:] == [supervisor.executor.command[1], "backup", "--if-due"]
    supervisor.backup = Child("backup", [sys.executable, "-c", "print('taken')"], {})
    supervisor._nights = nights(tmp_path, FRIDAY_EVENING)

    supervisor._back_up(100.0 + LOOK_SECONDS)
    assert supervisor.backup.process is not None
    eventually(lambda: not supervisor.backup.runs())
    supervisor._back_up(100.0 + LOOK_SECONDS + 1)

    assert supervisor.backup.process is None
    assert out.getvalue() == "backup   | taken\n"
