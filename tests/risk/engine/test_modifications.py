"""
A working order that is modified, held against the controls: what is asked of it, what is not, and how often.

A BUY of 4 at 1,400.00 works, and becomes the cast's: 7 at 1,407.00. The book it joins is the cast's, without it. Or the
SELL of 3 that closes what is held works at 1,400.00, and becomes one at 1,393.00.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from risk.engine.facts import Origin, Replaced, TradingState, only_tightens
from risk.engine.kept_facts import kept, restored
from tests.risk.engine.cast import BUY, FUNDS, PORTFOLIO, Scene, ago, buy, sell

D = Decimal
BY_HAND: dict[str, Any] = {"origin": Origin.MANUAL, "signal": None}


def grown(*, modified: int = 0, filled: int = 0, **changes: Any) -> Scene:
    old = Replaced(quantity=4, limit_price=D("1400.00"), filled=filled, modified=modified)
    return buy(replaces=old, **BY_HAND, **changes)


def closing(*, modified: int = 0, **changes: Any) -> Scene:
    return sell(replaces=Replaced(quantity=3, limit_price=D("1400.00"), modified=modified), **changes)


def tightened(**changes: Any) -> Scene:
    return grown(**{"quantity": 4, "limit_price": D("1399.90"), **changes})


ROWS = [
    ("MODIFY_LIMIT", "a new order", buy(), True),
    ("MODIFY_LIMIT", "just below", grown(modified=18), True),
    ("MODIFY_LIMIT", "the last one, at the limit", grown(modified=19), True),
    ("MODIFY_LIMIT", "just past", grown(modified=20), False),
    ("MODIFY_LIMIT", "tightens, just past", tightened(modified=20), False),
    ("MODIFY_LIMIT", "the last one of what closes", closing(modified=24), True),
    ("MODIFY_LIMIT", "what closes, just past", closing(modified=25), False),
    # 7 in all are worth 9,849.00 of 10,000.00: 5 left of an order of which 2 are filled, not 5 with 3 filled.
    ("ORDER_VALUE_EXCEEDED", "with what is filled, at the limit", grown(quantity=5, filled=2), True),
    ("ORDER_VALUE_EXCEEDED", "with what is filled, just past", grown(quantity=5, filled=3), False),
    ("ORDER_QTY_EXCEEDED", "with what is filled, at the limit", grown(filled=2, order_quantity_max=9), True),
    ("ORDER_QTY_EXCEEDED", "with what is filled, just past", grown(filled=2, order_quantity_max=8), False),
    # 9,863.77 with charges, of which 5,600.00 are blocked for the rest it replaces: 4,263.77 of 98 %.
    ("INSUFFICIENT_FUNDS", "what it costs more", grown(funds=replace(FUNDS, available=D("4350.79"))), True),
    ("INSUFFICIENT_FUNDS", "just past", grown(funds=replace(FUNDS, available=D("4350.78"))), False),
    ("TRADING_REDUCE_ONLY", "more shares", grown(state=TradingState.REDUCE_ONLY), False),
    (
        "TRADING_REDUCE_ONLY",
        "a tick nearer",
        tightened(state=TradingState.REDUCE_ONLY, limit_price=D("1400.10")),
        False,
    ),
    ("TRADING_REDUCE_ONLY", "one share more", tightened(state=TradingState.REDUCE_ONLY, quantity=5), False),
    ("TRADING_REDUCE_ONLY", "a tick farther", tightened(state=TradingState.REDUCE_ONLY), True),
    (
        "TRADING_REDUCE_ONLY",
        "one share less",
        tightened(state=TradingState.REDUCE_ONLY, quantity=3, limit_price=D("1400.00")),
        True,
    ),
    ("TRADING_REDUCE_ONLY", "what closes", closing(state=TradingState.REDUCE_ONLY), True),
    ("TRADING_HALTED", "farther", tightened(state=TradingState.HALTED), False),
    ("TRADING_HALTED", "what closes", closing(state=TradingState.HALTED), False),
    ("PRICE_COLLAR_EXCEEDED", "3 %, at the limit", grown(limit_price=D("1442.00")), True),
    ("PRICE_COLLAR_EXCEEDED", "3 %, just past", grown(limit_price=D("1442.10")), False),
    ("PRICE_COLLAR_EXCEEDED", "what closes, 10 %, at the limit", closing(limit_price=D("1260.00")), True),
    ("PRICE_COLLAR_EXCEEDED", "what closes, 10 %, just past", closing(limit_price=D("1259.90")), False),
    ("PRICE_NOT_ON_TICK", "off the grid", tightened(limit_price=D("1399.95")), False),
    ("ORDER_QUANTITY", "half a lot", tightened(quantity=3, lot_size=2), False),
    ("SHORT_NOT_ALLOWED", "all that is held", closing(), True),
    ("SHORT_NOT_ALLOWED", "one more than held", closing(quantity=4), False),
    ("BROKER_POSITION_STALE", "what closes, unknown", closing(broker=None), False),
    ("BROKER_SESSION_INVALID", "no login", tightened(session_valid=False), False),
    ("ORDER_IN_DOUBT", "more shares", grown(orders_in_doubt=1), False),
    ("ORDER_IN_DOUBT", "farther", tightened(orders_in_doubt=1), True),
    ("NOT_RECONCILED", "never", grown(reconciled_at=None), False),
    ("OUTSIDE_PRICE_BAND", "unknown", grown(band=None), False),
]


@pytest.mark.parametrize(("code", "what", "scene", "passes"), ROWS, ids=lambda value: str(value)[:40])
def test_each_row_of_the_table(code: str, what: str, scene: Scene, passes: bool) -> None:
    assert scene.verdict(code).passed is passes


def test_the_cast_s_modifications_pass_every_control() -> None:
    assert [scene.refusals() for scene in (grown(), closing(), tightened())] == [[], [], []]


def test_what_counts_orders_does_not_count_a_modified_one_again() -> None:
    full = {
        "trades_today": 5,
        "open_orders": 3,
        "last_buy_at": ago(seconds=1),
        "positions_max": 1,
    }

    assert grown(**full).refusals() == []
    assert {"DAILY_TRADES_EXCEEDED", "DUPLICATE_ORDER", "OPEN_ORDERS_EXCEEDED", "MAX_POSITIONS_EXCEEDED"} <= set(
        buy(**BY_HAND, **full).refusals()
    )


def test_an_order_against_one_of_our_own_is_not_made_to_reach_farther() -> None:
    assert grown(sell_orders=1).refusals() == ["SELF_MATCH"]
    assert tightened(sell_orders=1).refusals() == []


def test_no_limit_keeps_an_order_from_shrinking() -> None:
    nothing: dict[str, Any] = {"order_value_max": D(0), "position_value_max": D(0), "gross_exposure_max": None}

    assert tightened(quote=None, funds=None, stops=("an incident",), **nothing).refusals() == []


def test_a_sell_reaches_farther_downwards() -> None:
    old = Replaced(quantity=7, limit_price=D("1407.00"))
    at = {price: replace(sell().proposed, replaces=old, limit_price=D(price)) for price in ("1406.90", "1407.00")}

    assert [only_tightens(each) for each in at.values()] == [False, True]
    assert not only_tightens(BUY)


def test_what_is_kept_of_a_modification_reads_back_the_same() -> None:
    proposed = grown(modified=3, filled=2).proposed

    assert restored(kept(proposed, PORTFOLIO)) == (proposed, PORTFOLIO)
