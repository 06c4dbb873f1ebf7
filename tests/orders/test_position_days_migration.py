"""The step that gives each position a day: without a date, and with the date of its latest fill."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F
from django.utils import timezone

from orders.models import PositionDay
from tests.migrating import latest_again, migrated

from .ledger_book import MIDNIGHT, Book
from .reckoned import check_days_around, check_the_book

__all__ = ["latest_again"]

BEFORE, AFTER = [("orders", "0025_limiting_controls")], [("orders", "0026_position_day")]


@pytest.mark.django_db(transaction=True)
def test_positions_of_before_are_reckoned_from_the_beginning_and_can_go_back(latest_again):
    book = Book(MIDNIGHT - timedelta(days=1))
    for line in (0, 1):
        book.fill(book.order(line=line), 3)
    book.now = MIDNIGHT
    book.fill(book.order())
    positions = migrated(BEFORE).get_model("orders", "Position").objects
    positions.create(mode="PAPER", exchange="NSE", symbol="SHOWN", product="CNC", updated_at=timezone.now())

    migrated(AFTER)

    days = PositionDay.objects.order_by("position__product", "position__symbol")
    assert list(days.values_list("trading_date", "last_traded")) == [
        (None, date(2026, 11, 24)),
        (None, None),
        (None, date(2026, 11, 23)),
    ]
    assert PositionDay.objects.filter(reckoned_at=F("position__updated_at")).count() == 3
    migrated(MigrationExecutor(connection).loader.graph.leaf_nodes())  # the models are those of the newest step
    check_days_around(date(2026, 11, 24))
    book.fill(book.order())
    check_the_book()
    assert migrated(BEFORE).get_model("orders", "Position").objects.count() == 3
