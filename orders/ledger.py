"""
Fills into the ledger, once each, and what follows from them: filled quantity, status, position.

Filled quantity is the sum of Fill rows and a position is recomputed from them, so recording one twice, late or in
another order ends in the same book. The caller holds the mode's lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

import pgtrigger

from orders.average_cost import Net, Step
from orders.counted_fills import counted_fills
from orders.desk import trading_date
from orders.lifecycle import OrderStatus
from orders.many_rows import IsAnyOf, as_text, put_rows, write_columns
from orders.models import Adjustment, Fill, MissedExit, Order, Position, PositionDay
from orders.models.order import OrderQuerySet
from orders.reckoning import Filled, go_on, in_order, midnight, opening_holds, reckon
from risk.engine.facts import Origin, Side
from risk.questions import Later, Question, together

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
        bring_in_line({Line.of(order): [Moved(order=order, fills=fills, filled_before=filled_before)]}, now=now)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """An order whose fills changed: all of them now, and what was counted of them before."""

    order: Order
    fills: list[Fill]
    filled_before: int


def bring_in_line(moved: Mapping[Line, Sequence[Moved]], *, now: datetime) -> None:
    """
    Reckon the lines' positions from what changed in the fills of their orders: some executions further, this day's, or
    all of them.
    """
    kept = _days_of(moved)
    for line, of_it in moved.items():
        kept[line] = kept[line]._replace(day=_reckoned(line, kept[line].day, of_it, today=trading_date(now)))
    _keep(kept, now=now)


def _reckoned(line: Line, day: PositionDay, moved: Sequence[Moved], *, today: date) -> PositionDay:
    if day.trading_date == today:
        if _go_on_with_each(day, moved):
            return day
        day = _days_of([line])[line].day  # as it is kept: some of them may have gone on
    if all(opening_holds(day, e.order, e.fills, filled_before=e.filled_before, on=today) for e in moved):
        first = min([each.order.pk for each in moved] + ([day.first_order] if day.first_order else []))
        reckon(day, _filled(line, since=first), _adjusted(line, since=day.trading_date), on=today)
    else:
        day = PositionDay(position=day.position)
        reckon(day, _filled(line), _adjusted(line), on=today)
    return day


def _go_on_with_each(day: PositionDay, moved: Sequence[Moved]) -> bool:
    """Let one after another follow what the day has, in the order they were written down."""
    in_turn = sorted(moved, key=lambda each: max((fill.pk for fill in each.fills), default=0))
    return all(go_on(day, each.order, each.fills, filled_before=each.filled_before) for each in in_turn)


def recompute_position(line: Line, *, now: datetime) -> Position:
    """Recompute the position from everything that made it."""
    known = _days_of([line])[line]
    day = PositionDay(position=known.day.position)
    reckon(day, _filled(line), _adjusted(line), on=trading_date(now))
    _keep({line: known._replace(day=day)}, now=now)
    return day.position


def steps_of(line: Line) -> list[Step]:
    """Return what made the line's position, in the order of time: all its executions and adjustments."""
    return [step for _, step in in_order(_filled(line), _adjusted(line))]


def steps_since(line: Line, day: date) -> tuple[Net, list[Step]]:
    """
    Return what the line's position opened a Mumbai date with, this one or one before, and its steps since that began.

    No more is read than since its newest day. Where that comes after the date it is all, upon nothing.
    """
    known = _days_of([line])[line].day
    if known.trading_date is None or known.trading_date > day:
        return Net(), steps_of(line)
    filled = _filled(line, since=known.first_order) if known.first_order else []
    steps = in_order(filled, _adjusted(line, since=known.trading_date))
    return known.opening, [step for _, step in steps if step.at >= midnight(known.trading_date)]


def _filled(line: Line, *, since: int = 0) -> list[Filled]:
    """Return the line's orders that were filled, from the one of this id on, each with its fills."""
    with together():
        asked, asked_fills = _FILLED.ask(**asdict(line), since=since), _FILLS.ask(**asdict(line), since=since)
    fills: defaultdict[int, list[Fill]] = defaultdict(list)
    for fill in asked_fills():
        fills[fill.order_id].append(fill)
    return [(order, fills[order.pk]) for order in asked()]


def _adjusted(line: Line, *, since: date | None = None) -> list[Adjustment]:
    return _ADJUSTED.rows(**asdict(line), since=midnight(since) if since else datetime.min.replace(tzinfo=UTC))


