"""
The steps that matter: decide, submit, cancel.

Each writes under the mode's lock, in short transactions, and never waits for the network while it holds it. An order is
written down before it is sent and carries our id to the broker; what the sender does not surely know is IN_DOUBT until
the broker's own book explains it. The conditional UPDATE in `Order.advance` is what keeps two senders from sending one
order: of two that try, one moves it to SUBMITTING.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from django.db import transaction
from django.db.models import F

from orders.broker.deadline import boot_clock
from orders.broker.gateway import (
    GatewayError,
    NotSent,
    OrderRefused,
    OrderRequest,
    OutcomeUnknown,
    SessionRefused,
    TooManyRequests,
)
from orders.desk import Desk
from orders.governor import ask_held_up, pause_before_cancel, stop_after_rejections, stop_when_turned_away_again
from orders.ledger import ask_strangers, take_broker_id
from orders.lifecycle import TURNED_AWAY, OrderStatus
from orders.logins import login_refused
from orders.models import Flatten, Order
from orders.under_lock import lock_and_ask
from orders.withdrawing import Against, withdrawal
from risk import control as switch
from risk.audit.who import explained
from risk.engine.facts import Origin, Side
from risk.models import Incident, TradingControl

CANCEL_TAKEN = "taken; the book has not shown the end yet"
ANSWER_LENGTH_MAX = 300  # of what the broker says to a cancel: a proxy's page may be any length

log = structlog.get_logger(__name__)


class OtherMode(Exception):
    """The order belongs to the other mode's broker, which this desk does not reach."""


def submit(desk: Desk, order: Order) -> Order:
    """
    Send a PENDING order, once, and write down which of the three outcomes it had.

    An order that is no longer wanted, or was decided too long ago, is withdrawn unsent; an order that is not PENDING is
    left as it is.
    """
    claim = _claim_when_there_is_room(desk, order)
    if claim is None:
        return order
    asked_at = claim.at
    try:
        broker_order_id = desk.gateway.place(_request(order), send_by=claim.send_by)
    except NotSent as late:
        with transaction.atomic(durable=True):
            TradingControl.objects.locked(desk.mode)
            order.read_again()
            _withdraw(order, reason=str(late), now=desk.clock())
    except OrderRefused as refusal:
        if isinstance(refusal, SessionRefused):
            login_refused(desk, str(refusal), asked_at=asked_at)
        turned_away = isinstance(refusal, TooManyRequests)
        note = f"{TURNED_AWAY if turned_away else 'refused by the broker'}: {refusal}"
        _conclude(desk, order, OrderStatus.REJECTED, note=note)
        if turned_away:
            stop_when_turned_away_again(desk, str(refusal))
    except OutcomeUnknown as doubt:
        put_in_doubt(desk, order, reason=str(doubt))
    else:
        _bind(desk, order, broker_order_id)
        if order.cancel_tried_at is None:  # a halt came while it was on its way: the tracker may be asleep
            carry_out_cancel(desk, order)
    return order


@explained
def cancel(desk: Desk, order: Order, *, by: str, reason: str) -> Order:
    """
    Write the wish to cancel down, then carry it out if that is possible now; the tracker repeats it until it is done.

    An unsent order is withdrawn at once. For a sent one only the broker's book says that it is cancelled. Raise
    `OtherMode` for a paper order on a live desk, or the other way round.
    """
    if order.mode != desk.mode:
        raise OtherMode(f"{order} belongs to {order.mode}, and this is {desk.mode}")
    with transaction.atomic(durable=True):
        switch.wait_for_the_lock()
        TradingControl.objects.locked(desk.mode)
        order.read_again()
        ask_to_cancel(desk, [order], by=by, reason=reason)
    return carry_out_cancel(desk, order)


def cannot_be_cancelled(order: Order, mode: str) -> str:
    """Return why a cancel makes no sense for the order; empty when it may be asked for."""
    if order.mode != mode:
        return f"it belongs to {order.mode}, this is {mode}"
    if order.origin == Origin.EXTERNAL:
        return "it was placed elsewhere, and is cancelled there"
    if not order.is_unfinished:
        return f"it is {order.get_status_display().lower()}, and nothing is left to cancel"
    return ""


def after_a_cancel(order: Order) -> str:
    """Return what became of an order whose cancel was asked for just now."""
    if order.status == OrderStatus.WITHDRAWN:
        return "it was withdrawn: it had not been sent"
    if not order.is_unfinished:
        return f"it is {order.get_status_display().lower()} now"
    if order.broker_order_id:
        return "the cancel is asked for. The broker's book will show its end"
    return "the broker's id is not known yet. The cancel is sent as soon as it is"


