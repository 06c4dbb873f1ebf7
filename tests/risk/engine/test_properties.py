"""
What holds for every book, every limit and every order, known or not.

Each property recomputes what may be closed and what a position is worth on its own, never by the engine's functions.
Facts are drawn so that most orders pass most controls, and a property about approved orders looks at those alone.
"""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from risk.engine.decision import assess
from risk.engine.exposure_rules import money_left, value_elsewhere
from risk.engine.facts import (
    Holding,
    OrderType,
    Origin,
    Portfolio,
    ProposedOrder,
    Quote,
    Side,
    TradingSignalType,
    TradingState,
    Traffic,
)
from risk.engine.limits import Limits
from risk.engine.rules import SCREEN
from risk.engine.sessions import Phase as MarketPhase
from risk.engine.sizing import is_on_tick, size_entry, to_tick
from tests.risk.engine.cast import BAND, BUY, FUNDS, INFY, LIMITS, NOW, PORTFOLIO, QUOTE, SELL, SIGNAL, ago

bounded = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    # The more controls, the fewer orders pass all of them; and a busy machine draws slowly.
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)

TICKS = st.sampled_from([Decimal("0.01"), Decimal("0.05"), Decimal("0.10"), Decimal(1)])
SHARES = st.integers(0, 60)
STATES = st.sampled_from(TradingState)
NOTHING_CONFIGURED = replace(
    LIMITS, **dict.fromkeys({field.name for field in fields(Limits)} - {"version", "charges_percent"})
)
WIDE_BAND = replace(BAND, lower=Decimal(0), upper=Decimal(100_000))
PLENTY = replace(FUNDS, available=Decimal(10_000_000))


def usually(common: Any, *rare: Any) -> st.SearchStrategy[Any]:
    """Draw the first value mostly, one of the others now and then."""
    return st.integers(0, 24).map(lambda n: rare[n] if n < len(rare) else common)


