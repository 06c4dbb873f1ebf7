"""What the comparison could not explain, told as incidents; and the broker's positions beside ours."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from orders.broker.gateway import BrokerBook, OrderReport
from orders.desk import Desk
from orders.ledger import own_quantity
from orders.lifecycle import UNFINISHED
from orders.models import Adjustment, Order, Position
from orders.models.order import dated_since
from risk.models import Incident, TradingControl


def compare_positions(desk: Desk, book: BrokerBook) -> None:
    """
    Note what the broker holds beside what our fills opened.

    More than ours is somebody else's trade and only shown. Less, in two reads with nothing changed between them, is
    an incident that stops new exposure in that symbol; it is opened once for the same difference.
    """
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        now = desk.clock()
        for position in Position.objects.filter(mode=desk.mode):
            held = book.positions.get((position.exchange, position.symbol), 0)
            ours = own_quantity(desk.mode, position.exchange, position.symbol)
            moved = _moved_since(position, book.as_of, now)
            lacking = 0 if moved else _lacking(ours, held)
            told = position.told_missing if lacking or moved else 0  # a read that proves nothing clears nothing
            if lacking and lacking == position.missing and lacking != told:
                _tell_of_difference(position, ours, held, now)
                told = lacking
            Position.objects.filter(pk=position.pk).update(
                broker_quantity=held,
                broker_as_of=book.as_of,
                last_price=book.last_prices.get((position.exchange, position.symbol)),
                close_price=book.close_prices.get((position.exchange, position.symbol)),
                missing=lacking,
                told_missing=told,
            )


def difference_is_explained(position: Position, *, by: str, note: str, now: datetime) -> None:
    """Resolve what was told of the symbol's difference: a person took the broker's quantity for ours."""
    same = {"mode": position.mode, "exchange": position.exchange, "symbol": position.symbol}
    Position.objects.filter(**same).update(missing=0, told_missing=0)
    subject = f"{position.mode}:{Incident.Kind.POSITION_DIFFERENCE}:{position.exchange}:{position.symbol}"
    for incident in Incident.objects.unresolved().filter(fingerprint=subject):
        incident.resolve(by=by, note=note, now=now)


def _lacking(ours: int, held: int) -> int:
    """Return how many shares of ours the broker does not have: a long position short of some, a short one of any."""
    return max(0, ours - held) if ours >= 0 else abs(held - ours)


def _moved_since(position: Position, moment: datetime, now: datetime) -> bool:
    """
    Return whether an order of the symbol is working, or was filled, or its position adjusted, after the moment.

    A read that began then proves nothing.
    """
    same = {"mode": position.mode, "exchange": position.exchange, "symbol": position.symbol}
    recent = dated_since("fills__recorded_at", moment, now) | Q(status__in=UNFINISHED)
    if Adjustment.objects.filter(dated_since("at", moment, now), **same).exists():
        return True
    return Order.objects.ours(position.mode).filter(recent, **same).exists()


def _tell_of_difference(position: Position, ours: int, held: int, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.POSITION_DIFFERENCE,
        mode=position.mode,
        subject=f"{position.exchange}:{position.symbol}",
        title=f"{position.symbol}: our fills opened {ours}, the broker holds {held}",
        what_to_do="Was it sold in the broker's own app, or a bonus entered that is not credited yet? Accept "
        "the broker's quantity on the position's page, or resolve this: until then nothing opens in this symbol.",
        symbol=position.symbol,
        stops_opening=True,
        now=now,
    )


def tell_of_late_appearance(order: Order, report: OrderReport, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.LATE_APPEARANCE,
        mode=order.mode,
        subject=order.client_order_id or report.broker_order_id,
        title=f"{order} appeared at the broker after we took it for ended",
        detail=f"{report.broker_order_id}: {report.status}",
        what_to_do="It was adopted, and its cancel asked for if it still works. Look at the position it left.",
        symbol=order.symbol,
        client_order_id=order.client_order_id or "",
        now=now,
    )


def tell_of_overfill(order: Order, now: datetime) -> None:
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


def tell_of_vanished(order: Order, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.VANISHED_ORDER,
        mode=order.mode,
        subject=order.client_order_id or order.broker_order_id,
        title=f"{order} is not in the broker's book of its own day any more",
        detail=order.broker_order_id,
        what_to_do="It still counts as if it may fill. Look for it in the broker's own app.",
        symbol=order.symbol,
        client_order_id=order.client_order_id or "",
        once=True,
        stops_opening=True,
        now=now,
    )


def tell_of_unknown(mode: str, report: OrderReport, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.UNKNOWN_ORDER,
        mode=mode,
        subject=report.broker_order_id,
        title=f"{report.side} {report.quantity} {report.symbol} carries our mark, and we have no such order",
        detail=f"{report.broker_order_id}, tag {report.tag}, {report.status}",
        what_to_do="Is a second installation, or a restored backup, trading this account? Nothing new is opened.",
        once=True,
        stops_opening=True,
        now=now,
    )


def tell_of_doubled(mode: str, report: OrderReport, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.DOUBLED_ORDER,
        mode=mode,
        subject=report.broker_order_id,
        title=f"{report.side} {report.quantity} {report.symbol} is at the broker a second time",
        detail=f"{report.broker_order_id}, tag {report.tag}, {report.status}",
        what_to_do="Its cancel was asked for if it works. What it filled is shown as external. Nothing new is opened.",
        once=True,
        stops_opening=True,
        now=now,
    )


def tell_of_unreadable(mode: str, row: str, now: datetime, *, broker_order_id: str = "") -> None:
    """Say that a row makes no sense: the order it is about, where that can be told, or else the row, is the subject."""
    Incident.objects.open(
        Incident.Kind.UNREADABLE_ROW,
        mode=mode,
        subject=broker_order_id or hashlib.sha256(row.encode()).hexdigest()[:32],
        once=True,
        title="A row of the broker's book makes no sense",
        detail=row[:500],
        what_to_do="The rest of the book was taken over; absence from it proves nothing now. Nothing new is opened.",
        stops_opening=True,
        now=now,
    )


def tell_of_past_days(desk: Desk) -> None:
    """Open an incident for each unfinished order of an earlier date: it counts until a person has closed it."""
    for order in Order.objects.unfinished(desk.mode).filter(trading_date__lt=desk.today()):
        Incident.objects.open(
            Incident.Kind.UNFINISHED_OF_A_PAST_DAY,
            mode=desk.mode,
            subject=order.client_order_id or order.broker_order_id,
            title=f"{order} of {order.trading_date:%d %b} is {order.get_status_display().lower()} still",
            what_to_do="The broker's book of today says nothing of it. Look at positions and holdings, then close it "
            "on its page: Close past day.",
            symbol=order.symbol,
            client_order_id=order.client_order_id or "",
            now=desk.clock(),
        )
