"""
Positions, counted from the trades.

`day` is today's trading alone, `net` is what there is. What was bought on earlier days stays in `net` as
the overnight part, at its average cost: this account has no settlement, so nothing moves to the holdings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from orders.paper.exchange.book import Trade, position_key
from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import Instrument
from orders.paper.terms import Product, Side

NOTHING = Decimal(0)


@dataclass(kw_only=True)
class Turnover:
    """What was bought, or sold: `value` is INR."""

    quantity: int = 0
    value: Decimal = NOTHING

    @property
    def price(self) -> Decimal:
        return self.value / self.quantity if self.quantity else NOTHING

    def add(self, quantity: int, price: Decimal) -> None:
        self.quantity += quantity
        self.value += quantity * price


@dataclass(kw_only=True)
class Position:
    instrument: Instrument
    product: Product
    overnight_quantity: int = 0  # negative when sold short
    overnight_price: Decimal = NOTHING  # INR, average cost
    bought_today: Turnover = field(default_factory=Turnover)
    sold_today: Turnover = field(default_factory=Turnover)

    @property
    def quantity(self) -> int:
        return self.overnight_quantity + self.bought_today.quantity - self.sold_today.quantity

    @property
    def listed(self) -> bool:
        """Tell whether it has a row today; one that was closed on an earlier day has none."""
        return bool(self.overnight_quantity or self.bought_today.quantity or self.sold_today.quantity)

    def bought(self, overnight_price: Decimal) -> Turnover:
        """Return all that was bought, the overnight part counted at this price."""
        total = Turnover(quantity=self.bought_today.quantity, value=self.bought_today.value)
        total.add(max(self.overnight_quantity, 0), overnight_price)
        return total

    def sold(self, overnight_price: Decimal) -> Turnover:
        """Return all that was sold, the overnight part counted at this price."""
        total = Turnover(quantity=self.sold_today.quantity, value=self.sold_today.value)
        total.add(max(-self.overnight_quantity, 0), overnight_price)
        return total

    def carry(self, trade: Trade) -> None:
        """Count a trade of an earlier day: additions move the average cost, reductions do not."""
        before, change = self.overnight_quantity, trade.signed_quantity
        after = before + change
        if before * change >= 0:
            cost = self.overnight_price * abs(before) + trade.price * abs(change)
            self.overnight_price = cost / abs(after)
        elif before * after <= 0:
            self.overnight_price = trade.price if after else NOTHING
        self.overnight_quantity = after

    def trade_today(self, trade: Trade) -> None:
        side = self.bought_today if trade.order.ticket.side is Side.BUY else self.sold_today
        side.add(trade.quantity, trade.price)

    def today_alone(self) -> Position:
        return Position(
            instrument=self.instrument,
            product=self.product,
            bought_today=self.bought_today,
            sold_today=self.sold_today,
        )


def net_positions(trades: Iterable[Trade], today: date) -> list[Position]:
    """Return the position of every instrument and product that is open or was traded today."""
    grouped = defaultdict[tuple[str, str, Product], list[Trade]](list)
    for trade in trades:
        grouped[position_key(trade.order)].append(trade)
    positions = [net_position(some, today) for some in grouped.values()]
    return [position for position in positions if position.listed]


def net_position(trades: list[Trade], today: date) -> Position:
    """Return what trades of one instrument and product, oldest first, amount to."""
    ticket = trades[0].order.ticket
    position = Position(instrument=ticket.instrument, product=ticket.product)
    for trade in trades:
        if trading_date(trade.at) == today:
            position.trade_today(trade)
        else:
            position.carry(trade)
    return position
