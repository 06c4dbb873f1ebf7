"""The step that gives limits in force already the further ones, and keeps that as a version."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from risk.models import RiskSettingsVersion
from tests.migrating import latest_again, migrated

__all__ = ["latest_again"]

BEFORE, AFTER = [("risk", "0005_rate_limits")], [("risk", "0006_more_limits")]


@pytest.mark.django_db(transaction=True)
def test_limits_of_before_get_consistent_further_ones_as_a_version(latest_again):
    old = migrated(BEFORE)
    old.get_model("risk", "RiskSettings").objects.update(
        version=7, position_value_max=Decimal(20_000), daily_trades_max=3, changed_by="rita", changed_at=timezone.now()
    )
    RiskSettingsVersion.objects.create(
        version=7, limits={"daily_trades_max": "3"}, author="rita", reason="calm", at=timezone.now()
    )

    settings = migrated(AFTER).get_model("risk", "RiskSettings").objects.get()

    assert (settings.version, settings.changed_by) == (8, "upgrade")
    assert (settings.gross_exposure_max, settings.open_orders_max, settings.positions_max) == (100_000, 5, 10)
    kept = RiskSettingsVersion.objects.get(version=8)
    assert (kept.limits["daily_trades_max"], kept.limits["gross_exposure_max"]) == ("3", "100000.00")
    assert kept.changed["duplicate_window_seconds"] == ["", "60"]
