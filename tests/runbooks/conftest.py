"""A bad day at the desk, and the hands that follow a runbook: its commands as they stand there, its pages as Tara."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orders.start_of_day import Check, checks
from risk.models import Incident, TradingControl
from tests.faults.conftest import leader
from tests.orders.admin.conftest import act, quiet, tara
from tests.orders.conftest import follow, held, pending, wish
from tests.test_story import auto_trading, start, valkey

__all__ = [
    "act",
    "auto_trading",
    "follow",
    "held",
    "leader",
    "pending",
    "quiet",
    "start",
    "tara",
    "valkey",
    "wish",
]


def manage(command: str, *arguments: str) -> str:
    """Run a command of a runbook and return what it says, its refusal included."""
    out = StringIO()
    try:
        call_command(command, *arguments, stdout=out, stderr=out)
    except CommandError as refusal:
        out.write(str(refusal))
    return out.getvalue()


@pytest.fixture
def resolve(act: Callable[..., Any]) -> Callable[[], None]:
    """*Incidents → Resolve*, each that is open."""

    def each() -> None:
        for incident in Incident.objects.unresolved():
            act("risk_incident_resolve", incident, note="explained")

    return each


@pytest.fixture
def resume(act: Callable[..., Any]) -> Callable[..., None]:
    """*Trading control → Resume*."""

    def go_on(mode: str = "PAPER") -> None:
        row = TradingControl.objects.get(mode=mode)
        act("risk_tradingcontrol_resume", row, reason="explained", version_shown=row.version)

    return go_on


def said(desk: Any, title: str) -> Check:
    """Return what the Start of day says of one thing."""
    (found,) = [check for check in checks(desk, desk.clock()) if check.title == title]
    return found


def control(mode: str = "PAPER") -> tuple[str, bool]:
    row = TradingControl.objects.get(mode=mode)
    return row.state, row.auto_trading
