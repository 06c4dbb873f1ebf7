"""
Positions, counted fill by fill.

`day` is today's trading alone, `net` is what there is. What is carried over a night stays in `net` as the
overnight part, at its average cost. Delivery positions are not carried: they become holdings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from orders.paper.market.instruments import Instrument
from orders.paper.money.fills import Fill
from orders.paper.terms import Product, Side

NOTHING = Decimal(0)


@dataclass(kw_only=True, slots=True)
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


@dataclass(kw_only=True, slots=True)
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

    @property
    def average_price(self) -> Decimal:
        """Return what the open quantity cost on average, INR; 0 when nothing is open."""
        if not self.quantity:
            return NOTHING
        side = self.bought if self.quantity > 0 else self.sold
        return side(self.overnight_price).price

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

    def profit(self, last_price: Decimal) -> Decimal:
        """Return realised and unrealised profit together, INR."""
        value = self.sold(self.overnight_price).value - self.bought(self.overnight_price).value
        return value + self.quantity * last_price

    @property
    def realised(self) -> Decimal:
        """Return the profit of what was opened and closed, INR: the smaller of the two sides at their averages."""
        bought, sold = self.bought(self.overnight_price), self.sold(self.overnight_price)
        return min(bought.quantity, sold.quantity) * (sold.price - bought.price)

    def trade(self, fill: Fill) -> None:
        side = self.bought_today if fill.side is Side.BUY else self.sold_today
        side.add(fill.quantity, fill.price)

    def carry_over_night(self) -> None:
        """End the day: today's trading becomes part of the overnight quantity, at average cost."""
        quantity, price = self.quantity, self.average_price
        self.overnight_quantity, self.overnight_price = quantity, price
        self.bought_today, self.sold_today = Turnover(), Turnover()

    def today_alone(self) -> Position:
        return Position(
            instrument=self.instrument,
            product=self.product,
            bought_today=self.bought_today,
            sold_today=self.sold_today,
        )
