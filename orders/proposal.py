"""The order that a signal would become: how many, at which price, given the book and the limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Max, QuerySet, Value

from orders.desk import Desk
from orders.models import Instrument, Signal
from risk.engine.exposure_rules import money_left, value_elsewhere
from risk.engine.facts import (
    Advice,
    OrderType,
    Origin,
    Portfolio,
    ProposedOrder,
    Quote,
    Side,
    SignalFacts,
    TradingSignalType,
)
from risk.engine.limits import Limits
from risk.engine.sizing import Sized, into_band, marketable_limit, size_entry, to_tick, worst_price
from risk.questions import Later, Question


def ask_newest_decided(signal: Signal) -> Later[datetime | None]:
    """Ask for the signal time of the newest decided one of the same symbol and strategy."""
    alike = {name: getattr(signal, name) for name in ("mode", "exchange", "symbol", "strategy")}
    asked = _NEWEST_DECIDED.ask(**alike, pk=signal.pk)
    return lambda: asked()[0][0]


def _newest_decided(mode: str, exchange: str, symbol: str, strategy: str, pk: int) -> QuerySet[Signal, Any]:
    alike = Signal.objects.decided(mode).filter(exchange=exchange, symbol=symbol, strategy=strategy).exclude(pk=pk)
    return alike.order_by().values(in_all=Value(1)).annotate(newest=Max("signal_at")).values_list("newest")


_NEWEST_DECIDED = Question[tuple[datetime | None]](
    _newest_decided, mode=str, exchange=str, symbol=str, strategy=str, pk=int
)


def propose_for_signal(
    desk: Desk,
    signal: Signal,
    instrument: Instrument,
    portfolio: Portfolio,
    limits: Limits,
    *,
    newest_decided_at: datetime | None,
) -> ProposedOrder:
    """Return the order as it would be sent; of quantity 0 when there is nothing to send, with the reason."""
    assert signal.cms_score is not None, "a received signal has a score"
    assert signal.signal_at is not None, "a received signal has a time"
    order_type = OrderType(signal.order_type or desk.rules.entry_order_type)
    names_its_price = signal.order_type == OrderType.LIMIT
    proposed = ProposedOrder(
        action=TradingSignalType(signal.signal_type),
        exchange=signal.exchange,
        symbol=signal.symbol,
        product=desk.rules.product,
        quantity=0,
        order_type=order_type,
        limit_price=None,
        origin=Origin.AUTO,
        lot_size=instrument.lot_size,
        tick_size=instrument.tick_size,
        segment=instrument.segment,
        instrument_type=instrument.instrument_type,
        signal=SignalFacts(
            cms_score=signal.cms_score,
            signal_at=signal.signal_at,
            # The price of a LIMIT is what the strategy would pay, and not where it saw the market.
            signal_price=None if signal.order_type == OrderType.LIMIT else signal.price,
            newest_decided_at=newest_decided_at,
        ),
        advice=Advice(
            order_type=order_type,
            quantity=signal.quantity,
            limit_price=signal.price if names_its_price else None,
        ),
    )
    return sized(proposed, portfolio, limits)


def sized(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits) -> ProposedOrder:
    """Return an automatic order with the quantity and price that its advice, the book and the limits give it."""
    found = _sized(proposed, portfolio, limits)
    return replace(
        proposed,
        quantity=found.quantity,
        order_type=found.order_type,
        limit_price=found.limit_price,
        size_note=found.note,
    )


def _sized(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits) -> Sized:
    assert proposed.advice is not None, "only an order by hand comes without"
    assert proposed.lot_size is not None, "its instrument is known"
    if proposed.action == TradingSignalType.HOLD:
        return Sized(quantity=0, order_type=OrderType.LIMIT, limit_price=None)
    side = Side(proposed.action.value)
    order_type, limit_price = _priced(proposed, proposed.advice, side, portfolio.quote, limits)
    if side == Side.SELL:
        closable = portfolio.holding.closable_by_sell
        if limit_price is not None:
            assert proposed.tick_size is not None, "its instrument is known"
            limit_price = into_band(limit_price, portfolio.band, portfolio.quote, side, proposed.tick_size)
        return Sized(quantity=_as_advised(proposed.advice, closable), order_type=order_type, limit_price=limit_price)
    price = worst_price(side, limit_price, portfolio.quote, limits.collar_percent)
    if price is None or price <= 0:
        return Sized(quantity=0, order_type=order_type, limit_price=limit_price, note="no last price to size it by")
    quantity, note = size_entry(
        price=price,
        lot_size=proposed.lot_size,
        holding=portfolio.holding,
        limits=limits,
        quote=portfolio.quote,
        elsewhere=value_elsewhere(portfolio, limits),
        spendable=money_left(portfolio, limits),
    )
    advised = _as_advised(proposed.advice, quantity)
    return Sized(
        quantity=advised // proposed.lot_size * proposed.lot_size,
        order_type=order_type,
        limit_price=limit_price,
        note=note if advised == quantity else f"{advised} shares as the signal advises",
    )


def _as_advised(advice: Advice, quantity: int) -> int:
    """Take the signal's advice where it asks for less, never for more."""
    return quantity if advice.quantity is None else min(quantity, advice.quantity)


def _priced(
    proposed: ProposedOrder, advice: Advice, side: Side, quote: Quote | None, limits: Limits
) -> tuple[OrderType, Decimal | None]:
    """Return the order type and, for a LIMIT, the price in INR."""
    assert proposed.tick_size is not None, "its instrument is known"
    if advice.limit_price is not None:
        return advice.order_type, to_tick(advice.limit_price, proposed.tick_size, side)
    if advice.order_type == OrderType.MARKET or quote is None or limits.slippage_percent is None:
        # Without a price an entry is refused by name; an exit goes at the market rather than not at all.
        return OrderType.MARKET, None
    limit = marketable_limit(quote, side, percent=limits.slippage_percent, tick_size=proposed.tick_size)
    return OrderType.LIMIT, limit
