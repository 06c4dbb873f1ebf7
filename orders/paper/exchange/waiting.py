"""
Who waits for what: working orders in the order in which the price, or the time, will reach them.

Looking at every working order several times a second would slow down with each of them, so that only the
best-priced one of each side is looked at. An entry that no longer describes its order is dropped when it
comes up: nothing is searched for when an order changes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count

from orders.paper.exchange.book import Order
from orders.paper.exchange.states import Status
from orders.paper.market.instruments import Instrument
from orders.paper.terms import Side

ANY_PRICE = Decimal("Infinity")


@dataclass(slots=True)
class Queue:
    """Orders by one price, the first to be reached at the front; of equal ones the older."""

    falling: bool  # reached by a falling price
    entries: list[tuple[Decimal, int, int, Order]] = field(default_factory=list)
    arrivals: count[int] = field(default_factory=count)

    def add(self, price: Decimal, order: Order) -> None:
        rank = -price if self.falling else price
        heapq.heappush(self.entries, (rank, next(self.arrivals), len(order.history), order))

    def reached(self, price: Decimal) -> Iterator[Order]:
        """Take out and yield the orders that this price reaches; those that have changed since are not among them."""
        while (order := self.first_reached(price)) is not None:
            yield order

    def first_reached(self, price: Decimal) -> Order | None:
        """Take out and return the first order that this price reaches, or None."""
        while self.reached_by(price):
            _, _, seen, order = heapq.heappop(self.entries)
            if len(order.history) == seen:
                return order
        return None

    def reached_by(self, price: Decimal) -> bool:
        """Tell whether the price reaches the entry at the front."""
        if not self.entries:
            return False
        rank = self.entries[0][0]
        return price <= -rank if self.falling else price >= rank


@dataclass(slots=True)
class Waiting:
    """The orders of one instrument that wait for its price."""

    instrument: Instrument
    buying: Queue = field(default_factory=lambda: Queue(falling=True))
    selling: Queue = field(default_factory=lambda: Queue(falling=False))
    stops_above: Queue = field(default_factory=lambda: Queue(falling=False))
    stops_below: Queue = field(default_factory=lambda: Queue(falling=True))

    def add(self, order: Order) -> None:
        buys = order.ticket.side is Side.BUY
        if order.state.status is Status.TRIGGER_PENDING:
            stops = self.stops_above if buys else self.stops_below
            stops.add(order.stop, order)
            return
        limit = order.limit
        if limit is None:
            limit = ANY_PRICE if buys else -ANY_PRICE
        (self.buying if buys else self.selling).add(limit, order)


@dataclass(slots=True)
class Deadlines:
    """Orders by the moment at which something becomes due for them."""

    entries: list[tuple[datetime, int, Order]] = field(default_factory=list)
    arrivals: count[int] = field(default_factory=count)

    def add(self, moment: datetime, order: Order) -> None:
        heapq.heappush(self.entries, (moment, next(self.arrivals), order))

    def due(self, now: datetime) -> Iterator[Order]:
        """Take out and yield the working orders whose moment has come."""
        while self.entries and self.entries[0][0] <= now:
            order = heapq.heappop(self.entries)[2]
            if order.working:
                yield order

    def drop_ended(self) -> None:
        self.entries = [entry for entry in self.entries if entry[2].working]
        heapq.heapify(self.entries)
