"""What a person does to the book: an order by hand, an exit, a fill recorded by hand."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from orders.broker.gateway import BrokerBook, BrokerUnreachable, SessionRefused
from orders.counted_fills import statement
from orders.deciding import ManualOrder, decide_manual, made_earlier
from orders.desk import Desk, trading_date
from orders.execution import submit
from orders.ledger import VALUE_MAX, settle
from orders.lifecycle import ENDED_AT_THE_BROKER, OrderStatus
from orders.models import Fill, Order, Position
from orders.quotes import broker_positions
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

    Raise `NothingToExit` or `OrderDenied`.
    """
    if earlier := made_earlier(desk, token):
        return submit(desk, earlier)  # which sends it only if the process that wrote it down died before it could
    position.refresh_from_db()
    if position.quantity == 0:
        raise NothingToExit(f"there is no open position in {position.symbol}")
    quantity = _closable(desk, position)
    if quantity == 0:
        raise NothingToExit(f"nothing of {position.symbol} can be closed: it is being closed, or not at the broker")
    wish = ManualOrder(
        token=token,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        exchange=position.exchange,
        symbol=position.symbol,
        quantity=quantity,
        order_type=OrderType.MARKET,
        limit_price=None,
        by=by,
        is_exit=True,
    )
    return place(desk, wish)


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
    working = sum(order.unfilled_quantity for order in closing)
    ours = min(position.quantity, held) if long else min(-position.quantity, -held)
    return max(0, ours - working)


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
    return order


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
