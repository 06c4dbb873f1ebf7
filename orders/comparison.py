"""
What we believe beside what the broker reports, as one pure comparison: it reads nothing and writes nothing.

Four things always hold. Every broker row is matched by our tag or its id, whatever status we gave it. A report never
moves an order backwards. Absence proves something only for an order of the book's own date, in a read that began after
the absence window. What the broker reports is always taken down, explained or not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from orders.broker.gateway import BrokerBook, OrderReport, TradeReport
from orders.lifecycle import ENDED_AT_THE_BROKER, UNFINISHED, OrderStatus
from orders.models.quarters import FUTURE_MAX
from risk.engine.facts import Origin


class Believed(NamedTuple):
    """One of our orders as the ledger has it when the comparison is made. There are thousands: a tuple is made fast."""

    pk: int
    client_order_id: str
    broker_order_id: str
    status: str
    trading_date: date
    submitted_at: datetime | None
    order_type: str
    quantity: int
    price: Decimal | None
    broker_status: str  # as last taken over
    filled_quantity: int = 0  # shares, what was marked by hand included
    cancel_requested_at: datetime | None = None
    missed_at: datetime | None = None  # when a book that should have shown it did not
    origin: str = Origin.AUTO.value
    ended_at: datetime | None = None
    broker_fills: int = 0  # how many of the broker's trades are recorded
    is_turned_away: bool = False  # answered 429, and no book has borne that out yet
    being_modified: bool = False  # then what the book does not show is news, too

    @property
    def is_ours(self) -> bool:
        return self.origin != Origin.EXTERNAL

    @property
    def is_unfinished(self) -> bool:
        return self.status in UNFINISHED

    def price_by(self, report: OrderReport) -> Decimal | None:
        """Return the limit price to go by: a protected MARKET order may be reported as a LIMIT at the band's edge."""
        return self.price if self.order_type == "MARKET" or report.price is None else report.price

    def has_all_of(self, report: OrderReport, trades: tuple[TradeReport, ...]) -> bool:
        """Return whether the ledger knows all of this already, and has drawn the consequence."""
        same = (
            self.missed_at is None
            and not self.being_modified
            and self.broker_fills == len(trades)
            and self.broker_order_id == report.broker_order_id
            and self.broker_status == report.status
            and self.quantity == report.quantity
            and self.price == self.price_by(report)
        )
        if not same:
            return False
        if self.is_unfinished:
            return status_of(report, self.filled_quantity) in UNFINISHED
        untold = works(report) and self.is_ours and self.cancel_requested_at is None
        return not untold or sum(trade.quantity for trade in trades) >= report.quantity


@dataclass(frozen=True, kw_only=True)
class Match:
    """One of our orders with the broker's row and trades for it, where they say something new."""

    pk: int
    report: OrderReport
    trades: tuple[TradeReport, ...]
    price: Decimal | None


@dataclass(kw_only=True)
class Comparison:
    """What was found, for `reconcile` to write down."""

    as_of: datetime
    matches: list[Match] = field(default_factory=list)
    absent: list[int] = field(default_factory=list)  # in doubt, and not in a book that should show them by now
    turned_away: list[int] = field(default_factory=list)  # likewise what it answered 429
    vanished: list[int] = field(default_factory=list)  # the broker knew them, and its book of today lacks them
    doubled: list[tuple[OrderReport, tuple[TradeReport, ...]]] = field(default_factory=list)  # a tag of ours, again
    unknown: list[OrderReport] = field(default_factory=list)  # our prefix, no row of ours
    external: list[tuple[OrderReport, tuple[TradeReport, ...]]] = field(default_factory=list)


class Settled:
    """
    What was found to say nothing new, of ours and of the broker's: while both say the same they go on saying nothing.

    Of many thousands that are looked at every second next to all are so.
    """

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[Believed, OrderReport, tuple[TradeReport, ...]]] = {}

    def has_all_of(self, ours: Believed, report: OrderReport, trades: tuple[TradeReport, ...]) -> bool:
        """Return whether ours has all that the broker says, and remember it as long as both say the same."""
        pair = (ours, report, trades)
        if self._pairs.get(ours.pk) == pair:
            return True
        if ours.has_all_of(report, trades):
            self._pairs[ours.pk] = pair
            return True
        self._pairs.pop(ours.pk, None)
        return False

    def __len__(self) -> int:
        return len(self._pairs)

    def keep_only(self, orders: Collection[Believed]) -> None:
        """Forget what is no more believed, once that is most of it."""
        if len(self._pairs) > 2 * len(orders):
            self._pairs = {order.pk: self._pairs[order.pk] for order in orders if order.pk in self._pairs}


