"""
Many orders that moved as orders do, taken over together: row for row what taking each over by itself would write.

An order is plain when the broker's row tells of its id, its progress and its trades and of nothing that anybody would
have to be told. `orders.reconciliation` takes each of the others over by itself. Here, too, the table of the lifecycle
says what may follow what, and every move leaves its event; it is only one statement for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import structlog
from django.db.models import Q, QuerySet

from orders.broker.gateway import TradeReport
from orders.comparison import Match, status_of, works
from orders.counted_fills import counted_fills
from orders.desk import trading_date
from orders.ledger import FOUR_PLACES, Line, Moved, ask_waiting, bring_in_line
from orders.lifecycle import ENDED_AT_THE_BROKER, MODIFICATION_UNFINISHED, OrderStatus, may_follow
from orders.many_rows import IsAnyOf, as_text, insert_each, insert_new, write_columns
from orders.models import BrokerMessage, Fill, Order, OrderEvent, OrderModification
from orders.models.quarters import FUTURE_MAX
from risk.engine.facts import Origin
from risk.questions import Question, together

log = structlog.get_logger(__name__)

RUN_MAX = 50  # orders under one lock: who wants to send one waits meanwhile
_PLAIN = frozenset({OrderStatus.SUBMITTING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED})
_WRITTEN = (
    "broker_order_id",
    "broker_status",
    "book_as_of",
    "missed_at",
    "filled_quantity",
    "average_price",
    "status",
    "status_reason",
    "ended_at",
    "answered_at",
)


class FillKey(NamedTuple):
    """What makes a fill one of a mode's fills, once."""

    exchange: str
    broker_order_id: str
    trade_id: str
    trading_date: date


class MovedMeanwhile(Exception):
    """An order is not where it was read under the lock: its writer did not hold it, and of two moves one may be."""


def runs_of(matches: Iterable[Match]) -> Iterator[list[Match]]:
    """Yield the matches in runs, those of one symbol beside each other: its position is reckoned once a run."""
    ordered = sorted(matches, key=lambda match: (match.report.exchange, match.report.symbol, match.report.product))
    for start in range(0, len(ordered), RUN_MAX):
        yield ordered[start : start + RUN_MAX]


def take_plain_over(mode: str, run: list[Match], as_of: datetime, now: datetime) -> list[Match]:
    """
    Take over what is plain of the run and return the rest. The caller holds the mode's lock.

    Raise `MovedMeanwhile`, and `IntegrityError` or `DataError` for a row that the database refuses: then nothing of the
    run may be kept.
    """
    kept = _Kept.of(mode, run)
    plain = [match for match in run if match.pk in kept.orders and _is_plain(match, kept, as_of, now)]
    _record_fills(plain, kept, now)
    orders = [kept.orders[match.pk] for match in plain]
    as_read = [order.status for order in orders]
    filled_before = {order.pk: order.filled_quantity for order in orders}
    events: list[_Event] = []
    for match in plain:
        events += _move(kept.orders[match.pk], match, kept.fills[match.pk], as_of, now)
    if write_columns(orders, _WRITTEN, unless_changed=("status", as_read)) < len(orders):
        raise MovedMeanwhile
    insert_each(OrderEvent, _Event._fields, events)
    insert_each(BrokerMessage, ("order", "text", "at"), list(_news(plain, kept, now)))
    moved: defaultdict[Line, list[Moved]] = defaultdict(list)
    for order in orders:
        if fills := kept.fills[order.pk]:
            moved[Line.of(order)].append(Moved(order=order, fills=fills, filled_before=filled_before[order.pk]))
    if moved:
        bring_in_line(moved, now=now)
    taken = {match.pk for match in plain}
    return [match for match in run if match.pk not in taken]


class _Event(NamedTuple):
    """What is written as an `OrderEvent`. There are thousands: a tuple is made fast."""

    order: int
    at: datetime
    actor: str
    before: str
    after: str
    note: str


