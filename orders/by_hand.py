"""What a person does to the book: an order by hand, an exit, a fill recorded by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from django.db import transaction

from orders.broker.gateway import BrokerBook, BrokerUnreachable, SessionRefused
from orders.counted_fills import statement
from orders.deciding import ManualOrder, decide_manual, made_earlier, may_be_made_again
from orders.desk import Desk, trading_date
from orders.execution import submit
from orders.ledger import VALUE_MAX, settle
from orders.lifecycle import ENDED_AT_THE_BROKER, OrderStatus
from orders.models import Fill, Order, Position
from orders.models.order import BORNE_OUT
from orders.quotes import broker_positions
from orders.terms import end_modification
from risk.audit.who import explained
from risk.engine.facts import OrderType, Origin, Side
from risk.models import TradingControl

_NEVER_AT_THE_BROKER = frozenset({OrderStatus.PENDING, OrderStatus.SUBMITTING, OrderStatus.WITHDRAWN})


class MarkRefused(Exception):
    """A fill cannot be recorded by hand for this order now; the text says why."""


class CloseRefused(Exception):
    """An order cannot be closed by hand now; the text says why."""


class NothingToExit(Exception):
    """The position is flat, or being closed already."""


@dataclass(frozen=True, kw_only=True)
class HandFill:
    """
    A fill as a person reports it: the order's shares in all, INR a share.

    It counts for what the broker's own trades lack of it. `token` makes it one fill however often it is sent.
    """

    token: str
    quantity: int
    price: Decimal
    by: str
    reason: str


def place(desk: Desk, wish: ManualOrder) -> Order:
    """
    Decide a person's order and send it.

    Raise `OrderDenied`, with the decision that keeps every verdict, or `UnknownInstrument`.
    """
    return submit(desk, decide_manual(desk, wish))


def exit_position(desk: Desk, position: Position, *, token: str, by: str) -> Order:
    """
    Close the position at the market: works while trading is halted, on a freshly read position.

    The same form exits again where the broker refused it the last time. Raise `NothingToExit` or `OrderDenied`.
    """
    earlier = made_earlier(desk, token)
    if earlier is not None and not may_be_made_again(desk, earlier):
        return submit(desk, earlier)  # which sends it only if the process that wrote it down died before it could
    _check_what_was_turned_away(desk, position, by=by)
    return place(desk, replace(exit_wish(desk, position, token=token, by=by), may_be_repeated=True))


def exit_wish(desk: Desk, position: Position, *, token: str, by: str, why: str = "") -> ManualOrder:
    """Return the order that closes what can be closed of the position now. Raise `NothingToExit`."""
    position.refresh_from_db()
    if position.quantity == 0:
        raise NothingToExit(f"there is no open position in {position.symbol}")
    quantity = _closable(desk, position)
    if quantity == 0:
        raise NothingToExit(f"nothing of {position.symbol} can be closed: it is being closed, or not at the broker")
    return ManualOrder(
        token=token,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        exchange=position.exchange,
        symbol=position.symbol,
        product=position.product,
        quantity=quantity,
        order_type=OrderType.MARKET,
        limit_price=None,
        by=by,
        is_exit=True,
        why=why,
    )


def _check_what_was_turned_away(desk: Desk, position: Position, *, by: str) -> None:
    """
    Raise `NothingToExit` while an order of the symbol that was answered 429 may work after all.

    It may until a book that was read some seconds after the answer lacks it. Then it is written down as borne out.
    """
    turned_away = Order.objects.not_borne_out(desk.mode, desk.today()).filter(
        exchange=position.exchange, symbol=position.symbol
    )
    if not turned_away.exists():
        return
    try:
        book = _fresh_book(desk)
        for order in turned_away:
            _check_it_is_complete(desk, order, book)
            _check_broker(order, book)
            _check_it_would_be_shown(desk, order, book)
    except MarkRefused as refusal:
        raise NothingToExit(f"an order before was answered 429, and {refusal}") from refusal
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        for order in turned_away.all():  # anew: the book may have shown one meanwhile
            order.note(BORNE_OUT, at=desk.clock(), actor=by)


def _check_it_is_complete(desk: Desk, order: Order, book: BrokerBook) -> None:
    """
    Raise `MarkRefused` where the book lacks what it should have: then nothing is proved by what else it lacks.

    Not for ever: what the order was to fill shows in the broker's position by then.
    """
    window = timedelta(seconds=desk.rules.absence_window_seconds)
    if order.ended_at is not None and abs(book.as_of - order.ended_at) > window:
        return
    known = Order.objects.ours(desk.mode).filter(trading_date=desk.today()).exclude(broker_order_id="")
    shown = {report.broker_order_id for report in book.orders}
    if book.unreadable or set(known.values_list("broker_order_id", flat=True)) - shown:
        raise MarkRefused("the broker's book is not complete: look for it in the broker's own app, and exit there")


def _check_it_would_be_shown(desk: Desk, order: Order, book: BrokerBook) -> None:
    window = timedelta(seconds=desk.rules.turned_away_window_seconds)
    if order.ended_at is not None and abs(book.as_of - order.ended_at) <= window:
        seconds = f"{window.total_seconds():.0f} seconds"
        raise MarkRefused(f"only {seconds} later the book says whether that was true: then press Exit again")


def _closable(desk: Desk, position: Position) -> int:
    """Return how many shares an exit may close: what is ours and at the broker, less what is being closed already."""
    if position.mode != desk.mode:
        raise NothingToExit(f"the position belongs to {position.mode}, and this is {desk.mode}")
    read = broker_positions(desk)
    held = position.quantity if read is None else read[0].get((position.exchange, position.symbol), 0)
    long = position.quantity > 0
    closing = Order.objects.unfinished(desk.mode).filter(
        exchange=position.exchange, symbol=position.symbol, side=(Side.SELL if long else Side.BUY).value
    )
    working = [(order.product, max(0, order.fillable_quantity - order.filled_quantity)) for order in closing]
    ours = abs(position.quantity) - sum(left for product, left in working if product == position.product)
    at_the_broker = (held if long else -held) - sum(left for _, left in working)  # who tells all products as one
    return max(0, min(ours, at_the_broker))


@explained
def mark_filled(desk: Desk, order: Order, fill: HandFill) -> Order:
    """
    Record a fill by hand, for an order that the broker's book does not explain or shows as ended.

    It counts for what the broker's own trades lack, gives way to them, and replaces what was marked before: two people
    who report the same shares do not add up. Raise `MarkRefused`.
    """
    _check_terms(fill)
    if order.origin == Origin.EXTERNAL:
        raise MarkRefused("somebody placed it elsewhere: the broker's book alone says how it ended")
    book = _fresh_book(desk)
    _check_broker(order, book)
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order.refresh_from_db()
        _check_later_reads(order, book)
        if order.mode != desk.mode or OrderStatus(order.status) in _NEVER_AT_THE_BROKER:
            raise MarkRefused(f"the order is {order.get_status_display().lower()}: it was never at the broker")
        trade_id = f"HAND-{fill.token}"[:60]
        if order.fills.filter(trade_id=trade_id).exists():
            return order  # the same form, sent twice
        _check_in_all(order, fill)
        now = desk.clock()
        Fill.objects.create(
            order=order,
            mode=order.mode,
            exchange=order.exchange,
            broker_order_id=order.broker_order_id or order.client_order_id or "",
            trade_id=trade_id,
            trading_date=trading_date(now),
            quantity=fill.quantity,
            price=fill.price,
            filled_at=now,
            source=Fill.Source.HAND,
            recorded_at=now,
            recorded_by=fill.by,
            reason=fill.reason,
        )
        order.note(f"{fill.quantity} at {fill.price} marked as filled: {fill.reason}", at=now, actor=fill.by)
        settle(order, now=now, actor=fill.by)
        if not order.is_unfinished:  # no book will tell of what was asked of it
            end_modification(order, now=now, note=f"the order was marked as filled: {fill.reason}", actor=fill.by)
    return order


@explained
def close_past_day(desk: Desk, order: Order, *, by: str, reason: str) -> Order:
    """
    Close an unfinished order of an earlier trading date, which the broker's book of today can say nothing about.

    An order that was in doubt is taken for not placed, any other for cancelled at the end of its day. Raise
    `CloseRefused`, also while the broker still shows it.
    """
    if not reason.strip():
        raise CloseRefused("say why: the reason is kept with the order")
    if order.mode != desk.mode:
        raise CloseRefused(f"the order belongs to {order.mode}, and this is {desk.mode}")
    if order.trading_date >= desk.today():
        raise CloseRefused("it is of today: the broker's book will say how it ended")
    try:
        book = _fresh_book(desk)
        _check_broker(order, book)
    except MarkRefused as refusal:
        raise CloseRefused(str(refusal)) from refusal
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order.refresh_from_db()
        try:
            _check_later_reads(order, book)
        except MarkRefused as refusal:
            raise CloseRefused(str(refusal)) from refusal
        if not order.is_unfinished:
            raise CloseRefused(f"the order is {order.get_status_display().lower()}: there is nothing to close")
        ended = OrderStatus.NOT_PLACED if order.status == OrderStatus.IN_DOUBT else OrderStatus.CANCELLED
        note = f"its day is over; closed by hand: {reason}"
        if not order.advance(ended, at=desk.clock(), note=note, actor=by):
            raise CloseRefused(f"the order is {order.get_status_display().lower()}: there is nothing to close")
        end_modification(order, now=desk.clock(), note=note, actor=by)
    return order


def _check_terms(fill: HandFill) -> None:
    if fill.quantity <= 0:
        raise MarkRefused("the quantity must be at least one share")
    if not fill.price.is_finite() or fill.price <= 0:
        raise MarkRefused("the price must be above zero")
    if fill.quantity * fill.price > VALUE_MAX:
        raise MarkRefused("that is worth more than can be kept: look at the price again")
    if not fill.reason.strip():
        raise MarkRefused("say why: the reason is kept with the fill")


def _check_in_all(order: Order, fill: HandFill) -> None:
    if fill.quantity > order.quantity:
        raise MarkRefused(f"the order is for {order.quantity} in all, and {fill.quantity} were reported")
    marked = statement(order.fills.all())
    if marked is not None and fill.quantity < marked.quantity:
        raise MarkRefused(
            f"{marked.quantity} in all were marked before, and a fill is not taken back: adjust the position instead"
        )


def _fresh_book(desk: Desk) -> BrokerBook:
    try:
        return desk.gateway.book(desk.clock())
    except (BrokerUnreachable, SessionRefused) as trouble:
        raise MarkRefused(f"the broker's book cannot be read now, so nothing is known of it: {trouble}") from trouble


def _check_broker(order: Order, book: BrokerBook) -> None:
    """Raise `MarkRefused` while the broker shows the order as working."""
    for report in book.orders:
        same = report.broker_order_id == order.broker_order_id or report.tag == order.client_order_id
        if same and report.status not in ENDED_AT_THE_BROKER:
            raise MarkRefused(f"the broker shows it as {report.status}: cancel it first, or wait for its end")


def _check_later_reads(order: Order, book: BrokerBook) -> None:
    """Raise `MarkRefused` when the order came to work at the broker since the book was read. The lock is held."""
    read_later = order.book_as_of is not None and order.book_as_of >= book.as_of
    if read_later and order.works_at_the_broker:
        raise MarkRefused(f"the broker shows it as {order.broker_status}: cancel it first, or wait for its end")
