"""
Fills into the ledger, once each, and what follows from them: filled quantity, status, position.

Filled quantity is the sum of Fill rows and a position is recomputed from them, so recording one twice, late or in
another order ends in the same book. The caller holds the mode's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal

import pgtrigger
from django.db.models import Exists, QuerySet

from orders.average_cost import Net, Step
from orders.counted_fills import counted_fills
from orders.desk import trading_date
from orders.lifecycle import OrderStatus
from orders.models import Adjustment, Fill, MissedExit, Order, Position, PositionDay
from orders.reckoning import Filled, go_on, in_order, midnight, opening_holds, reckon
from risk.engine.facts import Origin, Side
from risk.questions import Later, Question

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
    order. What was in doubt stays so, and what is over is not brought to life. The order is as the database has it.
    """
    fills = list(order.fills.all())
    counted = counted_fills(fills)
    filled = sum(each.quantity for each in counted)
    if filled == 0:
        return
    # As the column keeps it, so that settling again finds nothing changed.
    average = (sum((each.quantity * each.price for each in counted), Decimal(0)) / filled).quantize(FOUR_PLACES)
    filled_before = order.filled_quantity
    changed = (filled, average) != (filled_before, order.average_price)
    written = {"filled_quantity": filled, "average_price": average}
    note = f"{filled} of {order.quantity} filled"
    by_broker = any(fill.source == Fill.Source.BROKER for fill in fills)
    # What a modification may have made of the quantity is asked only when the order's own is reached.
    if filled >= order.quantity and filled >= order.fillable_quantity:
        moved = order.advance(OrderStatus.FILLED, at=now, note=note, actor=actor, **written)
    else:
        moved = by_broker and order.advance(OrderStatus.PARTIALLY_FILLED, at=now, note=note, actor=actor, **written)
    if changed and not moved:
        Order.objects.filter(pk=order.pk).update(**written)
        order.filled_quantity, order.average_price = filled, average
        order.note(note, at=now, actor=actor)
    if order.origin != Origin.EXTERNAL:
        bring_in_line(Line.of(order), [Moved(order=order, fills=fills, filled_before=filled_before)], now=now)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """An order whose fills changed: all of them now, and what was counted of them before."""

    order: Order
    fills: list[Fill]
    filled_before: int


def bring_in_line(line: Line, moved: Sequence[Moved], *, now: datetime) -> None:
    """
    Reckon the line's position from what changed in the fills of its orders: some executions further, this day's, or all
    of them.
    """
    today = trading_date(now)
    day, waits = _day_of(line)
    if not (day.trading_date == today and _go_on_with_each(day, moved)):
        day, waits = _day_of(line)  # as it is kept: some of them may have gone on
        if all(opening_holds(day, e.order, e.fills, filled_before=e.filled_before, on=today) for e in moved):
            first = min([each.order.pk for each in moved] + ([day.first_order] if day.first_order else []))
            reckon(day, _filled(line, since=first), _adjusted(line, since=day.trading_date), on=today)
        else:
            day = PositionDay(position=day.position)
            reckon(day, _filled(line), _adjusted(line), on=today)
    _keep(day, line, waits=waits, now=now)


def _go_on_with_each(day: PositionDay, moved: Sequence[Moved]) -> bool:
    """Let one after another follow what the day has, in the order they were written down."""
    in_turn = sorted(moved, key=lambda each: max((fill.pk for fill in each.fills), default=0))
    return all(go_on(day, each.order, each.fills, filled_before=each.filled_before) for each in in_turn)


def recompute_position(line: Line, *, now: datetime) -> Position:
    """Recompute the position from everything that made it."""
    known, waits = _day_of(line)
    day = PositionDay(position=known.position)
    reckon(day, _filled(line), _adjusted(line), on=trading_date(now))
    return _keep(day, line, waits=waits, now=now)


def steps_of(line: Line) -> list[Step]:
    """Return what made the line's position, in the order of time: all its executions and adjustments."""
    return [step for _, step in in_order(_filled(line), _adjusted(line))]


def steps_since(line: Line, day: date) -> tuple[Net, list[Step]]:
    """
    Return what the line's position opened a Mumbai date with, this one or one before, and its steps since that began.

    No more is read than since its newest day. Where that comes after the date it is all, upon nothing.
    """
    known, _ = _day_of(line)
    if known.trading_date is None or known.trading_date > day:
        return Net(), steps_of(line)
    filled = _filled(line, since=known.first_order) if known.first_order else []
    steps = in_order(filled, _adjusted(line, since=known.trading_date))
    return known.opening, [step for _, step in steps if step.at >= midnight(known.trading_date)]


