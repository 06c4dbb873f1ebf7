"""
Bring our book in line with the broker's: read it, compare, and write what follows, one order a transaction.

The book is read before any lock is taken. What the broker reports is always recorded; what cannot be explained is an
incident. An order of ours that works at the broker after we took it for ended is adopted, and asked to cancel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta

import structlog
from django.db import DataError, IntegrityError, transaction

from orders.believed import Beliefs
from orders.broker.gateway import OrderReport, SessionRefused, TradeReport
from orders.comparison import Comparison, Match, compare, status_of, works
from orders.desk import Desk, trading_date
from orders.differences import (
    compare_positions,
    resolve_ended_doubts,
    tell_of_doubled,
    tell_of_late_appearance,
    tell_of_overfill,
    tell_of_unknown,
    tell_of_unreadable,
    tell_of_vanished,
)
from orders.execution import carry_out_cancel, carry_out_each
from orders.governor import stop_after_rejections, tell_when_the_day_runs_out, until_the_next_try
from orders.ledger import settle, take_broker_id
from orders.lifecycle import INFERRED, OrderStatus
from orders.logins import lift_halt_after_login, login_refused
from orders.many_rows import set_columns
from orders.models import BrokerMessage, BrokerSession, Fill, Order
from orders.models.order import BORNE_OUT
from orders.models.quarters import FUTURE_MAX
from orders.plain_matches import MovedMeanwhile, fill_of, runs_of, take_plain_over
from orders.terms import judge_modification, tell_of_new_terms
from risk.engine.facts import Origin
from risk.models import TradingControl
from risk.questions import Question

log = structlog.get_logger(__name__)

TOGETHER_MIN = 2  # orders that moved


def reconcile(desk: Desk, beliefs: Beliefs | None = None) -> Comparison:
    """
    Read the broker's book and bring ours in line with it. Who does so again and again hands in what it remembers.

    Raise `BrokerUnreachable` or `SessionRefused` when it cannot be read: then nothing is concluded, and what we know
    only grows older. One row that cannot be taken over is an incident and does not keep the others from it.
    """
    as_of, beliefs = desk.clock(), beliefs or Beliefs()
    (control,) = _CONTROL.rows(mode=desk.mode)
    _check_account(desk, control)
    try:
        book = desk.gateway.book(as_of)
    except SessionRefused as refusal:
        login_refused(desk, str(refusal), asked_at=as_of)
        raise
    found = compare(
        beliefs.of(desk.mode, book, trading_date(as_of)),
        book,
        prefix=control.order_id_prefix,
        book_date=trading_date(as_of),
        absence_window=_until_absence_proves(desk),
        turned_away_window=timedelta(seconds=desk.rules.turned_away_window_seconds),
        settled=beliefs.settled,
    )
    if trading_date(desk.clock()) != trading_date(as_of):
        # The day turned while it was read: which day's book was it?
        found.absent, found.turned_away, found.vanished = [], [], []
    _take_over_all(desk, found)
    for pk in found.absent:
        _miss(desk, pk, as_of, then=_not_placed)
    for pk in found.turned_away:
        _miss(desk, pk, as_of, then=_bear_out)
    for pk in found.vanished:
        _miss(desk, pk, as_of, then=tell_of_vanished)
    for report in found.unknown:
        tell_of_unknown(desk.mode, report, desk.clock())
    for row in book.unreadable:
        tell_of_unreadable(desk.mode, row, desk.clock())
    compare_positions(desk, book)
    resolve_ended_doubts(desk)
    tell_when_the_day_runs_out(desk)
    set_columns(BrokerSession, {"reconciled_at": as_of, "last_error": ""}, where={"mode": desk.mode})
    if not (book.unreadable or found.unknown or found.vanished or found.doubled):
        lift_halt_after_login(desk, as_of=as_of)
    return found


def _until_absence_proves(desk: Desk) -> timedelta:
    """Return how long after it was claimed what was sent may still turn up in the broker's book."""
    return timedelta(seconds=desk.rules.send_within_seconds + desk.rules.absence_window_seconds)


def carry_out_cancels(desk: Desk) -> int:
    """Repeat the cancels that the book does not show yet, ever less often. Return how many were sent."""
    now = desk.clock()
    wished = _TO_CANCEL.rows(mode=desk.mode, day=desk.today())
    return len(carry_out_each(desk, [order for order in wished if _cancel_is_due(order, now)]))


_TO_CANCEL = Question[Order](lambda mode, day: Order.objects.to_cancel(mode, day), mode=str, day=date)
_CONTROL = Question[TradingControl](lambda mode: TradingControl.objects.filter(mode=mode), mode=str)


