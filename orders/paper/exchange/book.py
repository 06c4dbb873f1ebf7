"""The book: every order with all its states, every trade. It changes only by applying an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from orders.paper.exchange.events import (
    Accepted,
    BookOpened,
    Cancelled,
    Filled,
    Modified,
    Opened,
    OrderHappened,
    Rejected,
)
from orders.paper.exchange.tickets import Ticket
from orders.paper.indian_time import trading_date
from orders.paper.terms import OrderType, Product, Side

ORDER_ID_PREFIX = "SIM"
FIRST_TRADE_NUMBER = 10_000_001


class Status(StrEnum):
    RECEIVED = "PUT ORDER REQ RECEIVED"
    VALIDATING = "VALIDATION PENDING"
    OPENING = "OPEN PENDING"
    OPEN = "OPEN"
    MODIFY_VALIDATING = "MODIFY VALIDATION PENDING"
    MODIFYING = "MODIFY PENDING"
    MODIFIED = "MODIFIED"
    CANCELLING = "CANCEL PENDING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, kw_only=True)
class OrderState:
    """An order as it was from one moment on: a row of its history."""

    status: Status
    at: datetime
    quantity: int
    order_type: OrderType
    price: Decimal  # INR
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


@dataclass(kw_only=True)
class Order:
    order_id: str
    ticket: Ticket
    accepted_at: datetime
    hidden_until: datetime | None
    reject_at: datetime | None
    held: bool  # does not fill before the price is next set
    history: list[OrderState] = field(default_factory=list)
    modifications: int = 0

    @property
    def state(self) -> OrderState:
        return self.history[-1]

    @property
    def exchange_order_id(self) -> str:
        return self.order_id.removeprefix(ORDER_ID_PREFIX)

    @property
    def working(self) -> bool:
        return self.state.status in (Status.VALIDATING, Status.OPEN)

    def visible(self, now: datetime) -> bool:
        return self.hidden_until is None or now >= self.hidden_until

    def belongs_to(self, now: datetime) -> bool:
        """Tell whether the order is of the moment's trading day."""
        return trading_date(self.accepted_at) == trading_date(now)

    def crossed_by(self, last_price: Decimal) -> bool:
        """Tell whether the order would trade at this price."""
        if self.state.order_type is OrderType.MARKET:
            return True
        if self.ticket.side is Side.BUY:
            return last_price <= self.state.price
        return last_price >= self.state.price


@dataclass(frozen=True, kw_only=True)
class Trade:
    trade_id: str
    order: Order
    quantity: int
    price: Decimal  # INR
    at: datetime

    @property
    def signed_quantity(self) -> int:
        return self.quantity if self.order.ticket.side is Side.BUY else -self.quantity


