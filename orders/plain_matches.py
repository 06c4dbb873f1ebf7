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

import structlog
from django.db.models import Q

from orders.broker.gateway import TradeReport
from orders.comparison import Match, status_of, works
from orders.counted_fills import counted_fills
from orders.desk import trading_date
from orders.ledger import FOUR_PLACES, Line, Moved, bring_in_line
from orders.lifecycle import ENDED_AT_THE_BROKER, MODIFICATION_UNFINISHED, OrderStatus, may_follow
from orders.many_rows import insert_rows, write_columns
from orders.models import BrokerMessage, Fill, MissedExit, Order, OrderEvent, OrderModification
from orders.models.order import FUTURE_MAX
from risk.engine.facts import Origin

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

_OF_THE_ORDER = ("mode", "client_order_id", "origin", "exchange", "symbol", "product", "side", "quantity", "price")
_READ = (*_OF_THE_ORDER, "created_at", "cancel_requested_at", "cancel_tried_at", "signal__signal_type", *_WRITTEN)

FillKey = tuple[str, str, str, date]


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
    fills = _record_fills(plain, kept, now)
    orders = [kept.orders[match.pk] for match in plain]
    as_read = [order.status for order in orders]
    filled_before = {order.pk: order.filled_quantity for order in orders}
    events: list[OrderEvent] = []
    for match in plain:
        events += _move(kept.orders[match.pk], match, fills[match.pk], as_of, now)
    if write_columns(orders, _WRITTEN, unless_changed=("status", as_read)) < len(orders):
        raise MovedMeanwhile
    insert_rows(events)
    insert_rows(list(_news(plain, kept, now)))
    moved: defaultdict[Line, list[Moved]] = defaultdict(list)
    for order in orders:
        if fills[order.pk]:
            one = Moved(order=order, fills=fills[order.pk], filled_before=filled_before[order.pk])
            moved[Line.of(order)].append(one)
    if moved:
        bring_in_line(moved, now=now)
    taken = {match.pk for match in plain}
    return [match for match in run if match.pk not in taken]


@dataclass(kw_only=True)
class _Kept:
    """What is kept of the orders of a run, read under the lock."""

    orders: dict[int, Order]
    fills: defaultdict[int, list[Fill]]
    being_modified: set[int]
    waiting: set[tuple[str, str]]  # symbols with a signal to close that waits for a person
    strangers: set[str] = field(default_factory=set)  # broker ids, taken for somebody else's
    said: dict[int, str] = field(default_factory=dict)  # the broker's last words of each order

    @classmethod
    def of(cls, mode: str, run: list[Match]) -> _Kept:
        pks = [match.pk for match in run]
        read = Order.objects.filter(pk__in=pks).select_related("signal").only(*_READ)
        orders = {order.pk: order for order in read}
        under_way = Q(ended_at__isnull=True) | Q(state__in=MODIFICATION_UNFINISHED)
        being_modified = OrderModification.objects.filter(under_way, order__in=pks)
        waiting = MissedExit.objects.waiting(mode)
        last_words = BrokerMessage.objects.filter(order__in=pks).order_by("order", "-id").distinct("order")
        unbound = [m.report.broker_order_id for m in run if m.pk in orders and not orders[m.pk].broker_order_id]
        strangers = Order.objects.filter(mode=mode, origin=Origin.EXTERNAL.value, broker_order_id__in=unbound)
        return cls(
            orders=orders,
            fills=_fills_of(pks),
            being_modified=set(being_modified.values_list("order", flat=True)),
            waiting=set(waiting.values_list("exchange", "symbol")),
            strangers=set(strangers.values_list("broker_order_id", flat=True)) if unbound else set(),
            said=dict(last_words.values_list("order", "text")),
        )


def _fills_of(pks: list[int]) -> defaultdict[int, list[Fill]]:
    fills: defaultdict[int, list[Fill]] = defaultdict(list)
    for fill in Fill.objects.filter(order__in=pks):
        fills[fill.order_id].append(fill)
    return fills


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
    return not _ends_short(order, match) and not _is_filled_oddly(match, kept)


def _ends_short(order: Order, match: Match) -> bool:
    """Return whether its end would be told of: a refusal, or that of an order that a signal to close waits for."""
    closes = order.signal is not None and order.signal.signal_type == "SELL"
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
    return trade.exchange, trade.broker_order_id, trade.trade_id, trading_date(trade.filled_at)


def _key_of(fill: Fill) -> FillKey:
    return fill.exchange, fill.broker_order_id, fill.trade_id, fill.trading_date


def _record_fills(plain: list[Match], kept: _Kept, now: datetime) -> defaultdict[int, list[Fill]]:
    """Write down which trades are new, and return all fills of each order."""
    new: list[Fill] = []
    for match in plain:
        known = {_key_of(fill) for fill in kept.fills[match.pk]}
        new += [fill_of(kept.orders[match.pk], trade, now) for trade in match.trades if _key(trade) not in known]
    # As they happened, which is the order a position is reckoned in.
    new.sort(key=lambda fill: (fill.filled_at, fill.order_id, fill.trade_id))
    # The unique constraint is what makes a fill count once: one that stands at another order already is not this one's.
    insert_rows(new, ignore_conflicts=True)
    return _fills_of([match.pk for match in plain])


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


def _move(order: Order, match: Match, fills: list[Fill], as_of: datetime, now: datetime) -> Iterator[OrderEvent]:
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


def _advance(order: Order, to: OrderStatus, note: str, now: datetime) -> Iterator[OrderEvent]:
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


def _event(order: Order, before: str, note: str, now: datetime) -> OrderEvent:
    return OrderEvent(order=order, at=now, actor="broker", before=before, after=order.status, note=note)


def _news(plain: list[Match], kept: _Kept, now: datetime) -> Iterator[BrokerMessage]:
    """Yield what the broker says of each order, unless it says what it said last."""
    for match in plain:
        text = match.report.raw
        if text and text != kept.said.get(match.pk):
            yield BrokerMessage(order=kept.orders[match.pk], text=text, at=now)
