"""
The exchange: decides what happens to an order, and lets nothing count before it is recorded.

Every decision ends in events that are first written down and then applied to the book, so a process killed
anywhere comes back as if it had stopped before or after, never in between: an order found accepted but not
yet opened, or crossed but not filled, is carried on by the next `match`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from orders.paper.errors import (
    BEING_CANCELLED,
    BEING_MODIFIED,
    MARKET_PROTECTION_NEEDED,
    TOO_MANY_CHANGES,
    KiteRefusal,
    bad_input,
    no_such_order,
)
from orders.paper.exchange.book import Book, Order, Status
from orders.paper.exchange.events import (
    Accepted,
    BookOpened,
    Cancelled,
    Event,
    Filled,
    Modified,
    Opened,
    PriceSet,
    Rejected,
)
from orders.paper.exchange.tickets import Change, Ticket
from orders.paper.market.instruments import INSTRUMENTS, Instrument
from orders.paper.market.market import Market
from orders.paper.terms import OrderType, Product, Side, Validity

MODIFICATIONS_MAX = 25


class Record(Protocol):
    """Where events are written down: all of those passed at once, or none."""

    def replay(self) -> Iterable[Event]: ...

    def append(self, *events: Event) -> None: ...

    def restart(self, opening: BookOpened) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Quirks:
    """How one order is to be treated, when a fault asks for it."""

    hidden_for: timedelta | None = None
    rejected_after: timedelta | None = None
    held: bool = False


NO_QUIRKS = Quirks()


class Exchange:
    def __init__(self, market: Market, record: Record) -> None:
        self.market = market
        self.book = Book()
        self.record = record
        self.happened: list[Event] = []
        for event in record.replay():
            self._apply(event)

    def place(self, ticket: Ticket, now: datetime, quirks: Quirks = NO_QUIRKS) -> str:
        """Accept the order, carry it as far as the market allows, and return its id."""
        order_id = self.book.next_order_id(now)
        self._write(
            Accepted(
                at=now,
                order_id=order_id,
                ticket=ticket,
                hidden_until=now + quirks.hidden_for if quirks.hidden_for is not None else None,
                reject_at=now + quirks.rejected_after if quirks.rejected_after is not None else None,
                held=quirks.held,
            )
        )
        order = self.book.orders[order_id]
        if order.reject_at is None:
            self._validate(order, now)
        return order_id

    def modify(self, order_id: str, change: Change, now: datetime) -> None:
        """Change the terms of an open order; it trades at once if the new ones allow it."""
        order = self.find(order_id, now)
        modification = self._modification(order, change, now)
        self._write(modification)
        if not order.held:
            self._trade_if_crossed(order, now)

    def cancel(self, order_id: str, now: datetime) -> None:
        order = self.find(order_id, now)
        if order.state.status is not Status.OPEN:
            raise bad_input(BEING_CANCELLED)
        self._write(Cancelled(at=now, order_id=order_id, reason="asked"))

    def set_price(self, instrument: Instrument, price: Decimal | None, now: datetime) -> None:
        """Freeze the price and match against it, or let it move again when None."""
        released = [
            order for order in self.book.working.values() if order.held and order.ticket.instrument == instrument
        ]
        self._write(PriceSet(at=now, instrument=instrument.key, price=price))
        # What was held counts as arriving only now, so it gets the market's price, not its own.
        for order in released:
            if not order.held and order.state.status is Status.OPEN:
                self._trade_if_crossed(order, now)
        self.match(now)

    def match(self, now: datetime) -> None:
        """Let time pass: expire, reject and fill what is due."""
        for order in list(self.book.working.values()):
            if not order.belongs_to(now):
                self._write(Cancelled(at=now, order_id=order.order_id, reason="expired"))
            elif order.state.status is Status.VALIDATING:
                self._resume_validation(order, now)
            elif not order.held:
                self._fill_resting(order, now)

    def reset(self, now: datetime) -> str:
        """Put the whole book aside and begin an empty one; return the archive's name. Numbering goes on."""
        opening = BookOpened(
            at=now, last_order_id=self.book.last_order_id, last_trade_number=self.book.last_trade_number
        )
        archive = self.record.restart(opening)
        self._apply(opening)
        return archive

    def find(self, order_id: str, now: datetime) -> Order:
        """Return the order if it is of today, as Zerodha forgets the others."""
        order = self.book.orders.get(order_id)
        if order is None or not order.belongs_to(now):
            raise no_such_order()
        return order

    def last_price(self, order: Order, now: datetime) -> Decimal:
        return self.market.last_price(order.ticket.instrument, now)

    def _validate(self, order: Order, now: datetime) -> None:
        """Refuse a delivery sale of what is not there, as the broker's risk system does, or let it out."""
        shortage = self._shortage(order.ticket, order.ticket.quantity)
        if shortage:
            raw = (
                "RMS:Rule: Check holdings including BTST/T1 holdings for entity account-PAPER1 "
                "across exchange across segment across product"
            )
            self._write(Rejected(at=now, order_id=order.order_id, message=shortage, message_raw=raw))
            return
        self._write(Opened(at=now, order_id=order.order_id))
        if order.held:
            return
        if not self._trade_if_crossed(order, now) and order.ticket.validity is Validity.IOC:
            self._write(Cancelled(at=now, order_id=order.order_id, reason="ioc"))

    def _resume_validation(self, order: Order, now: datetime) -> None:
        if order.reject_at is None:
            self._validate(order, now)
        elif now >= order.reject_at:
            reason = "Your order was rejected by the exchange after it was accepted."
            self._write(Rejected(at=now, order_id=order.order_id, message=reason, message_raw="RMS:Blocked on request"))

    def _shortage(self, ticket: Ticket, wanted: int) -> str | None:
        if ticket.product is not Product.CNC or ticket.side is not Side.SELL:
            return None
        held = max(self.book.held_shares(ticket.exchange, ticket.tradingsymbol), 0)
        if wanted <= held:
            return None
        return (
            f"Insufficient stock holding. Holding quantity: {held}, required quantity: {wanted}. "
            "Check your holdings and open sell orders."
        )

    def _trade_if_crossed(self, order: Order, now: datetime) -> bool:
        """Fill an arriving order at the last price, which may be better than its limit."""
        last = self.last_price(order, now)
        crossed = order.crossed_by(last)
        if crossed:
            self._fill(order, last, now)
        return crossed

    def _fill_resting(self, order: Order, now: datetime) -> None:
        """Fill a waiting order whose price was reached: at its own limit, for it was there first."""
        last = self.last_price(order, now)
        if order.crossed_by(last):
            at_market = order.state.order_type is OrderType.MARKET
            self._fill(order, last if at_market else order.state.price, now)
        elif order.ticket.validity is Validity.IOC:
            # It rests only because it was held, or because the server died before this line.
            self._write(Cancelled(at=now, order_id=order.order_id, reason="ioc"))

    def _fill(self, order: Order, price: Decimal, now: datetime) -> None:
        self._write(
            Filled(
                at=now,
                order_id=order.order_id,
                trade_number=self.book.last_trade_number + 1,
                quantity=order.state.pending_quantity,
                price=price,
            )
        )

    def _modification(self, order: Order, change: Change, now: datetime) -> Modified:
        """Return the order's new terms, or raise why it cannot have them."""
        state = order.state
        if state.status is not Status.OPEN:
            raise bad_input(BEING_MODIFIED)
        if order.modifications >= MODIFICATIONS_MAX:
            raise bad_input(TOO_MANY_CHANGES)
        if change.validity not in (None, order.ticket.validity):
            raise bad_input("Invalid `validity`: the validity of an open order cannot be changed on paper.")
        quantity = state.quantity if change.quantity is None else change.quantity
        shortage = self._shortage(order.ticket, quantity - state.quantity) if quantity > state.quantity else None
        if shortage:
            raise KiteRefusal(400, "HoldingException", shortage)
        order_type = change.order_type or state.order_type
        return Modified(
            at=now,
            order_id=order.order_id,
            quantity=quantity,
            price=modified_price(order, order_type, change),
            order_type=order_type,
            market_protection=change.market_protection or state.market_protection,
        )

    def _write(self, *events: Event) -> None:
        self.record.append(*events)
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        match event:
            case PriceSet():
                self._apply_price(event)
            case BookOpened():
                self.book.apply(event)
                self.market.release_all()
                self.happened.clear()
            case _:
                self.book.apply(event)
                self.happened.append(event)

    def _apply_price(self, event: PriceSet) -> None:
        # A journal may know an instrument that a later list does not have any more.
        instrument = INSTRUMENTS.get(event.instrument)
        if instrument is None:
            return
        if event.price is None:
            self.market.release(instrument)
            return
        self.market.freeze(instrument, event.price)
        for order in self.book.working.values():
            if order.ticket.instrument == instrument:
                order.held = False


def modified_price(order: Order, order_type: OrderType, change: Change) -> Decimal:
    """Return the limit after a modification, INR; 0 for a MARKET order."""
    if order_type is OrderType.MARKET:
        if change.market_protection == 0 and order.state.order_type is not OrderType.MARKET:
            raise bad_input(MARKET_PROTECTION_NEEDED)
        return Decimal(0)
    price = order.state.price if change.price is None else change.price
    if price == 0:
        raise bad_input("Missing or empty field `price`")
    return price
