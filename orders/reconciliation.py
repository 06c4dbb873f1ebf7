"""
Bring our book in line with the broker's: read it, compare, and write what follows, one order a transaction.

The book is read before any lock is taken. What the broker reports is always recorded; what cannot be explained is an
incident. An order of ours that reappears after we took it for refused or not placed is adopted.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Count, Q

from orders.broker.gateway import BrokerBook, OrderReport, SessionRefused, TradeReport
from orders.comparison import Believed, Comparison, Match, compare, status_of
from orders.desk import Desk, trading_date
from orders.execution import carry_out_cancel
from orders.ledger import own_quantity, settle
from orders.lifecycle import INFERRED, UNFINISHED, OrderStatus
from orders.models import BrokerSession, Fill, Order, Position
from risk.engine.facts import Origin
from risk.models import Incident, TradingControl

log = structlog.get_logger(__name__)


def reconcile(desk: Desk) -> Comparison:
    """
    Read the broker's book and bring ours in line with it.

    Raise `BrokerUnreachable` or `SessionRefused` when it cannot be read: then nothing is concluded, and what we know
    only grows older.
    """
    as_of = desk.clock()
    desk.vault.row()  # makes sure there is a row to date
    try:
        book = desk.gateway.book(as_of)
    except SessionRefused as refusal:
        desk.vault.refuse(str(refusal), now=desk.clock())
        raise
    prefix = TradingControl.objects.get(mode=desk.mode).order_id_prefix
    found = compare(
        _believed(desk),
        book,
        prefix=prefix,
        book_date=trading_date(as_of),
        absence_window=timedelta(seconds=desk.rules.absence_window_seconds),
    )
    for match in found.matches:
        _take_over(desk, match)
    for pk in found.absent:
        _not_placed(desk, pk)
    for report in found.unknown:
        _tell_of_unknown(desk, report)
    for report, trades in found.external:
        _record_external(desk, report, trades)
    _compare_positions(desk, book)
    BrokerSession.objects.filter(mode=desk.mode).update(reconciled_at=as_of, last_error="")
    return found


def carry_out_cancels(desk: Desk, *, retry_after_seconds: float = 2.0) -> int:
    """Repeat the cancels that the book does not show yet. Return how many were sent."""
    tried_before = desk.clock() - timedelta(seconds=retry_after_seconds)
    due = Order.objects.to_cancel(desk.mode).exclude(broker_order_id="")
    due = due.filter(Q(cancel_tried_at__isnull=True) | Q(cancel_tried_at__lt=tried_before))
    return len([carry_out_cancel(desk, order) for order in due])


def _believed(desk: Desk) -> list[Believed]:
    """Return what may be matched: the orders of the day, and older ones that are not finished."""
    today = desk.today()
    orders = Order.objects.filter(mode=desk.mode).filter(Q(trading_date=today) | Q(status__in=UNFINISHED))
    orders = orders.annotate(broker_fills=Count("fills", filter=Q(fills__source=Fill.Source.BROKER)))
    names = [each.name for each in fields(Believed)]
    return [Believed(**{**row, "client_order_id": row["client_order_id"] or ""}) for row in orders.values(*names)]


def _take_over(desk: Desk, match: Match) -> None:
    """Write down what the broker reports of one order: its id, its terms, its fills, its status."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order = Order.objects.get(pk=match.pk)
        now = desk.clock()
        reappeared = OrderStatus(order.status) in INFERRED and match.report.status != "REJECTED"
        _restate(order, match, now)
        _record_fills(order, match.trades, now)
        settle(order, now=now, actor="broker")
        if (status := status_of(match.report, order.filled_quantity)) is not None:
            note = match.report.status_message or f"the broker says {match.report.status}"
            order.advance(status, at=now, note=note, actor="broker")
        if order.filled_quantity > order.quantity:
            _tell_of_overfill(order, now)
        if reappeared:
            _tell_of_late_appearance(order, match.report, now)
    if reappeared:
        carry_out_cancel(desk, order)


def _restate(order: Order, match: Match, now: datetime) -> None:
    """Take over the broker's id and terms: an order may have been changed in the broker's own app."""
    report = match.report
    if order.broker_order_id and (order.quantity, order.price) != (report.quantity, match.price):
        order.note(f"changed at the broker: {report.quantity} at {match.price}", at=now, actor="broker")
    Order.objects.filter(pk=order.pk).update(
        broker_order_id=report.broker_order_id,
        broker_status=report.status,
        quantity=report.quantity,
        price=match.price,
    )
    order.refresh_from_db()


