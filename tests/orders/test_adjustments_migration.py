"""The step that gives a cost to the positions that were there before."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from tests.migrating import latest_again, migrated

__all__ = ["latest_again"]

BEFORE, AFTER = [("orders", "0001_initial")], [("orders", "0002_adjustments")]


@pytest.mark.django_db(transaction=True)
def test_positions_of_before_are_given_a_cost_and_can_go_back(latest_again):
    positions = migrated(BEFORE).get_model("orders", "Position").objects
    for symbol, quantity, average in [("A", 3, "1400.3333"), ("B", -5, "10"), ("C", 0, "0")]:
        positions.create(
            mode="PAPER", exchange="NSE", symbol=symbol, product="CNC", quantity=quantity,
            average_price=Decimal(average), updated_at=timezone.now(),
        )  # fmt: skip

    costs = migrated(AFTER).get_model("orders", "Position").objects.order_by("symbol").values_list("cost", flat=True)

    assert list(costs) == [Decimal("4200.9999"), Decimal(-50), Decimal(0)]
    assert migrated(BEFORE).get_model("orders", "Position").objects.count() == 3
