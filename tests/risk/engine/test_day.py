"""
What a day has brought, against worked examples and a plain recomputation.

Ten shares were held at the close before, at ₹100 each. Whatever was paid for them long ago has no part in the day.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.engine.day import DayOfSymbol, day_result

D = Decimal

HELD = {"name": "RELIANCE", "quantity": 10, "last_price": D(110), "close_price": D(100)}


def symbol(**changes: Any) -> DayOfSymbol:
    return DayOfSymbol(**{**HELD, **changes})


@pytest.mark.parametrize(
    ("changes", "gained"),
    [
        ({}, 100),
        ({"last_price": D(90)}, -100),
        ({"quantity": 0, "sold": 10, "received": D(1080), "last_price": None}, 80),
        ({"quantity": 4, "sold": 6, "received": D(630)}, 70),  # 4 × 110 + 630 − 10 × 100
        ({"quantity": 15, "bought": 5, "paid": D(540)}, 110),
        ({"quantity": 5, "bought": 5, "paid": D(540), "close_price": None}, 10),  # flat when the day began
        ({"quantity": 0, "bought": 5, "paid": D(540), "sold": 5, "received": D(500), "close_price": None}, -40),
        ({"quantity": -10, "last_price": D(110)}, -100),  # a short position loses as the price rises
        ({"quantity": 0, "last_price": None, "close_price": None}, 0),
    ],
    ids=str,
)
def test_a_symbols_day(changes: dict[str, Any], gained: int) -> None:
    assert symbol(**changes).result == gained


@pytest.mark.parametrize("changes", [{"last_price": None}, {"close_price": None}], ids=str)
def test_a_day_whose_prices_are_not_known_is_not_known(changes: dict[str, Any]) -> None:
    day = day_result([symbol(), symbol(name="INFY", **changes)], charges_percent=D(0))

    assert (day.result, day.loss, day.unknown) == (None, None, ("INFY",))


def test_charges_are_a_share_of_what_was_bought_and_sold() -> None:
    traded = symbol(quantity=10, bought=5, paid=D(500), sold=5, received=D(700))

    day = day_result([traded], charges_percent=D("0.12"))

    assert day.charges == D("1.44")
    assert day.loss == -(D(300) - D("1.44"))


PRICES = st.integers(1, 10**7).map(lambda paise: D(paise) / 100)


@given(
    held=st.integers(-50, 50),
    close=PRICES,
    last=PRICES,
    trades=st.lists(st.tuples(st.integers(-50, 50).filter(bool), PRICES), max_size=8),
)
def test_the_day_is_what_each_share_gained_by_itself(held: int, close: D, last: D, trades: list[tuple[int, D]]) -> None:
    day = symbol(
        quantity=held + sum(shares for shares, _ in trades),
        bought=sum(shares for shares, _ in trades if shares > 0),
        sold=-sum(shares for shares, _ in trades if shares < 0),
        paid=sum((shares * price for shares, price in trades if shares > 0), D(0)),
        received=sum((-shares * price for shares, price in trades if shares < 0), D(0)),
        last_price=last,
        close_price=close,
    )

    assert day.result == held * (last - close) + sum((shares * (last - price) for shares, price in trades), D(0))


@pytest.mark.parametrize(
    ("changes", "unrealised", "realised"),
    [
        ({}, 100, 0),
        ({"quantity": 0, "sold": 10, "received": D(1080), "last_price": None}, 0, 80),
        ({"quantity": 4, "sold": 6, "received": D(630)}, 40, 30),
        ({"quantity": 15, "bought": 5, "paid": D(550)}, 100, 0),  # 15 at 103⅓ on average
        ({"quantity": 10, "bought": 10, "paid": D(1200), "sold": 10, "received": D(1150)}, 0, 50),
        ({"quantity": -10}, -100, 0),
        ({"quantity": -5, "sold": 5, "received": D(600), "close_price": None}, 50, 0),
        ({"quantity": -6, "bought": 4, "paid": D(380)}, -60, 20),
    ],
    ids=str,
)
def test_what_was_gained_is_in_what_is_held_or_realised(
    changes: dict[str, Any], unrealised: int, realised: int
) -> None:
    day = day_result([symbol(**changes)], charges_percent=D(0))

    assert (round(day.unrealised, 6), round(day.realised, 6)) == (unrealised, realised)
    assert day.gross == day.unrealised + day.realised


def test_a_price_that_is_not_known_leaves_the_unrealised_unknown_too() -> None:
    assert symbol(close_price=None).unrealised is None