def _record_fills(order: Order, trades: tuple[TradeReport, ...], now: datetime) -> None:
    Fill.objects.bulk_create(
        [
            Fill(
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
            for trade in trades
        ],
        ignore_conflicts=True,  # the unique constraint is what makes a fill count once
    )


def _not_placed(desk: Desk, pk: int) -> None:
    """Conclude, from a read that began late enough, that an order in doubt never arrived."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order = Order.objects.get(pk=pk)
        order.advance(
            OrderStatus.NOT_PLACED,
            at=desk.clock(),
            note="absent from the broker's book of its own day, read after the absence window",
        )


def _tell_of_late_appearance(order: Order, report: OrderReport, now: datetime) -> None:
    order.request_cancel(by="executor", reason="it appeared after it was taken for not placed", at=now)
    Incident.objects.open(
        Incident.Kind.LATE_APPEARANCE,
        mode=order.mode,
        subject=order.client_order_id or report.broker_order_id,
        title=f"{order} appeared at the broker after we took it for not placed",
        detail=f"{report.broker_order_id}: {report.status}",
        what_to_do="It was adopted, and its cancel asked for if it still works. Look at the position it left.",
        symbol=order.symbol,
        client_order_id=order.client_order_id or "",
        now=now,
    )


def _tell_of_overfill(order: Order, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.OVERFILL,
        mode=order.mode,
        subject=order.client_order_id or order.broker_order_id,
        title=f"{order}: {order.filled_quantity} shares filled",
        what_to_do="Compare the trades with the broker's contract note. Nothing opens in this symbol until resolved.",
        symbol=order.symbol,
        client_order_id=order.client_order_id or "",
        stops_opening=True,
        now=now,
    )


def _tell_of_unknown(desk: Desk, report: OrderReport) -> None:
    Incident.objects.open(
        Incident.Kind.UNKNOWN_ORDER,
        mode=desk.mode,
        subject=report.broker_order_id,
        title=f"{report.side} {report.quantity} {report.symbol} carries our mark, and we have no such order",
        detail=f"{report.broker_order_id}, tag {report.tag}, {report.status}",
        what_to_do="Is a second installation, or a restored backup, trading this account? Nothing new is opened.",
        stops_opening=True,
        now=desk.clock(),
    )


def _record_external(desk: Desk, report: OrderReport, trades: tuple[TradeReport, ...]) -> None:
    """Show an order that somebody placed elsewhere. It counts in the broker's quotas, not in our positions."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order, created = Order.objects.get_or_create(
            mode=desk.mode,
            broker_order_id=report.broker_order_id,
            trading_date=trading_date(report.placed_at),
            defaults={
                "origin": Origin.EXTERNAL.value,
                "exchange": report.exchange,
                "symbol": report.symbol,
                "side": report.side,
                "product": report.product,
                "order_type": report.order_type,
                "quantity": report.quantity,
                "price": report.price,
                "broker_status": report.status,
                "status": OrderStatus.OPEN,
                "created_at": report.placed_at,
                "submitted_at": report.placed_at,
            },
        )
        now = desk.clock()
        if created:
            order.note("placed elsewhere, found in the broker's book", at=now, actor="broker")
    _take_over(desk, Match(pk=order.pk, report=report, trades=trades, price=report.price))


def _compare_positions(desk: Desk, book: BrokerBook) -> None:
    """
    Note what the broker holds beside what our fills opened.

    More than ours is somebody else's trade and only shown. Less, in two reads with nothing changed between them, is
    an incident that stops new exposure in that symbol.
    """
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        now = desk.clock()
        for position in Position.objects.filter(mode=desk.mode):
            held = book.positions.get((position.exchange, position.symbol), 0)
            ours = own_quantity(desk.mode, position.exchange, position.symbol)
            lacking = 0 if _moved_since(position, book.as_of) else max(0, ours - held)
            if lacking and lacking == position.missing:
                _tell_of_difference(position, ours, held, now)
            Position.objects.filter(pk=position.pk).update(
                broker_quantity=held, broker_as_of=book.as_of, missing=lacking
            )


def _moved_since(position: Position, moment: datetime) -> bool:
    """Return whether an order of the symbol is working or was filled after the moment: a read then proves nothing."""
    same = {"mode": position.mode, "exchange": position.exchange, "symbol": position.symbol}
    recent = Q(fills__recorded_at__gt=moment) | Q(status__in=UNFINISHED)
    return Order.objects.ours(position.mode).filter(recent, **same).exists()


def _tell_of_difference(position: Position, ours: int, held: int, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.POSITION_DIFFERENCE,
        mode=position.mode,
        subject=f"{position.exchange}:{position.symbol}",
        title=f"{position.symbol}: our fills opened {ours}, the broker holds {held}",
        what_to_do="Was it sold in the broker's own app? Nothing opens in this symbol until this is resolved.",
        symbol=position.symbol,
        stops_opening=True,
        now=now,
    )