@dataclass(kw_only=True)
class _Kept:
    """What is kept of the orders of a run, read under the lock."""

    orders: dict[int, Order]
    fills: defaultdict[int, list[Fill]]
    closing: set[int]  # those that a signal to close asked for
    being_modified: set[int]
    waiting: set[tuple[str, str]]  # symbols with a signal to close that waits for a person
    said: dict[int, str]  # the broker's last words of each order
    strangers: set[str] = field(default_factory=set)  # broker ids, taken for somebody else's

    @classmethod
    def of(cls, mode: str, run: list[Match]) -> _Kept:
        pks = as_text(match.pk for match in run)
        with together():
            read, fills, closing = _ORDERS.ask(pks=pks), _FILLS.ask(pks=pks), _CLOSING.ask(pks=pks)
            being_modified, waiting, said = _BEING_MODIFIED.ask(pks=pks), ask_waiting(mode), _SAID.ask(pks=pks)
        orders = {order.pk: order for order in read()}
        unbound = [m.report.broker_order_id for m in run if m.pk in orders and not orders[m.pk].broker_order_id]
        of_orders: defaultdict[int, list[Fill]] = defaultdict(list)
        for fill in fills():
            of_orders[fill.order_id].append(fill)
        return cls(
            orders=orders,
            fills=of_orders,
            closing={pk for (pk,) in closing()},
            being_modified={pk for (pk,) in being_modified()},
            waiting=waiting(),
            said=dict(said()),
            strangers=_strangers(mode, unbound) if unbound else set(),
        )


def _strangers(mode: str, broker_order_ids: list[str]) -> set[str]:
    taken = Order.objects.filter(mode=mode, origin=Origin.EXTERNAL.value, broker_order_id__in=broker_order_ids)
    return set(taken.values_list("broker_order_id", flat=True))


def _last_words(pks: str) -> QuerySet[BrokerMessage, Any]:
    said = BrokerMessage.objects.filter(IsAnyOf("order", pks, of="bigint")).order_by("order", "-id").distinct("order")
    return said.values_list("order", "text")


def _under_way(pks: str) -> QuerySet[OrderModification, Any]:
    under_way = Q(ended_at__isnull=True) | Q(state__in=MODIFICATION_UNFINISHED)
    modified = OrderModification.objects.filter(under_way, IsAnyOf("order", pks, of="bigint"))
    return modified.order_by().values_list("order")


_ORDERS = Question[Order](lambda pks: Order.objects.filter(IsAnyOf("pk", pks, of="bigint")).order_by(), pks=str)
_CLOSING = Question[tuple[int]](
    lambda pks: (
        Order.objects.filter(IsAnyOf("pk", pks, of="bigint"), signal__signal_type="SELL").order_by().values_list("pk")
    ),
    pks=str,
)
_FILLS = Question[Fill](lambda pks: Fill.objects.filter(IsAnyOf("order", pks, of="bigint")).order_by(), pks=str)
_BEING_MODIFIED = Question[tuple[int]](_under_way, pks=str)
_SAID = Question[tuple[int, str]](_last_words, pks=str)


def _is_plain(match: Match, kept: _Kept, as_of: datetime, now: datetime) -> bool:
    """Return whether nothing but progress is told of the order; only then nobody has to be told, or asked to act."""
    order, report = kept.orders[match.pk], match.report
    if order.origin == Origin.EXTERNAL or order.status not in _PLAIN or order.pk in kept.being_modified:
        return False
    # What happened since the book began to be read, or by a clock that was set back since.
    if any(moment is not None and as_of < moment <= now + FUTURE_MAX for moment in (order.book_as_of, order.ended_at)):
        return False
    is_its_own = order.broker_order_id in ("", report.broker_order_id)
    if not is_its_own or report.broker_order_id in kept.strangers:
        return False
    if (order.quantity, order.price) != (report.quantity, match.price):
        return False  # its terms changed
    wish_may_be_sent = order.cancel_requested_at is not None and order.cancel_tried_at is None
    if wish_may_be_sent and report.status not in ENDED_AT_THE_BROKER:
        return False
    return not _ends_short(match, kept) and not _is_filled_oddly(match, kept)


def _ends_short(match: Match, kept: _Kept) -> bool:
    """Return whether its end would be told of: a refusal, or that of an order that a signal to close waits for."""
    closes = match.pk in kept.closing
    return match.report.status == "REJECTED" or (closes and match.report.status in {"CANCELLED", "CANCELLED AMO"})


