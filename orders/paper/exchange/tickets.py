"""What was asked for, as values: a new order, and a change to one. Where they come from is `forms`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from orders.paper.market.instruments import INSTRUMENTS, Instrument
from orders.paper.terms import OrderType, Product, Side, Validity, Variety

NO_PRICE = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Iceberg:
    """Which leg of how many this is; quantities are shares."""

    leg: int
    legs: int
    leg_quantity: int
    total_quantity: int
    remaining_quantity: int  # of the legs to come, this one not counted


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A new order as asked for; `price` is 0 without a limit, `trigger_price` is 0 without a stop."""

    exchange: str
    tradingsymbol: str
    side: Side
    quantity: int
    product: Product
    order_type: OrderType
    price: Decimal  # INR
    validity: Validity
    market_protection: Decimal  # percent, -1 for the automatic band, 0 for none
    disclosed_quantity: int
    tag: str | None
    variety: Variety = Variety.REGULAR
    trigger_price: Decimal = NO_PRICE  # INR; for a cover order, its second leg's
    validity_ttl: int = 0  # minutes
    iceberg: Iceberg | None = None
    parent_order_id: str | None = None
    system_tags: tuple[str, ...] = ()  # what the broker adds to the client's tag
    squares_off: bool = False  # the broker's own order against an intraday position

    @property
    def covers(self) -> bool:
        """Tell whether it is the first leg of a cover order."""
        return self.variety is Variety.CO and self.parent_order_id is None

    @property
    def instrument(self) -> Instrument:
        return INSTRUMENTS[f"{self.exchange}:{self.tradingsymbol}"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a modification asks for; None keeps what is."""

    quantity: int | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    order_type: OrderType | None = None
    validity: Validity | None = None
    validity_ttl: int | None = None
    disclosed_quantity: int | None = None
    market_protection: Decimal = Decimal(0)
