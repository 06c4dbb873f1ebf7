"""
What time and prices bring about: triggers, fills, expiries, sessions, square-offs.

A turn looks at what is due and at the first in each queue. It is taken a few times a second, and at once when
a price is set from outside; whatever was cut off by a crash is found and carried on by the next one.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from orders.paper.exchange import legs
from orders.paper.exchange.book import Order
from orders.paper.exchange.events import PriceSet, Rejected
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.gtt_desk import GttDesk
from orders.paper.exchange.matching import available, crosses, offered
from orders.paper.exchange.states import Status
from orders.paper.exchange.waiting import Queue, Waiting
from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import Instrument
from orders.paper.market.market import Depth
from orders.paper.terms import Product, Side, Validity

REJECTED_LATER = "Your order was rejected by the exchange after it was accepted."


class Turns:
    def __init__(self, exchange: Exchange, gtts: GttDesk) -> None:
        self.exchange = exchange
        self.ledger = exchange.ledger
        self.gtts = gtts

    def take(self, now: datetime) -> None:
        """Let time pass: expire, reject, open, trigger and fill what is due."""
        self.ledger.roll_to(now)
        for order in self.ledger.deadlines.due(now):
            self._meet_deadline(order, now)
        for waiting in list(self.ledger.waiting.values()):
            self._match(waiting, now)
        self.gtts.watch(now)
        self._square_off(now)

    def set_price(
        self, instrument: Instrument, price: Decimal | None, now: datetime, depth: Depth | None = None
    ) -> None:
        """Let the price be this, INR, and trade against it; or let it move again when None."""
        key = instrument.key
        held = [order for order in self.ledger.held.get(key, ()) if order.working] if price is not None else []
        buy, sell = (depth.buy, depth.sell) if depth else ((), ())
        self.ledger.write(
            PriceSet(
                at=now,
                instrument=key,
                price=price,
                buy=tuple((level.price, level.quantity, level.orders) for level in buy),
                sell=tuple((level.price, level.quantity, level.orders) for level in sell),
            )
        )
        # What was held counts as arriving only now, so it gets the market's price, not its own.
        for order in held:
            if order.state.status is Status.OPEN:
                self.exchange.trade(order, now)
            self._end_if_immediate(order, now)
        self.take(now)

    def _meet_deadline(self, order: Order, now: datetime) -> None:
        status = order.state.status
        if status is Status.RECEIVED or status is Status.VALIDATING:
            self._carry_on(order, now)
        elif status is Status.AMO_RECEIVED:
            if order.due_at is not None and now >= order.due_at:
                self._let_out(order, now)
        elif self._is_over(order, now):
            self.exchange.end(order, "expired", now)
        elif order.expires_at is not None and now >= order.expires_at:
            self.exchange.end(order, "ttl", now)
        else:
            self._end_if_immediate(order, now)

    def _carry_on(self, order: Order, now: datetime) -> None:
        if order.reject_at is None:
            self._let_out(order, now)
        elif now >= order.reject_at:
            self.ledger.write(
                Rejected(at=now, order_id=order.order_id, message=REJECTED_LATER, message_raw="RMS:Blocked on request")
            )
        else:
            self.ledger.deadlines.add(order.reject_at, order)

    def _let_out(self, order: Order, now: datetime) -> None:
        """Admit the order, unless its day has passed meanwhile: the clock jumped, or the server was down."""
        if self._is_over(order, now):
            self.exchange.end(order, "expired", now)
        else:
            self.exchange.admit(order, now)

    def _is_over(self, order: Order, now: datetime) -> bool:
        """Tell whether the day that the order was good for has ended."""
        day = trading_date(order.due_at or order.accepted_at)
        if trading_date(now) > day:
            return True
        close = self.ledger.market.sessions.closes_at(order.ticket.instrument, day)
        return close is not None and now >= close

    def _end_if_immediate(self, order: Order, now: datetime) -> None:
        """Cancel an IOC order that still waits: it was held, or the server died before it was ended."""
        if order.state.validity is Validity.IOC and order.state.status is Status.OPEN and not order.held:
            self.exchange.trade(order, now)
            if order.state.status is Status.OPEN and order.fill_at_most is None:
                self.exchange.end(order, "ioc", now)

    def _match(self, waiting: Waiting, now: datetime) -> None:
        market, instrument = self.ledger.market, waiting.instrument
        if not market.sessions.is_open(instrument, now):
            return
        last = market.last_price(instrument, now)
        for stops in (waiting.stops_above, waiting.stops_below):
            for order in list(stops.reached(last)):
                self.exchange.release_stop(order, now)
        for side, queue in ((Side.BUY, waiting.buying), (Side.SELL, waiting.selling)):
            if queue.entries and (market.frozen(instrument) or queue.reached_by(last)):
                self._match_side(waiting, queue, side, now)

    def _match_side(self, waiting: Waiting, queue: Queue, side: Side, now: datetime) -> None:
        """Fill waiting orders whose price was reached: at their own limit, for they were there first."""
        market, instrument = self.ledger.market, waiting.instrument
        levels = offered(market.depth(instrument, now), side)
        while levels and (order := queue.first_reached(levels[0].price)) is not None:
            shares = min(order.fillable_quantity, available(levels, side, order.limit))
            if not shares:
                waiting.add(order)
                return
            price = order.limit
            if price is None or not crosses(side, price, levels[0].price):
                price = levels[0].price
            self.exchange.fill(order, [(price, shares)], now)
            levels = offered(market.depth(instrument, now), side)

    def _square_off(self, now: datetime) -> None:
        """Close intraday positions at their hour, and at once what was left over from an earlier day."""
        sessions = self.ledger.market.sessions
        for position in self.ledger.account.net_positions():
            if not position.product.intraday or not position.quantity:
                continue
            cutoff = sessions.square_off_at(position.instrument, trading_date(now))
            late = cutoff is not None and now >= cutoff
            if (late or position.overnight_quantity) and sessions.is_open(position.instrument, now):
                self._square_off_position(position.instrument, position.product, now)

    def _square_off_position(self, instrument: Instrument, product: Product, now: datetime) -> None:
        for order in list(self.ledger.book.working.values()):
            ticket = order.ticket
            if ticket.squares_off and ticket.instrument == instrument and ticket.product is product:
                return  # it is on its way
            if ticket.instrument == instrument and ticket.product is product and order.changeable:
                self.exchange.end(order, "squared off", now)
        position = self.ledger.account.position(instrument, product)
        if position is not None and position.quantity:
            self.exchange.place(legs.square_off(instrument, product, position.quantity), now)
