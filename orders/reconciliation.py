"""
Bring our book in line with the broker's: read it, compare, and write what follows, one order a transaction.

The book is read before any lock is taken. What the broker reports is always recorded; what cannot be explained is an
incident. An order of ours that works at the broker after we took it for ended is adopted, and asked to cancel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import date, datetime, timedelta

import structlog
from django.db import DataError, IntegrityError, transaction
from django.db.models import Count, Q

from orders.broker.gateway import BrokerBook, OrderReport, SessionRefused, TradeReport
from orders.comparison import Believed, Comparison, Match, compare, status_of, works
from orders.desk import Desk, trading_date
from orders.differences import (
    compare_positions,
    tell_of_doubled,
    tell_of_late_appearance,
    tell_of_overfill,
    tell_of_unknown,
    tell_of_unreadable,
    tell_of_vanished,
)
from orders.execution import carry_out_cancel
from orders.governor import tell_when_the_day_runs_out
from orders.ledger import settle, take_broker_id
from orders.lifecycle import INFERRED, UNFINISHED, OrderStatus
from orders.logins import lift_halt_after_login, login_refused
from orders.models import BrokerSession, Fill, Order
from orders.models.order import FUTURE_MAX
from orders.rejections import stop_after_rejections
from orders.traffic import CHANGED_ELSEWHERE
from risk.engine.facts import Origin
from risk.models import TradingControl

CANCEL_AGAIN_AFTER = timedelta(seconds=2)
CANCEL_AGAIN_AFTER_MAX = timedelta(minutes=1)

log = structlog.get_logger(__name__)


def reconcile(desk: Desk) -> Comparison:
    """
    Read the broker's book and bring ours in line with it.

    Raise `BrokerUnreachable` or `SessionRefused` when it cannot be read: then nothing is concluded, and what we know
    only grows older. One row that cannot be taken over is an incident and does not keep the others from it.
    """
    as_of = desk.clock()
    control = TradingControl.objects.get(mode=desk.mode)
    _check_account(desk, control)
    try:
        book = desk.gateway.book(as_of)
    except SessionRefused as refusal:
        login_refused(desk, str(refusal), asked_at=as_of)
        raise
    rules = desk.rules
    found = compare(
        _believed(desk, book, trading_date(as_of)),
        book,
        prefix=control.order_id_prefix,
        book_date=trading_date(as_of),
        absence_window=timedelta(seconds=rules.send_within_seconds + rules.absence_window_seconds),
    )
    if trading_date(desk.clock()) != trading_date(as_of):
        found.absent, found.vanished = [], []  # the day turned while it was read: which day's book was it?
    _take_over_all(desk, found)
    for pk in found.absent:
        _miss(desk, pk, as_of, then=_not_placed)
    for pk in found.vanished:
        _miss(desk, pk, as_of, then=tell_of_vanished)
    for report in found.unknown:
        tell_of_unknown(desk.mode, report, desk.clock())
    for row in book.unreadable:
        tell_of_unreadable(desk.mode, row, desk.clock())
    compare_positions(desk, book)
    tell_when_the_day_runs_out(desk)
    BrokerSession.objects.filter(mode=desk.mode).update(reconciled_at=as_of, last_error="")
    if not (book.unreadable or found.unknown or found.vanished or found.doubled):
        lift_halt_after_login(desk, as_of=as_of)
    return found


def carry_out_cancels(desk: Desk) -> int:
    """Repeat the cancels that the book does not show yet, less often the longer it takes. Return how many were sent."""
    now = desk.clock()
    due = [order for order in Order.objects.to_cancel(desk.mode, desk.today()) if _cancel_is_due(order, now)]
    return len([carry_out_cancel(desk, order) for order in due])


def _cancel_is_due(order: Order, now: datetime) -> bool:
    if order.cancel_tried_at is None:
        return True
    if order.cancel_tried_at > now + FUTURE_MAX:
        return True  # the clock was set back meanwhile: it must not be waited for
    assert order.cancel_requested_at is not None, "a cancel is tried when it was wished for"
    waited = order.cancel_tried_at - order.cancel_requested_at
    return now - order.cancel_tried_at > min(max(CANCEL_AGAIN_AFTER, waited / 4), CANCEL_AGAIN_AFTER_MAX)


def _check_account(desk: Desk, control: TradingControl) -> None:
    """Raise `SessionRefused` for a login of another account than the armed one: its book explains nothing of ours."""
    user_id = desk.vault.row().user_id
    if desk.is_live and user_id and control.armed_user_id and user_id != control.armed_user_id:
        raise SessionRefused(f"logged in as {user_id}, and live trading is armed for {control.armed_user_id}")


def _believed(desk: Desk, book: BrokerBook, book_date: date) -> list[Believed]:
    """Return what may be matched: the orders of the book's date, the unfinished ones, and all that the book names."""
    named = Q(client_order_id__in=[report.tag for report in book.orders if report.tag])
    named |= Q(broker_order_id__in=[report.broker_order_id for report in book.orders])
    orders = Order.objects.filter(mode=desk.mode)
    orders = orders.filter(Q(trading_date=book_date) | Q(status__in=UNFINISHED) | named)
    orders = orders.annotate(broker_fills=Count("fills", filter=Q(fills__source=Fill.Source.BROKER)))
    names = [each.name for each in fields(Believed)]
    return [Believed(**{**row, "client_order_id": row["client_order_id"] or ""}) for row in orders.values(*names)]


