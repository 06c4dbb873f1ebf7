"""An order's states: the rows of its history, and what each event makes of the last one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from orders.paper.exchange.events import Accepted, Cancelled, Filled, Modified, Opened, Rejected, Triggered
from orders.paper.terms import OrderType, Validity


class Status(StrEnum):
    RECEIVED = "PUT ORDER REQ RECEIVED"
    AMO_RECEIVED = "AMO REQ RECEIVED"
    VALIDATING = "VALIDATION PENDING"
    OPENING = "OPEN PENDING"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER PENDING"
    MODIFY_AMO_RECEIVED = "MODIFY AMO REQ RECEIVED"
    MODIFY_VALIDATING = "MODIFY VALIDATION PENDING"
    MODIFYING = "MODIFY PENDING"
    MODIFIED = "MODIFIED"
    CANCELLING = "CANCEL PENDING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


ENDED = frozenset({Status.COMPLETE, Status.CANCELLED, Status.REJECTED})
# Waiting where the client can still change or cancel it.
CHANGEABLE = frozenset({Status.OPEN, Status.TRIGGER_PENDING, Status.AMO_RECEIVED})


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderState:
    """An order as it was from one moment on: a row of its history."""

    status: Status
    at: datetime
    quantity: int
    order_type: OrderType
    price: Decimal  # INR
    trigger_price: Decimal  # INR
    validity: Validity
    validity_ttl: int  # minutes
    disclosed_quantity: int
    market_protection: Decimal  # percent
    filled_quantity: int = 0
    cancelled_quantity: int = 0
    average_price: Decimal = Decimal(0)  # INR
    status_message: str | None = None
    status_message_raw: str | None = None
    reached_exchange_at: datetime | None = None
    modified: bool = False

    @property
    def pending_quantity(self) -> int:
        if self.status is Status.REJECTED:
            return 0
        return self.quantity - self.filled_quantity - self.cancelled_quantity


def received(event: Accepted) -> list[OrderState]:
    """Return the first rows; an order that a fault keeps stuck has only the first of them."""
    ticket = event.ticket
    # The trigger price of a cover order is its second leg's.
    trigger_price = ticket.trigger_price if ticket.order_type.is_stop else Decimal(0)
    first = OrderState(
        status=Status.RECEIVED,
        at=event.at,
        quantity=ticket.quantity,
        order_type=ticket.order_type,
        price=ticket.price,
        trigger_price=trigger_price,
        validity=ticket.validity,
        validity_ttl=ticket.validity_ttl,
        disclosed_quantity=ticket.disclosed_quantity,
        market_protection=ticket.market_protection,
    )
    if event.stuck_until is not None:
        return [first]
    return [first, replace(first, status=Status.VALIDATING)]


def queued(state: OrderState, at: datetime) -> list[OrderState]:
    return [replace(state, status=Status.AMO_RECEIVED, at=at)]


def opened(state: OrderState, event: Opened) -> list[OrderState]:
    rows = []
    if state.status is not Status.VALIDATING:
        state = replace(state, status=Status.VALIDATING, at=event.at)
        rows.append(state)
    opening = replace(state, status=Status.OPENING, at=event.at)
    at_exchange = replace(
        opening,
        status=Status.TRIGGER_PENDING if event.stopped else Status.OPEN,
        order_type=event.order_type or state.order_type,
        price=state.price if event.price is None else event.price,
        reached_exchange_at=event.at,
    )
    return [*rows, opening, at_exchange]


def triggered(state: OrderState, event: Triggered) -> list[OrderState]:
    return [replace(state, status=Status.OPEN, at=event.at, price=event.price)]


def rejected(state: OrderState, event: Rejected) -> list[OrderState]:
    return [
        replace(
            state,
            status=Status.REJECTED,
            at=event.at,
            status_message=event.message,
            status_message_raw=event.message_raw,
        )
    ]


def modified(state: OrderState, event: Modified) -> list[OrderState]:
    """Return the rows of a modification; as at Zerodha, only the last of them carries the new terms."""
    before = replace(state, at=event.at)
    at_exchange = Status.TRIGGER_PENDING if event.stopped else Status.OPEN
    queueing = state.status is Status.AMO_RECEIVED
    after = replace(
        before,
        status=Status.AMO_RECEIVED if queueing else at_exchange,
        quantity=event.quantity,
        price=event.price,
        order_type=event.order_type,
        trigger_price=event.trigger_price,
        validity=event.validity or state.validity,
        validity_ttl=event.validity_ttl,
        disclosed_quantity=state.disclosed_quantity if event.disclosed_quantity is None else event.disclosed_quantity,
        market_protection=event.market_protection,
        modified=True,
    )
    interim = (
        (Status.MODIFY_AMO_RECEIVED,) if queueing else (Status.MODIFY_VALIDATING, Status.MODIFYING, Status.MODIFIED)
    )
    return [replace(before, status=status) for status in interim] + [after]


def filled(state: OrderState, event: Filled) -> list[OrderState]:
    quantity = state.filled_quantity + event.quantity
    paid = state.average_price * state.filled_quantity + event.price * event.quantity
    status = Status.COMPLETE if quantity == state.quantity else Status.OPEN
    return [replace(state, status=status, at=event.at, filled_quantity=quantity, average_price=paid / quantity)]


def cancelled(state: OrderState, event: Cancelled) -> list[OrderState]:
    before = replace(state, at=event.at)
    after = replace(before, status=Status.CANCELLED, cancelled_quantity=state.pending_quantity)
    return [replace(before, status=Status.CANCELLING), after]
