"""How much of each limit is used, against what the risk desk itself says of the same book."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from orders.desk import Desk
from orders.models import DayPoint
from orders.observations import keep_day_point
from orders.portfolio import open_book
from orders.usage import Used, exposures, used_of_limits
from risk import limit_versions
from risk.engine.rules import CATALOGUE
from risk.models import InstrumentLimit


def used(desk: Desk) -> dict[str, Used]:
    now = desk.clock()
    limits = limit_versions.in_force(now=now).limits()
    book = open_book(desk, limits, now)
    found = used_of_limits(
        desk,
        limits,
        day=DayPoint.objects.first(),
        now=now,
        book=book,
        open_now=exposures(desk, limits, now=now, book=book),
    )
    return {f"{each.control.code} {each.what}".strip(): each for each in found}


def test_an_empty_book_uses_nothing_and_has_no_day_yet(desk: Desk):
    found = used(desk)

    assert found.pop("DAILY_LOSS_EXCEEDED").used is None
    assert {each.used for each in found.values()} == {0}
    assert all(each.limit is not None for each in found.values())


def test_what_works_counts_as_filled(desk: Desk, held: Any, resting: Any, paper: Any):
    held(2)
    resting(symbol="INFY", quantity=3)  # at 1,390

    found = used(desk)

    assert found["GROSS_EXPOSURE_EXCEEDED"].used == 2 * 1400 + 3 * 1390
    assert (found["POSITION_VALUE_EXCEEDED INFY"].used, found["MAX_POSITIONS_EXCEEDED"].used) == (4170, 2)
    assert found["DAILY_TRADES_EXCEEDED"].used == 2
    assert found["OPEN_ORDERS_EXCEEDED"].used == 1
    assert found["BROKER_DAY_EXCEEDED"].used == 2
    assert found["RATE_LIMIT_EXCEEDED in a minute"].used == 2


def test_the_fullest_symbol_is_the_one_nearest_to_its_own_limit(desk: Desk, held: Any, resting: Any):
    held(2)
    resting(symbol="INFY", quantity=3)
    InstrumentLimit.objects.create(
        exchange="NSE", symbol="RELIANCE", position_value_max=Decimal(3000), changed_by="rita", changed_at=desk.clock()
    )

    found = used(desk)["POSITION_VALUE_EXCEEDED RELIANCE"]

    assert (found.used, found.limit, found.percent) == (2800, 3000, 93)


def test_a_loss_uses_its_limit_and_a_gain_does_not(desk: Desk, held: Any):
    held(1)
    keep_day_point(desk)
    DayPoint.objects.update(unrealised=Decimal(-500), charges=0)
    lost = used(desk)["DAILY_LOSS_EXCEEDED"]
    DayPoint.objects.update(unrealised=Decimal(500))

    assert (lost.used, lost.limit, lost.percent) == (500, 1000, 50)
    assert used(desk)["DAILY_LOSS_EXCEEDED"].used == 0


def test_a_symbol_without_a_price_leaves_the_whole_unknown(desk: Desk, held: Any):
    position = held(1)
    type(position).objects.update(last_price=None, average_price=0)

    found = used(desk)

    assert found["GROSS_EXPOSURE_EXCEEDED"].used is None
    assert found["POSITION_VALUE_EXCEEDED RELIANCE"].percent is None


@pytest.mark.parametrize(
    ("amount", "limit", "percent"),
    [(0, 10, 0), (9, 10, 90), (10, 10, 100), (11, 10, 100), (0, 0, 0), (1, 0, 100), (None, 10, None), (1, None, None)],
)
def test_a_limit_is_full_when_it_is_reached(amount: Any, limit: Any, percent: Any):
    assert Used(control=CATALOGUE["DAILY_TRADES_EXCEEDED"], used=amount, limit=limit).percent == percent
