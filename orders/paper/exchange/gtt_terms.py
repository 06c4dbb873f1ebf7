"""What a GTT (good till triggered) asks for: prices to wait for, and an order for each."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from orders.paper.terms import OrderType, Product, Side


class GttType(StrEnum):
    SINGLE = "single"
    TWO_LEG = "two-leg"


@dataclass(frozen=True, kw_only=True)
class GttOrder:
    exchange: str
    tradingsymbol: str
    side: Side
    quantity: int
    order_type: OrderType
    product: Product
    price: Decimal  # INR


@dataclass(frozen=True, kw_only=True)
class GttTerms:
    type: GttType
    exchange: str
    tradingsymbol: str
    trigger_values: tuple[Decimal, ...]  # INR; of a two-leg one the lower first
    last_price: Decimal  # INR, when it was placed: tells from which side a trigger is reached
    orders: tuple[GttOrder, ...]

    @property
    def instrument_key(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"

    def leg_reached(self, last_price: Decimal) -> int | None:
        """Return which trigger value the price has reached, or None."""
        for leg, value in enumerate(self.trigger_values):
            reached = last_price >= value if value > self.last_price else last_price <= value
            if reached:
                return leg
        return None