class Book:
    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.working: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.last_order_id = ""
        self.last_trade_number = FIRST_TRADE_NUMBER - 1

    def apply(self, event: BookOpened | Accepted | OrderHappened) -> None:
        """Change the book as the event says; events come from our own decisions, so they always fit."""
        match event:
            case BookOpened():
                self.orders, self.working, self.trades = {}, {}, []
                self.last_order_id = event.last_order_id
                self.last_trade_number = event.last_trade_number
            case Accepted():
                self._accept(event)
            case _:
                order = self.orders[event.order_id]
                self._advance(order, event)
                if not order.working:
                    self.working.pop(order.order_id, None)

    def next_order_id(self, now: datetime) -> str:
        """Return an id that no order of this state directory has had, whatever the clock did."""
        day = f"{trading_date(now):%Y%m%d}"
        last_day, last_number = self.last_order_id[3:11], int(self.last_order_id[11:] or 0)
        if day > last_day:
            return f"{ORDER_ID_PREFIX}{day}{1:06d}"
        # Within the day, and also when the clock was set back: then the later day's numbers go on.
        return f"{ORDER_ID_PREFIX}{last_day}{last_number + 1:06d}"

    def orders_of_day(self, now: datetime) -> Iterator[Order]:
        return (order for order in self.orders.values() if order.belongs_to(now))

    def held_shares(self, exchange: str, tradingsymbol: str) -> int:
        """Return how many shares bought for delivery are here and not already on sale."""
        wanted = (exchange, tradingsymbol, Product.CNC)
        owned = sum(trade.signed_quantity for trade in self.trades if position_key(trade.order) == wanted)
        on_sale = sum(
            order.state.pending_quantity
            for order in self.working.values()
            if position_key(order) == wanted and order.ticket.side is Side.SELL and order.state.status is Status.OPEN
        )
        return owned - on_sale

    def _accept(self, event: Accepted) -> None:
        ticket = event.ticket
        order = Order(
            order_id=event.order_id,
            ticket=ticket,
            accepted_at=event.at,
            hidden_until=event.hidden_until,
            reject_at=event.reject_at,
            held=event.held,
        )
        received = OrderState(
            status=Status.RECEIVED,
            at=event.at,
            quantity=ticket.quantity,
            order_type=ticket.order_type,
            price=ticket.price,
            market_protection=ticket.market_protection,
        )
        order.history += [received, replace(received, status=Status.VALIDATING)]
        self.orders[order.order_id] = self.working[order.order_id] = order
        self.last_order_id = order.order_id

    def _advance(self, order: Order, event: OrderHappened) -> None:
        match event:
            case Opened():
                self._open(order, event)
            case Rejected():
                order.history.append(rejected(order.state, event))
            case Modified():
                order.history += modified(order.state, event)
                order.modifications += 1
            case Filled():
                self._fill(order, event)
            case Cancelled():
                order.history += cancelled(order.state, event)

    def _open(self, order: Order, event: Opened) -> None:
        opening = replace(order.state, status=Status.OPENING, at=event.at)
        order.history += [opening, replace(opening, status=Status.OPEN, reached_exchange_at=event.at)]

    def _fill(self, order: Order, event: Filled) -> None:
        order.history.append(filled(order.state, event))
        trade_id = str(event.trade_number)
        self.trades.append(
            Trade(trade_id=trade_id, order=order, quantity=event.quantity, price=event.price, at=event.at)
        )
        self.last_trade_number = event.trade_number


def position_key(order: Order) -> tuple[str, str, Product]:
    """Return what a position is counted by."""
    return order.ticket.exchange, order.ticket.tradingsymbol, order.ticket.product


def rejected(state: OrderState, event: Rejected) -> OrderState:
    return replace(
        state,
        status=Status.REJECTED,
        at=event.at,
        status_message=event.message,
        status_message_raw=event.message_raw,
    )


def modified(state: OrderState, event: Modified) -> list[OrderState]:
    """Return the rows of a modification; as at Zerodha, only the last of them carries the new terms."""
    before = replace(state, at=event.at)
    after = replace(
        before,
        status=Status.OPEN,
        quantity=event.quantity,
        price=event.price,
        order_type=event.order_type,
        market_protection=event.market_protection,
        modified=True,
    )
    interim = (Status.MODIFY_VALIDATING, Status.MODIFYING, Status.MODIFIED)
    return [replace(before, status=status) for status in interim] + [after]


def filled(state: OrderState, event: Filled) -> OrderState:
    quantity = state.filled_quantity + event.quantity
    paid = state.average_price * state.filled_quantity + event.price * event.quantity
    status = Status.COMPLETE if quantity == state.quantity else Status.OPEN
    return replace(state, status=status, at=event.at, filled_quantity=quantity, average_price=paid / quantity)


def cancelled(state: OrderState, event: Cancelled) -> list[OrderState]:
    before = replace(state, at=event.at)
    after = replace(before, status=Status.CANCELLED, cancelled_quantity=state.pending_quantity)
    return [replace(before, status=Status.CANCELLING), after]