def _filled(line: Line, *, since: int = 0) -> list[Filled]:
    """Return the line's orders that were filled, from the one of this id on, each with its fills."""
    same = {"exchange": line.exchange, "symbol": line.symbol, "product": line.product}
    filled = Order.objects.ours(line.mode).filter(**same, filled_quantity__gt=0, pk__gte=since)
    return [(order, list(order.fills.all())) for order in filled.prefetch_related("fills")]


def _adjusted(line: Line, *, since: date | None = None) -> QuerySet[Adjustment]:
    adjusted = Adjustment.objects.filter(**asdict(line))
    return adjusted if since is None else adjusted.filter(at__gte=midnight(since))


def _day_of(line: Line) -> tuple[PositionDay, bool]:
    """
    Return the newest day of the line's position, and whether missed exits wait in its symbol.

    It is one without a date when none is in force: then all is to be reckoned.
    """
    waiting = MissedExit.objects.waiting(line.mode).filter(exchange=line.exchange, symbol=line.symbol)
    held = Position.objects.filter(**asdict(line)).select_related("day").annotate(waits=Exists(waiting)).first()
    if held is None:
        return PositionDay(position=Position(**asdict(line))), waiting.exists()
    day: PositionDay | None = getattr(held, "day", None)
    in_force = day is not None and day.reckoned_at == held.updated_at
    return day if day and in_force else PositionDay(position=held), held.waits


def _keep(day: PositionDay, line: Line, *, waits: bool, now: datetime) -> Position:
    """Write the position and its day, and end the missed exits that wait in what is flat."""
    if waits:
        _end_what_waits_when_flat(line, now)  # written down too late, it would ask for the sale of what is bought anew
    position, net = day.position, day.net
    numbers = {
        "quantity": net.quantity,
        "average_price": net.average_price.quantize(FOUR_PLACES),
        "cost": net.cost.quantize(FOUR_PLACES),
        "realised_pnl": net.realised_pnl.quantize(FOUR_PLACES),
        "updated_at": now,
    }
    for name, value in numbers.items():
        setattr(position, name, value)
    position.save(update_fields=numbers if position.pk else None)
    day.position, day.reckoned_at = position, now  # with the id that a new one was given
    day.save()
    if waits and position.quantity <= 0:
        _end_what_waits_when_flat(line, now)
    return position


def _end_what_waits_when_flat(line: Line, now: datetime) -> None:
    waiting = MissedExit.objects.waiting(line.mode)
    waiting.end_when_flat(line.mode, line.exchange, line.symbol, note=_what_made_it_flat(line), at=now)


def _what_made_it_flat(line: Line) -> str:
    closed = Order.objects.ours(line.mode).filter(exchange=line.exchange, symbol=line.symbol, side=Side.SELL.value)
    last = closed.filter(filled_quantity__gt=0).order_by("-id").first()
    who = f", asked for by {last.created_by}" if last and last.created_by else ""
    return f"the last sale is {last} ({last.client_order_id}){who}" if last else "no sale: it was adjusted"


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


def ask_strangers(order: Order, broker_order_id: str) -> Later[list[tuple[int]]]:
    """Ask for rows of the order that was taken for somebody else's: `take_broker_id` sees to them."""
    return _STRANGERS.ask(mode=order.mode, broker_order_id=broker_order_id, trading_date=order.trading_date)


_STRANGERS = Question[tuple[int]](
    lambda mode, broker_order_id, trading_date: (
        Order.objects.filter(
            mode=mode, broker_order_id=broker_order_id, trading_date=trading_date, origin=Origin.EXTERNAL.value
        )
        .order_by()
        .values_list("pk")
    ),
    mode=str,
    broker_order_id=str,
    trading_date=date,
)


def own_quantity(mode: str, exchange: str, symbol: str) -> int:
    """Return the net shares that our own fills opened."""
    return ask_own_quantity(mode, exchange, symbol)()


def ask_own_quantity(mode: str, exchange: str, symbol: str) -> Later[int]:
    """Ask for the net shares that our own fills opened."""
    asked = _OWN.ask(mode=mode, exchange=exchange, symbol=symbol)
    return lambda: sum(shares for (shares,) in asked())


_OWN = Question[tuple[int]](
    lambda mode, exchange, symbol: (
        Position.objects.filter(mode=mode, exchange=exchange, symbol=symbol).order_by().values_list("quantity")
    ),
    mode=str,
    exchange=str,
    symbol=str,
)
