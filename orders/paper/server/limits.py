"""
How often a client may ask: Kite's limits as of July 2026 ("Exceptions and errors", "API rate limits").

A second is the clock's calendar second, a minute its calendar minute. Placing, changing and cancelling count
together in the second; a minute and a day count placements. A placement that is refused has still been made, and
in the day an iceberg's later legs and the slices of a large order count as well.

The counts are in memory. A restart knows of its day what the book does, which is every placement that got an id.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from enum import StrEnum

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.book import Book, Order
from orders.paper.exchange.events import Accepted, OrderHappened
from orders.paper.indian_time import trading_date

PLACEMENTS_A_MINUTE = 400
PLACEMENTS_A_DAY = 5000
TOO_MANY = "Too many requests"
DAY_IS_FULL = "Maximum allowed order requests exceeded"


class Scope(StrEnum):
    QUOTE = "quote"
    HISTORICAL = "historical"
    PLACING = "placing"
    CHANGING = "changing"
    OTHER = "other"


A_SECOND = {Scope.QUOTE: 1, Scope.HISTORICAL: 3, Scope.PLACING: 10, Scope.CHANGING: 10, Scope.OTHER: 10}
# Placing and changing an order are counted together, by account and not by key.
ORDERS = "orders"
SLICE_OF = "autoslice:"  # begins the tag that every slice but the first carries


def scope_of(method: str, path: str) -> Scope:
    """Return what a request counts as."""
    if path.startswith("/quote"):
        return Scope.QUOTE
    if path.startswith("/instruments/historical/"):
        return Scope.HISTORICAL
    if path.startswith("/orders/") and method != "GET":
        return Scope.PLACING if method == "POST" else Scope.CHANGING
    return Scope.OTHER


class RateLimits:
    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self._second = self._minute = self._day = ""
        self._in_second: Counter[tuple[str, str]] = Counter()
        self._in_minute = self._in_day = 0

    def resume(self, placements: int, now: datetime) -> None:
        """Count what was placed on this day before the server was started."""
        self._turn_pages(now)
        self._in_day = placements

    def note(self, order: Order, event: Accepted | OrderHappened) -> None:
        """Count an order that follows from a placement without a request of its own."""
        ticket = order.ticket
        later_leg = ticket.iceberg is not None and ticket.iceberg.leg > 1
        if isinstance(event, Accepted) and (later_leg or any(tag.startswith(SLICE_OF) for tag in ticket.system_tags)):
            self._turn_pages(event.at)
            self._in_day += 1

    def check(self, scope: Scope, api_key: str, now: datetime) -> None:
        """Count the request, or refuse it with 429 when there were as many as may be."""
        if not self.enabled:
            return
        self._turn_pages(now)
        counted = ORDERS if scope in (Scope.PLACING, Scope.CHANGING) else scope
        key = (counted, "" if counted == ORDERS else api_key)
        if self._in_second[key] >= A_SECOND[scope]:
            raise too_many()
        if scope is Scope.PLACING:
            self._count_placement()
        self._in_second[key] += 1

    def _count_placement(self) -> None:
        if self._in_day >= PLACEMENTS_A_DAY:
            raise KiteRefusal(429, "NetworkException", DAY_IS_FULL)
        if self._in_minute >= PLACEMENTS_A_MINUTE:
            raise too_many()
        self._in_minute += 1
        self._in_day += 1

    def _turn_pages(self, now: datetime) -> None:
        second, minute = f"{now:%H:%M:%S}", f"{now:%H:%M}"
        day = trading_date(now).isoformat()
        if (day, second) != (self._day, self._second):
            self._in_second.clear()
        if (day, minute) != (self._day, self._minute):
            self._in_minute = 0
        if day != self._day:
            self._in_day = 0
        self._second, self._minute, self._day = second, minute, day


def placed_on(day: date, book: Book) -> int:
    """Return how many orders of the client's were accepted that day; the broker's own are not limited."""
    return sum(
        trading_date(order.accepted_at) == day and not order.ticket.squares_off and order.ticket.parent_order_id is None
        for order in book.orders.values()
    )


def too_many() -> KiteRefusal:
    return KiteRefusal(429, "NetworkException", TOO_MANY)
