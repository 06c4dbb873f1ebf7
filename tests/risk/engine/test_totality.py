"""Every order gets its verdicts, whatever the facts: unknown, zero, or what no fact should be. Nothing raises."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from risk.engine.decision import assess
from risk.engine.facts import (
    Elsewhere,
    Funds,
    Holding,
    OrderType,
    Origin,
    Portfolio,
    PriceBand,
    ProposedOrder,
    Quote,
    Replaced,
    SignalFacts,
    TradingSignalType,
    TradingState,
    Traffic,
)
from risk.engine.limits import Limits
from risk.engine.rules import RULES
from risk.engine.sessions import InstrumentGroup, MarketSession, Phase
from tests.risk.engine.cast import HOLDING, NOW
from tests.risk.engine.test_properties import bounded, rupees

# Anything a fact can be, with what no fact should be: zero and negative prices, lots and ticks, times ahead of ours.
SOME_MOMENT = st.integers(-100_000, 100_000).map(lambda seconds: NOW + timedelta(seconds=seconds))
MOMENTS = st.one_of(st.none(), SOME_MOMENT)
NUMBERS = st.one_of(st.sampled_from([Decimal(0), Decimal(-1), Decimal("0.05")]), rupees(-100, 100_000))
COUNTS = st.one_of(st.sampled_from([0, -1, 1]), st.integers(-50, 5000))
LIMIT = st.one_of(st.none(), NUMBERS)
COUNT_LIMIT = st.one_of(st.none(), COUNTS)
anything = {
    "quotes": st.builds(Quote, price=NUMBERS, as_of=SOME_MOMENT),
    "signals": st.builds(SignalFacts, cms_score=NUMBERS, signal_at=SOME_MOMENT, newest_decided_at=MOMENTS),
    "holdings": st.builds(
        Holding,
        own=COUNTS,
        broker=COUNT_LIMIT,
        broker_as_of=MOMENTS,
        working_buys=COUNTS,
        working_sells=COUNTS,
        buy_orders=COUNTS,
        sell_orders=COUNTS,
        last_buy_at=MOMENTS,
        last_sell_at=MOMENTS,
        external=COUNT_LIMIT,
        external_buys=COUNTS,
    ),
    "bands": st.builds(PriceBand, lower=NUMBERS, upper=NUMBERS, as_of=SOME_MOMENT),
    "funds": st.builds(Funds, available=NUMBERS, as_of=SOME_MOMENT, committed=LIMIT, committed_at_market=NUMBERS),
    "others": st.builds(
        Elsewhere,
        symbol=st.just("INFY"),
        own=COUNTS,
        working_buys=COUNTS,
        working_sells=COUNTS,
        price=LIMIT,
        market_buys_work=st.booleans(),
        external=COUNTS,
        external_buys=COUNTS,
        external_sells=COUNTS,
    ),
}
ANY_ORDER = st.builds(
    ProposedOrder,
    action=st.sampled_from(TradingSignalType),
    exchange=st.just("NSE"),
    symbol=st.just("RELIANCE"),
    product=st.just("CNC"),
    quantity=COUNTS,
    order_type=st.sampled_from(OrderType),
    limit_price=LIMIT,
    origin=st.sampled_from(Origin),
    lot_size=COUNT_LIMIT,
    tick_size=LIMIT,
    is_exit=st.booleans(),
    signal=st.one_of(st.none(), anything["signals"]),
    replaces=st.one_of(
        st.none(), st.builds(Replaced, quantity=COUNTS, limit_price=NUMBERS, filled=COUNTS, modified=COUNTS)
    ),
)
ANY_PORTFOLIO = st.builds(
    Portfolio,
    state=st.sampled_from(TradingState),
    auto_trading=st.booleans(),
    is_live=st.booleans(),
    armed=st.booleans(),
    session_valid=st.booleans(),
    reconciled_at=MOMENTS,
    trades_today=COUNTS,
    orders_in_doubt=COUNTS,
    holding=st.one_of(st.just(HOLDING), anything["holdings"]),
    quote=st.one_of(st.none(), anything["quotes"]),
    stops=st.sampled_from([(), ("Order in doubt",)]),
    traffic=st.builds(
        Traffic,
        placed=st.lists(SOME_MOMENT, max_size=12).map(tuple),
        cancelled=st.lists(SOME_MOMENT, max_size=12).map(tuple),
        turned_away_at=MOMENTS,
        today=COUNTS,
    ),
    market=st.builds(
        MarketSession,
        phase=st.sampled_from(Phase),
        group=st.one_of(st.none(), st.sampled_from(InstrumentGroup)),
        opens_at=MOMENTS,
        closes_at=MOMENTS,
        auction_ends_at=MOMENTS,
        next_open_at=MOMENTS,
        year_complete=st.booleans(),
        lacks_hours=st.booleans(),
    ),
    band=st.one_of(st.none(), anything["bands"]),
    funds=st.one_of(st.none(), anything["funds"]),
    others=st.lists(anything["others"], max_size=2).map(tuple),
    open_orders=COUNTS,
    rejections_in_a_row=COUNTS,
    rejections_lately=COUNTS,
)
NO_NUMBERS: dict[str, st.SearchStrategy[Any]] = {
    "exits_after_loss": st.booleans(),
    "exposure_breach_reduces": st.booleans(),
    "include_external": st.booleans(),
    "opposite_orders_allowed": st.sampled_from([None, True, False]),
    "adding_allowed": st.sampled_from([None, True, False]),
    "allowed_instruments": st.sampled_from([None, "", "NSE:EQ"]),
    "instrument_blocked": st.booleans(),
    "only_product": st.sampled_from(["", "CNC", "MIS"]),
}
ANY_LIMITS = st.builds(
    Limits,
    version=st.just(1),
    round_up_to_one_lot=st.booleans(),
    **{
        field.name: COUNT_LIMIT if "int" in str(field.type) else LIMIT
        for field in fields(Limits)
        if field.name not in {"version", "round_up_to_one_lot", "charges_percent", *NO_NUMBERS}
    },
    charges_percent=NUMBERS,
    **NO_NUMBERS,
)


@settings(bounded, max_examples=300)
@given(order=ANY_ORDER, portfolio=ANY_PORTFOLIO, limits=ANY_LIMITS)
def test_every_order_gets_a_verdict_from_every_control(
    order: ProposedOrder, portfolio: Portfolio, limits: Limits
) -> None:
    decision = assess(order, portfolio, limits, NOW)

    assert [verdict.control for verdict in decision.verdicts] == [control.code for control in RULES]
    assert all(verdict.passed == (verdict.reason == "") for verdict in decision.verdicts)
    assert (decision.outcome == "APPROVED") == (decision.breaches == ())
    assert (decision.reason == "") == (decision.outcome == "APPROVED")
