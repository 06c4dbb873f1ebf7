"""
The ledger: all that events change, and the one door through which they come.

An event is first written down and then applied, so a process killed anywhere comes back as if it had stopped
before or after it, never in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from orders.paper.clock import Clock, Setting
from orders.paper.exchange.book import Book, Order
from orders.paper.exchange.events import (
    Accepted,
    AccountHappened,
    Appeared,
    BookOpened,
    ClockSet,
    Event,
    FaultStruck,
    Filled,
    FundsAdded,
    GttHappened,
    HoldingGiven,
    Modified,
    Opened,
    OrderHappened,
    PositionConverted,
    PriceSet,
    Queued,
)
from orders.paper.exchange.gtt import Gtts
from orders.paper.exchange.states import Status
from orders.paper.exchange.waiting import Deadlines, Waiting
from orders.paper.indian_time import midnight, trading_date
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.market.market import Depth, Level, Market
from orders.paper.money.account import Account
from orders.paper.money.fills import Fill
from orders.paper.terms import Validity

Listener = Callable[[Order, Accepted | OrderHappened], None]


class Record(Protocol):
    """Where events are written down: all of those passed at once, or none."""

    def replay(self) -> Iterable[Event]: ...

    def append(self, *events: Event) -> None: ...

    def restart(self, *opening: Event) -> str: ...


class Ledger:
    def __init__(self, market: Market, record: Record, clock: Clock, cash: Decimal) -> None:
        self.market = market
        self.record = record
        self.clock = clock
        self.cash = cash
        self.listeners: list[Listener] = []
        self.book = Book()
        self.gtts = Gtts()
        self.today = date.min
        self.last_strike = 0
        self._begin(cash)
        for event in record.replay():
            self.apply(event)

    @property
    def blocked(self) -> Decimal:
        """Return what the orders at the exchange block, INR."""
        return self.book.claims.blocked(self.account.net_positions())

    def write(self, *events: Event) -> None:
        """Write the events down, let them count, and tell who listens."""
        self.record.append(*events)
        for event in events:
            order = self.apply(event)
            if order is not None and isinstance(event, Accepted | OrderHappened):
                for listener in self.listeners:
                    listener(order, event)

    def roll_to(self, now: datetime) -> None:
        """Let the day be that of the moment: positions become holdings, ended orders are forgotten."""
        day = trading_date(now)
        if day > self.today:
            self.today = day
            self.account.roll_to(day)
            self.book.forget_before(day)
            self._queue_anew()

    def apply(self, event: Event) -> Order | None:
        """Let the event count; return the order that it changed, if any."""
        self.roll_to(event.at)
        match event:
            case PriceSet():
                self._set_price(event)
            case ClockSet():
                self._set_clock(event)
            case BookOpened():
                self._reopen(event)
            case FundsAdded() | HoldingGiven() | PositionConverted():
                self._change_account(event)
            case Appeared():
                self.book.show(event.order_id)
            case FaultStruck():
                self.last_strike = max(self.last_strike, event.strike)
            case _ if isinstance(event, GttHappened):
                self.gtts.apply(event)
            case _:
                return self._change_order(event)
        return None

    def waiting_for(self, key: str) -> Waiting:
        waiting = self.waiting.get(key)
        if waiting is None:
            waiting = self.waiting[key] = Waiting(INSTRUMENTS[key])
        return waiting

    def _begin(self, cash: Decimal) -> None:
        self.account = Account(cash, self.market.sessions.next_trading_day)
        self.waiting: dict[str, Waiting] = {}
        self.deadlines = Deadlines()
        self.held: dict[str, list[Order]] = {}

    def _queue_anew(self) -> None:
        """Drop from the queues what has long ended: only the front of them is ever looked at."""
        self.waiting = {}
        for order in self.book.working.values():
            self._queue(order)
        self.deadlines.drop_ended()

    def _queue(self, order: Order) -> None:
        if order.fillable_quantity or order.state.status is Status.TRIGGER_PENDING:
            self.waiting_for(order.ticket.instrument.key).add(order)

    def _reopen(self, event: BookOpened) -> None:
        self._begin(self.cash if event.cash is None else event.cash)
        self.account.roll_to(self.today)
        self.book.apply(event)
        self.gtts.begin_anew(event.last_gtt_id)
        self.market.release_all()

    def _change_order(self, event: Accepted | OrderHappened) -> Order:
        order = self.book.apply(event)
        assert order is not None
        match event:
            case Accepted():
                # Whatever is still to be done with it is done when time next passes, also after a restart.
                self.deadlines.add(event.stuck_until or event.reject_at or event.at, order)
                if order.held or order.fill_at_most is not None:
                    self.held.setdefault(order.ticket.instrument.key, []).append(order)
            case Queued():
                self.deadlines.add(event.until, order)
            case Opened() | Modified():
                self._note_deadlines(order, event.at)
            case Filled():
                self._fill(order, event)
        self._queue(order)
        return order

    def _note_deadlines(self, order: Order, at: datetime) -> None:
        state, instrument = order.state, order.ticket.instrument
        close = self.market.sessions.closes_at(instrument, trading_date(at))
        self.deadlines.add(close or midnight(at) + timedelta(days=1), order)
        if state.validity is Validity.IOC:
            self.deadlines.add(at, order)
        elif order.expires_at is not None:
            self.deadlines.add(order.expires_at, order)

    def _fill(self, order: Order, event: Filled) -> None:
        ticket = order.ticket
        self.market.take(ticket.instrument, ticket.side, event.quantity, event.at)
        self.account.apply(
            Fill(
                order_id=order.order_id,
                instrument=ticket.instrument,
                product=ticket.product,
                side=ticket.side,
                quantity=event.quantity,
                price=event.price,
                at=event.at,
                squared_off=ticket.squares_off,
            )
        )

    def _set_price(self, event: PriceSet) -> None:
        # A journal may know an instrument that a later list does not have any more.
        instrument = INSTRUMENTS.get(event.instrument)
        if instrument is None:
            return
        if event.price is None:
            self.market.release(instrument, event.at)
            return
        depth = None
        if event.buy or event.sell:
            depth = Depth(buy=levels(event.buy), sell=levels(event.sell))
        self.market.set_price(instrument, event.price, event.at, depth)
        for order in self.held.pop(event.instrument, ()):
            order.held, order.fill_at_most = False, None
            self._queue(order)

    def _set_clock(self, event: ClockSet) -> None:
        if event.moment is None:
            self.clock.set(None)
        else:
            self.clock.set(Setting(moment=event.moment, speed=event.speed, set_at=event.wall))
        day = trading_date(event.moment or event.wall)
        if day < self.today:
            # Days to come will pass again, each with its end.
            self.today = day
            self.account.turn_back_to(day)

    def _change_account(self, event: AccountHappened) -> None:
        if isinstance(event, FundsAdded):
            self.account.add_funds(event.amount, event.at)
            return
        instrument = INSTRUMENTS[event.instrument]
        if isinstance(event, HoldingGiven):
            self.account.give_holding(instrument, event.quantity, event.average_price, event.at)
        else:
            self.account.convert(
                instrument,
                event.old_product,
                event.new_product,
                event.side,
                event.quantity,
                event.overnight,
                event.at,
            )


def levels(rows: Iterable[tuple[Decimal, int, int]]) -> tuple[Level, ...]:
    return tuple(Level(price=price, quantity=quantity, orders=orders) for price, quantity, orders in rows)
