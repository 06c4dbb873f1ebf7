"""The controls about trading, the signal and what may be risked: each below, at and past its limit, unset, unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from risk.engine.facts import OrderType, Origin, TradingSignalType, TradingState
from risk.engine.signal_rules import in_words
from tests.risk.engine.cast import BAND, Scene, ago, buy, sell, signal_sell

D = Decimal
MARKET = {"order_type": OrderType.MARKET, "limit_price": None}
# 3 held, 1 being bought and these 7 are 11 shares, valued at the worst of all their prices.
BID_AT_1500 = {"working_buys": 1, "highest_working_bid": D(1500)}
BID_AT_1300 = {"working_buys": 1, "highest_working_bid": D(1300)}
MARKET_WORKS = {"working_buys": 1, "market_buys_work": True}
NO_SIGNAL = {"signal": None, "origin": Origin.MANUAL}

# The control, what is special, the scene, and whether the control lets it pass.
ROWS: list[tuple[str, str, Scene, bool]] = [
    ("TRADING_HALTED", "ACTIVE", buy(), True),
    ("TRADING_HALTED", "REDUCE_ONLY is not a halt", buy(state=TradingState.REDUCE_ONLY), True),
    ("TRADING_HALTED", "HALTED, opening", buy(state=TradingState.HALTED), False),
    ("TRADING_HALTED", "HALTED, closing", sell(state=TradingState.HALTED), False),
    ("TRADING_HALTED", "HALTED, an exit", sell(state=TradingState.HALTED, is_exit=True), True),
    ("TRADING_HALTED", "HALTED, an exit of too much", sell(state=TradingState.HALTED, is_exit=True, quantity=4), False),
    ("TRADING_HALTED", "HALTED, an exit that opens", buy(state=TradingState.HALTED, is_exit=True), False),
    #
    ("TRADING_REDUCE_ONLY", "ACTIVE", buy(), True),
    ("TRADING_REDUCE_ONLY", "REDUCE_ONLY, opening", buy(state=TradingState.REDUCE_ONLY), False),
    ("TRADING_REDUCE_ONLY", "an exit that opens", buy(state=TradingState.REDUCE_ONLY, is_exit=True), False),
    ("TRADING_REDUCE_ONLY", "all that is held", sell(state=TradingState.REDUCE_ONLY), True),
    ("TRADING_REDUCE_ONLY", "one more than held", sell(state=TradingState.REDUCE_ONLY, quantity=4), False),
    ("TRADING_REDUCE_ONLY", "a BUY of all that is short", buy(state=TradingState.REDUCE_ONLY, own=-7, broker=-7), True),
    ("TRADING_REDUCE_ONLY", "one more than short", buy(state=TradingState.REDUCE_ONLY, own=-6, broker=-7), False),
    ("TRADING_REDUCE_ONLY", "the broker is less short", buy(state=TradingState.REDUCE_ONLY, own=-7, broker=-6), False),
    (
        "TRADING_REDUCE_ONLY",
        "being bought already",
        buy(state=TradingState.REDUCE_ONLY, own=-7, broker=-7, working_buys=1),
        False,
    ),
    (
        "TRADING_REDUCE_ONLY",
        "HOLD closes nothing",
        buy(state=TradingState.REDUCE_ONLY, action=TradingSignalType.HOLD, quantity=1, own=-7, broker=-7),
        False,
    ),
    ("TRADING_REDUCE_ONLY", "nothing closes nothing", sell(state=TradingState.REDUCE_ONLY, quantity=0), False),
    ("TRADING_REDUCE_ONLY", "flat book", sell(state=TradingState.REDUCE_ONLY, own=0, broker=0), False),
    #
    ("AUTO_TRADING_DISABLED", "on", buy(), True),
    ("AUTO_TRADING_DISABLED", "off, a signal to open", buy(auto_trading=False), False),
    ("AUTO_TRADING_DISABLED", "off, a signal to close", signal_sell(auto_trading=False), False),
    ("AUTO_TRADING_DISABLED", "off, by hand", buy(auto_trading=False, **NO_SIGNAL), True),
    #
    ("HOLD_SIGNAL", "BUY", buy(), True),
    ("HOLD_SIGNAL", "SELL", signal_sell(), True),
    ("HOLD_SIGNAL", "HOLD", buy(action=TradingSignalType.HOLD, quantity=0), False),
    #
    ("CMS_SCORE_TOO_WEAK", "BUY just below", buy(cms_score=D("59.99")), False),
    ("CMS_SCORE_TOO_WEAK", "BUY at the threshold", buy(cms_score=D("60.00")), False),
    ("CMS_SCORE_TOO_WEAK", "BUY just past", buy(cms_score=D("60.01")), True),
    ("CMS_SCORE_TOO_WEAK", "BUY, not set", buy(cms_buy_threshold=None), False),
    ("CMS_SCORE_TOO_WEAK", "BUY, the other is not set", buy(cms_sell_threshold=None), True),
    ("CMS_SCORE_TOO_WEAK", "BUY with a score to sell on", buy(cms_score=D("-75")), False),
    ("CMS_SCORE_TOO_WEAK", "SELL just above", signal_sell(cms_score=D("-59.99")), False),
    ("CMS_SCORE_TOO_WEAK", "SELL at the threshold", signal_sell(cms_score=D("-60.00")), False),
    ("CMS_SCORE_TOO_WEAK", "SELL just past", signal_sell(cms_score=D("-60.01")), True),
    ("CMS_SCORE_TOO_WEAK", "SELL, not set", signal_sell(cms_sell_threshold=None), False),
    ("CMS_SCORE_TOO_WEAK", "SELL, the other is not set", signal_sell(cms_buy_threshold=None), True),
    ("CMS_SCORE_TOO_WEAK", "SELL with a score to buy on", signal_sell(cms_score=D("75")), False),
    ("CMS_SCORE_TOO_WEAK", "by hand", buy(**NO_SIGNAL), True),
    ("CMS_SCORE_TOO_WEAK", "HOLD", buy(action=TradingSignalType.HOLD, cms_score=D(0)), True),
    #
    ("SIGNAL_STALE", "just younger", buy(signal_at=ago(seconds=299)), True),
    ("SIGNAL_STALE", "at the limit", buy(signal_at=ago(seconds=300)), True),
    ("SIGNAL_STALE", "just older", buy(signal_at=ago(seconds=300.001)), False),
    ("SIGNAL_STALE", "not set", buy(signal_age_max_seconds=None), False),
    ("SIGNAL_STALE", "0 allows no age", buy(signal_age_max_seconds=0, signal_at=ago(seconds=1)), False),
    ("SIGNAL_STALE", "closing, at its limit", signal_sell(signal_at=ago(hours=1)), True),
    ("SIGNAL_STALE", "closing, just older", signal_sell(signal_at=ago(hours=1, seconds=0.001)), False),
    ("SIGNAL_STALE", "closing, not set", signal_sell(closing_signal_age_max_seconds=None), False),
    ("SIGNAL_STALE", "closing, the other is not set", signal_sell(signal_age_max_seconds=None), True),
    ("SIGNAL_STALE", "by hand", buy(signal_age_max_seconds=None, **NO_SIGNAL), True),
    #
    ("SIGNAL_OUT_OF_ORDER", "newer", buy(newest_decided_at=ago(seconds=13)), True),
    ("SIGNAL_OUT_OF_ORDER", "as old as the newest", buy(newest_decided_at=ago(seconds=12)), True),
    ("SIGNAL_OUT_OF_ORDER", "just older", buy(newest_decided_at=ago(seconds=11.999)), False),
    ("SIGNAL_OUT_OF_ORDER", "the first", buy(newest_decided_at=None), True),
    ("SIGNAL_OUT_OF_ORDER", "by hand", buy(**NO_SIGNAL), True),
    ("SIGNAL_OUT_OF_ORDER", "closing is no excuse", signal_sell(newest_decided_at=ago(seconds=11)), False),
    #
    ("NOTHING_TO_SELL", "one held", signal_sell(own=1, quantity=1), True),
    ("NOTHING_TO_SELL", "none held", signal_sell(own=0, quantity=0), False),
    ("NOTHING_TO_SELL", "the broker's are not ours", signal_sell(own=0, broker=50, quantity=0), False),
    ("NOTHING_TO_SELL", "the broker holds none", signal_sell(broker=0, quantity=0), False),
    ("NOTHING_TO_SELL", "all being sold already", signal_sell(working_sells=3, quantity=0), False),
    ("NOTHING_TO_SELL", "by hand is another control's", sell(own=0), True),
    ("NOTHING_TO_SELL", "a BUY needs none", buy(own=0), True),
    #
    ("ORDER_VALUE_EXCEEDED", "just below", buy(order_value_max=D("9849.01")), True),
    ("ORDER_VALUE_EXCEEDED", "at the limit", buy(order_value_max=D("9849.00")), True),
    ("ORDER_VALUE_EXCEEDED", "just past", buy(order_value_max=D("9848.99")), False),
    ("ORDER_VALUE_EXCEEDED", "one share more", buy(quantity=8), False),
    ("ORDER_VALUE_EXCEEDED", "not set", buy(order_value_max=None), False),
    ("ORDER_VALUE_EXCEEDED", "0 allows nothing", buy(order_value_max=D(0)), False),
    ("ORDER_VALUE_EXCEEDED", "MARKET at the collar", buy(order_value_max=D("10094.00"), **MARKET), True),
    ("ORDER_VALUE_EXCEEDED", "MARKET just past it", buy(order_value_max=D("10093.99"), **MARKET), False),
    ("ORDER_VALUE_EXCEEDED", "MARKET without a price", buy(quote=None, **MARKET), False),
    ("ORDER_VALUE_EXCEEDED", "MARKET without a collar", buy(collar_percent=None, **MARKET), False),
    #
    ("POSITION_VALUE_EXCEEDED", "just below", buy(position_value_max=D("14070.01")), True),
    ("POSITION_VALUE_EXCEEDED", "at the limit", buy(position_value_max=D("14070.00")), True),
    ("POSITION_VALUE_EXCEEDED", "just past", buy(position_value_max=D("14069.99")), False),
    ("POSITION_VALUE_EXCEEDED", "the first, at the limit", buy(own=0, position_value_max=D("9849.00")), True),
    ("POSITION_VALUE_EXCEEDED", "a SELL adds nothing", sell(quantity=4, position_value_max=D("4200.00")), True),
    ("POSITION_VALUE_EXCEEDED", "4 more working", buy(working_buys=4), True),
    ("POSITION_VALUE_EXCEEDED", "5 more working", buy(working_buys=5), False),
    ("POSITION_VALUE_EXCEEDED", "what is being sold may not fill", buy(working_buys=5, working_sells=3), False),
    ("POSITION_VALUE_EXCEEDED", "5 more held", buy(own=8, broker=8), False),
    (
        "POSITION_VALUE_EXCEEDED",
        "a higher bid works, at the limit",
        buy(**BID_AT_1500, position_value_max=D(16_500)),
        True,
    ),
    ("POSITION_VALUE_EXCEEDED", "just past", buy(**BID_AT_1500, position_value_max=D("16499.99")), False),
    ("POSITION_VALUE_EXCEEDED", "a lower bid works", buy(**BID_AT_1300, position_value_max=D(15_477)), True),
    (
        "POSITION_VALUE_EXCEEDED",
        "a MARKET buy works, at the limit",
        buy(**MARKET_WORKS, position_value_max=D(15_862)),
        True,
    ),
    (
        "POSITION_VALUE_EXCEEDED",
        "a MARKET buy works, just past",
        buy(**MARKET_WORKS, position_value_max=D("15861.99")),
        False,
    ),
    ("POSITION_VALUE_EXCEEDED", "not set", buy(position_value_max=None), False),
    ("POSITION_VALUE_EXCEEDED", "0 allows nothing", buy(own=0, position_value_max=D(0)), False),
    ("POSITION_VALUE_EXCEEDED", "a short is not room", buy(own=-5, broker=-5, working_buys=8), False),
    ("POSITION_VALUE_EXCEEDED", "MARKET at the collar", buy(position_value_max=D("14420.00"), **MARKET), True),
    ("POSITION_VALUE_EXCEEDED", "MARKET just past it", buy(position_value_max=D("14419.99"), **MARKET), False),
    ("POSITION_VALUE_EXCEEDED", "MARKET without a price", buy(quote=None, **MARKET), False),
    #
    ("DAILY_LOSS_EXCEEDED", "a gain", buy(day_loss=D("-0.01"), daily_loss_max=D(0)), True),
    ("DAILY_LOSS_EXCEEDED", "nothing lost, nothing allowed", buy(day_loss=D(0), daily_loss_max=D(0)), True),
    ("DAILY_LOSS_EXCEEDED", "0 allows no loss", buy(day_loss=D("0.01"), daily_loss_max=D(0)), False),
    ("DAILY_LOSS_EXCEEDED", "just below", buy(day_loss=D("999.99")), True),
    ("DAILY_LOSS_EXCEEDED", "reached: at the limit", buy(day_loss=D("1000.00")), False),
    ("DAILY_LOSS_EXCEEDED", "just past it", buy(day_loss=D("1000.01")), False),
    ("DAILY_LOSS_EXCEEDED", "not known", buy(day_loss=None), False),
    ("DAILY_LOSS_EXCEEDED", "no number", buy(day_loss=D("NaN")), False),
    ("DAILY_LOSS_EXCEEDED", "not set", buy(daily_loss_max=None), False),
    ("DAILY_LOSS_EXCEEDED", "a SELL that closes", sell(day_loss=D(5000)), True),
    ("DAILY_TRADES_EXCEEDED", "just below", buy(trades_today=3), True),
    ("DAILY_TRADES_EXCEEDED", "the last one, at the limit", buy(trades_today=4), True),
    ("DAILY_TRADES_EXCEEDED", "just past: one too many", buy(trades_today=5), False),
    ("DAILY_TRADES_EXCEEDED", "long past", buy(trades_today=6), False),
    ("DAILY_TRADES_EXCEEDED", "not set", buy(daily_trades_max=None), False),
    ("DAILY_TRADES_EXCEEDED", "0 allows nothing", buy(trades_today=0, daily_trades_max=0), False),
]


@pytest.mark.parametrize(
    ("code", "scene", "passes"),
    [pytest.param(code, scene, passes, id=f"{code}: {what}") for code, what, scene, passes in ROWS],
)
def test_a_control_passes_up_to_its_limit_and_not_beyond(code: str, scene: Scene, passes: bool) -> None:
    verdict = scene.verdict(code)

    assert verdict.passed == passes
    assert bool(verdict.reason) != passes


def test_a_buy_at_exactly_the_threshold_is_ignored() -> None:
    decision = buy(cms_score=D(60)).decision()

    assert decision.outcome == "IGNORED"
    assert decision.reason == "CMS_SCORE_TOO_WEAK: a BUY needs a score above 60, got 60"


def test_a_sell_at_exactly_the_threshold_is_ignored() -> None:
    decision = signal_sell(cms_score=D(-60)).decision()

    assert decision.outcome == "IGNORED"
    assert decision.reason == "CMS_SCORE_TOO_WEAK: a SELL needs a score below -60, got -60"


def test_a_signal_with_nothing_of_ours_to_sell_is_ignored_not_denied() -> None:
    decision = signal_sell(own=0, broker=0, quantity=0).decision()

    assert decision.outcome == "IGNORED"
    assert decision.reason.startswith("NOTHING_TO_SELL: we hold no RELIANCE of our own to sell")


def test_a_publisher_on_utc_is_suspected_in_words() -> None:
    verdict = buy(signal_at=ago(hours=5, minutes=30)).verdict("SIGNAL_STALE")

    assert verdict.reason == "5 h 30 min old: is the publisher on UTC?"


@pytest.mark.parametrize(
    ("age", "suspected"),
    [
        (timedelta(hours=5, minutes=20), False),
        (timedelta(hours=5, minutes=20, seconds=1), True),
        (timedelta(hours=5, minutes=39, seconds=59), True),
        (timedelta(hours=5, minutes=40), False),
        (timedelta(minutes=30), False),
    ],
)
def test_only_an_age_near_the_offset_of_india_points_at_the_publishers_clock(age: timedelta, suspected: bool) -> None:
    verdict = buy(signal_at=ago(seconds=age.total_seconds())).verdict("SIGNAL_STALE")

    assert verdict.breach
    assert ("UTC" in verdict.reason) == suspected


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=12), "12 s"),
        (timedelta(seconds=59.4), "59 s"),
        (timedelta(seconds=60), "1 min 0 s"),
        (timedelta(minutes=4, seconds=10), "4 min 10 s"),
        (timedelta(minutes=59, seconds=59), "59 min 59 s"),
        (timedelta(hours=1), "1 h 0 min"),
        (timedelta(hours=5, minutes=30), "5 h 30 min"),
        (timedelta(hours=30, minutes=1), "30 h 1 min"),
        (timedelta(seconds=-1), "1 s ahead"),
        (timedelta(seconds=-20), "20 s ahead"),
    ],
)
def test_an_age_is_said_as_people_say_it(age: timedelta, words: str) -> None:
    assert in_words(age) == words


def test_a_refusal_says_what_was_measured_and_what_is_allowed() -> None:
    verdict = buy(quantity=8).verdict("ORDER_VALUE_EXCEEDED")

    assert verdict.measured == "11256.00 INR"
    assert verdict.limit == "10000 INR"
    assert verdict.reason == "order value 11256.00 INR, the limit is 10000 INR"


def test_a_low_limit_price_does_not_make_what_is_held_worth_less() -> None:
    # 14 held are worth 19,600 INR; one more at 1,000.00 makes 20,600, past 20,000, whatever the new order's price.
    scene = buy(own=14, broker=14, quantity=1, limit_price=D("1000.00"), band=replace(BAND, lower=D(900)))

    assert scene.refusals() == ["POSITION_VALUE_EXCEEDED"]
