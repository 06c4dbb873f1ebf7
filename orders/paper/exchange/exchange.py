"""
The exchange: decides what happens to an order.

Every decision ends in events that the ledger writes down before they count. An order that a restart finds
accepted but not yet opened, or crossed but not filled, is carried on by the next `match`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from orders.paper.errors import (
    BEING_CANCELLED,
    BEING_MODIFIED,
    TOO_MANY_CHANGES,
    KiteRefusal,
    bad_input,
    no_such_order,
)
from orders.paper.exchange import checks, legs
from orders.paper.exchange.book import Book, Order, on_grid
from orders.paper.exchange.changes import cover_trigger, modification
from orders.paper.exchange.checks import Objection
from orders.paper.exchange.events import (
    Accepted,
    BookOpened,
    Cancelled,
    ClockSet,
    Event,
    Filled,
    Opened,
    Queued,
    Rejected,
    Triggered,
)
from orders.paper.exchange.ledger import Ledger
from orders.paper.exchange.matching import offered, protected_limit, walk
from orders.paper.exchange.quirks import NO_QUIRKS, Quirks
from orders.paper.exchange.states import Status
from orders.paper.exchange.tickets import NO_PRICE, Change, Ticket
from orders.paper.indian_time import trading_date
from orders.paper.market.market import Market
from orders.paper.money.account import Account
from orders.paper.money.margins import Wanted
from orders.paper.profile import STRICT, Profile
from orders.paper.terms import OrderType, Product, Side, Validity, Variety

MODIFICATIONS_MAX = 25


class Exchange:
    def __init__(self, ledger: Ledger, profile: Profile = STRICT) -> None:
        self.ledger = ledger
        self.profile = profile

    @property
    def market(self) -> Market:
        return self.ledger.market

    @property
    def book(self) -> Book:
        return self.ledger.book

    @property
    def account(self) -> Account:
        return self.ledger.account

    def place(self, ticket: Ticket, now: datetime, quirks: Quirks = NO_QUIRKS) -> str:
        """Accept the order, carry it as far as the market allows, and return its id; raise `KiteRefusal`."""
        self.ledger.roll_to(now)
        checks.check_hours(ticket, self.market, self.profile, now)
        if self.profile.refuses_wrong_side_stops:
            last = self.market.last_price(ticket.instrument, now)
            checks.check_stop_side(ticket.side, ticket.order_type, ticket.trigger_price, last)
            checks.check_cover_trigger(ticket, last)
        accepted = self._acceptance(ticket, now, quirks)
        self.ledger.write(accepted)
        order = self.book.orders[accepted.order_id]
        if order.reject_at is None and order.stuck_until is None:
            self.admit(order, now)
        return order.order_id

    def modify(self, order_id: str, change: Change, now: datetime, quirks: Quirks = NO_QUIRKS) -> None:
        """Change the terms of a waiting order; it trades at once if the new ones allow it."""
        order = self.find(order_id, now)
        if not order.changeable:
            raise bad_input(BEING_MODIFIED)
        if order.modifications >= MODIFICATIONS_MAX:
            raise bad_input(TOO_MANY_CHANGES)
        event = modification(order, change, self.market, self.profile, now)
        self._check_growth(order, event.quantity, now)
        wanted = self._wanted(
            order.ticket, event.quantity - order.state.filled_quantity, event.price or event.trigger_price, now
        )
        needed = self.margin_of(wanted, order_id)
        own = self.margin_of(order.claim, order_id)
        # An account that is overdrawn may still ask for less than it has blocked.
        objection = checks.insufficient_funds(needed, self._available() + own) if needed > own else None
        if objection is not None:
            raise KiteRefusal(400, "MarginException", objection.message)
        if quirks.ignored:
            return
        self.ledger.write(event.model_copy(update={"margin": needed, "counted_at": wanted.price}))
        self._arrive(order, now)

    def cancel(self, order_id: str, now: datetime, quirks: Quirks = NO_QUIRKS) -> None:
        """Take a waiting order back; a cover order's second leg is let go at the market instead."""
        order = self.find(order_id, now)
        if not order.changeable:
            order = self._open_stop_of(order)
        if quirks.ignored:
            return
        if quirks.fill_first:
            self._fill_regardless(order, now)
        elif order.ticket.parent_order_id and order.state.status is Status.TRIGGER_PENDING:
            self.release_stop(order, now)
        else:
            self.end(order, "asked", now)

    def find(self, order_id: str, now: datetime) -> Order:
        """Return the order if it is of today, as Zerodha forgets the others."""
        order = self.book.orders.get(order_id)
        if order is None or not (order.belongs_to(trading_date(now)) or order.working):
            raise no_such_order()
        return order

    def reset(self, now: datetime) -> str:
        """Put the whole book aside and begin an empty one; return the archive's name. Numbering goes on."""
        opening: list[Event] = [
            BookOpened(
                at=now,
                last_order_id=self.book.last_order_id,
                last_trade_number=self.book.last_trade_number,
                last_gtt_id=self.ledger.gtts.last_id,
                cash=self.ledger.cash,
            )
        ]
        setting = self.ledger.clock.setting
        if setting is not None:
            opening.append(ClockSet(at=now, moment=setting.moment, speed=setting.speed, wall=setting.set_at))
        archive = self.ledger.record.restart(*opening)
        for event in opening:
            self.ledger.apply(event)
        return archive

    def admit(self, order: Order, now: datetime) -> None:
        """Check the order as the risk system does, and reject it, queue it or let it out."""
        ticket = order.ticket
        if ticket.variety is Variety.AMO and order.due_at is None:
            self.ledger.write(Queued(at=now, order_id=order.order_id, until=self._next_session(ticket, now)))
            return
        opened = self._opening(order, now)
        objection = self._objection(order, opened, now)
        if objection is not None:
            self.ledger.write(
                Rejected(at=now, order_id=order.order_id, message=objection.message, message_raw=objection.raw)
            )
            return
        self.ledger.write(opened)
        self._arrive(order, now)

    def release_stop(self, order: Order, now: datetime) -> None:
        """Let a stop go to the exchange, as when its trigger price was reached."""
        ticket, state = order.ticket, order.state
        price = state.price
        if state.order_type is OrderType.SL_M and state.market_protection:
            price = protected_limit(self.market, ticket.instrument, ticket.side, state.market_protection, now)
        self.ledger.write(Triggered(at=now, order_id=order.order_id, price=price))
        self._arrive(order, now)

    def trade(self, order: Order, now: datetime) -> None:
        """Fill an arriving order level by level from what is visible, up to its limit."""
        ticket = order.ticket
        levels = offered(self.market.depth(ticket.instrument, now), ticket.side)
        self.fill(order, walk(levels, ticket.side, order.limit, order.fillable_quantity), now)

    def fill(self, order: Order, fills: list[tuple[Decimal, int]], now: datetime) -> None:
        """Write down fills of price (INR) and shares, and in the same breath the order that follows the last."""
        if not fills:
            return
        number = self.book.last_trade_number
        events: list[Event] = [
            Filled(at=now, order_id=order.order_id, trade_number=number + place, quantity=shares, price=price)
            for place, (price, shares) in enumerate(fills, start=1)
        ]
        filled = order.state.filled_quantity + sum(shares for _, shares in fills)
        follower = self._follower(order, filled, now) if filled == order.state.quantity else None
        self.ledger.write(*events, *([follower] if follower else []))
        if follower:
            self.admit(self.book.orders[follower.order_id], now)

    def end(self, order: Order, reason: str, now: datetime) -> None:
        """Cancel what is left of the order; a cover order that was filled in part keeps its stop."""
        filled = order.state.filled_quantity
        follower = self._follower(order, filled, now) if order.ticket.variety is Variety.CO and filled else None
        cancelled = Cancelled.model_validate({"at": now, "order_id": order.order_id, "reason": reason})
        self.ledger.write(cancelled, *([follower] if follower else []))
        if follower:
            self.admit(self.book.orders[follower.order_id], now)

    def margin_of(self, wanted: Wanted, order_id: str = "") -> Decimal:
        """Return what is blocked more with this order than without it, INR; a new one has no id yet."""
        position = self.account.position(wanted.instrument, wanted.product)
        return self.book.claims.margin_of(order_id, wanted, position.quantity if position else 0)

    def _wanted(self, ticket: Ticket, quantity: int, price: Decimal, now: datetime) -> Wanted:
        """Return the order as the account sees it; one without a limit is counted at the last price."""
        return Wanted(
            instrument=ticket.instrument,
            product=ticket.product,
            side=ticket.side,
            quantity=quantity,
            price=on_grid(price) or self.market.last_price(ticket.instrument, now),
        )

    def _available(self) -> Decimal:
        return self.account.available(self.ledger.blocked)

    def _acceptance(self, ticket: Ticket, now: datetime, quirks: Quirks = NO_QUIRKS) -> Accepted:
        return Accepted(
            at=now,
            order_id=self.book.next_order_id(now),
            ticket=ticket,
            hidden_until=now + quirks.hidden_for if quirks.hidden_for is not None else None,
            reject_at=now + quirks.rejected_after if quirks.rejected_after is not None else None,
            held=quirks.held,
            stuck_until=now + quirks.stuck_for if quirks.stuck_for is not None else None,
            fill_at_most=quirks.fill_at_most,
            strike=quirks.strike,
        )

    def _opening(self, order: Order, now: datetime) -> Opened:
        """Return how the order reaches the exchange: a protected market order as a limit at its band's edge."""
        ticket, state = order.ticket, order.state
        order_type, price = state.order_type, state.price
        if order_type is OrderType.MARKET and state.market_protection:
            price = protected_limit(self.market, ticket.instrument, ticket.side, state.market_protection, now)
            order_type = OrderType.LIMIT
        wanted = self._wanted(ticket, state.quantity, price or state.trigger_price, now)
        return Opened(
            at=now,
            order_id=order.order_id,
            margin=self.margin_of(wanted, order.order_id),
            counted_at=wanted.price,
            order_type=order_type,
            price=price,
            stopped=order_type.is_stop,
        )

    def _objection(self, order: Order, opened: Opened, now: datetime) -> Objection | None:
        ticket = order.ticket
        if ticket.squares_off or ticket.parent_order_id:
            return None  # the broker's own, and it only closes
        asked = order.state
        return (
            checks.missing_price(ticket)
            or checks.frozen_quantity(replace(ticket, quantity=asked.quantity))
            or checks.out_of_range(asked.price, ticket.instrument, self.market, now)
            or checks.out_of_range(asked.trigger_price, ticket.instrument, self.market, now)
            or self._shortage(ticket, asked.quantity)
            or checks.insufficient_funds(opened.margin, self._available())
        )

    def _shortage(self, ticket: Ticket, wanted: int) -> Objection | None:
        if ticket.product is not Product.CNC or ticket.side is not Side.SELL:
            return None
        held = self.account.sellable(ticket.instrument) - self.book.on_sale(ticket.exchange, ticket.tradingsymbol)
        return checks.shortage(wanted, held)

    def _check_growth(self, order: Order, quantity: int, now: datetime) -> None:
        if quantity <= order.state.quantity:
            return
        larger = replace(order.ticket, quantity=quantity)
        objection = checks.frozen_quantity(larger)
        if objection is not None:
            raise bad_input(objection.message)
        objection = self._shortage(order.ticket, quantity - order.state.quantity)
        if objection is not None:
            raise KiteRefusal(400, "HoldingException", objection.message)

    def _arrive(self, order: Order, now: datetime) -> None:
        """Let an order that is now at the exchange trade, and end what may not wait."""
        if order.held or order.state.status is not Status.OPEN:
            return
        self.trade(order, now)
        if order.state.validity is Validity.IOC and order.state.status is Status.OPEN and order.fill_at_most is None:
            self.end(order, "ioc", now)

    def _follower(self, order: Order, filled: int, now: datetime) -> Accepted | None:
        """Return the order that this one's end brings about: an iceberg's next leg, a cover order's stop."""
        ticket = order.ticket
        following = None
        if ticket.variety is Variety.ICEBERG:
            # What was changed about this leg is changed for those to come; a market order's edge is each leg's own.
            changed = order.modifications and ticket.order_type.has_limit
            following = legs.next_leg(replace(ticket, price=order.state.price) if changed else ticket)
        elif ticket.covers:
            following = legs.cover_stop(order.order_id, replace(ticket, trigger_price=cover_trigger(order)), filled)
        return self._acceptance(following, now) if following else None

    def _open_stop_of(self, parent: Order) -> Order:
        """Return the waiting second leg of a cover order whose first leg is done, or refuse as too late."""
        if parent.ticket.variety is Variety.CO:
            for order in self.book.working.values():
                if order.ticket.parent_order_id == parent.order_id and order.changeable:
                    return order
        raise bad_input(BEING_CANCELLED)

    def _fill_regardless(self, order: Order, now: datetime) -> None:
        """Fill the whole order although it was to be cancelled: the race that every desk meets one day."""
        if order.state.status is Status.TRIGGER_PENDING:
            self.ledger.write(Triggered(at=now, order_id=order.order_id, price=NO_PRICE))
        price = order.limit or self.market.last_price(order.ticket.instrument, now)
        self.fill(order, [(price, order.state.pending_quantity)], now)

    def _next_session(self, ticket: Ticket, now: datetime) -> datetime:
        sessions, instrument = self.market.sessions, ticket.instrument
        if not sessions.is_open(instrument, now):
            return sessions.next_open(instrument, now)
        opening = sessions.opens_at(instrument, sessions.next_trading_day(trading_date(now)))
        assert opening is not None
        return opening
