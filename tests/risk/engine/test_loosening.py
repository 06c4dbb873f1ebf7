"""Which way each limit loosens, which stay in order, what no approval reaches: at the edge and just past it."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from risk.engine import loosening
from risk.engine.limits import Limits
from risk.engine.loosening import IN_ORDER, LOOSER, Looser, above_ceilings, contradictions, loosens

from .cast import LIMITS

SMALLEST_STEP = {Decimal: Decimal("0.001"), int: 1}


def steps(name: str) -> tuple[Any, Any, Any]:
    """Return a limit's value in the cast with the next smaller and the next larger one."""
    value = getattr(LIMITS, name)
    if isinstance(value, bool):
        return False, True, True
    step = SMALLEST_STEP[type(value)]
    return value - step, value, value + step


def test_every_limit_has_a_direction_and_nothing_else_has() -> None:
    assert set(LOOSER) == {field.name for field in fields(Limits)} - {"version"}


@pytest.mark.parametrize("name", LOOSER)
def test_the_smallest_step_loosens_in_one_direction_only(name: str) -> None:
    smaller, value, larger = steps(name)
    up = LOOSER[name] in {Looser.UP, Looser.WHEN_ON}

    assert loosens(name, smaller, larger) is up
    assert loosens(name, larger, smaller) is not up
    assert not loosens(name, value, value)


@pytest.mark.parametrize("name", LOOSER)
def test_a_limit_that_is_set_allows_more_than_one_that_is_not(name: str) -> None:
    value = getattr(LIMITS, name)

    assert loosens(name, None, value)
    assert not loosens(name, value, None)
    assert not loosens(name, None, None)


@pytest.mark.parametrize(
    ("direction", "before", "after", "expected"),
    [
        (Looser.WHEN_OFF, True, False, True),
        (Looser.WHEN_OFF, False, True, False),
        (Looser.WHEN_ON, False, True, True),
        (Looser.WHEN_ON, True, False, False),
        (Looser.ANY_CHANGE, "EQ", "BE", True),
        (Looser.ANY_CHANGE, "BE", "EQ", True),
        (Looser.ANY_CHANGE, "EQ", "EQ", False),
    ],
)
def test_switches_and_values_without_an_order(monkeypatch, direction, before, after, expected) -> None:
    monkeypatch.setattr(loosening, "LOOSER", {"some_limit": direction})

    assert loosens("some_limit", before, after) is expected


def test_a_limit_without_a_direction_is_not_taken_for_tightening() -> None:
    with pytest.raises(KeyError):
        loosens("a_new_limit", 1, 2)


def test_the_cast_contradicts_nothing() -> None:
    assert contradictions({field.name: getattr(LIMITS, field.name) for field in fields(Limits)}) == []


@pytest.mark.parametrize("order", IN_ORDER, ids=lambda order: f"{order.smaller} {order.larger}")
def test_two_limits_in_order_at_their_edge_and_just_past_it(order: loosening.InOrder) -> None:
    below, value, above = steps(order.smaller)

    assert contradictions({order.smaller: below, order.larger: value}) == []
    assert contradictions({order.smaller: value, order.larger: value}) == ([] if order.may_be_equal else [order])
    assert contradictions({order.smaller: above, order.larger: value}) == [order]
    assert contradictions({order.smaller: above}) == []


def test_only_contradictions_about_the_named_limits_are_told() -> None:
    wrong = {"position_size": 2, "order_value_max": 1, "collar_percent": 3, "closing_collar_percent": 2}

    assert [each.smaller for each in contradictions(wrong, about=["order_value_max"])] == ["position_size"]
    assert len(contradictions(wrong)) == 2


def test_a_ceiling_may_be_reached_and_not_passed() -> None:
    ceilings = {"order_value_max": Decimal(50_000), "cms_buy_threshold": Decimal(20)}

    assert above_ceilings({"order_value_max": Decimal(50_000), "cms_buy_threshold": Decimal(20)}, ceilings) == []
    assert above_ceilings({"order_value_max": Decimal("50000.01")}, ceilings) == ["order_value_max"]
    assert above_ceilings({"cms_buy_threshold": Decimal("19.99")}, ceilings) == ["cms_buy_threshold"]
    assert above_ceilings({"daily_trades_max": 10**6}, ceilings) == []
