"""
The cast of the risk desk's rows. Migrating fills its tables from the settings: here they start out empty.

`controls` are the two switches as a new installation has them: ACTIVE, version 1, auto-trading off. `first_limits` is
version 1 of the limits, from the environment of the original system: 1,000 INR an entry and 10,000 INR a symbol, so
5,000 INR an order; 10 trades a day; scores past 60 and −60.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.db import connection, transaction

from risk import control, limit_versions
from risk.models import Mode, RiskSettings, TradingControl
from tests.conftest import WITHOUT_TRIGGERS

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("Asia/Kolkata"))
ENVIRONMENT: dict[str, Any] = {
    "POSITION_SIZE": Decimal("1000.0"),
    "MAX_POSITION_SIZE": Decimal(10_000),
    "MAX_DAILY_TRADES": 10,
    "CMS_BUY_THRESHOLD": Decimal("60.0"),
    "CMS_SELL_THRESHOLD": Decimal("-60.0"),
}


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def environment() -> dict[str, Any]:
    return dict(ENVIRONMENT)


@pytest.fixture
def empty_desk(db: None) -> None:
    """No switch, no limits, no history: emptied by a superuser, around the triggers that keep history."""
    models = apps.get_app_config("risk").get_models()
    tables = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in models)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(WITHOUT_TRIGGERS)
        cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture
def controls(empty_desk: None) -> dict[str, TradingControl]:
    control.install(auto_trading=False, now=NOW)
    return {row.mode: row for row in TradingControl.objects.all()}


@pytest.fixture
def first_limits(controls: dict[str, TradingControl]) -> RiskSettings:
    limit_versions.install(ENVIRONMENT, now=NOW)
    return limit_versions.in_force(now=NOW)


@pytest.fixture
def paper(controls: dict[str, TradingControl]) -> TradingControl:
    return controls[Mode.PAPER]


@pytest.fixture
def live(controls: dict[str, TradingControl]) -> TradingControl:
    return controls[Mode.LIVE]
