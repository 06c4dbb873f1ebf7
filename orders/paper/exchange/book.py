"""The book: every order of the day with all its states, every trade. It changes only by applying an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from orders.paper.exchange import states
from orders.paper.exchange.events import (
    Accepted,
    BookOpened,
    Cancelled,
    Filled,
    Modified,
    Opened,
    OrderHappened,
    Queued,
    Rejected,
    Triggered,
)
from orders.paper.exchange.states import CHANGEABLE, ENDED, OrderState, Status
from orders.paper.exchange.tickets import Ticket
from orders.paper.indian_time import trading_date
from orders.paper.money.claims import Claims
from orders.paper.money.margins import Wanted
from orders.paper.terms import Product, Side, Validity

ORDER_ID_PREFIX = "SIM"
FIRST_TRADE_NUMBER = 10_000_001
NOTHING = Decimal(0)


@dataclass(kw_only=True, slots=True, eq=False)
class Order:
    order_id: str
    ticket: Ticket
    accepted_at: datetime
    hidden_until: datetime | None
    reject_at: datetime | None
    held: bool  # does not fill before the price is next set
    stuck_until: datetime | None
    fill_at_most: int | None  # shares that may fill before the price is next set
    due_at: datetime | None = None  # when an after-market order goes to the exchange
    expires_at: datetime | None = None  # of validity TTL
    counted_at: Decimal = NOTHING  # INR, what each share is blocked at; nothing before it is at the exchange
    history: list[OrderState] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    modifications: int = 0

    @property
    def state(self) -> OrderState:
        return self.history[-1]

    @property
    def exchange_order_id(self) -> str:
        return self.order_id.removeprefix(ORDER_ID_PREFIX)

    @property
    def working(self) -> bool:
        return self.state.status not in ENDED

    @property
    def changeable(self) -> bool:
        return self.state.status in CHANGEABLE

    @property
    def limit(self) -> Decimal | None:
        """Return the worst price it may trade at, INR; None for any."""
        return on_grid(self.state.price) or None

    @property
    def stop(self) -> Decimal:
        """Return the price at which a stop is triggered, INR."""
        return on_grid(self.state.trigger_price)

    @property
    def fillable_quantity(self) -> int:
        """Return how many shares may fill now."""
        state = self.state
        if self.held or state.status is not Status.OPEN:
            return 0
        if self.fill_at_most is None:
            return state.pending_quantity
        return min(state.pending_quantity, max(self.fill_at_most - state.filled_quantity, 0))

    @property
    def claim(self) -> Wanted:
        """Return what it may still do, for the account to block what that needs."""
        ticket = self.ticket
        return Wanted(
            instrument=ticket.instrument,
            product=ticket.product,
            side=ticket.side,
            quantity=self.state.pending_quantity,
            price=self.counted_at,
        )

    def visible(self, now: datetime) -> bool:
        return self.hidden_until is None or now >= self.hidden_until

    def belongs_to(self, day: date) -> bool:
        """Tell whether the order is of that trading day; an after-market order is until its own."""
        return trading_date(self.accepted_at) == day or (self.due_at is not None and trading_date(self.due_at) >= day)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trade:
    trade_id: str
    order: Order
    quantity: int
    price: Decimal  # INR
    at: datetime


class Book:
    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.working: dict[str, Order] = {}
        self.claims = Claims()
        self._on_sale: dict[tuple[str, str], int] = {}
        self.last_order_id = ""
        self.last_trade_number = FIRST_TRADE_NUMBER - 1

    def apply(self, event: BookOpened | Accepted | OrderHappened) -> Order | None:
        """Change the book as the event says and return the order; events come from our own decisions, so they fit."""
        match event:
            case BookOpened():
                self.orders, self.working, self._on_sale, self.claims = {}, {}, {}, Claims()
                self.last_order_id = event.last_order_id
                self.last_trade_number = event.last_trade_number
                return None
            case Accepted():
                return self._accept(event)
            case _:
                order = self.orders[event.order_id]
                self._count_sale(order, -1)
                self._advance(order, event)
                self._count_sale(order, +1)
                self._claim(order)
                if not order.working:
                    self.working.pop(order.order_id, None)
                return order

    def next_order_id(self, now: datetime) -> str:
        """Return an id that no order of this state directory has had, whatever the clock did."""
        day = f"{trading_date(now):%Y%m%d}"
        last_day, last_number = self.last_order_id[3:11], int(self.last_order_id[11:] or 0)
        if day > last_day:
            return f"{ORDER_ID_PREFIX}{day}{1:06d}"
        # Within the day, and also when the clock was set back: then the later day's numbers go on.
        return f"{ORDER_ID_PREFIX}{last_day}{last_number + 1:06d}"

    def orders_of(self, day: date) -> Iterator[Order]:
        """Yield the day's orders that there are now, however many are placed before the last is taken."""
        return (order for order in tuple(self.orders.values()) if order.belongs_to(day))

    def trades_of(self, day: date) -> Iterator[Trade]:
        """Yield the day's trades of the orders that there are now, oldest first within an order."""
        orders = tuple(self.orders.values())
        return (trade for order in orders for trade in order.trades if trading_date(trade.at) == day)

    def forget_before(self, day: date) -> None:
        """Drop the ended orders of earlier days, as Zerodha does at night."""
        self.orders = {
            order_id: order for order_id, order in self.orders.items() if order.working or order.belongs_to(day)
        }

    def show(self, order_id: str) -> None:
        """Hide an order no more, however the clock is set; one of an earlier day may be forgotten by now."""
        if order := self.orders.get(order_id):
            order.hidden_until = None

    def on_sale(self, exchange: str, tradingsymbol: str) -> int:
        """Return how many shares delivery orders at the exchange would sell; after-market orders are not there yet."""
        return self._on_sale.get((exchange, tradingsymbol), 0)

    def _count_sale(self, order: Order, sign: int) -> None:
        """Add the order to the sum over all working orders, or take it out: counting anew would be slow."""
        ticket, at_exchange = order.ticket, order.state.reached_exchange_at is not None
        if at_exchange and order.working and ticket.side is Side.SELL and ticket.product is Product.CNC:
            key = (ticket.exchange, ticket.tradingsymbol)
            self._on_sale[key] = self._on_sale.get(key, 0) + sign * order.state.pending_quantity

    def _claim(self, order: Order) -> None:
        if order.working and order.counted_at:
            self.claims.put(order.order_id, order.claim)
        else:
            self.claims.drop(order.order_id, order.claim)

    def _accept(self, event: Accepted) -> Order:
        order = Order(
            order_id=event.order_id,
            ticket=event.ticket,
            accepted_at=event.at,
            hidden_until=event.hidden_until,
            reject_at=event.reject_at,
            held=event.held,
            stuck_until=event.stuck_until,
            fill_at_most=event.fill_at_most,
            history=states.received(event),
        )
        self.orders[order.order_id] = self.working[order.order_id] = order
        self.last_order_id = order.order_id
        return order

    def _advance(self, order: Order, event: OrderHappened) -> None:
        state = order.state
        match event:
            case Queued():
                order.history += states.queued(state, event.at)
                order.due_at = event.until
            case Opened():
                order.history += states.opened(state, event)
                order.counted_at = counted_at(order, event)
                order.expires_at = expiry(order.state, event.at)
            case Triggered():
                order.history += states.triggered(state, event)
            case Rejected():
                order.history += states.rejected(state, event)
            case Modified():
                order.history += states.modified(state, event)
                if order.counted_at:
                    order.counted_at = counted_at(order, event)
                if event.validity is not None:
                    order.expires_at = expiry(order.state, event.at)
                order.modifications += 1
            case Filled():
                self._fill(order, event)
            case Cancelled():
                order.history += states.cancelled(state, event)

    def _fill(self, order: Order, event: Filled) -> None:
        order.history += states.filled(order.state, event)
        trade = Trade(
            trade_id=str(event.trade_number), order=order, quantity=event.quantity, price=event.price, at=event.at
        )
        order.trades.append(trade)
        self.last_trade_number = event.trade_number


def on_grid(price: Decimal) -> Decimal:
    """Return the price without the noise of a client's floats: no tick is finer than a paisa."""
    return round(price, 2)


def expiry(state: OrderState, since: datetime) -> datetime | None:
    return since + timedelta(minutes=state.validity_ttl) if state.validity is Validity.TTL else None


def counted_at(order: Order, event: Opened | Modified) -> Decimal:
    """Return what each share is blocked at, INR; a journal that does not say it knew only the order's own prices."""
    return event.counted_at if event.counted_at is not None else order.limit or order.stop
