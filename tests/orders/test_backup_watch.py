"""A missing backup is one incident, and none for an installation that nobody uses yet."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orders.backup_files import named
from orders.backup_watch import tell_of_missing
from orders.sealer import BACKUPS_EVERY_SECONDS, EVERY_SECONDS, Sealer
from risk.models import Incident, TradingControlEvent

from .test_sealer import stopped, stopwatch

__all__ = ["stopped", "stopwatch"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.BACKUP_DIR = tmp_path
    return tmp_path


def told() -> list[Incident]:
    return list(Incident.objects.filter(kind=Incident.Kind.BACKUP_FAILED))


def moved(at: Any) -> None:
    TradingControlEvent.objects.create(mode="PAPER", at=at, actor="x", state="ACTIVE", auto_trading=True, version=9)


def keep(folder: Path, taken_at: Any) -> None:
    for file in named(folder, taken_at).files:
        file.write_text("x")


@pytest.mark.parametrize(("hours", "count"), [(29.9, 0), (30.1, 1)])
def test_a_backup_that_is_too_old_is_told_of(bare_desk, folder, hours, count):
    now = bare_desk.clock()
    keep(folder, now - timedelta(hours=hours))

    tell_of_missing(now=now)

    assert len(told()) == count


@pytest.mark.parametrize(("hours", "count"), [(29.9, 0), (30.1, 1)])
def test_none_at_all_is_told_of_once_the_installation_was_used_for_more_than_a_day(bare_desk, folder, hours, count):
    now = bare_desk.clock()
    moved(now - timedelta(hours=hours))

    tell_of_missing(now=now)

    assert [incident.title for incident in told()] == ["There is no backup of the last day"] * count
    assert all(str(folder) in incident.detail for incident in told())


def test_an_installation_that_nobody_used_yet_has_nothing_to_lose(bare_desk, folder):
    tell_of_missing(now=bare_desk.clock() + timedelta(days=400))

    assert told() == []


def test_the_leading_executor_looks_at_its_start_and_then_every_hour(bare_desk, folder, stopwatch, stopped):
    moved(bare_desk.clock() - timedelta(days=2))
    sealer = Sealer(bare_desk, stopped, stopwatch)

    sealer.turn()
    at_once = told()[0].count
    for _ in range(int(BACKUPS_EVERY_SECONDS / EVERY_SECONDS) - 1):
        stopwatch.seconds += EVERY_SECONDS
        sealer.turn()
    before_the_hour = told()[0].count
    stopwatch.seconds += EVERY_SECONDS
    sealer.turn()

    assert (at_once, before_the_hour, told()[0].count) == (1, 1, 2)