@explained
def cancel_all(desk: Desk, *, by: str, reason: str) -> list[Order]:
    """
    Ask for the cancel of every unfinished order. The wishes are all written before the first one is carried out.

    A flatten under way ends with it: it would only make new exits for those that are cancelled here.
    """
    with transaction.atomic(durable=True):
        switch.wait_for_the_lock()
        TradingControl.objects.locked(desk.mode)
        orders = list(Order.objects.unfinished(desk.mode))
        ask_to_cancel(desk, orders, by=by, reason=reason)
        for each in Flatten.objects.under_way(desk.mode):
            each.end(Flatten.State.ENDED, by=by, outcome=reason, at=desk.clock())
    return carry_out_each(desk, orders)


def ask_to_cancel(desk: Desk, orders: list[Order], *, by: str, reason: str) -> None:
    """Write the wish to cancel each of them down; an unsent one is withdrawn. The caller holds the mode's lock."""
    for order in orders:
        order.request_cancel(by=by, reason=reason, at=desk.clock())
        if order.status == OrderStatus.PENDING:
            order.advance(OrderStatus.WITHDRAWN, at=desk.clock(), note=f"cancelled unsent: {reason}", actor=by)


def carry_out_cancel(desk: Desk, order: Order) -> Order:
    """Send the cancel that was wished for, if the broker knows the order. Sending it twice does no harm."""
    if order.cancel_requested_at is None or not order.works_at_the_broker:
        return order
    asked_at = desk.clock()
    # Before it is sent, so that whoever comes by meanwhile knows that somebody has tried.
    Order.objects.filter(pk=order.pk).update(cancel_tried_at=asked_at, cancel_tries=F("cancel_tries") + 1)
    try:
        desk.gateway.cancel(order.broker_order_id)
    except GatewayError as trouble:
        # Not the end of it: the wish stays, and the book decides. "Being processed" is also said of finished orders.
        log.warning("order.cancel_not_accepted", order=order.client_order_id, reason=str(trouble))
        order.answer_to_cancel(str(trouble)[:ANSWER_LENGTH_MAX], at=desk.clock(), taken=False)
        if isinstance(trouble, SessionRefused):
            login_refused(desk, str(trouble), asked_at=asked_at)
    else:
        order.answer_to_cancel(CANCEL_TAKEN, at=desk.clock(), taken=True)
    order.read_again()
    return order


def carry_out_each(desk: Desk, orders: list[Order]) -> list[Order]:
    """
    Carry the cancels of many orders out, no faster than the broker takes them. None is left out for that.

    What another process carried out while this one waited for room is not sent a second time.
    """
    for order in orders:
        if order.cancel_requested_at is None or not order.works_at_the_broker:
            continue
        tried_at = order.cancel_tried_at
        pause_before_cancel(desk)
        order.read_again()
        if order.cancel_tried_at == tried_at:
            carry_out_cancel(desk, order)
    return orders


@explained
def halt(desk: Desk, *, by: str, reason: str) -> list[Order]:
    """Halt trading, which is committed first, then ask for the cancel of every unfinished order."""
    switch.halt(desk.mode, by=by, reason=reason, now=desk.clock())
    return cancel_all(desk, by=by, reason=f"trading halted: {reason}")


def put_in_doubt(desk: Desk, order: Order, *, reason: str) -> None:
    """Mark a sent order as IN_DOUBT, turn auto-trading off and open an incident. Nothing is sent again."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order.read_again()
        now = desk.clock()
        if not order.advance(OrderStatus.IN_DOUBT, at=now, note=reason):
            return  # the book explained it first
        switch.auto_trading_off(desk.mode, by="executor", reason=f"order {order.client_order_id} is in doubt", now=now)
        Incident.objects.open(
            Incident.Kind.ORDER_IN_DOUBT,
            mode=desk.mode,
            subject=order.client_order_id or "",
            title=f"{order}: sent, and no trustworthy answer",
            detail=reason,
            what_to_do=(
                "Nothing is sent again. The broker's book is read until it explains the order; while it does not, "
                "nothing new is opened. Auto-trading was turned off: turn it on again when this is clear."
            ),
            symbol=order.symbol,
            client_order_id=order.client_order_id or "",
            now=now,
        )
    log.critical("order.in_doubt", order=order.client_order_id, reason=reason)


def doubt_overdue(desk: Desk) -> list[Order]:
    """Put in doubt what was being sent and got no answer in time: its sender died, or its answer was lost."""
    overdue = list(Order.objects.overdue(desk.mode, desk.clock()))
    for order in overdue:
        put_in_doubt(desk, order, reason=f"{order.sender} did not say how the sending ended")
    for order in Order.objects.doubted_in_the_future(desk.mode, desk.clock()):
        _restart_window(desk, order)
    return overdue


def _restart_window(desk: Desk, order: Order) -> None:
    """Let the absence window of a doubt from the future begin now; else it would last until the clock has caught up."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order.read_again()
        if order.status != OrderStatus.IN_DOUBT:
            return  # the book explained it first
        now = desk.clock()
        order.note("the clock was set back: the absence window begins again", at=now, actor="executor")
        Order.objects.filter(pk=order.pk).update(submitted_at=now, missed_at=None)


