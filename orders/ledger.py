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

import pgtrigger
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


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One execution as it counts: when, how many shares, INR a share."""

    at: datetime
    quantity: int
    price: Decimal


def settle(order: Order, *, now: datetime, actor: str) -> None:
    """
    Bring the order's filled quantity and status, and its position, in line with its fills.

    A part that a person marked does not say what became of the rest: it moves the status only when it completes the
    order. What was in doubt stays so, and what is over is not brought to life.
    """
    fills = list(order.fills.all())
    counted = counted_fills(fills)
    filled = sum(each.quantity for each in counted)
    if filled == 0:
        return
    average = sum((each.quantity * each.price for each in counted), Decimal(0)) / filled
    changed = (filled, average) != (order.filled_quantity, order.average_price)
    Order.objects.filter(pk=order.pk).update(filled_quantity=filled, average_price=average)
    order.refresh_from_db()
    note = f"{filled} of {order.quantity} filled"
    by_broker = any(fill.source == Fill.Source.BROKER for fill in fills)
    if filled >= order.quantity:
        moved = order.advance(OrderStatus.FILLED, at=now, note=note, actor=actor)
    else:
        moved = by_broker and order.advance(OrderStatus.PARTIALLY_FILLED, at=now, note=note, actor=actor)
    if changed and not moved:
        order.note(note, at=now, actor=actor)
    if order.origin != Origin.EXTERNAL:
        recompute_position(order, now=now)


def counted_fills(fills: Iterable[Fill]) -> list[Counted]:
    """Return what counts of one order's fills: the broker's, and of the hand fills what those lack."""
    by_broker = [fill for fill in fills if fill.source == Fill.Source.BROKER]
    by_hand = [fill for fill in fills if fill.source == Fill.Source.HAND]
    counted = [Counted(at=fill.filled_at, quantity=fill.quantity, price=fill.price) for fill in by_broker]
    total = sum(fill.quantity for fill in by_hand)
    lacking = total - sum(fill.quantity for fill in by_broker)
    if lacking > 0:
        average = sum((fill.quantity * fill.price for fill in by_hand), Decimal(0)) / total
        counted.append(Counted(at=max(fill.filled_at for fill in by_hand), quantity=lacking, price=average))
    return counted


def recompute_position(order: Order, *, now: datetime) -> Position:
    """Recompute the position of the order's symbol and product from all its fills, in the order of time."""
    filled = (
        Order.objects.ours(order.mode)
        .filter(exchange=order.exchange, symbol=order.symbol, product=order.product, filled_quantity__gt=0)
        .prefetch_related("fills")
    )
    executions = [
        (each.at, each_order.pk, each_order.side, each)
        for each_order in filled
        for each in counted_fills(each_order.fills.all())
    ]
    executions.sort(key=lambda execution: execution[:2])
    net = net_of((Side(side), each.quantity, each.price) for _, _, side, each in executions)
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


def take_broker_id(order: Order, broker_order_id: str, *, now: datetime) -> None:
    """
    Write the broker's id for our order down.

    If the book showed it without our tag first, it was taken for somebody else's: that row gives its fills and the id
    up, and stays, empty, to say so.
    """
    stranger = (
        Order.objects.filter(mode=order.mode, broker_order_id=broker_order_id, trading_date=order.trading_date)
        .filter(origin=Origin.EXTERNAL.value)
        .first()
    )
    if stranger is not None:
        with pgtrigger.ignore("orders.Fill:append_only"):  # the execution stays what it is; it is whose that changes
            stranger.fills.update(order=order)
        Order.objects.filter(pk=stranger.pk).update(broker_order_id="", broker_status="CANCELLED", filled_quantity=0)
        note = f"it is not somebody else's: {broker_order_id} is our {order.client_order_id}"
        stranger.advance(OrderStatus.CANCELLED, at=now, note=note)
    Order.objects.filter(pk=order.pk).update(broker_order_id=broker_order_id)
    order.refresh_from_db()


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