def rupees(low: int, high: int) -> st.SearchStrategy[Decimal]:
    """Amounts to the paisa; much faster drawn than decimals."""
    return st.integers(low * 100, high * 100).map(lambda paise: Decimal(paise) / 100)


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    own = draw(st.integers(-20, 60))
    return Holding(
        own=own,
        broker=draw(usually(own, own - 1, own + 1, own // 2, -own, 0, None)),
        broker_as_of=draw(usually(ago(seconds=3), None, ago(minutes=1))),
        working_buys=draw(usually(0, 1, 2, 5, 60)),
        working_sells=draw(usually(0, 1, 2, 5, 60)),
    )


@st.composite
def portfolios(draw: st.DrawFn, state: st.SearchStrategy[TradingState] = STATES) -> Portfolio:
    is_live = draw(st.booleans())
    return Portfolio(
        state=draw(state),
        auto_trading=draw(usually(True, False)),
        is_live=is_live,
        armed=draw(usually(is_live, not is_live)),
        session_valid=draw(usually(True, False)),
        reconciled_at=draw(usually(ago(seconds=30), None, ago(hours=1))),
        trades_today=draw(st.integers(0, 6)),
        orders_in_doubt=draw(usually(0, 1)),
        day_loss=draw(usually(Decimal(400), Decimal(1000), None)),
        holding=draw(holdings()),
        quote=draw(
            st.one_of(
                st.builds(Quote, price=rupees(1, 2000), as_of=usually(ago(seconds=2), ago(minutes=2))),
                usually(QUOTE, None),
            )
        ),
        stops=draw(usually((), ("Order in doubt",))),
        market=draw(usually(PORTFOLIO.market, replace(PORTFOLIO.market, phase=MarketPhase.AUCTION))),
        traffic=draw(usually(Traffic(), PORTFOLIO.traffic, Traffic(today=4500))),
        band=draw(
            usually(WIDE_BAND, None, replace(WIDE_BAND, lower=QUOTE.price), replace(WIDE_BAND, as_of=ago(days=1)))
        ),
        funds=draw(usually(PLENTY, None, replace(PLENTY, available=Decimal(0)), replace(PLENTY, as_of=ago(days=1)))),
        others=draw(usually((), (INFY,), (replace(INFY, price=None),))),
        open_orders=draw(usually(0, 1, 100)),
        rejections_in_a_row=draw(usually(0, 2, 3)),
        rejections_lately=draw(usually(0, 4, 5)),
    )


@st.composite
def limits_in_force(draw: st.DrawFn) -> Limits:
    return replace(
        LIMITS,
        order_value_max=draw(st.one_of(st.just(Decimal(200_000)), rupees(1000, 100_000))),
        order_quantity_max=draw(usually(1000, 0, 5)),
        position_value_max=draw(st.one_of(st.just(Decimal(300_000)), rupees(0, 100_000))),
        daily_trades_max=draw(usually(20, 0, 6)),
        collar_percent=draw(usually(Decimal(3), Decimal(0), Decimal(20))),
        gross_exposure_max=draw(st.one_of(st.just(Decimal(1_000_000)), rupees(0, 100_000))),
        funds_use_percent=draw(usually(Decimal(98), Decimal(0), Decimal(50))),
        adding_allowed=draw(usually(True, False)),
        instrument_blocked=draw(usually(False, True)),
        only_product=draw(usually("", "CNC", "MIS")),
    )


@st.composite
def orders(draw: st.DrawFn, portfolio: Portfolio, actions: list[TradingSignalType] | None = None) -> ProposedOrder:
    """An order mostly near the last price and on tick, of a few shares or of about as many as can be closed."""
    action = draw(st.sampled_from(actions or list(TradingSignalType)))
    last = portfolio.quote.price if portfolio.quote else QUOTE.price
    percent = draw(st.one_of(st.integers(98, 102), st.integers(85, 115)))
    tick_size = draw(TICKS)
    is_market = draw(usually(False, True, True, True))
    closable = shares_that_close(action, portfolio.holding)
    score = Decimal(75 if action == TradingSignalType.BUY else -75)
    by_signal = draw(st.booleans())
    return ProposedOrder(
        action=action,
        exchange="NSE",
        symbol="RELIANCE",
        product="CNC",
        quantity=draw(st.one_of(usually(closable, closable + 1, closable - 1), st.integers(1, 20))),
        order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
        limit_price=None if is_market else to_tick(last * percent / 100, tick_size, Side.SELL),
        origin=Origin.AUTO if by_signal else Origin.MANUAL,
        lot_size=draw(usually(1, 5, None)),
        tick_size=tick_size,
        is_exit=draw(st.booleans()),
        signal=replace(SIGNAL, cms_score=score) if by_signal else None,
    )


def shares_that_close(action: TradingSignalType, holding: Holding) -> int:
    broker = holding.own if holding.broker is None else holding.broker
    if action == TradingSignalType.SELL:
        return max(0, min(holding.own, broker) - holding.working_sells)
    return max(0, min(-holding.own, -broker) - holding.working_buys)


@settings(bounded, max_examples=300)
@given(
    own=st.integers(-20, 60),
    external=st.one_of(st.just(0), st.integers(-20, 60)),
    working_buys=SHARES,
    external_buys=st.one_of(st.just(0), SHARES),
    quantity=st.integers(1, 60),
    last=rupees(1, 2000),
    percent=st.one_of(st.none(), st.integers(100, 103), st.integers(50, 99)),
    tick_size=TICKS,
    position_room=st.sampled_from([Decimal(0), Decimal("-0.01"), Decimal(100_000)]),
    order_room=st.sampled_from([Decimal(1), Decimal(0), Decimal("-0.01")]),
)
def test_no_approved_buy_makes_the_worst_case_exceed_a_limit(
    own: int,
    external: int,
    working_buys: int,
    external_buys: int,
    quantity: int,
    last: Decimal,
    percent: int | None,
    tick_size: Decimal,
    position_room: Decimal,
    order_room: Decimal,
) -> None:
    holding = Holding(
        own=own,
        broker=own + external,
        broker_as_of=ago(seconds=3),
        working_buys=working_buys,
        external=external,
        external_buys=external_buys,
    )
    book = replace(PORTFOLIO, holding=holding, quote=replace(QUOTE, price=last))
    limit_price = None if percent is None else to_tick(last * percent / 100, tick_size, Side.BUY)
    order = replace(BUY, quantity=quantity, limit_price=limit_price, tick_size=tick_size)
    price = last * (1 + LIMITS.collar_percent / 100) if limit_price is None else limit_price
    order_value = quantity * price
    worst_case = (max(0, own, own + external) + working_buys + external_buys) * last + order_value
    limits = replace(LIMITS, position_value_max=worst_case + position_room, order_value_max=order_value + order_room)

    decision = assess(order, book, limits, NOW)

    if decision.outcome == "APPROVED" and quantity > shares_that_close(order.action, holding):
        assert position_room >= 0
        assert order_room >= 0


@bounded
@given(data=st.data(), portfolio=portfolios(), limits=limits_in_force())
def test_no_approved_sell_exceeds_what_can_be_closed(data: st.DataObject, portfolio: Portfolio, limits: Limits) -> None:
    order = data.draw(orders(portfolio, [TradingSignalType.SELL]))

    assume(assess(order, portfolio, limits, NOW).outcome == "APPROVED")

    assert portfolio.holding.broker is not None
    assert 0 < order.quantity <= shares_that_close(order.action, portfolio.holding)


@bounded
@given(
    data=st.data(),
    portfolio=portfolios(st.sampled_from([TradingState.ACTIVE, TradingState.REDUCE_ONLY])),
    limits=limits_in_force(),
    configured=st.booleans(),
)
def test_no_limit_of_exposure_refuses_a_closing_sell_by_hand(
    data: st.DataObject, portfolio: Portfolio, limits: Limits, configured: bool
) -> None:
    own = data.draw(st.integers(1, 60))
    extra = data.draw(st.integers(0, 10))
    working_sells = data.draw(st.integers(0, own - 1))
    last = portfolio.quote.price if portfolio.quote else QUOTE.price
    holding = replace(
        portfolio.holding,
        own=own,
        broker=own + extra,
        broker_as_of=ago(seconds=3),
        working_sells=working_sells,
    )
    book = replace(portfolio, session_valid=True, armed=True, holding=holding, market=PORTFOLIO.market)
    order = replace(
        SELL,
        quantity=data.draw(st.integers(1, own - working_sells)),
        tick_size=Decimal("0.01"),
        limit_price=to_tick(last * data.draw(st.integers(90, 120)) / 100, Decimal("0.01"), Side.SELL),
    )
    in_force = limits if configured else replace(NOTHING_CONFIGURED, closing_collar_percent=Decimal(10))

    assert assess(order, book, in_force, NOW).breaches == ()


@settings(bounded, max_examples=150)
@given(
    data=st.data(),
    portfolio=portfolios(st.sampled_from([TradingState.ACTIVE, TradingState.REDUCE_ONLY])),
    limits=limits_in_force(),
    configured=st.booleans(),
    by_signal=st.booleans(),
    at_market=st.booleans(),
    covers=st.booleans(),
    lot_size=st.sampled_from([1, 5, 25]),
)
def test_what_only_closes_is_refused_for_nothing_but_login_session_position_lot_and_collar(
    data: st.DataObject,
    portfolio: Portfolio,
    limits: Limits,
    configured: bool,
    by_signal: bool,
    at_market: bool,
    covers: bool,
    lot_size: int,
) -> None:
    by_signal = by_signal and not covers  # no signal covers a short
    held = data.draw(st.integers(1, 60))
    working = data.draw(st.integers(0, held - 1))
    sign = -1 if covers else 1
    holding = replace(
        portfolio.holding,
        own=sign * held,
        broker=sign * (held + data.draw(st.integers(0, 10))),
        broker_as_of=ago(seconds=3),
        working_buys=working if covers else data.draw(SHARES),
        working_sells=data.draw(SHARES) if covers else working,
        external=data.draw(st.sampled_from([0, 5, -5, None])),
    )
    last = portfolio.quote.price if portfolio.quote else QUOTE.price
    percent = data.draw(st.integers(91, 109))
    side = Side.BUY if covers else Side.SELL
    lots = (held - working) // lot_size
    order = replace(
        SELL,
        action=TradingSignalType.BUY if covers else TradingSignalType.SELL,
        quantity=data.draw(st.sampled_from([held - working, *(lot_size * n for n in range(1, lots + 1))])),
        lot_size=lot_size,
        tick_size=Decimal("0.01"),
        order_type=OrderType.MARKET if at_market else OrderType.LIMIT,
        limit_price=None if at_market else to_tick(last * percent / 100, Decimal("0.01"), side),
        origin=Origin.AUTO if by_signal else Origin.MANUAL,
        signal=replace(SIGNAL, cms_score=Decimal(-75)) if by_signal else None,
    )
    book = replace(
        portfolio, session_valid=True, armed=True, auto_trading=True, holding=holding, market=PORTFOLIO.market
    )
    what_a_signal_needs = {"cms_sell_threshold": Decimal(-60), "closing_signal_age_max_seconds": 3600}
    bare = replace(NOTHING_CONFIGURED, closing_collar_percent=Decimal(10), **what_a_signal_needs)

    assert assess(order, book, limits if configured else bare, NOW).breaches == ()


@bounded
@given(data=st.data(), portfolio=portfolios(st.just(TradingState.REDUCE_ONLY)), limits=limits_in_force())
def test_reduce_only_never_approves_anything_that_opens(
    data: st.DataObject, portfolio: Portfolio, limits: Limits
) -> None:
    order = data.draw(orders(portfolio, [TradingSignalType.BUY, TradingSignalType.SELL]))

    assume(assess(order, portfolio, limits, NOW).outcome == "APPROVED")

    assert 0 < order.quantity <= shares_that_close(order.action, portfolio.holding)


@bounded
@given(data=st.data(), portfolio=portfolios(st.just(TradingState.HALTED)), limits=limits_in_force())
def test_during_a_halt_an_exit_closes_what_is_held_by_a_fresh_position(
    data: st.DataObject, portfolio: Portfolio, limits: Limits
) -> None:
    order = replace(data.draw(orders(portfolio, [TradingSignalType.BUY, TradingSignalType.SELL])), is_exit=True)

    assume(assess(order, portfolio, limits, NOW).outcome == "APPROVED")

    assert 0 < order.quantity <= shares_that_close(order.action, portfolio.holding)
    assert portfolio.holding.broker_as_of == ago(seconds=3)


@bounded
@given(data=st.data(), portfolio=portfolios(st.just(TradingState.HALTED)), limits=limits_in_force())
def test_a_halt_never_approves_what_is_not_an_exit(data: st.DataObject, portfolio: Portfolio, limits: Limits) -> None:
    order = replace(data.draw(orders(portfolio)), is_exit=False)

    assert assess(order, portfolio, limits, NOW).outcome != "APPROVED"


LOWER: dict[Any, st.SearchStrategy[Any]] = {
    "order_value_max": rupees(0, 50_000),
    "order_quantity_max": st.integers(0, 50),
    "position_value_max": rupees(0, 50_000),
    "daily_trades_max": st.integers(0, 10),
    "daily_loss_max": rupees(0, 1000),
    "signal_age_max_seconds": st.integers(0, 300),
    "quote_age_max_seconds": st.integers(0, 10),
    "orders_per_second_max": st.integers(0, 5),
    "orders_per_minute_max": st.integers(0, 30),
    "signal_drift_percent": rupees(0, 1),
    "open_orders_max": st.integers(0, 3),
    "symbol_open_orders_max": st.integers(0, 2),
    "gross_exposure_max": rupees(0, 50_000),
    "positions_max": st.integers(0, 3),
    "funds_use_percent": rupees(0, 98),
    "reject_streak_max": st.integers(0, 3),
    "rejections_max": st.integers(0, 5),
    "opposite_orders_allowed": st.just(False),
    "adding_allowed": st.booleans(),
}


@bounded
@given(data=st.data(), portfolio=portfolios(), limits=limits_in_force())
def test_a_tighter_limit_never_approves_more(data: st.DataObject, portfolio: Portfolio, limits: Limits) -> None:
    order = data.draw(orders(portfolio))
    drawn = data.draw(st.fixed_dictionaries({}, optional=LOWER))
    tighter = {name: min(value, getattr(limits, name)) for name, value in drawn.items()}

    before = assess(order, portfolio, limits, NOW).breaches
    after = assess(order, portfolio, replace(limits, **tighter), NOW).breaches

    assert {breach.control for breach in before} <= {breach.control for breach in after}


@bounded
@given(data=st.data(), portfolio=portfolios(), limits=limits_in_force())
def test_what_the_screen_refuses_before_the_broker_is_asked_is_refused_afterwards(
    data: st.DataObject, portfolio: Portfolio, limits: Limits
) -> None:
    order = data.draw(orders(portfolio))
    unasked = replace(portfolio, quote=None, holding=replace(portfolio.holding, broker=None, broker_as_of=None))

    screened = assess(order, unasked, limits, NOW, rules=SCREEN)

    if screened.outcome != "APPROVED":
        assert assess(order, portfolio, limits, NOW).outcome != "APPROVED"


@bounded
@given(portfolio=portfolios())
def test_with_nothing_configured_nothing_opens(portfolio: Portfolio) -> None:
    order = replace(SELL, action=TradingSignalType.BUY, quantity=61)

    assert assess(order, replace(portfolio, state=TradingState.ACTIVE), NOTHING_CONFIGURED, NOW).breaches


@bounded
@given(price=st.integers(1, 10**9).map(lambda n: Decimal(n) / 1000), tick_size=TICKS)
def test_a_rounded_price_is_on_tick_and_never_worse_than_decided(price: Decimal, tick_size: Decimal) -> None:
    bid, offer = to_tick(price, tick_size, Side.BUY), to_tick(price, tick_size, Side.SELL)

    assert bid <= price <= offer
    assert offer - bid == (0 if is_on_tick(price, tick_size) else tick_size)
    assert is_on_tick(bid, tick_size)
    assert is_on_tick(offer, tick_size)


@settings(bounded, max_examples=150)
@given(
    price=rupees(1, 3000),
    last=st.one_of(st.none(), rupees(1, 3000)),
    lot_size=st.sampled_from([1, 25, 75]),
    holding=st.builds(
        Holding,
        own=SHARES,
        working_buys=SHARES,
        highest_working_bid=st.one_of(st.none(), rupees(1, 3000)),
        market_buys_work=st.booleans(),
    ),
    limits=limits_in_force(),
    position_size=st.one_of(st.just(Decimal(1000)), rupees(0, 100_000)),
    cash=st.one_of(st.just(Decimal(10_000_000)), rupees(0, 20_000)),
)
def test_an_entry_is_whole_lots_that_the_limits_pass_or_one_lot_for_them_to_judge(
    price: Decimal,
    last: Decimal | None,
    lot_size: int,
    holding: Holding,
    limits: Limits,
    position_size: Decimal,
    cash: Decimal,
) -> None:
    in_force = replace(limits, position_size=position_size)
    quote = None if last is None else replace(QUOTE, price=last)
    book = replace(PORTFOLIO, holding=holding, quote=quote, funds=replace(FUNDS, available=cash))

    quantity, note = size_entry(
        price=price,
        lot_size=lot_size,
        holding=holding,
        limits=in_force,
        quote=quote,
        elsewhere=value_elsewhere(book, in_force),
        spendable=money_left(book, in_force),
    )

    assert quantity % lot_size == 0
    assert quantity > 0 or note
    if quantity > lot_size:
        order = replace(BUY, quantity=quantity, limit_price=price, lot_size=lot_size)
        decision = assess(order, book, in_force, NOW)
        assert quantity * price <= position_size
        assert not {
            "ORDER_VALUE_EXCEEDED",
            "ORDER_QTY_EXCEEDED",
            "POSITION_VALUE_EXCEEDED",
            "GROSS_EXPOSURE_EXCEEDED",
            "INSUFFICIENT_FUNDS",
        } & {breach.control for breach in decision.breaches}
