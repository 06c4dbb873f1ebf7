"""The controls about the shape of an order and what is known of the broker: below, at and past, unset, unknown."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from risk.engine.facts import OrderType, TradingSignalType
from tests.risk.engine.cast import BAND, Scene, ago, buy, sell, signal_sell

D = Decimal
MARKET: dict[str, Any] = {"order_type": OrderType.MARKET, "limit_price": None}
HOLD: dict[str, Any] = {"action": TradingSignalType.HOLD, "quantity": 0, "limit_price": None}

# The control, what is special, the scene, and whether the control lets it pass.
ROWS: list[tuple[str, str, Scene, bool]] = [
    ("WOULD_FLIP", "a buy that only opens", buy(), True),
    ("WOULD_FLIP", "a buy that only closes", buy(own=-5, broker=-5, quantity=5), True),
    ("WOULD_FLIP", "one more than closes", buy(own=-5, broker=-5, quantity=6), False),
    ("SHORT_NOT_ALLOWED", "less than held", sell(quantity=2), True),
    ("SHORT_NOT_ALLOWED", "all that is held", sell(quantity=3), True),
    ("SHORT_NOT_ALLOWED", "one more than held", sell(quantity=4), False),
    ("SHORT_NOT_ALLOWED", "nothing held", sell(own=0, quantity=1), False),
    ("SHORT_NOT_ALLOWED", "short already", sell(own=-1, broker=-1, quantity=1), False),
    ("SHORT_NOT_ALLOWED", "the broker holds less", sell(broker=2), False),
    ("SHORT_NOT_ALLOWED", "the broker holds more than we bought", sell(broker=9, quantity=4), False),
    ("SHORT_NOT_ALLOWED", "what is being sold already", sell(working_sells=1, quantity=2), True),
    ("SHORT_NOT_ALLOWED", "sold twice", sell(working_sells=1), False),
    ("SHORT_NOT_ALLOWED", "what is being bought is not held", sell(working_buys=1, quantity=4), False),
    ("SHORT_NOT_ALLOWED", "a BUY", buy(own=0), True),
    #
    ("WOULD_FLIP", "closes all that is short", buy(own=-7, broker=-7), True),
    ("WOULD_FLIP", "one more than short", buy(own=-6, broker=-6), False),
    ("WOULD_FLIP", "opens from nothing", buy(own=0, broker=0), True),
    ("WOULD_FLIP", "opens more", buy(own=3), True),
    ("WOULD_FLIP", "all of the short is being bought already", buy(own=-5, broker=-5, working_buys=5), True),
    ("WOULD_FLIP", "part of the short is being bought already", buy(own=-5, broker=-5, working_buys=4), False),
    ("WOULD_FLIP", "a SELL is another control's", sell(quantity=4), True),
    #
    ("ORDER_QUANTITY", "one lot", buy(quantity=25, lot_size=25), True),
    ("ORDER_QUANTITY", "two lots", buy(quantity=50, lot_size=25), True),
    ("ORDER_QUANTITY", "just below a lot", buy(quantity=24, lot_size=25), False),
    ("ORDER_QUANTITY", "just past a lot", buy(quantity=26, lot_size=25), False),
    ("ORDER_QUANTITY", "nothing", buy(quantity=0), False),
    ("ORDER_QUANTITY", "less than nothing", buy(quantity=-1), False),
    ("ORDER_QUANTITY", "an unknown instrument", buy(lot_size=None), False),
    ("ORDER_QUANTITY", "closing an unknown instrument", sell(lot_size=None), False),
    ("ORDER_QUANTITY", "an odd holding, all of it", sell(lot_size=25), True),
    ("ORDER_QUANTITY", "an odd part of an odd holding", sell(lot_size=25, quantity=2), False),
    ("ORDER_QUANTITY", "more than an odd holding", sell(lot_size=25, quantity=4), False),
    ("ORDER_QUANTITY", "an odd short position, all of it", buy(lot_size=25, own=-7, broker=-7), True),
    ("ORDER_QUANTITY", "a part of an odd short position", buy(lot_size=25, own=-8, broker=-8), False),
    ("ORDER_QUANTITY", "a BUY of what is held", buy(lot_size=25, quantity=3), False),
    ("ORDER_QUANTITY", "HOLD", buy(**HOLD), True),
    #
    ("ORDER_QTY_EXCEEDED", "just below", buy(order_quantity_max=8), True),
    ("ORDER_QTY_EXCEEDED", "at the limit", buy(order_quantity_max=7), True),
    ("ORDER_QTY_EXCEEDED", "just past", buy(order_quantity_max=6), False),
    ("ORDER_QTY_EXCEEDED", "not set", buy(order_quantity_max=None), False),
    ("ORDER_QTY_EXCEEDED", "0 allows nothing", buy(order_quantity_max=0), False),
    #
    ("PRICE_MISSING", "known", buy(), True),
    ("PRICE_MISSING", "the least there is", buy(price=D("0.01")), True),
    ("PRICE_MISSING", "zero", buy(price=D(0)), False),
    ("PRICE_MISSING", "less than zero", buy(price=D("-0.01")), False),
    ("PRICE_MISSING", "unknown", buy(quote=None), False),
    ("PRICE_MISSING", "unknown to a HOLD", buy(quote=None, **HOLD), True),
    #
    ("PRICE_STALE", "just younger", buy(as_of=ago(seconds=9.999)), True),
    ("PRICE_STALE", "at the limit", buy(as_of=ago(seconds=10)), True),
    ("PRICE_STALE", "just older", buy(as_of=ago(seconds=10.001)), False),
    ("PRICE_STALE", "not set", buy(quote_age_max_seconds=None), False),
    ("PRICE_STALE", "0 allows no age", buy(quote_age_max_seconds=0), False),
    ("PRICE_STALE", "unknown is another control's", buy(quote=None), True),
    #
    ("PRICE_NOT_ON_TICK", "on the tick", buy(limit_price=D("1407.10")), True),
    ("PRICE_NOT_ON_TICK", "just above a tick", buy(limit_price=D("1407.11")), False),
    ("PRICE_NOT_ON_TICK", "just below a tick", buy(limit_price=D("1407.09")), False),
    ("PRICE_NOT_ON_TICK", "closing is no excuse", sell(limit_price=D("1393.05")), False),
    ("PRICE_NOT_ON_TICK", "nothing", buy(limit_price=D(0)), False),
    ("PRICE_NOT_ON_TICK", "less than nothing", buy(limit_price=D("-0.10")), False),
    ("PRICE_NOT_ON_TICK", "the tick is unknown", buy(tick_size=None), False),
    ("PRICE_NOT_ON_TICK", "the tick is 0", buy(tick_size=D(0)), False),
    ("PRICE_NOT_ON_TICK", "MARKET", buy(tick_size=None, **MARKET), True),
    #
    ("PRICE_COLLAR_EXCEEDED", "BUY just below", buy(limit_price=D("1441.90")), True),
    ("PRICE_COLLAR_EXCEEDED", "BUY at the limit", buy(limit_price=D("1442.00")), True),
    ("PRICE_COLLAR_EXCEEDED", "BUY just past", buy(limit_price=D("1442.10")), False),
    ("PRICE_COLLAR_EXCEEDED", "BUY far below harms nobody", buy(limit_price=D("700.00")), True),
    ("PRICE_COLLAR_EXCEEDED", "not set", buy(collar_percent=None), False),
    ("PRICE_COLLAR_EXCEEDED", "0 allows the last price", buy(collar_percent=D(0), limit_price=D("1400.00")), True),
    ("PRICE_COLLAR_EXCEEDED", "0 allows nothing past it", buy(collar_percent=D(0), limit_price=D("1400.10")), False),
    ("PRICE_COLLAR_EXCEEDED", "SELL just inside", sell(limit_price=D("1260.10")), True),
    ("PRICE_COLLAR_EXCEEDED", "SELL at the limit", sell(limit_price=D("1260.00")), True),
    ("PRICE_COLLAR_EXCEEDED", "SELL just past", sell(limit_price=D("1259.90")), False),
    ("PRICE_COLLAR_EXCEEDED", "SELL far above harms nobody", sell(limit_price=D("2800.00")), True),
    ("PRICE_COLLAR_EXCEEDED", "SELL that opens, at its limit", sell(quantity=4, limit_price=D("1358.00")), True),
    ("PRICE_COLLAR_EXCEEDED", "SELL that opens, just past", sell(quantity=4, limit_price=D("1357.90")), False),
    ("PRICE_COLLAR_EXCEEDED", "closing, not set", sell(closing_collar_percent=None), False),
    ("PRICE_COLLAR_EXCEEDED", "closing, the other is not set", sell(collar_percent=None), True),
    ("PRICE_COLLAR_EXCEEDED", "MARKET", buy(collar_percent=None, **MARKET), True),
    ("PRICE_COLLAR_EXCEEDED", "the price is another control's", buy(quote=None), True),
    #
    ("OUTSIDE_PRICE_BAND", "BUY just below the upper end", buy(limit_price=D("1539.90")), True),
    ("OUTSIDE_PRICE_BAND", "BUY at the limit", buy(limit_price=D("1540.00")), True),
    ("OUTSIDE_PRICE_BAND", "BUY just past", buy(limit_price=D("1540.10")), False),
    ("OUTSIDE_PRICE_BAND", "BUY at the lower end", buy(limit_price=D("1260.00")), True),
    ("OUTSIDE_PRICE_BAND", "BUY just under it", buy(limit_price=D("1259.90")), False),
    ("OUTSIDE_PRICE_BAND", "unknown", buy(band=None), False),
    ("OUTSIDE_PRICE_BAND", "unknown to a HOLD", buy(band=None, **HOLD), True),
    ("OUTSIDE_PRICE_BAND", "MARKET", buy(**MARKET), True),
    ("OUTSIDE_PRICE_BAND", "MARKET, unknown", buy(band=None, **MARKET), False),
    ("OUTSIDE_PRICE_BAND", "read just lately enough", buy(band=replace(BAND, as_of=ago(seconds=300))), True),
    ("OUTSIDE_PRICE_BAND", "stale", buy(band=replace(BAND, as_of=ago(seconds=300.001))), False),
    ("OUTSIDE_PRICE_BAND", "SELL that opens", sell(quantity=4, limit_price=D("1259.90")), False),
    ("OUTSIDE_PRICE_BAND", "SELL that closes was clipped", sell(limit_price=D("1259.90")), True),
    #
    ("SIGNAL_PRICE_DRIFT", "just below", buy(signal_price=D("1386.15")), True),
    ("SIGNAL_PRICE_DRIFT", "at the limit", buy(signal_price=D(1250), price=D("1262.50")), True),
    ("SIGNAL_PRICE_DRIFT", "just past", buy(signal_price=D(1250), price=D("1262.51")), False),
    ("SIGNAL_PRICE_DRIFT", "fallen, at the limit", buy(signal_price=D(1250), price=D("1237.50")), True),
    ("SIGNAL_PRICE_DRIFT", "fallen, just past", buy(signal_price=D(1250), price=D("1237.49")), False),
    ("SIGNAL_PRICE_DRIFT", "not set", buy(signal_drift_percent=None), False),
    ("SIGNAL_PRICE_DRIFT", "0 allows no drift", buy(signal_drift_percent=D(0), signal_price=D("1400.01")), False),
    ("SIGNAL_PRICE_DRIFT", "0 allows the price itself", buy(signal_drift_percent=D(0), signal_price=D(1400)), True),
    ("SIGNAL_PRICE_DRIFT", "the signal names none", buy(signal_drift_percent=D(0), signal_price=None), True),
    ("SIGNAL_PRICE_DRIFT", "by hand", buy(signal_drift_percent=D(0), signal=None), True),
    ("SIGNAL_PRICE_DRIFT", "the last price is another control's", buy(quote=None), True),
    ("SIGNAL_PRICE_DRIFT", "closing", signal_sell(signal_price=D(1)), True),
    #
    ("ORDER_IN_DOUBT", "none", buy(), True),
    ("ORDER_IN_DOUBT", "one", buy(orders_in_doubt=1), False),
    #
    ("NOT_RECONCILED", "just younger", buy(reconciled_at=ago(seconds=179.999)), True),
    ("NOT_RECONCILED", "at the limit", buy(reconciled_at=ago(seconds=180)), True),
    ("NOT_RECONCILED", "just older", buy(reconciled_at=ago(seconds=180.001)), False),
    ("NOT_RECONCILED", "by a clock a little ahead", buy(reconciled_at=ago(seconds=-30)), True),
    ("NOT_RECONCILED", "before the clock was set back", buy(reconciled_at=ago(seconds=-31)), False),
    ("NOT_RECONCILED", "never", buy(reconciled_at=None), False),
    #
    ("BROKER_POSITION_STALE", "just younger", sell(broker_as_of=ago(seconds=9.999)), True),
    ("BROKER_POSITION_STALE", "at the limit", sell(broker_as_of=ago(seconds=10)), True),
    ("BROKER_POSITION_STALE", "just older", sell(broker_as_of=ago(seconds=10.001)), False),
    ("BROKER_POSITION_STALE", "unknown", sell(broker=None, broker_as_of=None), False),
    ("BROKER_POSITION_STALE", "read without an answer", sell(broker=None), False),
    ("BROKER_POSITION_STALE", "no one knows when", sell(broker_as_of=None), False),
    ("BROKER_POSITION_STALE", "a signal to close", signal_sell(broker_as_of=ago(seconds=11)), False),
    ("BROKER_POSITION_STALE", "a BUY that opens", buy(broker=None, broker_as_of=None), True),
    ("BROKER_POSITION_STALE", "a BUY that closes", buy(own=-7, broker=-7), True),
    ("BROKER_POSITION_STALE", "a BUY that closes, older", buy(own=-7, broker=-7, broker_as_of=ago(seconds=11)), False),
    ("BROKER_POSITION_STALE", "a BUY that may close", buy(own=-1, broker=None), False),
    ("BROKER_POSITION_STALE", "a SELL of what is not ours", sell(own=0, broker=None, quantity=1), False),
    ("BROKER_POSITION_STALE", "nothing to sell", sell(own=0, broker=None, quantity=0), True),
    #
    ("INCIDENT_OPEN", "none", buy(), True),
    ("INCIDENT_OPEN", "one", buy(stops=("RELIANCE: filled beyond its quantity",)), False),
    #
    ("BROKER_SESSION_INVALID", "logged in", buy(), True),
    ("BROKER_SESSION_INVALID", "opening without a login", buy(session_valid=False), False),
    ("BROKER_SESSION_INVALID", "closing without a login", sell(session_valid=False), False),
    #
    ("LIVE_NOT_ARMED", "paper", buy(is_live=False, armed=False), True),
    ("LIVE_NOT_ARMED", "live, armed", buy(is_live=True, armed=True), True),
    ("LIVE_NOT_ARMED", "live, not armed", buy(is_live=True, armed=False), False),
    ("LIVE_NOT_ARMED", "live, closing, not armed", sell(is_live=True, armed=False), False),
]


@pytest.mark.parametrize(
    ("code", "scene", "passes"),
    [pytest.param(code, scene, passes, id=f"{code}: {what}") for code, what, scene, passes in ROWS],
)
def test_a_control_passes_up_to_its_limit_and_not_beyond(code: str, scene: Scene, passes: bool) -> None:
    verdict = scene.verdict(code)

    assert verdict.passed == passes
    assert bool(verdict.reason) != passes


def test_a_size_below_one_lot_is_refused_with_the_remark_of_the_sizing() -> None:
    scene = buy(quantity=0, size_note="one lot costs 1407.00 INR, the position size is 1000 INR")

    assert scene.verdict("ORDER_QUANTITY").reason == (
        "SIZE_BELOW_ONE_LOT: one lot costs 1407.00 INR, the position size is 1000 INR"
    )


def test_every_incident_that_stops_an_order_is_named() -> None:
    verdict = buy(stops=("Order in doubt", "The broker cannot be read")).verdict("INCIDENT_OPEN")

    assert verdict.reason == "Order in doubt; The broker cannot be read"


def test_no_division_rounds_a_price_into_the_collar() -> None:
    # 3 % past 0.01 INR ends at 0.0103: a price of 0.02 is 100 % past it, one of 0.01 is not past it at all.
    inside = buy(price=D("0.01"), limit_price=D("0.01"), tick_size=D("0.01"))
    outside = buy(price=D("0.01"), limit_price=D("0.02"), tick_size=D("0.01"))

    assert inside.verdict("PRICE_COLLAR_EXCEEDED").passed
    assert outside.verdict("PRICE_COLLAR_EXCEEDED").measured == "100.00 %"
    assert outside.verdict("PRICE_COLLAR_EXCEEDED").breach


def test_a_price_that_rounds_to_the_collar_is_still_past_it() -> None:
    # 3 % past 30,000.01 ends at 30,900.0103; one paisa further is 3.00 % in words and outside all the same.
    scene = buy(price=D("30000.01"), limit_price=D("30900.02"), tick_size=D("0.01"))

    assert scene.verdict("PRICE_COLLAR_EXCEEDED").measured == "3.00 %"
    assert scene.verdict("PRICE_COLLAR_EXCEEDED").breach


@pytest.mark.parametrize("lot_size", [0, -1])
def test_a_lot_size_that_cannot_be_is_refused_like_an_unknown_one(lot_size: int) -> None:
    scene = buy(lot_size=lot_size)

    assert "ORDER_QUANTITY" in scene.refusals()


def test_a_closing_sell_survives_a_last_price_of_zero() -> None:
    scene = sell(price=D(0))

    assert scene.decision().outcome == "APPROVED"


def test_the_odd_rest_of_a_holding_may_be_sold_while_its_whole_lots_are_being_sold() -> None:
    # 28 held in lots of 25, one lot being sold: the 3 left are all that can be closed.
    scene = sell(own=28, broker=28, lot_size=25, working_sells=25, quantity=3)

    assert scene.refusals() == []


def test_all_that_the_broker_still_holds_may_be_sold_in_an_odd_number() -> None:
    scene = sell(own=25, broker=23, lot_size=25, quantity=23)

    assert scene.refusals() == []


def test_a_buy_does_not_turn_a_short_position_into_a_long_one() -> None:
    scene = buy(own=-5, broker=-5, quantity=7)

    assert scene.refusals() == ["WOULD_FLIP"]
    assert scene.verdict("WOULD_FLIP").measured == "closes 5, opens 2"
