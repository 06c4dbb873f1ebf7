"""
What we believe beside what the broker reports, as one pure comparison: it reads nothing and writes nothing.

Four things always hold. Every broker row is matched by our tag or its id, whatever status we gave it. A report never
moves an order backwards. Absence proves something only for an order of the book's own date, in a read that began after
the absence window. What the broker reports is always taken down, explained or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from orders.broker.gateway import BrokerBook, OrderReport, TradeReport
from orders.lifecycle import OrderStatus

_ENDED_AT_THE_BROKER = {
    "CANCELLED": OrderStatus.CANCELLED,
    "CANCELLED AMO": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
}


@dataclass(frozen=True, kw_only=True)
class Believed:
    """One of our orders as the ledger has it when the comparison is made."""

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
    broker_fills: int  # how many of the broker's trades are recorded

    def price_by(self, report: OrderReport) -> Decimal | None:
        """Return the limit price to go by: a protected MARKET order may be reported as a LIMIT at the band's edge."""
        return self.price if self.order_type == "MARKET" or report.price is None else report.price

    def has_all_of(self, report: OrderReport, trades: tuple[TradeReport, ...]) -> bool:
        """Return whether the ledger knows all of this already."""
        return (
            self.broker_order_id == report.broker_order_id
            and self.broker_status == report.status
            and self.quantity == report.quantity
            and self.price == self.price_by(report)
            and self.broker_fills == len(trades)
        )


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
    absent: list[int] = field(default_factory=list)  # in doubt, and surely not in the broker's book
    unknown: list[OrderReport] = field(default_factory=list)  # our prefix, no row of ours
    external: list[tuple[OrderReport, tuple[TradeReport, ...]]] = field(default_factory=list)


def compare(
    believed: Iterable[Believed],
    book: BrokerBook,
    *,
    prefix: str,
    book_date: date,
    absence_window: timedelta,
) -> Comparison:
    """Match the broker's book of one date with what we believe."""
    found = Comparison(as_of=book.as_of)
    orders = list(believed)
    by_tag = {order.client_order_id: order for order in orders if order.client_order_id}
    by_broker_id = {order.broker_order_id: order for order in orders if order.broker_order_id}
    trades: dict[str, list[TradeReport]] = {}
    for trade in book.trades:
        trades.setdefault(trade.broker_order_id, []).append(trade)
    seen: set[int] = set()
    for report in book.orders:
        of_it = tuple(trades.get(report.broker_order_id, ()))
        ours = by_broker_id.get(report.broker_order_id) or by_tag.get(report.tag)
        if ours is not None:
            seen.add(ours.pk)
            if not ours.has_all_of(report, of_it):
                found.matches.append(Match(pk=ours.pk, report=report, trades=of_it, price=ours.price_by(report)))
        elif prefix and report.tag.startswith(prefix):
            found.unknown.append(report)
        else:
            found.external.append((report, of_it))
    found.absent = [
        order.pk for order in orders if order.pk not in seen and _surely_absent(order, book, book_date, absence_window)
    ]
    return found


def status_of(report: OrderReport, filled: int) -> OrderStatus | None:
    """
    Return the status that the broker's word stands for; None for one on its way that says nothing yet.

    COMPLETE is not here: an order is filled when its fills say so, and until they arrive it counts as working.
    """
    if report.status in _ENDED_AT_THE_BROKER:
        return _ENDED_AT_THE_BROKER[report.status]
    return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN


def _surely_absent(order: Believed, book: BrokerBook, book_date: date, absence_window: timedelta) -> bool:
    if order.status != OrderStatus.IN_DOUBT or order.submitted_at is None or order.broker_order_id:
        return False
    return order.trading_date == book_date and book.as_of > order.submitted_at + absence_window
