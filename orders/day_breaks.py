"""
A trading day held against the broker's book: what was held when it ended, and where the two books differ.

Everything is read from the ledger, as it was at the end of the date, and from a broker's book that was read before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from orders.average_cost import Net, net_of, realised_on
from orders.broker.gateway import BrokerBook
from orders.broker.kite_rows import IST
from orders.counted_fills import counted_fills
from orders.desk import Desk, trading_date
from orders.differences import lacking_shares
from orders.ledger import Line, steps_since
from orders.lifecycle import OrderStatus
from orders.models import Adjustment, Fill, Order, Position
from risk.engine.facts import Origin

Key = tuple[str, str]  # exchange, symbol


@dataclass(frozen=True, kw_only=True)
class Break:
    """One difference between our book and the broker's. `key` is the same in the next reading, if it is still there."""

    key: str
    what: str
    ours: str
    broker: str


@dataclass(kw_only=True)
class Held:
    """One symbol at the end of the day: what our steps made of it, and what the broker has."""

    net: Net = field(default_factory=Net)
    realised: Decimal = Decimal(0)  # INR of the day
    broker: int | None = None  # shares
    price: Decimal | None = None

    @property
    def worth(self) -> Decimal | None:
        if self.net.quantity == 0:
            return Decimal(0)
        return None if self.price is None else abs(self.net.quantity) * self.price

    @property
    def unrealised(self) -> Decimal | None:
        if self.net.quantity == 0:
            return Decimal(0)
        return None if self.price is None else self.net.unrealised_pnl(self.price)


def bounds(day: date) -> tuple[datetime, datetime]:
    """Return the first moment of the date in Mumbai and that of the next."""
    start = datetime.combine(day, time.min, tzinfo=IST)
    return start, start + timedelta(days=1)


def breaks_of(desk: Desk, day: date, book: BrokerBook) -> list[Break]:
    """Return what differs between our book of the day and the broker's."""
    held = held_on(desk, day, book)
    return [
        *(_position_break(key, each) for key, each in sorted(held.items()) if _lacks(each)),
        *_fill_breaks(desk.mode, day, book),
        *_order_breaks(desk, day),
        *(
            Break(key=row, what="A row of the broker's book makes no sense", ours="", broker=row)
            for row in book.unreadable
        ),
    ]


def held_on(desk: Desk, day: date, book: BrokerBook | None) -> dict[Key, Held]:
    """Return each symbol that was held or traded on the day, as it was when the day ended."""
    _, end = bounds(day)
    held: dict[Key, Held] = {}
    for position in _touched(desk.mode, day):
        opening, steps = steps_since(Line.of(position), day)
        steps = [step for step in steps if step.at < end]
        net = net_of(steps, opening)
        if net.quantity == 0 and not any(trading_date(step.at) == day for step in steps):
            continue  # what happened to it was later
        each = held.setdefault((position.exchange, position.symbol), Held())
        each.net = Net(
            quantity=each.net.quantity + net.quantity,
            cost=each.net.cost + net.cost,
            realised_pnl=each.net.realised_pnl + net.realised_pnl,
        )
        each.realised += realised_on(steps, day, opening)
        if book is not None:
            each.price = book.last_prices.get((position.exchange, position.symbol)) or position.last_price
    if book is not None:
        for key in book.positions.keys() | held.keys():
            if book.positions.get(key) or key in held:
                held.setdefault(key, Held()).broker = book.positions.get(key, 0)
    return held


def _touched(mode: str, day: date) -> list[Position]:
    """Return the positions that are open, or that something happened to since the day began: others were flat then."""
    start, _ = bounds(day)
    moved = set(
        Fill.objects.filter(mode=mode, trading_date__gte=day)
        .exclude(order__origin=Origin.EXTERNAL)
        .values_list("order__exchange", "order__symbol", "order__product")
    )
    moved |= set(Adjustment.objects.filter(mode=mode, at__gte=start).values_list("exchange", "symbol", "product"))
    return [
        each
        for each in Position.objects.filter(mode=mode)
        if each.quantity or (each.exchange, each.symbol, each.product) in moved
    ]


def filled_on(mode: str, day: date) -> Iterable[Order]:
    return Order.objects.ours(mode).filter(fills__trading_date=day).distinct().prefetch_related("fills")


def _lacks(each: Held) -> bool:
    return each.broker is not None and bool(lacking_shares(each.net.quantity, each.broker))


def _position_break(key: Key, each: Held) -> Break:
    name = ":".join(key)
    return Break(
        key=f"position {name}",
        what=f"The broker holds less of {name} than our book",
        ours=f"{each.net.quantity} shares",
        broker=f"{each.broker} shares",
    )


def _fill_breaks(mode: str, day: date, book: BrokerBook) -> list[Break]:
    """Compare each execution: what one side lacks, and what both have and tell differently."""
    ours = {
        (fill.exchange, fill.broker_order_id, fill.trade_id): fill
        for fill in Fill.objects.filter(mode=mode, trading_date=day, source=Fill.Source.BROKER)
    }
    theirs = {
        (trade.exchange, trade.broker_order_id, trade.trade_id): trade
        for trade in book.trades
        if trading_date(trade.filled_at) == day
    }
    found = []
    for key in sorted(ours.keys() | theirs.keys()):
        fill, trade = ours.get(key), theirs.get(key)
        if fill is not None and trade is not None and (fill.quantity, fill.price) == (trade.quantity, trade.price):
            continue
        if trade is None and fill is not None and fill.recorded_at > book.as_of:
            continue  # it happened while the book was read
        told = [f"{each.quantity} at {each.price:.2f}" if each else "none" for each in (fill, trade)]
        found.append(Break(key=f"fill {key}", what=f"Trade {key[2]} of order {key[1]}", ours=told[0], broker=told[1]))
    for order in filled_on(mode, day):
        found += [
            Break(
                key=f"hand {order.pk}",
                what=f"{order} was marked filled by hand",
                ours=f"{each.quantity} at {each.price:.2f}",
                broker="no trade",
            )
            for each in counted_fills(order.fills.all())
            if each.name == "HAND" and trading_date(each.at) == day
        ]
    return found


def _order_breaks(desk: Desk, day: date) -> list[Break]:
    """Return what should have an end by now: what is in doubt, and where a session ends all that still works."""
    of_it = Order.objects.unfinished(desk.mode).filter(trading_date__lte=day).order_by("id")
    if not desk.keeps_market_hours:
        of_it = of_it.filter(status=OrderStatus.IN_DOUBT)
    return [
        Break(
            key=f"order {order.pk}",
            what=f"{order} has no end",
            ours=order.get_status_display(),
            broker=order.broker_status or "not known there",
        )
        for order in of_it
    ]