def compare(
    believed: Iterable[Believed],
    book: BrokerBook,
    *,
    prefix: str,
    book_date: date,
    absence_window: timedelta,
    turned_away_window: timedelta = timedelta(0),
    settled: Settled | None = None,
) -> Comparison:
    """Match the broker's book of one date with what we believe; `settled` remembers from one time to the next."""
    found = Comparison(as_of=book.as_of)
    orders, settled = list(believed), Settled() if settled is None else settled
    by_tag = {order.client_order_id: order for order in orders if order.client_order_id}
    by_broker_id = {order.broker_order_id: order for order in orders if order.broker_order_id}
    trades: dict[str, list[TradeReport]] = {}
    for trade in book.trades:
        trades.setdefault(trade.broker_order_id, []).append(trade)
    seen: set[int] = set()
    for report in book.orders:
        of_it = tuple(trades.get(report.broker_order_id, ()))
        # The tag first: a row that came without it once may stand in the ledger as somebody else's.
        ours = by_tag.get(report.tag) or by_broker_id.get(report.broker_order_id)
        if ours is not None and ours.client_order_id and _is_another(ours, report, seen):
            found.doubled.append((report, of_it))
        elif ours is not None:
            seen.add(ours.pk)
            if not settled.has_all_of(ours, report, of_it):
                found.matches.append(Match(pk=ours.pk, report=report, trades=of_it, price=ours.price_by(report)))
        elif prefix and report.tag.startswith(prefix):
            found.unknown.append(report)
        else:
            found.external.append((report, of_it))
    unseen = [order for order in orders if order.pk not in seen and order.trading_date == book_date]
    found.vanished = [order.pk for order in unseen if order.broker_order_id and order.is_unfinished]
    # A book that lacks what it should have, ended orders too, or that could not all be read, proves nothing by what
    # else it lacks. But an exit that was answered 429 cannot wait for a complete one all day.
    lacks_known = any(order.broker_order_id and order.is_ours for order in unseen)
    is_complete = not lacks_known and not book.unreadable
    if is_complete:
        found.absent = [order.pk for order in unseen if _is_absent(order, book, absence_window)]
    settled.keep_only(orders)
    window = turned_away_window if is_complete else absence_window
    found.turned_away = [order.pk for order in unseen if _is_surely_turned_away(order, book, window)]
    return found


def status_of(report: OrderReport, filled: int) -> OrderStatus:
    """
    Return the status that the broker's word stands for.

    COMPLETE is not here: an order is filled when its fills say so. Any end that is ahead of its fills counts as
    working until they arrive.
    """
    if report.filled_quantity <= filled and report.status == "REJECTED":
        return OrderStatus.REJECTED
    if report.filled_quantity <= filled and report.status in {"CANCELLED", "CANCELLED AMO"}:
        return OrderStatus.CANCELLED
    return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN


def works(report: OrderReport) -> bool:
    """Return whether the broker may still fill it. A status we do not know means yes."""
    return report.status not in ENDED_AT_THE_BROKER


def _is_another(ours: Believed, report: OrderReport, seen: set[int]) -> bool:
    """Return whether the report carries our tag and is not the order that is bound to it, or was matched before."""
    bound_to_another = bool(ours.broker_order_id) and ours.broker_order_id != report.broker_order_id
    return bound_to_another or ours.pk in seen


def _is_absent(order: Believed, book: BrokerBook, absence_window: timedelta) -> bool:
    if order.status != OrderStatus.IN_DOUBT or order.submitted_at is None or order.broker_order_id:
        return False
    return book.as_of > order.submitted_at + absence_window


def _is_surely_turned_away(order: Believed, book: BrokerBook, window: timedelta) -> bool:
    """Return whether the book bears the 429 out: that an order answered so was not placed is only an inference."""
    if not order.is_turned_away or order.ended_at is None:
        return False
    set_back = order.ended_at > book.as_of + FUTURE_MAX  # the clock, since: it must not be waited for
    return set_back or book.as_of > order.ended_at + window