def _is_filled_oddly(match: Match, kept: _Kept) -> bool:
    """Return whether its fills are not all the broker's, or too many, or end it while it works, or end what waits."""
    order, report, before = kept.orders[match.pk], match.report, kept.fills[match.pk]
    if any(fill.source != Fill.Source.BROKER for fill in before) or (order.exchange, order.symbol) in kept.waiting:
        return True
    told = {_key(trade): trade.quantity for trade in match.trades}
    filled = sum({**told, **{_key_of(fill): fill.quantity for fill in before}}.values())
    explained = sum(trade.quantity for trade in match.trades) >= report.quantity
    is_over = order.status == OrderStatus.FILLED or filled >= order.quantity
    return filled > order.quantity or (is_over and works(report) and not explained)


def _key(trade: TradeReport) -> FillKey:
    return FillKey(trade.exchange, trade.broker_order_id, trade.trade_id, trading_date(trade.filled_at))


def _key_of(fill: Fill) -> FillKey:
    return FillKey(fill.exchange, fill.broker_order_id, fill.trade_id, fill.trading_date)


def _record_fills(plain: list[Match], kept: _Kept, now: datetime) -> None:
    """Write down which trades are new, and add them to what is kept of each order."""
    new: list[Fill] = []
    for match in plain:
        known = {_key_of(fill) for fill in kept.fills[match.pk]}
        new += [fill_of(kept.orders[match.pk], trade, now) for trade in match.trades if _key(trade) not in known]
    # As they happened, which is the order a position is reckoned in.
    new.sort(key=lambda fill: (fill.filled_at, fill.order_id, fill.trade_id))
    # The unique constraint is what makes a fill count once: one that stands at another order already is not this one's.
    for fill in insert_new(new, once=FillKey._fields, read=("price",)):
        kept.fills[fill.order_id].append(fill)


def fill_of(order: Order, trade: TradeReport, now: datetime) -> Fill:
    """Return the broker's trade as a fill of the order, not saved."""
    return Fill(
        order=order,
        mode=order.mode,
        exchange=trade.exchange,
        broker_order_id=trade.broker_order_id,
        trade_id=trade.trade_id,
        trading_date=trading_date(trade.filled_at),
        quantity=trade.quantity,
        price=trade.price,
        filled_at=trade.filled_at,
        source=Fill.Source.BROKER,
        recorded_at=now,
    )


def _move(order: Order, match: Match, fills: list[Fill], as_of: datetime, now: datetime) -> Iterator[_Event]:
    """Set on the order what the broker's row and its fills say, and yield its events. Nothing is saved."""
    report = match.report
    order.broker_order_id, order.broker_status = report.broker_order_id, report.status
    order.book_as_of, order.missed_at = as_of, None
    counted = counted_fills(fills)
    filled = sum(each.quantity for each in counted)
    if filled:
        average = sum((each.quantity * each.price for each in counted), Decimal(0)) / filled
        before = (order.filled_quantity, order.average_price)
        order.filled_quantity, order.average_price = filled, average.quantize(FOUR_PLACES)
        note = f"{filled} of {order.quantity} filled"
        to = OrderStatus.FILLED if filled >= order.quantity else OrderStatus.PARTIALLY_FILLED
        moved = list(_advance(order, to, note, now))
        yield from moved
        if not moved and before != (order.filled_quantity, order.average_price):
            yield _event(order, order.status, note, now)
    note = report.status_message or f"the broker says {report.status}"
    yield from _advance(order, status_of(report, order.filled_quantity), note, now)


def _advance(order: Order, to: OrderStatus, note: str, now: datetime) -> Iterator[_Event]:
    """Move the order as `Order.advance` does, in memory, where the table allows it."""
    before = order.status
    if not may_follow(before, to):
        return
    order.status, order.status_reason = to, note
    order.ended_at = None if order.is_unfinished else now
    if before == OrderStatus.SUBMITTING:
        order.answered_at = now
    log.info("order.advanced", order=order.client_order_id, before=OrderStatus(before), after=to, note=note)
    yield _event(order, before, note, now)


def _event(order: Order, before: str, note: str, now: datetime) -> _Event:
    return _Event(order.pk, now, "broker", before, order.status, note)


def _news(plain: list[Match], kept: _Kept, now: datetime) -> Iterator[tuple[int, str, datetime]]:
    """Yield of each order what the broker says, unless it says what it said last."""
    for match in plain:
        text = match.report.raw
        if text and text != kept.said.get(match.pk):
            yield match.pk, text, now
