"""
The cast: one automatic BUY that passes every control, and one closing SELL by hand that does too.

RELIANCE was last traded at 1,400.00 INR two seconds ago; its tick is 0.10 INR and its lot one share. We hold 3 and the
broker agrees. Ten o'clock on a Monday, trading is ACTIVE, auto-trading is on.

- The BUY is for 7 at 1,407.00, half a percent past the last price: 9,849.00 INR. The order value limit of 10,000 INR
  leaves room for these 7, not for 8 (11,256).
- With the 3 held the position would be 10 × 1,407.00 = 14,070.00 INR. The position limit of 20,000 INR leaves room for
  4 working shares beside it (19,698), not for 5 (21,105).
- The opening collar of 3 % ends at 1,442.00. The closing collar of 10 % ends at 1,260.00 for a SELL.
- 4 of 5 trades are used: this is the last one.
- 400 INR of a loss of 1,000 INR are used.
- 29 orders were sent in the last half minute, one a second until two seconds ago: the 30 of a minute leave room for one
  more, and so do the 4,500 of a day that are not kept for exits. None was sent in the last second, where 5 may be.
- The signal scored 75 where 60 must be passed, is 12 s old of 300 s, and the newest decided is a minute older.
- The market trades continuously from 09:15 to 15:15, then is its closing auction to 15:35; the 24th is a holiday.
- The signal saw RELIANCE at 1,395.00: it has gone 0.36 % since, of 1 %. The exchange's band is 1,260.00 to 1,540.00.
- 10 INFY at 1,500.00 are held beside: with the BUY the book would be 29,070.00 INR in 2 symbols, of 40,000 in 3.
- The BUY needs 9,863.77 INR with its charges; 98 % of the 12,000 at the broker are 11,760.
- One order is open, in another symbol, of 3; none works in RELIANCE, and none was made.
- The SELL is for the 3 held, at 1,393.00, half a percent below the last price.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from risk.engine.decision import Decision, Verdict, assess
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
    SignalFacts,
    TradingSignalType,
    TradingState,
    Traffic,
)
from risk.engine.limits import Limits
from risk.engine.sessions import InstrumentGroup, MarketSession, Phase

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("Asia/Kolkata"))


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


SIGNAL = SignalFacts(
    cms_score=Decimal("75"),
    signal_at=ago(seconds=12),
    newest_decided_at=ago(minutes=1, seconds=12),
    signal_price=Decimal("1395.00"),
)
QUOTE = Quote(price=Decimal("1400.00"), as_of=ago(seconds=2))
MARKET = MarketSession(
    phase=Phase.CONTINUOUS,
    group=InstrumentGroup.EQ_FNO_UNDERLYING,
    opens_at=NOW.replace(hour=9, minute=15),
    closes_at=NOW.replace(hour=15, minute=15),
    auction_ends_at=NOW.replace(hour=15, minute=35),
    next_open_at=NOW.replace(day=25, hour=9, minute=15),
)
BAND = PriceBand(lower=Decimal("1260.00"), upper=Decimal("1540.00"), as_of=ago(seconds=2))
FUNDS = Funds(available=Decimal(12_000), as_of=ago(seconds=2))
INFY = Elsewhere(symbol="INFY", own=10, working_buys=0, working_sells=0, price=Decimal("1500.00"))
HOLDING = Holding(own=3, broker=3, broker_as_of=ago(seconds=2))
PORTFOLIO = Portfolio(
    state=TradingState.ACTIVE,
    auto_trading=True,
    is_live=False,
    armed=False,
    session_valid=True,
    reconciled_at=ago(seconds=30),
    trades_today=4,
    orders_in_doubt=0,
    day_loss=Decimal(400),
    holding=HOLDING,
    quote=QUOTE,
    traffic=Traffic(placed=tuple(ago(seconds=seconds) for seconds in range(30, 1, -1)), today=4499),
    market=MARKET,
    band=BAND,
    funds=FUNDS,
    others=(INFY,),
    open_orders=1,
)
LIMITS = Limits(
    version=1,
    cms_buy_threshold=Decimal(60),
    cms_sell_threshold=Decimal(-60),
    position_size=Decimal(1000),
    round_up_to_one_lot=True,
    order_value_max=Decimal(10_000),
    order_quantity_max=1000,
    position_value_max=Decimal(20_000),
    daily_trades_max=5,
    daily_loss_max=Decimal(1000),
    charges_percent=Decimal("0.15"),
    exits_after_loss=False,
    exposure_breach_reduces=True,
    include_external=False,
    slippage_percent=Decimal("0.5"),
    collar_percent=Decimal(3),
    closing_collar_percent=Decimal(10),
    signal_age_max_seconds=300,
    closing_signal_age_max_seconds=3600,
    quote_age_max_seconds=10,
    orders_per_second_max=5,
    orders_per_minute_max=30,
    signal_drift_percent=Decimal(1),
    duplicate_window_seconds=60,
    open_orders_max=3,
    symbol_open_orders_max=2,
    opposite_orders_allowed=False,
    adding_allowed=True,
    gross_exposure_max=Decimal(40_000),
    positions_max=3,
    funds_use_percent=Decimal(98),
    reject_streak_max=3,
    rejections_max=5,
    allowed_instruments="NSE:EQ, BSE:EQ",
)
BUY = ProposedOrder(
    action=TradingSignalType.BUY,
    exchange="NSE",
    symbol="RELIANCE",
    product="CNC",
    quantity=7,
    order_type=OrderType.LIMIT,
    limit_price=Decimal("1407.00"),
    origin=Origin.AUTO,
    lot_size=1,
    tick_size=Decimal("0.10"),
    segment="NSE",
    instrument_type="EQ",
    signal=SIGNAL,
)
SELL = replace(
    BUY,
    action=TradingSignalType.SELL,
    quantity=3,
    limit_price=Decimal("1393.00"),
    origin=Origin.MANUAL,
    signal=None,
)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An order, the book it would join and the limits in force."""

    proposed: ProposedOrder
    portfolio: Portfolio = PORTFOLIO
    limits: Limits = LIMITS

    def decision(self) -> Decision:
        return assess(self.proposed, self.portfolio, self.limits, NOW)

    def verdict(self, code: str) -> Verdict:
        return next(verdict for verdict in self.decision().verdicts if verdict.control == code)

    def refusals(self) -> list[str]:
        return [breach.control for breach in self.decision().breaches]


