"""What follows from all verdicts together."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from risk.engine.decision import assess
from risk.engine.facts import Origin, TradingSignalType, TradingState
from risk.engine.limits import Limits
from risk.engine.rules import RULES, SCREEN, Applies, Control, Outcome
from tests.risk.engine import (
    test_book_rules,
    test_market_rules,
    test_modifications,
    test_order_rules,
    test_rates,
    test_rules,
)
from tests.risk.engine.cast import NOW, Scene, ago, buy, sell, signal_sell

CODES = [control.code for control in RULES]
TABLES = [
    *test_rules.ROWS,
    *test_order_rules.ROWS,
    *test_book_rules.ROWS,
    *test_rates.ROWS,
    *test_market_rules.ROWS,
    *[row for row in test_modifications.ROWS if row[0] == "MODIFY_LIMIT"],  # the rest are about the others' rules
]

# What would refuse an opening order, by the control that refuses it.
AGAINST_OPENING: dict[str, dict[str, Any]] = {
    "TRADING_REDUCE_ONLY": {"state": TradingState.REDUCE_ONLY},
    "ORDER_QTY_EXCEEDED": {"order_quantity_max": 0},
    "PRICE_MISSING": {"quote": None},
    "PRICE_STALE": {"as_of": ago(days=1)},
    "ORDER_VALUE_EXCEEDED": {"order_value_max": Decimal(0)},
    "POSITION_VALUE_EXCEEDED": {"position_value_max": Decimal(0)},
    "DAILY_TRADES_EXCEEDED": {"daily_trades_max": 0},
    "DAILY_LOSS_EXCEEDED": {"day_loss": Decimal(1000)},
    "RATE_LIMIT_EXCEEDED": {"orders_per_minute_max": 0},
    "BROKER_DAY_EXCEEDED": {"today": 5000},
    "INSTRUMENT_RESTRICTED": {"allowed_instruments": ""},
    "INSTRUMENT_BLOCKED": {"instrument_blocked": True},
    "PRODUCT_NOT_ALLOWED": {"only_product": "MIS"},
    "OUTSIDE_PRICE_BAND": {"band": None},
    "SIGNAL_PRICE_DRIFT": {"signal_drift_percent": Decimal(0)},
    "GROSS_EXPOSURE_EXCEEDED": {"gross_exposure_max": Decimal(0)},
    "MAX_POSITIONS_EXCEEDED": {"positions_max": 0},
    "ADDING_NOT_ALLOWED": {"adding_allowed": False},
    "INSUFFICIENT_FUNDS": {"funds": None},
    "DUPLICATE_ORDER": {"last_buy_at": ago(seconds=1), "last_sell_at": ago(seconds=1)},
    "SELF_MATCH": {"buy_orders": 1, "sell_orders": 1},
    "OPEN_ORDERS_EXCEEDED": {"open_orders_max": 0},
    "REJECT_STREAK": {"rejections_in_a_row": 3},
    "ORDER_IN_DOUBT": {"orders_in_doubt": 2},
    "NOT_RECONCILED": {"reconciled_at": None},
    "INCIDENT_OPEN": {"stops": ("The broker cannot be read",)},
    "OPENING_WINDOW": {"opens_at": ago(minutes=4)},
}
UNSET = {
    "order_quantity_max": None,
    "quote_age_max_seconds": None,
    "order_value_max": None,
    "position_value_max": None,
    "daily_trades_max": None,
    "daily_loss_max": None,
    "collar_percent": None,
    "position_size": None,
    "slippage_percent": None,
    "cms_buy_threshold": None,
    "cms_sell_threshold": None,
    "signal_age_max_seconds": None,
    "orders_per_second_max": None,
    "orders_per_minute_max": None,
    "signal_drift_percent": None,
    "duplicate_window_seconds": None,
    "open_orders_max": None,
    "symbol_open_orders_max": None,
    "opposite_orders_allowed": None,
    "adding_allowed": None,
    "gross_exposure_max": None,
    "positions_max": None,
    "funds_use_percent": None,
    "reject_streak_max": None,
    "rejections_max": None,
    "allowed_instruments": None,
}


@pytest.mark.parametrize("scene", [buy(), sell(), signal_sell()], ids=["a BUY", "a SELL", "a SELL by a signal"])
def test_the_cast_passes_every_control(scene: Scene) -> None:
    decision = scene.decision()

    assert decision.breaches == ()
    assert decision.outcome == "APPROVED"
    assert decision.reason == ""


def test_no_two_controls_share_a_code() -> None:
    assert len(set(CODES)) == len(CODES)


def test_a_refusal_ignores_or_expires_only_where_the_signal_itself_is_the_reason() -> None:
    outcomes = {control.code: control.outcome for control in RULES if control.outcome != Outcome.DENIED}

    assert outcomes == {
        "AUTO_TRADING_DISABLED": Outcome.IGNORED,
        "HOLD_SIGNAL": Outcome.IGNORED,
        "CMS_SCORE_TOO_WEAK": Outcome.IGNORED,
        "SIGNAL_STALE": Outcome.EXPIRED,
        "SIGNAL_OUT_OF_ORDER": Outcome.EXPIRED,
        "NOTHING_TO_SELL": Outcome.IGNORED,
    }


def test_the_screen_asks_for_nothing_that_only_the_broker_knows() -> None:
    assert [control.code for control in SCREEN] == [
        "TRADING_HALTED",
        "TRADING_REDUCE_ONLY",
        "AUTO_TRADING_DISABLED",
        "HOLD_SIGNAL",
        "CMS_SCORE_TOO_WEAK",
        "SIGNAL_STALE",
        "SIGNAL_OUT_OF_ORDER",
        "NOTHING_TO_SELL",
        "RATE_LIMIT_EXCEEDED",
        "MARKET_CLOSED",
        "NOT_CONTINUOUS",
        "OPENING_WINDOW",
    ]


def test_a_screened_order_gets_the_verdicts_of_the_screen_alone() -> None:
    scene = buy(quote=None, trades_today=99)

    decision = assess(scene.proposed, scene.portfolio, scene.limits, NOW, rules=SCREEN)

    assert [verdict.control for verdict in decision.verdicts] == [control.code for control in SCREEN]
    assert decision.outcome == "APPROVED"


def test_every_control_runs_and_every_verdict_is_kept_in_the_order_of_the_catalogue() -> None:
    refused = buy(
        state=TradingState.HALTED,
        auto_trading=False,
        quantity=0,
        quote=None,
        lot_size=None,
        session_valid=False,
        signal_at=ago(days=1),
    )

    for scene in (buy(), sell(), refused):
        assert [verdict.control for verdict in scene.decision().verdicts] == CODES


def test_a_verdict_carries_the_title_and_the_outcome_of_its_control() -> None:
    for control, verdict in zip(RULES, buy().decision().verdicts, strict=True):
        assert (verdict.title, verdict.outcome) == (control.title, control.outcome)
        assert verdict.measured
        assert verdict.limit


@pytest.mark.parametrize("code", CODES)
def test_every_control_is_seen_to_pass_and_to_refuse_in_the_tables(code: str) -> None:
    assert {passes for row_code, _, _, passes in TABLES if row_code == code} == {True, False}


def row_passes(code: str, *words: str) -> bool:
    """Return whether the row of the control with one of these words in its name is one that passes."""
    found = {passes for row, what, _, passes in TABLES if row == code and any(word in what for word in words)}
    assert len(found) == 1, f"{code} needs a row for {words[0]!r}, with one outcome"
    return found.pop()


# Their limits are no numbers: on or off, a list, a name; a score must be past its threshold.
WITHOUT_AN_EDGE = {
    "ADDING_NOT_ALLOWED",
    "SELF_MATCH",
    "INSTRUMENT_RESTRICTED",
    "INSTRUMENT_BLOCKED",
    "PRODUCT_NOT_ALLOWED",
    "CMS_SCORE_TOO_WEAK",
}
REACHED_IS_ENOUGH = {"DAILY_LOSS_EXCEEDED"}  # its limit is where it stops, not what it still allows
WITH_LIMITS = [control for control in RULES if control.limits]


@pytest.mark.parametrize("control", WITH_LIMITS, ids=[control.code for control in WITH_LIMITS])
def test_every_control_with_a_limit_is_seen_around_it_and_unset(control: Control) -> None:
    if control.code not in WITHOUT_AN_EDGE:
        assert row_passes(control.code, "just below", "just younger", "just inside")
        assert row_passes(control.code, "at the limit") is (control.code not in REACHED_IS_ENOUGH)
        assert not row_passes(control.code, "just past", "just older")
    # A symbol without limits of its own has none of the first two, and no estimate is not one of nothing.
    always_set = {"instrument_blocked", "only_product", "charges_percent"}
    for name in set(control.limits) - always_set:
        unset = [each for code, _, each, passes in TABLES if code == control.code and not passes]
        assert any(getattr(each.limits, name) is None for each in unset), f"{control.code} needs a row without {name}"


DATES = {"as_of", "broker_as_of", "age", "reconciled_at"}
DATED = [control for control in RULES if DATES & set(control.rule.__code__.co_names)]


@pytest.mark.parametrize("control", DATED, ids=[control.code for control in DATED])
def test_every_control_that_goes_by_a_dated_fact_is_seen_with_an_old_one_and_without(control: Control) -> None:
    assert not row_passes(control.code, "just older", "stale")
    names = ("unknown", "never", "MISSING")
    assert any(code == control.code and any(name in what for name in names) for code, what, _, _ in TABLES)


def test_the_controls_that_go_by_dated_facts_are_these() -> None:
    assert {control.code for control in DATED} == {
        "PRICE_STALE",
        "OUTSIDE_PRICE_BAND",
        "INSUFFICIENT_FUNDS",
        "NOT_RECONCILED",
        "BROKER_POSITION_STALE",
    }


def test_every_limit_belongs_to_a_control_but_for_those_that_size_or_price_an_order_or_say_what_follows() -> None:
    held_against = {name for control in RULES for name in control.limits}

    assert {field.name for field in fields(Limits)} - held_against == {
        "version",
        "position_size",
        "round_up_to_one_lot",
        "slippage_percent",
        "exits_after_loss",
        "exposure_breach_reduces",
        "include_external",
    }


def test_every_control_is_said_in_a_sentence_with_its_unit() -> None:
    for control in RULES:
        assert control.sentence.endswith("."), control.code
        assert control.unit, control.code
        assert control.sentence.count(".") == 1, control.code


def test_the_controls_of_opening_orders_are_all_listed_here() -> None:
    opening = {control.code for control in RULES if control.applies == Applies.OPENING}

    assert opening == set(AGAINST_OPENING)


@pytest.mark.parametrize("code", AGAINST_OPENING)
def test_what_refuses_an_opening_order_does_not_refuse_a_closing_one(code: str) -> None:
    changes = AGAINST_OPENING[code]

    assert code in buy(**changes).refusals()
    assert sell(**changes).refusals() == []
    assert sell(**changes).verdict(code).measured == "closes only"


@pytest.mark.parametrize("code", AGAINST_OPENING)
def test_nor_does_it_refuse_a_buy_that_closes_a_short(code: str) -> None:
    scene = buy(own=-7, broker=-7, **AGAINST_OPENING[code])

    assert scene.refusals() == []


def test_no_limit_of_exposure_holds_a_closing_order_back_when_none_is_set() -> None:
    scene = sell(
        state=TradingState.REDUCE_ONLY,
        quote=None,
        trades_today=99,
        orders_in_doubt=3,
        reconciled_at=None,
        stops=("Order in doubt",),
        **UNSET,
    )

    assert scene.decision().outcome == "APPROVED"


@pytest.mark.parametrize("limit", sorted(UNSET.keys() - {"cms_sell_threshold", "position_size", "slippage_percent"}))
def test_a_limit_that_is_not_set_refuses_what_opens(limit: str) -> None:
    # position_size and slippage_percent price and size an order before it gets here.
    decision = buy(**{limit: None}).decision()

    assert decision.outcome != "APPROVED"
    assert "not set" in decision.reason


@pytest.mark.parametrize(
    ("scene", "code", "measured", "limit"),
    [
        (buy(), "AUTO_TRADING_DISABLED", "on", "on for a signal"),
        (buy(auto_trading=False), "AUTO_TRADING_DISABLED", "off", "on for a signal"),
        (buy(), "SIGNAL_STALE", "12 s", "300 s"),
        (buy(), "CMS_SCORE_TOO_WEAK", "75", "above 60"),
        (signal_sell(), "CMS_SCORE_TOO_WEAK", "-75", "below -60"),
        (buy(), "PRICE_STALE", "2.0 s", "10 s"),
        (buy(), "PRICE_COLLAR_EXCEEDED", "0.50 %", "3 %"),
        (buy(limit_price=Decimal("1393.00")), "PRICE_COLLAR_EXCEEDED", "0.00 %", "3 %"),
        (sell(), "PRICE_COLLAR_EXCEEDED", "0.50 %", "10 %"),
        (buy(), "POSITION_VALUE_EXCEEDED", "14070.00 INR", "20000 INR"),
        (buy(), "DAILY_TRADES_EXCEEDED", "4 today", "5 a day"),
        (buy(), "NOT_RECONCILED", "30 s ago", "within 180 s"),
        (sell(), "BROKER_POSITION_STALE", "2.0 s ago", "within 10 s"),
        (buy(), "BROKER_SESSION_INVALID", "valid", "valid"),
        (buy(session_valid=False), "BROKER_SESSION_INVALID", "none", "valid"),
        (buy(is_live=True, armed=True), "LIVE_NOT_ARMED", "armed", "armed"),
        (buy(is_live=True), "LIVE_NOT_ARMED", "not armed", "armed"),
    ],
)
def test_a_verdict_keeps_what_was_measured_beside_what_is_allowed(
    scene: Scene, code: str, measured: str, limit: str
) -> None:
    verdict = scene.verdict(code)

    assert (verdict.measured, verdict.limit) == (measured, limit)


def test_an_order_that_opens_even_one_share_is_an_opening_order() -> None:
    scene = sell(quantity=4, order_quantity_max=0)

    assert scene.verdict("ORDER_QTY_EXCEEDED").breach


def test_an_expired_signal_is_expired_whatever_else_is_wrong() -> None:
    scene = buy(signal_at=ago(hours=1), newest_decided_at=None, cms_score=Decimal(0), session_valid=False)

    decision = scene.decision()

    assert decision.outcome == "EXPIRED"
    assert decision.reason == "SIGNAL_STALE: 1 h 0 min old"
    assert scene.refusals() == ["CMS_SCORE_TOO_WEAK", "SIGNAL_STALE", "BROKER_SESSION_INVALID"]


def test_a_signal_that_asks_for_nothing_is_ignored_before_anything_is_held_against_it() -> None:
    decision = buy(action=TradingSignalType.HOLD, quantity=0, limit_price=None, session_valid=False).decision()

    assert decision.outcome == "IGNORED"
    assert decision.reason == "HOLD_SIGNAL: HOLD asks for nothing"
    assert [breach.control for breach in decision.breaches] == ["HOLD_SIGNAL", "BROKER_SESSION_INVALID"]


def test_auto_trading_off_is_ignored_and_not_denied() -> None:
    assert buy(auto_trading=False, trades_today=5).decision().outcome == "IGNORED"


def test_a_breach_of_a_limit_alone_is_denied() -> None:
    decision = buy(trades_today=5).decision()

    assert decision.outcome == "DENIED"
    assert decision.reason == "DAILY_TRADES_EXCEEDED: 5 trades today, the limit is 5"


def test_an_order_by_hand_is_held_against_the_limits_like_any_other() -> None:
    scene = buy(origin=Origin.MANUAL, signal=None, quantity=8)

    assert scene.refusals() == ["ORDER_VALUE_EXCEEDED"]


def test_breaches_of_one_outcome_keep_the_order_of_the_catalogue() -> None:
    decision = buy(trades_today=5, orders_in_doubt=1, session_valid=False).decision()

    assert [breach.control for breach in decision.breaches] == [
        "DAILY_TRADES_EXCEEDED",
        "ORDER_IN_DOUBT",
        "BROKER_SESSION_INVALID",
    ]
    assert [part.split(":")[0] for part in decision.reason.split("; ")] == [
        breach.control for breach in decision.breaches
    ]
