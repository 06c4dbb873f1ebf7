"""
Fills into the ledger, once each, and what follows from them: filled quantity, status, position.

Filled quantity is the sum of Fill rows and a position is recomputed from them, so recording one twice, late or in
another order ends in the same book. The caller holds the mode's lock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

import pgtrigger
from django.db.models import Sum

from orders.average_cost import Step, Traded, net_of
from orders.counted_fills import Counted, counted_fills
from orders.lifecycle import OrderStatus
from orders.models import Adjustment, Fill, Order, Position
from risk.engine.facts import Origin, Side

FOUR_PLACES = Decimal("0.0001")
VALUE_MAX = Decimal(10_000_000_000_000)  # INR: what the columns hold, far beyond any account


@dataclass(frozen=True, kw_only=True)
class Line:
    """What has a position of its own: a product of a symbol at an exchange, in a mode."""

    mode: str
    exchange: str
    symbol: str
    product: str

    @classmethod
    def of(cls, row: Order | Position) -> Line:
        return cls(mode=row.mode, exchange=row.exchange, symbol=row.symbol, product=row.product)


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
    # As the column keeps it, so that settling again finds nothing changed.
    average = (sum((each.quantity * each.price for each in counted), Decimal(0)) / filled).quantize(FOUR_PLACES)
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
        recompute_position(Line.of(order), now=now)


def steps_of(line: Line) -> list[Step]:
    """Return what made the line's position, in the order of time: all its executions and adjustments."""
    filled = (
        Order.objects.ours(line.mode)
        .filter(exchange=line.exchange, symbol=line.symbol, product=line.product, filled_quantity__gt=0)
        .prefetch_related("fills")
    )
    traded = [
        (order.pk, each.name, _traded(order, each)) for order in filled for each in counted_fills(order.fills.all())
    ]
    timed: list[tuple[tuple[datetime, int, int, str], Step]] = [
        ((step.at, 0, pk, name), step) for pk, name, step in traded
    ]
    timed += [((each.at, 1, each.pk, ""), each.step) for each in Adjustment.objects.filter(**asdict(line))]
    return [step for _, step in sorted(timed, key=lambda pair: pair[0])]


def _traded(order: Order, each: Counted) -> Traded:
    """Nothing is filled before its order was made, though by Kite's whole seconds, or another clock, it may look so."""
    at = max(each.at, order.created_at)
    return Traded(at=at, side=Side(order.side), quantity=each.quantity, price=each.price)


def recompute_position(line: Line, *, now: datetime) -> Position:
    """Recompute the position from everything that made it."""
    net = net_of(steps_of(line))
    position, _ = Position.objects.update_or_create(
        **asdict(line),
        defaults={
            "quantity": net.quantity,
            "average_price": net.average_price.quantize(FOUR_PLACES),
            "cost": net.cost.quantize(FOUR_PLACES),
            "realised_pnl": net.realised_pnl.quantize(FOUR_PLACES),
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
    if stranger is not None:
        settle(order, now=now, actor="broker")  # the book lists these fills already: nobody would ask again


def own_quantity(mode: str, exchange: str, symbol: str) -> int:
    """Return the net shares that our own fills opened."""
    held = Position.objects.filter(mode=mode, exchange=exchange, symbol=symbol)
    return held.aggregate(own=Sum("quantity"))["own"] or 0