def _cancel_is_due(order: Order, now: datetime) -> bool:
    if order.cancel_tried_at is None:
        return True
    if order.cancel_tried_at > now + FUTURE_MAX:
        return True  # the clock was set back meanwhile: it must not be waited for
    # By how often it was sent, not by how old the wish is: the broker may have come to know the order just now.
    return now - order.cancel_tried_at > until_the_next_try(order.cancel_tries)


def _check_account(desk: Desk, control: TradingControl) -> None:
    """Raise `SessionRefused` for a login of another account than the armed one: its book explains nothing of ours."""
    user_id = desk.vault.row().user_id  # which makes the row, too, that says when the book was read
    if desk.is_live and user_id and control.armed_user_id and user_id != control.armed_user_id:
        raise SessionRefused(f"logged in as {user_id}, and live trading is armed for {control.armed_user_id}")


def _take_over_all(desk: Desk, found: Comparison) -> None:
    for match in _left_of_the_plain(desk, found):
        with _odd_rows_are_incidents(desk, match.report):
            _take_over(desk, match, found.as_of)
    for report, trades in found.external:
        with _odd_rows_are_incidents(desk, report):
            _record_external(desk, report, trades, found.as_of)
    for report, trades in found.doubled:
        with _odd_rows_are_incidents(desk, report):
            _record_external(desk, report, trades, found.as_of)
            _stop_doubled(desk, report)


def _left_of_the_plain(desk: Desk, found: Comparison) -> list[Match]:
    """Take over together what is plain, where many moved, and return the others in the book's order."""
    if len(found.matches) < TOGETHER_MIN:
        return found.matches
    left = {match.pk for run in runs_of(found.matches) for match in _take_over_together(desk, run, found.as_of)}
    return [match for match in found.matches if match.pk in left]


def _take_over_together(desk: Desk, run: list[Match], as_of: datetime) -> list[Match]:
    """Return what is left to be taken over one by one: what is odd, or all when the database refuses some row."""
    try:
        with transaction.atomic(durable=True):
            TradingControl.objects.locked(desk.mode)
            return take_plain_over(desk.mode, run, as_of, desk.clock())
    except (IntegrityError, DataError, MovedMeanwhile) as refusal:
        log.warning("orders.not_taken_over_together", count=len(run), reason=repr(refusal))
        return run


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
            after_429 = timedelta(seconds=desk.rules.turned_away_window_seconds)
            wait = _until_absence_proves(desk)
            judge_modification(order, match, as_of, now=now, wait=wait, wait_after_429=after_429)
            BrokerMessage.objects.keep(order, match.report.raw, at=now)
        _record_fills(order, match.trades, now)
        settle(order, now=now, actor="broker")
        status = status_of(match.report, order.filled_quantity)
        if not older and not ended_meanwhile:
            note = match.report.status_message or f"the broker says {match.report.status}"
            if order.advance(status, at=now, note=note, actor="broker") and status == OrderStatus.REJECTED:
                stop_after_rejections(desk.mode, now=now)
        if order.filled_quantity > order.fillable_quantity:
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
        tell_of_new_terms(order, report.quantity, match.price, now=now)
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
        [fill_of(order, trade, now) for trade in trades],
        ignore_conflicts=True,  # the unique constraint is what makes a fill count once
    )


def _miss(desk: Desk, pk: int, as_of: datetime, *, then: Callable[[Order, datetime], object]) -> None:
    """
    Note that a book which should show the order lacks it; when a second one does, draw the conclusion.

    Not one of the same moment: another process may have asked, and been told the same.
    """
    a_look = timedelta(seconds=desk.rules.between_looks_seconds)
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order = Order.objects.get(pk=pk)
        if order.missed_at is None or order.missed_at > as_of + FUTURE_MAX:  # the clock was set back meanwhile
            Order.objects.filter(pk=pk).update(missed_at=as_of)
        elif as_of > order.missed_at + a_look:
            then(order, desk.clock())


def _not_placed(order: Order, now: datetime) -> None:
    note = "absent from the broker's book of its own day, in two reads after the absence window"
    order.advance(OrderStatus.NOT_PLACED, at=now, note=note)


def _bear_out(order: Order, now: datetime) -> None:
    """Believe a 429, for two books that would show the order by now lack it, and have a signal's exit decided again."""
    if not order.was_turned_away:
        return
    order.note(BORNE_OUT, at=now, actor="executor")
    if Order.objects.to_be_tried_again(order.mode, order.trading_date).filter(pk=order.pk).exists():
        assert order.signal is not None, "what is to be tried again is of a signal"
        order.signal.reopen(reason=f"to be decided again: {order.status_reason}")


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
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        extra = Order.objects.get(
            mode=desk.mode, broker_order_id=report.broker_order_id, trading_date=trading_date(report.placed_at)
        )
        reason = "a second order with the id of one of ours"
        is_news = extra.request_cancel(by="executor", reason=reason, at=desk.clock())
    if is_news:
        carry_out_cancel(desk, extra)