def _take_over_all(desk: Desk, found: Comparison) -> None:
    for match in found.matches:
        with _odd_rows_are_incidents(desk, match.report):
            _take_over(desk, match, found.as_of)
    for report, trades in found.external:
        with _odd_rows_are_incidents(desk, report):
            _record_external(desk, report, trades, found.as_of)
    for report, trades in found.doubled:
        with _odd_rows_are_incidents(desk, report):
            _record_external(desk, report, trades, found.as_of)
            _stop_doubled(desk, report)


@contextlib.contextmanager
def _odd_rows_are_incidents(desk: Desk, report: OrderReport) -> Iterator[None]:
    """Let the database's refusal of one row be an incident, so that the rest of the book is still taken over."""
    try:
        yield
    except (IntegrityError, DataError) as refusal:
        told = f"{report.broker_order_id}: {refusal}"
        tell_of_unreadable(desk.mode, told, desk.clock(), broker_order_id=report.broker_order_id)


def _take_over(desk: Desk, match: Match, as_of: datetime) -> None:
    """Write down what the broker reports of one order: its id, its terms, its fills, its status."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order = Order.objects.get(pk=match.pk)
        now = desk.clock()
        older = _is_between(as_of, order.book_as_of, now)
        ended_meanwhile = _is_between(as_of, order.ended_at, now)
        inferred = OrderStatus(order.status) in INFERRED
        if not order.broker_order_id:
            take_broker_id(order, match.report.broker_order_id, now=now)
        if not older:
            _restate(order, match, now, as_of)
        _record_fills(order, match.trades, now)
        settle(order, now=now, actor="broker")
        status = status_of(match.report, order.filled_quantity)
        if not older and not ended_meanwhile:
            note = match.report.status_message or f"the broker says {match.report.status}"
            if order.advance(status, at=now, note=note, actor="broker") and status == OrderStatus.REJECTED:
                stop_after_rejections(desk.mode, now=now)
        if order.filled_quantity > order.quantity:
            tell_of_overfill(order, now)
        revived = inferred and not ended_meanwhile and OrderStatus(order.status) not in INFERRED
        # A fill between the reading of the orders and that of the trades is nothing behind our back.
        explained = sum(trade.quantity for trade in match.trades) >= match.report.quantity
        ended_here = not order.is_unfinished and not ended_meanwhile
        behind_our_back = works(match.report) and ended_here and not explained
        if order.origin != Origin.EXTERNAL and (revived or behind_our_back):
            order.request_cancel(by="executor", reason="it works at the broker after we took it for ended", at=now)
            tell_of_late_appearance(order, match.report, now)
    if order.cancel_tried_at is None:
        carry_out_cancel(desk, order)


def _is_between(as_of: datetime, moment: datetime | None, now: datetime) -> bool:
    """Return whether it happened since the book was read. What lies ahead was dated before the clock was set back."""
    return moment is not None and as_of < moment <= now + FUTURE_MAX


def _restate(order: Order, match: Match, now: datetime, as_of: datetime) -> None:
    """Take over the broker's status and terms: an order may have been changed in the broker's own app."""
    report = match.report
    if order.broker_status and (order.quantity, order.price) != (report.quantity, match.price):
        order.note(f"{CHANGED_ELSEWHERE}: {report.quantity} at {match.price}", at=now, actor="broker")
    Order.objects.filter(pk=order.pk).update(
        broker_status=report.status,
        book_as_of=as_of,
        missed_at=None,
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


def _miss(desk: Desk, pk: int, as_of: datetime, *, then: Callable[[Order, datetime], object]) -> None:
    """Note that a book which should show the order lacks it; when a second one does, draw the conclusion."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order = Order.objects.get(pk=pk)
        if order.missed_at is None:
            Order.objects.filter(pk=pk).update(missed_at=as_of)
        elif as_of > order.missed_at:
            then(order, desk.clock())


def _not_placed(order: Order, now: datetime) -> None:
    note = "absent from the broker's book of its own day, in two reads after the absence window"
    order.advance(OrderStatus.NOT_PLACED, at=now, note=note)


def _record_external(desk: Desk, report: OrderReport, trades: tuple[TradeReport, ...], as_of: datetime) -> None:
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
                "status": OrderStatus.OPEN,
                "created_at": report.placed_at,
                "submitted_at": report.placed_at,
            },
        )
        now = desk.clock()
        if created:
            order.note("placed elsewhere, found in the broker's book", at=now, actor="broker")
    _take_over(desk, Match(pk=order.pk, report=report, trades=trades, price=report.price), as_of)


def _stop_doubled(desk: Desk, report: OrderReport) -> None:
    """Ask for the cancel of a second order at the broker that carries the id of one of ours."""
    tell_of_doubled(desk.mode, report, desk.clock())
    extra = Order.objects.get(
        mode=desk.mode, broker_order_id=report.broker_order_id, trading_date=trading_date(report.placed_at)
    )
    if extra.request_cancel(by="executor", reason="a second order with the id of one of ours", at=desk.clock()):
        carry_out_cancel(desk, extra)