def _filled_orders(mode: str, exchange: str, symbol: str, product: str, since: int) -> OrderQuerySet:
    same = {"exchange": exchange, "symbol": symbol, "product": product}
    return Order.objects.ours(mode).filter(**same, filled_quantity__gt=0, pk__gte=since).order_by()


_OF_A_LINE = {"mode": str, "exchange": str, "symbol": str, "product": str}
_FILLED = Question[Order](_filled_orders, **_OF_A_LINE, since=int)
_FILLS = Question[Fill](
    lambda **line: Fill.objects.filter(order__in=_filled_orders(**line)).order_by(), **_OF_A_LINE, since=int
)
_ADJUSTED = Question[Adjustment](
    lambda since, **line: Adjustment.objects.filter(**line, at__gte=since).order_by(), **_OF_A_LINE, since=datetime
)


class _Kept(NamedTuple):
    """The newest day of a line's position, and whether missed exits wait in its symbol."""

    day: PositionDay
    waits: bool


def _days_of(lines: Collection[Line]) -> dict[Line, _Kept]:
    """Return what is kept of each line; a day without a date where none is in force: then all is to be reckoned."""
    (mode,) = {line.mode for line in lines}
    symbols = as_text({line.symbol for line in lines})
    with together():
        positions, days = _POSITIONS.ask(mode=mode, symbols=symbols), _DAYS.ask(mode=mode, symbols=symbols)
        waiting = ask_waiting(mode)
    day_of, waits_in = {day.pk: day for day in days()}, waiting()
    found = {Line.of(each): _in_force(each, day_of.get(each.pk)) for each in positions()}
    return {
        line: _Kept(
            found.get(line) or PositionDay(position=Position(**asdict(line))),
            (line.exchange, line.symbol) in waits_in,
        )
        for line in lines
    }


def ask_waiting(mode: str) -> Later[set[tuple[str, str]]]:
    """Ask for the exchanges and symbols with a signal to close that waits for a person."""
    asked = _WAITING.ask(mode=mode)
    return lambda: set(asked())


_WAITING = Question[tuple[str, str]](
    lambda mode: MissedExit.objects.waiting(mode).order_by().values_list("exchange", "symbol"), mode=str
)
_POSITIONS = Question[Position](
    lambda mode, symbols: Position.objects.filter(IsAnyOf("symbol", symbols, of="text"), mode=mode).order_by(),
    mode=str,
    symbols=str,
)
_DAYS = Question[PositionDay](
    lambda mode, symbols: PositionDay.objects.filter(
        IsAnyOf("position__symbol", symbols, of="text"), position__mode=mode
    ),
    mode=str,
    symbols=str,
)


def _in_force(position: Position, day: PositionDay | None) -> PositionDay:
    if day and day.reckoned_at == position.updated_at:
        day.position = position
        return day
    return PositionDay(position=position)


def _keep(kept: Mapping[Line, _Kept], *, now: datetime) -> None:
    """Write the positions and their days, and end the missed exits that wait in what is flat."""
    waiting = [line for line, of_it in kept.items() if of_it.waits]
    for line in waiting:
        _end_what_waits_when_flat(line, now)  # written down too late, it would ask for the sale of what is bought anew
    days = [day for day, _ in kept.values()]
    in_force, others = [day for day in days if day.reckoned_at], [day for day in days if not day.reckoned_at]
    for day in days:
        _bring_up_to(day, now)
    write_columns([day.position for day in days if day.position.pk], _OF_A_POSITION)
    write_columns(in_force, _OF_A_DAY)
    Position.objects.bulk_create([day.position for day in others if not day.position.pk])
    for day in others:
        day.position_id = day.position.pk  # which a new one was given just now
    put_rows(others)  # there may be a row, of another moment
    for line in waiting:
        if kept[line].day.quantity <= 0:
            _end_what_waits_when_flat(line, now)


def _bring_up_to(day: PositionDay, now: datetime) -> None:
    """Set on the position what its day comes to."""
    position, net = day.position, day.net
    position.quantity = net.quantity
    position.average_price = net.average_price.quantize(FOUR_PLACES)
    position.cost = net.cost.quantize(FOUR_PLACES)
    position.realised_pnl = net.realised_pnl.quantize(FOUR_PLACES)
    position.updated_at = day.reckoned_at = now


_OF_A_POSITION = ("quantity", "average_price", "cost", "realised_pnl", "updated_at")
_OF_A_DAY = tuple(each.name for each in PositionDay._meta.concrete_fields if not each.primary_key)  # noqa: SLF001 - Django documents it


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