def buy(**changes: Any) -> Scene:
    return _scene(BUY, changes)


def sell(**changes: Any) -> Scene:
    return _scene(SELL, changes)


def signal_sell(**changes: Any) -> Scene:
    """The same closing SELL, wished for by a signal that scored −75."""
    signal = replace(SIGNAL, cms_score=Decimal("-75"))
    return _scene(replace(SELL, origin=Origin.AUTO, signal=signal), changes)


def _scene(proposed: ProposedOrder, changes: dict[str, Any]) -> Scene:
    """Return the scene with every change put where a fact of that name lives; no two facts share a name."""
    order, left = _apply(proposed, changes)
    if order.signal is not None:
        signal, left = _apply(order.signal, left)
        order = replace(order, signal=signal)
    book, left = _apply(PORTFOLIO, left)
    holding, left = _apply(book.holding, left)
    book = replace(book, holding=holding)
    traffic, left = _apply(book.traffic, left)
    book = replace(book, traffic=traffic)
    if book.quote is not None:
        quote, left = _apply(book.quote, left)
        book = replace(book, quote=quote)
    market, left = _apply(book.market, left)
    book = replace(book, market=market)
    limits, left = _apply(LIMITS, left)
    assert not left, f"no fact is called {', '.join(left)}"
    return Scene(proposed=order, portfolio=book, limits=limits)


def _apply(facts: Any, changes: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    mine = {field.name for field in fields(facts)} & changes.keys()
    left = {name: value for name, value in changes.items() if name not in mine}
    return replace(facts, **{name: changes[name] for name in mine}), left
