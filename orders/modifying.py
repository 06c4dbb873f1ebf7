"""
Modify the price and quantity of a working order: decided like an order, written down, sent once, judged by the book.

The risk desk holds what would be left of the order against a book without what is left of it now. From the wish until
the broker's book shows which terms hold, both count at their worst: so a modification without a trustworthy answer
opens nothing that was not counted, and refuses no order. Auto-trading goes off, as for every doubt. It is never sent
again; whoever still wants it asks anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import transaction

from orders.broker.deadline import boot_clock
from orders.broker.gateway import NotSent, OrderRefused, OutcomeUnknown, SessionRefused, Terms, TooManyRequests
from orders.decided_rows import as_decided
from orders.deciding import PRICE_MAX, QUANTITY_MAX, OrderDenied, UnknownInstrument
from orders.desk import Desk, trading_date
from orders.execution import OtherMode
from orders.governor import modification_held_up, opens, stop_when_turned_away_again
from orders.ledger import own_quantity
from orders.lifecycle import TURNED_AWAY, WORKING, ModificationState, OrderStatus
from orders.logins import login_refused
from orders.models import Instrument, Order, OrderModification
from orders.models.quarters import FUTURE_MAX
from orders.observed import Observed, observe
from orders.portfolio import snapshot
from orders.traffic import times_modified
from orders.withdrawing import decision_is_outdated, login_is_against, market_is_against, opening_is_stopped
from risk import control as switch
from risk import limit_versions
from risk.audit.who import explained
from risk.engine.control import plain
from risk.engine.decision import assess
from risk.engine.facts import (
    OrderType,
    Origin,
    Portfolio,
    ProposedOrder,
    Replaced,
    Side,
    TradingSignalType,
    TradingState,
    is_closing,
)
from risk.engine.rules import Outcome
from risk.engine.sizing import into_band
from risk.models import Incident, TradingControl
from risk.writing import insert

log = structlog.get_logger(__name__)

_RESTING = "OPEN"  # the one word of the broker for an order that it modifies
_S = ModificationState


class ModificationRefused(Exception):
    """The order cannot be modified like this now; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """
    What a person, or a script, wants an order to be. None leaves the order's own.

    `quantity` is shares in all, filled ones included, `price` INR. `token` makes it one modification however often it
    is sent. `shown` are the quantity and price that the person saw: over other ones nothing is changed unseen.
    """

    token: str
    quantity: int | None
    price: Decimal | None
    by: str
    reason: str
    shown: tuple[int, Decimal] | None = None


@explained
def modify(desk: Desk, order: Order, wish: Wish) -> OrderModification:
    """
    Decide the modification, write it down, send it, and return it with what the broker answered.

    Accepted is not in effect: the order keeps its terms until the broker's book shows others. Raise
    `ModificationRefused`, `OrderDenied` with the decision, `UnknownInstrument`, or `OtherMode`.
    """
    if order.mode != desk.mode:
        raise OtherMode(f"{order} belongs to {order.mode}, and this is {desk.mode}")
    if earlier := _made_earlier(order, wish):
        return _send(desk, earlier)  # which does so only if the process that wrote it down died before it could
    instrument = Instrument.objects.filter(exchange=order.exchange, symbol=order.symbol).first()
    if instrument is None:
        raise UnknownInstrument(f"{order.exchange}:{order.symbol} is not in the broker's list of instruments")
    order.refresh_from_db()
    _check(desk, order, wish)
    buys = order.side == Side.BUY
    short = own_quantity(desk.mode, order.exchange, order.symbol) < 0
    observed = observe(desk, order.exchange, order.symbol, with_position=short or not buys, with_funds=buys)
    return _send(desk, _decide(desk, order, wish, instrument, observed))


def cannot_be_modified(order: Order, *, now: datetime) -> str:
    """Return why the order's terms cannot be modified; empty when they may be."""
    if order.origin == Origin.EXTERNAL:
        return "it was placed elsewhere, and is modified there"
    if order.trading_date != trading_date(now):
        return "it is of another day"
    if OrderStatus(order.status) not in WORKING:
        return f"it is {order.get_status_display().lower()}: only what works at the broker is modified"
    if order.order_type != OrderType.LIMIT or order.price is None:
        return f"it is a {order.order_type} order: it has no price to modify"
    if order.cancel_requested_at is not None:
        return "its cancel was asked for"
    if order.broker_status != _RESTING:
        return f"the broker shows it as {order.broker_status}" if order.broker_status else "the book lacks it as yet"
    return ""


