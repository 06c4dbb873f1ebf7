"""A database of before the trail: it is covered from the upgrade on, and can go back."""

from __future__ import annotations

import pytest
from django.db import connection

from risk.audit import triggers
from risk.models import AuditEntry, RiskSettings
from tests.migrating import latest_again, migrated

__all__ = ["latest_again"]

BEFORE, AFTER = [("risk", "0007_loss_limits")], [("risk", "0013_audit_trail")]


@pytest.mark.django_db(transaction=True)
def test_rows_of_before_the_trail_are_covered_from_the_upgrade_on_and_can_go_back(latest_again):
    migrated(BEFORE)
    assert triggers.install() == []
    set_trades(6)  # no trail and no trigger that would write to one

    migrated(AFTER)
    assert len(triggers.install()) >= len(triggers.FUNCTIONS)  # as `migrate` does when it is through
    set_trades(5)

    (entry,) = AuditEntry.objects.all()
    assert (entry.operation, entry.changes["daily_trades_max"]) == ("UPDATE", [6, 5])
    assert RiskSettings.objects.count() == 1


def set_trades(count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE risk_risksettings SET daily_trades_max = %s", [count])
