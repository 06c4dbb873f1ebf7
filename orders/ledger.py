"""
Fills into the ledger, once each, and what follows from them: filled quantity, status, position.

Filled quantity is the sum of Fill rows and a position is recomputed from them, so recording one twice, late or in
another order ends in the same book. The caller holds the mode's lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from orders.lifecycle import OrderStatus
from orders.models import Fill, Order, Position
from risk.engine.facts import Origin, Side


@dataclass(frozen=True, kw_only=True)
class Net:
    """A position by average cost: signed shares, INR a share, INR realised."""

    quantity: int
    average_price: Decimal
    realised_pnl: Decimal


def settle(order: Order, *, now: datetime, actor: str) -> None:
    """Bring the order's filled quantity and status, and its position, in line with its fills."""
    counted = counted_fills(order)
    filled = sum(quantity for quantity, _ in counted)
    if filled == 0:
        return
    average = sum((quantity * price for quantity, price in counted), Decimal(0)) / filled
    Order.objects.filter(pk=order.pk).update(filled_quantity=filled, average_price=average)
    order.refresh_from_db()
    note = f"{filled} of {order.quantity} filled"
    if filled >= order.quantity:
        order.advance(OrderStatus.FILLED, at=now, note=note, actor=actor)
    elif order.status != OrderStatus.PARTIALLY_FILLED:
        order.advance(OrderStatus.PARTIALLY_FILLED, at=now, note=note, actor=actor)
    if order.origin != Origin.EXTERNAL:
        recompute_position(order, now=now)


def counted_fills(order: Order) -> list[tuple[int, Decimal]]:
    """Return (shares, INR a share) of what counts: the broker's fills, and of the hand fills what those lack."""
    broker = [(fill.quantity, fill.price) for fill in order.fills.filter(source=Fill.Source.BROKER)]
    hand = [(fill.quantity, fill.price) for fill in order.fills.filter(source=Fill.Source.HAND)]
    lacking = sum(quantity for quantity, _ in hand) - sum(quantity for quantity, _ in broker)
    if lacking > 0:
        total = sum(quantity for quantity, _ in hand)
        average = sum((quantity * price for quantity, price in hand), Decimal(0)) / total
        broker.append((lacking, average))
    return broker


def recompute_position(order: Order, *, now: datetime) -> Position:
    """Recompute the position of the order's symbol and product from all its fills."""
    filled = Order.objects.ours(order.mode).filter(
        exchange=order.exchange, symbol=order.symbol, product=order.product, filled_quantity__gt=0
    )
    net = net_of(
        (Side(each.side), quantity, price)
        for each in filled.order_by("submitted_at", "id").prefetch_related("fills")
        for quantity, price in counted_fills(each)
    )
    position, _ = Position.objects.update_or_create(
        mode=order.mode,
        exchange=order.exchange,
        symbol=order.symbol,
        product=order.product,
        defaults={
            "quantity": net.quantity,
            "average_price": net.average_price,
            "realised_pnl": net.realised_pnl,
            "updated_at": now,
        },
    )
    return position


def net_of(trades: Iterable[tuple[Side, int, Decimal]]) -> Net:
    """Return the position after trades of (side, shares, INR a share), in order, by average cost."""
    quantity, average, realised = 0, Decimal(0), Decimal(0)
    for side, shares, price in trades:
        signed = shares if side == Side.BUY else -shares
        if quantity * signed >= 0:  # opens or adds
            average = (average * abs(quantity) + price * shares) / (abs(quantity) + shares)
            quantity += signed
            continue
        closing = min(shares, abs(quantity))
        realised += (price - average) * closing * (1 if quantity > 0 else -1)
        quantity += signed
        if quantity == 0:
            average = Decimal(0)
        elif shares > closing:  # turned over: the rest opened at this price
            average = price
    return Net(quantity=quantity, average_price=average, realised_pnl=realised)


def own_quantity(mode: str, exchange: str, symbol: str) -> int:
    """Return the net shares that our own fills opened."""
    held = Position.objects.filter(mode=mode, exchange=exchange, symbol=symbol)
    return held.aggregate(own=Sum("quantity"))["own"] or 0