def finish_modifications(desk: Desk) -> None:
    """End what a process that died left: what was not sent is withdrawn, what had no answer in time is in doubt."""
    now, age_max = desk.clock(), timedelta(seconds=desk.rules.decision_age_max_seconds)
    for modification in OrderModification.objects.dated_ahead(desk.mode, now):
        _restart_wait(desk, modification)
    for modification in OrderModification.objects.overdue(desk.mode, now):
        _put_in_doubt(desk, modification, f"{modification.sender} did not say how the sending ended")
    for modification in OrderModification.objects.unfinished(desk.mode).filter(state=_S.WISHED):
        if abs(now - modification.written_at) > age_max:
            _conclude(desk, modification, _S.WITHDRAWN, "the decision is too old")


def _made_earlier(order: Order, wish: Wish) -> OrderModification | None:
    """Return the modification that this token made already. Raise `ModificationRefused` where it is another order's."""
    earlier = OrderModification.objects.filter(token=wish.token).select_related("order", "decision").first()
    if earlier is not None and earlier.order_id != order.pk:
        raise ModificationRefused("this form was used for another order: open it again")
    return earlier


def _check(desk: Desk, order: Order, wish: Wish) -> tuple[int, Decimal]:
    """Return the terms that the order would have. Raise `ModificationRefused` for those that no order can have."""
    if reason := cannot_be_modified(order, now=desk.clock()):
        raise ModificationRefused(f"the order cannot be modified: {reason}")
    if under_way := order.modifications.filter(ended_at__isnull=True).first():
        raise ModificationRefused(
            f"it is being modified already, to {under_way}, as {under_way.asked_by} asked: "
            f"{under_way.get_state_display().lower()}, until the broker's book shows which terms hold"
        )
    assert order.price is not None, "an order without a price cannot be modified"
    if wish.shown is not None and wish.shown != (order.quantity, order.price):
        raise ModificationRefused(
            f"the order is for {order.quantity} at {order.price:.2f} by now, not for {wish.shown[0]} at "
            f"{wish.shown[1]:.2f} as was shown: look at it again"
        )
    quantity = order.quantity if wish.quantity is None else wish.quantity
    price = order.price if wish.price is None else wish.price
    if not wish.reason.strip():
        raise ModificationRefused("say why: the reason is kept with the order")
    if not 0 < quantity <= QUANTITY_MAX:
        raise ModificationRefused(f"the quantity is {quantity}: give 1 to {QUANTITY_MAX} shares")
    if not (price.is_finite() and 0 < price <= PRICE_MAX):
        raise ModificationRefused(f"the limit price is {price}: give more than 0 and at most {PRICE_MAX} INR")
    if quantity <= order.filled_quantity:
        raise ModificationRefused(
            f"{order.filled_quantity} are filled already: the quantity in all must be more, or cancel the rest"
        )
    if (quantity, price) == (order.quantity, order.price):
        raise ModificationRefused("the order has this quantity and price already")
    return quantity, price


def _decide(desk: Desk, order: Order, wish: Wish, instrument: Instrument, observed: Observed) -> OrderModification:
    """Assess the modification under the lock and write it down. Raise `OrderDenied` or `ModificationRefused`."""
    with transaction.atomic(durable=True):
        control = TradingControl.objects.locked(desk.mode)
        if earlier := _made_earlier(order, wish):
            return earlier
        order.refresh_from_db()
        quantity, price = _check(desk, order, wish)
        now = desk.clock()
        limits = desk.tighten(limit_versions.settle_for_instrument(instrument.exchange, instrument.symbol, now=now))
        portfolio = snapshot(desk, control, instrument, observed, limits=limits, now=now, without=order)
        proposed = _as_proposed(order, instrument, portfolio, quantity, price)
        assert proposed.limit_price is not None, "a modified order is a LIMIT"
        if (quantity, proposed.limit_price) == (order.quantity, order.price):
            raise ModificationRefused(f"the order stays as it is: its price is {proposed.size_note}")
        assessment = assess(proposed, portfolio, limits, now)
        decision = insert(
            as_decided(desk, control, proposed, portfolio, assessment, limits.version, now, actor=wish.by)
        )
        if assessment.outcome == Outcome.APPROVED:
            assert order.price is not None, "an order without a price cannot be modified"
            modification = OrderModification.objects.create(
                order=order,
                decision=decision,
                token=wish.token,
                asked_by=wish.by,
                reason=wish.reason,
                quantity_before=order.quantity,
                price_before=order.price,
                quantity=quantity,
                price=proposed.limit_price,
                written_at=now,
            )
            order.note(f"modification wished: {modification}: {wish.reason}", at=now, actor=wish.by)
            return modification
    raise OrderDenied(decision)


