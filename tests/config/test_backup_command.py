"""When `manage.py backup` takes one, and when it waits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from config.backup import Taken
from config.management.commands import backup as command
from orders.backup_files import named

pytestmark = pytest.mark.django_db


@pytest.fixture
def taken(settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The moments at which a backup was taken; none is dumped."""
    settings.BACKUP_DIR, settings.PAPER_MARKET_HOURS = tmp_path, "nse"
    moments: list[datetime] = []

    def take(folder, rotation, *, now):
        moments.append(now)
        return Taken(backup=named(folder, now), size=1, rows=1, removed=[])

    monkeypatch.setattr(command, "take", take)
    return moments


@pytest.mark.parametrize(
    ("moment", "waits"),
    [
        ("2026-11-27T08:59:59+05:30", False),
        ("2026-11-27T09:00:00+05:30", True),  # the pre-open
        ("2026-11-27T12:00:00+05:30", True),
        ("2026-11-27T15:39:59+05:30", True),  # futures and options
        ("2026-11-27T15:40:00+05:30", False),
        ("2026-11-28T12:00:00+05:30", False),  # a Saturday
    ],
)
def test_none_is_taken_beside_a_session_unless_a_person_says_so(taken, monkeypatch, moment, waits):
    monkeypatch.setattr(timezone, "now", lambda: datetime.fromisoformat(moment))

    if waits:
        with pytest.raises(CommandError, match="the exchange trades: a backup waits for the close"):
            call_command("backup")
        assert taken == []
        call_command("backup", "--now")
    else:
        call_command("backup")
    assert taken == [datetime.fromisoformat(moment)]


def test_a_database_that_is_away_is_said_in_one_sentence(taken, monkeypatch):
    def away() -> None:
        raise OperationalError("connection refused\n\tIs the server running?")

    monkeypatch.setattr(command.calendar, "load", away)

    with pytest.raises(CommandError, match=r"^no backup was taken: connection refused Is the server running\?$"):
        call_command("backup")
    assert taken == []


def test_a_paper_market_that_never_closes_keeps_no_backup_waiting(taken, settings, monkeypatch):
    settings.PAPER_MARKET_HOURS = "always"
    monkeypatch.setattr(timezone, "now", lambda: datetime.fromisoformat("2026-11-27T12:00:00+05:30"))

    call_command("backup")

    assert len(taken) == 1


@pytest.mark.parametrize("mode", ["LIVE", "SHADOW"])
def test_with_a_real_login_it_waits_for_the_close_whatever_hours_the_paper_market_keeps(
    taken, settings, monkeypatch, mode
):
    settings.TRADING_MODE, settings.PAPER_MARKET_HOURS = mode, "always"
    monkeypatch.setattr(timezone, "now", lambda: datetime.fromisoformat("2026-11-27T12:00:00+05:30"))

    with pytest.raises(CommandError, match="the exchange trades"):
        call_command("backup")

    assert taken == []
