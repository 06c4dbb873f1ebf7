"""What the forked processes are: an executor, the publisher, the operator, a staff action, or the preparation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from orders import listener
from orders.desk import Desk
from orders.quotes import load_instruments
from risk import limit_versions
from risk.models import RiskSettings
from tests.soak import crash_points, mutations, publisher, staff
from tests.soak.limits import WIDE

LOOKS_SECONDS = 0.2  # how often a standby tries for the lock here, so that a thousand take-overs do not take an hour


def play(wanted: dict[str, Any]) -> int:
    """Play the wanted part to its end and return the exit code."""
    structlog.contextvars.clear_contextvars()
    parts: dict[str, Callable[[dict[str, Any]], int]] = {
        "prepare": _prepare,
        "executor": _executor,
        "publisher": publisher.publish_until_stopped,
        "operator": staff.operate_until_stopped,
        "staff": _staff,
        "squeeze": _squeeze,
    }
    return parts[wanted["part"]](wanted)


def _prepare(_: dict[str, Any]) -> int:
    call_command("migrate", interactive=False, verbosity=0)
    _set_limits(WIDE, "the soak's limits")
    load_instruments(Desk.from_settings(), settings.DEFAULT_EXCHANGE)
    return 0


def _squeeze(wanted: dict[str, Any]) -> int:
    _set_limits(wanted["limits"], "the soak makes the day's trades bind")
    return 0


def _set_limits(limits: dict[str, Any], reason: str) -> None:
    edited = RiskSettings.objects.get(pk=1)
    for name, value in limits.items():
        setattr(edited, name, value)
    limit_versions.save(edited, list(limits), by="soak", reason=reason, now=timezone.now())


def _break(wanted: dict[str, Any]) -> None:
    if wanted.get("broken"):
        mutations.MUTATIONS[wanted["broken"]]()


def _executor(wanted: dict[str, Any]) -> int:
    _break(wanted)
    crash_points.carry(crash_points.Armed(Path(wanted["armed"])), crash_points.EXECUTOR)
    listener.HEARTBEAT_SECONDS = LOOKS_SECONDS
    try:
        call_command("listen_signals")
    except CommandError as end:
        os.write(2, f"ended: {end}\n".encode())
        return 3
    return 0


def _staff(wanted: dict[str, Any]) -> int:
    _break(wanted)
    points = [point for point in crash_points.STAFF if point.action == wanted["action"]]
    crash_points.carry(crash_points.Armed(Path(wanted["armed"])), points)
    told = staff.act(wanted["action"], wanted["token"], wanted.get("order", 0))
    sys.stdout.write(f"{wanted['action']} {wanted['token']}: {told}\n")
    return 0