def _as_proposed(
    order: Order, instrument: Instrument, portfolio: Portfolio, quantity: int, price: Decimal
) -> ProposedOrder:
    assert order.price is not None, "an order without a price cannot be modified"
    proposed = ProposedOrder(
        action=TradingSignalType(order.side),
        exchange=order.exchange,
        symbol=order.symbol,
        product=order.product,
        quantity=quantity - order.filled_quantity,
        order_type=OrderType.LIMIT,
        limit_price=price,
        origin=Origin.MANUAL,  # a person wants it, whoever wanted the order
        lot_size=instrument.lot_size,
        tick_size=instrument.tick_size,
        segment=instrument.segment,
        instrument_type=instrument.instrument_type,
        replaces=Replaced(
            quantity=order.unfilled_quantity,
            limit_price=order.price,
            filled=order.filled_quantity,
            modified=times_modified(order),
        ),
    )
    if not is_closing(proposed, portfolio.holding):
        return proposed
    inside = into_band(price, portfolio.band, portfolio.quote, Side(order.side), instrument.tick_size)
    note = f"clipped from {plain(price)} to {plain(inside)} INR by the price band" if inside != price else ""
    return replace(proposed, limit_price=inside, size_note=note)


def _send(desk: Desk, modification: OrderModification) -> OrderModification:
    """Send what is WISHED, once, and write down which of the three outcomes it had. Anything else is left as it is."""
    send_by = _claim_when_there_is_room(desk, modification)
    if send_by is None:
        return modification
    asked_at, order = desk.clock(), modification.order
    terms = Terms(quantity=modification.quantity, price=modification.price)
    try:
        desk.gateway.modify(order.broker_order_id, terms, send_by=send_by)
    except NotSent as late:
        _conclude(desk, modification, _S.WITHDRAWN, str(late))
    except OrderRefused as refusal:
        if isinstance(refusal, SessionRefused):
            login_refused(desk, str(refusal), asked_at=asked_at)
        if isinstance(refusal, TooManyRequests):
            _turned_away(desk, modification, str(refusal))
        else:
            _conclude(desk, modification, _S.REFUSED, f"refused by the broker: {refusal}")
    except OutcomeUnknown as doubt:
        _put_in_doubt(desk, modification, str(doubt))
    else:
        _conclude(desk, modification, _S.ACCEPTED, "the broker took the request; its book will show the terms")
    return modification


def _claim_when_there_is_room(desk: Desk, modification: OrderModification) -> float | None:
    """Claim it for sending and return the last moment to, on the boot clock; what adds nothing waits for room."""
    waited = timedelta(0)
    while True:
        send_by = boot_clock() + desk.rules.send_within_seconds  # from before the claim: a pause right after it counts
        won = _claim(desk, modification, waited)
        if isinstance(won, bool):
            return send_by if won else None
        desk.pause(won.total_seconds())
        waited += won


def _claim(desk: Desk, modification: OrderModification, waited: timedelta) -> bool | timedelta:
    """
    Move it to SENDING, committed before anything is sent, or withdraw it.

    Return whether to send it, or how long to wait before the next try.
    """
    with transaction.atomic(durable=True):  # so that a crash cannot hide the attempt
        control = TradingControl.objects.locked(desk.mode)
        _refresh(modification)
        now = desk.clock()
        if modification.state != _S.WISHED:
            return False
        reason = _withdrawal(desk, modification, control, now)
        held = None if reason else modification_held_up(desk, modification, waited, now)
        if reason or (held and held.withdrawn_because):
            modification.advance(_S.WITHDRAWN, at=now, note=reason or (held.withdrawn_because if held else ""))
            return False
        if held:
            return held.pause
        return modification.advance(
            _S.SENDING,
            at=now,
            note=modification.reason,
            actor=modification.asked_by,
            sender=desk.sender,
            sent_at=now,
            answer_by=now + timedelta(seconds=desk.rules.answer_within_seconds),
        )


