"""The order that a signal would become: how many, at which price, given the book and the limits."""

from __future__ import annotations

from decimal import Decimal

from orders.desk import Desk
from orders.models import Instrument, Signal
from risk.engine.facts import (
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
from risk.engine.sizing import Sized, marketable_limit, size_entry, to_tick, worst_price


def propose_for_signal(
    desk: Desk, signal: Signal, instrument: Instrument, portfolio: Portfolio, limits: Limits
) -> ProposedOrder:
    """Return the order as it would be sent; of quantity 0 when there is nothing to send, with the reason."""
    action = TradingSignalType(signal.signal_type)
    sized = _sized(desk, signal, action, instrument, portfolio, limits)
    assert signal.cms_score is not None, "a received signal has a score"
    assert signal.signal_at is not None, "a received signal has a time"
    return ProposedOrder(
        action=action,
        exchange=signal.exchange,
        symbol=signal.symbol,
        product=desk.rules.product,
        quantity=sized.quantity,
        order_type=sized.order_type,
        limit_price=sized.limit_price,
        origin=Origin.AUTO,
        lot_size=instrument.lot_size,
        tick_size=instrument.tick_size,
        size_note=sized.note,
        signal=SignalFacts(
            cms_score=signal.cms_score,
            signal_at=signal.signal_at,
            newest_decided_at=Signal.objects.newest_decided_at(signal),
        ),
    )


def _sized(
    desk: Desk,
    signal: Signal,
    action: TradingSignalType,
    instrument: Instrument,
    portfolio: Portfolio,
    limits: Limits,
) -> Sized:
    if action == TradingSignalType.HOLD:
        return Sized(quantity=0, order_type=OrderType.LIMIT, limit_price=None)
    side = Side(action.value)
    order_type, limit_price = _priced(desk, signal, side, instrument, portfolio.quote, limits)
    if side == Side.SELL:
        closable = portfolio.holding.closable_by_sell
        return Sized(quantity=_as_advised(signal, closable), order_type=order_type, limit_price=limit_price)
    price = worst_price(side, limit_price, portfolio.quote, limits.collar_percent)
    if price is None or price <= 0:
        return Sized(quantity=0, order_type=order_type, limit_price=limit_price, note="no last price to size it by")
    quantity, note = size_entry(
        price=price,
        lot_size=instrument.lot_size,
        holding=portfolio.holding,
        limits=limits,
        quote=portfolio.quote,
    )
    advised = _as_advised(signal, quantity)
    return Sized(
        quantity=advised // instrument.lot_size * instrument.lot_size,
        order_type=order_type,
        limit_price=limit_price,
        note=note if advised == quantity else f"{advised} shares as the signal advises",
    )


def _as_advised(signal: Signal, quantity: int) -> int:
    """Take the signal's advice where it asks for less, never for more."""
    return quantity if signal.quantity is None else min(quantity, signal.quantity)


def _priced(
    desk: Desk, signal: Signal, side: Side, instrument: Instrument, quote: Quote | None, limits: Limits
) -> tuple[OrderType, Decimal | None]:
    """Return the order type and, for a LIMIT, the price in INR."""
    order_type = OrderType(signal.order_type or desk.rules.entry_order_type)
    if signal.price is not None and signal.order_type == OrderType.LIMIT:
        return order_type, to_tick(signal.price, instrument.tick_size, side)
    if order_type == OrderType.MARKET or quote is None or limits.slippage_percent is None:
        # Without a price an entry is refused by name; an exit goes at the market rather than not at all.
        return OrderType.MARKET, None
    limit = marketable_limit(quote, side, percent=limits.slippage_percent, tick_size=instrument.tick_size)
    return OrderType.LIMIT, limit
