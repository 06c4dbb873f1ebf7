"""A fill as the account sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orders.paper.market.instruments import Instrument
from orders.paper.terms import Product, Side


@dataclass(frozen=True, kw_only=True, slots=True)
class Fill:
    order_id: str
    instrument: Instrument
    product: Product
    side: Side
    quantity: int
    price: Decimal  # INR
    at: datetime
    squared_off: bool = False  # by the broker, who charges for it

    @property
    def signed_quantity(self) -> int:
        return self.quantity if self.side is Side.BUY else -self.quantity

    @property
    def value(self) -> Decimal:
        """Return what was paid or received before charges, INR."""
        return self.price * self.quantity
