"""
The limits in force: how the first set comes about, and how a change becomes a version.

What loosens a limit needs a typed confirmation beside the reason; what tightens one does not. The first values come
from the environment; after that the database rules, and a difference is shown, never applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction

from risk.engine.loosening import loosens
from risk.models import RiskSettings, RiskSettingsVersion, TradingControl

log = structlog.get_logger(__name__)

CONFIRMATION = "LOOSEN"


def first_values(environment: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return a consistent first set of limits from the environment's names.

    `environment` holds POSITION_SIZE, MAX_POSITION_SIZE, MAX_DAILY_TRADES, CMS_BUY_THRESHOLD and CMS_SELL_THRESHOLD.
    The order value limit has no name there: half a position, and never less than one entry.
    """
    position_size = Decimal(environment["POSITION_SIZE"])
    position_value_max = Decimal(environment["MAX_POSITION_SIZE"])
    return {
        "position_size": position_size,
        "position_value_max": position_value_max,
        "order_value_max": min(max(position_size, position_value_max / 2), position_value_max),
        "daily_trades_max": environment["MAX_DAILY_TRADES"],
        "cms_buy_threshold": Decimal(environment["CMS_BUY_THRESHOLD"]),
        "cms_sell_threshold": Decimal(environment["CMS_SELL_THRESHOLD"]),
    }


def install(environment: Mapping[str, Any], *, now: datetime) -> None:
    """Create the one row of limits where it is missing, as version 1."""
    if RiskSettings.objects.exists():
        return
    first = RiskSettings(changed_by="installation", changed_at=now, **first_values(environment))
    with transaction.atomic():
        first.save(force_insert=True)
        _keep_version(first, changed={}, reason="first start: from the environment")


def in_force() -> RiskSettings:
    """Return the limits in force."""
    return RiskSettings.objects.get(pk=1)


def differences(environment: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return each limit that the environment names with another value than the one in force: (environment, row)."""
    current = in_force()
    return {
        name: (str(value), str(getattr(current, name)))
        for name, value in first_values(environment).items()
        if name != "order_value_max" and getattr(current, name) != value
    }


def loosened(before: RiskSettings, after: RiskSettings) -> list[str]:
    """Return the names of the limits that allow more after than before."""
    return [
        name
        for name in RiskSettings.LIMIT_FIELDS
        if loosens(name, before=getattr(before, name), after=getattr(after, name))
    ]


class LimitsChanged(Exception):
    """The limits were changed since the page that saves was shown. Look at them again, then decide."""


def save(
    edited: RiskSettings, changed: list[str], *, by: str, reason: str, now: datetime, version_shown: int | None = None
) -> RiskSettings:
    """
    Put the edited limits named in `changed` in force as the next version; the others keep what they are now.

    Raise `LimitsChanged` when `version_shown` is given and no longer the one in force: what tightens one version may
    loosen the next. Holds the lock of every mode, so that a decision sees the limits before or after, never in between.
    """
    with transaction.atomic():
        list(TradingControl.objects.select_for_update().order_by("mode"))
        current = in_force()
        if version_shown is not None and current.version != version_shown:
            raise LimitsChanged(f"{current.changed_by} changed the limits meanwhile: open the page again, then decide")
        changes = {
            name: [str(getattr(current, name)), str(getattr(edited, name))]
            for name in changed
            if getattr(current, name) != getattr(edited, name)
        }
        if not changes:
            return current
        for name in changes:
            setattr(current, name, getattr(edited, name))
        current.version += 1
        current.changed_by, current.changed_at = by, now
        current.save(update_fields=[*changes, "version", "changed_by", "changed_at"])
        _keep_version(current, changed=changes, reason=reason)
    log.warning("limits.changed", version=current.version, by=by, reason=reason, changes=changes)
    return current


def _keep_version(limits: RiskSettings, *, changed: dict[str, list[str]], reason: str) -> None:
    RiskSettingsVersion.objects.create(
        version=limits.version,
        limits=limits.values(),
        changed=changed,
        author=limits.changed_by,
        reason=reason,
        at=limits.changed_at,
    )
