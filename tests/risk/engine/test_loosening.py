"""Which way each limit loosens, which stay in order, what no approval reaches: at the edge and just past it."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from risk.engine import loosening
from risk.engine.limits import InstrumentLimits, Limits
from risk.engine.loosening import (
    IN_ORDER,
    LOOSER,
    LOOSER_OF_INSTRUMENT,
    Looser,
    above_ceilings,
    contradictions,
    instrument_limit_loosens,
    loosens,
    taken_back,
    within_ceilings,
)

from .cast import LIMITS

OF_A_SYMBOL = ("instrument_blocked", "only_product")  # which the limits of one symbol bring along
SMALLEST_STEP = {Decimal: Decimal("0.001"), int: 1}


def steps(name: str) -> tuple[Any, Any, Any]:
    """Return a limit's value in the cast with the next smaller and the next larger one."""
    value = getattr(LIMITS, name)
    if isinstance(value, bool):
        return False, True, True
    if isinstance(value, str):
        return "NSE:EQ", "NSE:EQ, BSE:EQ", "NSE:EQ, BSE:EQ, NSE:BE"
    step = SMALLEST_STEP[type(value)]
    return value - step, value, value + step


def test_every_limit_has_a_direction_and_nothing_else_has() -> None:
    assert set(LOOSER) == {field.name for field in fields(Limits)} - {"version", *OF_A_SYMBOL}
    assert set(LOOSER_OF_INSTRUMENT) == {field.name for field in fields(InstrumentLimits)}


@pytest.mark.parametrize("name", LOOSER)
def test_the_smallest_step_loosens_in_one_direction_only(name: str) -> None:
    smaller, value, larger = steps(name)
    up = LOOSER[name] in {Looser.UP, Looser.WHEN_ON, Looser.ENTRY_ADDED}

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
        (Looser.ENTRY_ADDED, "", "NSE:EQ", True),
        (Looser.ENTRY_ADDED, "NSE:EQ", "", False),
        (Looser.ENTRY_ADDED, "NSE:EQ, BSE:EQ", "bse:eq,NSE:EQ", False),
        (Looser.ENTRY_ADDED, "NSE:EQ, BSE:EQ", "NSE:EQ, NSE:BE", True),
        (Looser.ENTRY_ADDED, "NSE:EQ, BSE:EQ", "BSE:EQ, BSE:XT", True),
        (Looser.ENTRY_ADDED, "NSE:EQ", "NSE:EQ:INFY", False),
        (Looser.ENTRY_ADDED, "NSE:EQ:INFY", "NSE:EQ", True),
        (Looser.ENTRY_ADDED, "NSE:EQ:INFY", "NSE:EQ:ITC", True),
        (Looser.ENTRY_ADDED, "NSE:EQ:INFY", "BSE:EQ:INFY", True),
    ],
)
def test_switches_and_values_without_an_order(monkeypatch, direction, before, after, expected) -> None:
    monkeypatch.setattr(loosening, "LOOSER", {"some_limit": direction})

    assert loosens("some_limit", before, after) is expected


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        ("blocked", True, False, True),
        ("blocked", False, True, False),
        ("order_value_max", None, Decimal(0), False),
        ("order_value_max", Decimal(0), None, True),
        ("order_value_max", Decimal(0), Decimal("0.01"), True),
        ("order_value_max", Decimal("0.01"), Decimal(0), False),
        ("order_quantity_max", 5, 6, True),
        ("order_quantity_max", 5, 5, False),
        ("position_value_max", Decimal(2), Decimal(1), False),
        ("product", "", "CNC", False),
        ("product", "CNC", "", True),
        ("product", "CNC", "MIS", True),
    ],
)
def test_a_symbols_own_limit_that_is_taken_off_allows_more(name, before, after, expected) -> None:
    assert instrument_limit_loosens(name, before, after) is expected


@pytest.mark.parametrize(
    ("name", "before", "now", "expected"),
    [
        ("daily_trades_max", 10, 12, 10),
        ("allowed_instruments", "NSE:EQ, BSE:EQ", "NSE:EQ, BSE:EQ, NSE:BE", "NSE:EQ, BSE:EQ"),
        ("allowed_instruments", "NSE:EQ, BSE:EQ", "NSE:EQ, NSE:BE", "NSE:EQ"),
        ("allowed_instruments", "NSE:EQ:INFY", "NSE:EQ, BSE:EQ", "NSE:EQ:INFY"),
        ("allowed_instruments", "NSE:EQ, BSE:EQ", "NSE:EQ:INFY, NSE:BE", "NSE:EQ:INFY"),
    ],
)
def test_a_loosening_that_is_over_brings_nothing_back_that_was_tightened(name, before, now, expected) -> None:
    assert taken_back(name, before, now) == expected


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


CEILINGS = {"order_value_max": Decimal(4000), "daily_trades_max": 10, "collar_percent": Decimal(1)}
STORED = {
    "position_size": Decimal(4500),
    "order_value_max": Decimal(5000),
    "position_value_max": Decimal(10_000),
    "daily_trades_max": 10,
    "slippage_percent": Decimal("0.5"),
    "collar_percent": Decimal("1.001"),
    "closing_collar_percent": Decimal(10),
}


def test_what_is_above_its_ceiling_is_lowered_to_it_with_what_must_stay_below():
    assert within_ceilings(STORED, CEILINGS) == {
        "order_value_max": Decimal(4000),
        "position_size": Decimal(4000),
        "collar_percent": Decimal(1),
    }


def test_what_is_at_its_ceiling_or_unknown_is_left_alone():
    at_them = {**STORED, **within_ceilings(STORED, CEILINGS)}

    assert within_ceilings(at_them, CEILINGS) == {}
    assert within_ceilings({**at_them, "order_value_max": None}, CEILINGS) == {}


def test_a_chain_of_limits_is_lowered_to_its_end():
    lowered = within_ceilings({**STORED, "gross_exposure_max": Decimal(50_000)}, {"gross_exposure_max": Decimal(100)})

    assert lowered == dict.fromkeys(
        ["gross_exposure_max", "position_value_max", "order_value_max", "position_size"], Decimal(100)
    )
