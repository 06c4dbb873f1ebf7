"""
What happened, one record each: the only things that change the book, and all that is kept on disk.

The book is rebuilt by applying them in order, so a record says everything that its effect depends on, and
an old record must stay readable: fields may be added with a default, never renamed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from orders.paper.exchange.tickets import Ticket
from orders.paper.terms import OrderType


class Happened(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime


class BookOpened(Happened):
    """An empty book begins; numbering goes on from where the archived one stopped."""

    kind: Literal["book.opened"] = "book.opened"
    last_order_id: str
    last_trade_number: int


class Accepted(Happened):
    """The order has an id. What follows it was asked for by a fault."""

    kind: Literal["order.accepted"] = "order.accepted"
    order_id: str
    ticket: Ticket
    hidden_until: AwareDatetime | None = None
    reject_at: AwareDatetime | None = None
    held: bool = False


class Opened(Happened):
    """The order passed the checks and rests at the exchange."""

    kind: Literal["order.opened"] = "order.opened"
    order_id: str


class Rejected(Happened):
    kind: Literal["order.rejected"] = "order.rejected"
    order_id: str
    message: str
    message_raw: str


class Modified(Happened):
    """The order's terms from now on."""

    kind: Literal["order.modified"] = "order.modified"
    order_id: str
    quantity: int
    price: Decimal
    order_type: OrderType
    market_protection: Decimal


class Filled(Happened):
    kind: Literal["order.filled"] = "order.filled"
    order_id: str
    trade_number: int
    quantity: int
    price: Decimal


class Cancelled(Happened):
    kind: Literal["order.cancelled"] = "order.cancelled"
    order_id: str
    reason: Literal["asked", "ioc", "expired"]


class PriceSet(Happened):
    """A price was set from outside, or released when it is None."""

    kind: Literal["price.set"] = "price.set"
    instrument: str
    price: Decimal | None


OrderHappened = Opened | Rejected | Modified | Filled | Cancelled
Event = BookOpened | Accepted | Opened | Rejected | Modified | Filled | Cancelled | PriceSet

EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