def _withdrawal(desk: Desk, modification: OrderModification, control: TradingControl, now: datetime) -> str | None:
    """Return why it must not be sent any more; None when it still may."""
    order, decision = modification.order, modification.decision
    if reason := cannot_be_modified(order, now=now):
        return reason
    if modification.quantity <= order.filled_quantity:
        return f"{order.filled_quantity} were filled meanwhile"
    if (order.quantity, order.price) != (modification.quantity_before, modification.price_before):
        return f"the order has other terms by now: {order.quantity} at {order.price}"
    # Also one from the future: the clock was set back, and nobody knows how old it is.
    if abs(now - modification.written_at) > timedelta(seconds=desk.rules.decision_age_max_seconds):
        return "the decision is too old"
    if control.state == TradingState.HALTED:
        return "trading was halted"
    return (
        decision_is_outdated(decision, control, limit_versions.settle(now=now))
        or login_is_against(desk, control, now)
        or market_is_against(desk, decision, now)
        or (opening_is_stopped(desk, order) if opens(order) and not modification.tightens else None)
    )


def _conclude(desk: Desk, modification: OrderModification, state: ModificationState, note: str) -> None:
    """Write the answer down. What the book explained first stays as it is."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        _refresh(modification)
        modification.advance(state, at=desk.clock(), note=note)


def _turned_away(desk: Desk, modification: OrderModification, answer: str) -> None:
    """
    Write a 429 down. That it did not come about is an inference: it counts until the book bears it out, in seconds.

    So it opens no incident, and stops nothing unless it is the second in a row.
    """
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        _refresh(modification)
        now, note = desk.clock(), f"{TURNED_AWAY}: {answer}"
        modification.advance(_S.IN_DOUBT, at=now, note=note, answered_at=now)
    stop_when_turned_away_again(desk, answer)


def _put_in_doubt(desk: Desk, modification: OrderModification, reason: str) -> None:
    """
    Say that nobody knows whether it holds, and turn auto-trading off. Nothing is sent again.

    Orders that open are not refused, as they are while an order is in doubt: whichever terms hold, both count already.
    """
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        _refresh(modification)
        now, order = desk.clock(), modification.order
        if not modification.advance(_S.IN_DOUBT, at=now, note=reason):
            return  # the book explained it first
        why = f"a modification of order {order.client_order_id} is in doubt"
        switch.auto_trading_off(desk.mode, by="executor", reason=why, now=now)
        Incident.objects.open(
            Incident.Kind.ORDER_IN_DOUBT,
            mode=desk.mode,
            subject=f"modification {modification.pk} of {order.client_order_id}",
            title=f"{order}: a modification was sent, and has no trustworthy answer",
            detail=f"{modification}: {reason}",
            what_to_do="It is not sent again. Both terms count, at the worse of both, until the broker's book shows "
            "which hold. The order can be cancelled meanwhile. Auto-trading was turned off: turn it on again when this "
            "is clear.",
            symbol=order.symbol,
            client_order_id=order.client_order_id or "",
            now=now,
        )
    log.critical("modification.in_doubt", order=order.client_order_id, reason=reason)


def _restart_wait(desk: Desk, modification: OrderModification) -> None:
    """Let what a clock dated that was set back begin now; else it would be waited for until the clock caught up."""
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        _refresh(modification)
        now = desk.clock()
        if modification.sent_at is None or modification.sent_at <= now + FUTURE_MAX or not modification.is_unfinished:
            return
        answer_by = now + timedelta(seconds=desk.rules.answer_within_seconds)
        OrderModification.objects.filter(pk=modification.pk).update(sent_at=now, answer_by=answer_by)
        modification.order.note("the clock was set back: the wait for its terms begins again", at=now, actor="executor")


def _refresh(modification: OrderModification) -> None:
    modification.refresh_from_db()
    modification.order.refresh_from_db()