class _Claim(NamedTuple):
    """An order that this process sends: the last moment to, on the boot clock, and when it was claimed."""

    send_by: float
    at: datetime


def _claim_when_there_is_room(desk: Desk, order: Order) -> _Claim | None:
    """Claim the order for sending; one that closes waits a moment for room, outside the lock. None: nothing to send."""
    waited = timedelta(0)
    while True:
        send_by = boot_clock() + desk.rules.send_within_seconds  # from before the claim: a pause right after it counts
        asked_at = desk.clock()
        won = _claim(desk, order, waited)
        if isinstance(won, bool):
            return _Claim(send_by, asked_at) if won else None
        desk.pause(won.total_seconds())
        waited += won


def _claim(desk: Desk, order: Order, waited: timedelta) -> bool | timedelta:
    """
    Move the order to SUBMITTING, committed before anything is sent, or withdraw it.

    Return whether to send it, or how long one that closes should wait before it tries again.
    """
    with transaction.atomic(durable=True):  # so that a crash cannot hide the attempt
        control, (again, asked, room), now = lock_and_ask(
            desk,
            lambda now: (Order.ask_again(order.pk), Against.ask(desk, order, now), ask_held_up(desk, order, now)),
            purchase=order.side == Side.BUY,
        )
        order.as_read(again())
        if order.status != OrderStatus.PENDING:
            return False
        if order.broker_order_id:
            return False  # the book has it already; what it says is taken over
        against = asked()
        if reason := withdrawal(desk, order, control, against, now):
            _withdraw(order, reason=reason, now=now)
            return False
        if held := room(against.limits, waited):
            if held.withdrawn_because:
                _withdraw(order, reason=held.withdrawn_because, now=now)
            return held.pause or False
        return order.advance(
            OrderStatus.SUBMITTING,
            at=now,
            note=f"sending, after {waited.total_seconds():.1f} s" if waited else "sending",
            sender=desk.sender,
            submitted_at=now,
            answer_by=now + timedelta(seconds=desk.rules.answer_within_seconds),
        )


def _withdraw(order: Order, *, reason: str, now: datetime) -> None:
    """
    End an order that was never sent; its signal is decided again, which says what became of it.

    Not so when somebody wished it cancelled: the signal had its order, and that one is not wanted.
    """
    withdrawn = order.advance(OrderStatus.WITHDRAWN, at=now, note=reason)
    if withdrawn and order.signal is not None and order.cancel_requested_at is None:
        order.signal.reopen(reason=f"to be decided again: {reason}")


def _bind(desk: Desk, order: Order, broker_order_id: str) -> None:
    """Write the broker's id down. If the book was read first it is there already, and there is nothing to do."""
    with transaction.atomic(durable=True):
        _, (again, strangers), now = lock_and_ask(
            desk, lambda now: (Order.ask_again(order.pk), ask_strangers(order, broker_order_id))
        )
        order.as_read(again())
        _take_the_answer(order, broker_order_id, is_known=bool(strangers()), now=now)


def _take_the_answer(order: Order, broker_order_id: str, *, is_known: bool, now: datetime) -> None:
    """Write id and status in one statement, unless the id `is_known` as somebody else's: that row gives it up first."""
    note = f"accepted by the broker as {broker_order_id}"
    if not order.broker_order_id and is_known:
        take_broker_id(order, broker_order_id, now=now)
    if order.status in {OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT}:
        new = {} if order.broker_order_id else {"broker_order_id": broker_order_id}
        order.advance(OrderStatus.OPEN, at=now, note=note, **new)
    elif not order.broker_order_id:
        take_broker_id(order, broker_order_id, now=now)


def _conclude(desk: Desk, order: Order, status: OrderStatus, *, note: str) -> None:
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        order.read_again()
        if order.status not in {OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT}:
            return  # the book has explained it already
        if order.advance(status, at=desk.clock(), note=note) and status == OrderStatus.REJECTED:
            stop_after_rejections(desk.mode, now=desk.clock())


def _request(order: Order) -> OrderRequest:
    assert order.client_order_id is not None, "an order of ours has our id"
    return OrderRequest(
        tag=order.client_order_id,
        exchange=order.exchange,
        symbol=order.symbol,
        side=order.side,
        product=order.product,
        order_type=order.order_type,
        quantity=order.quantity,
        price=order.price,
    )
