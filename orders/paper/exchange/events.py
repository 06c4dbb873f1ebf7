"""
What happened, one record each: the only things that change the book, and all that is kept on disk.

The book is rebuilt by applying them in order, so a record says everything that its effect depends on, and
an old record must stay readable: fields may be added with a default, never renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from orders.paper.exchange.gtt_terms import GttTerms
from orders.paper.exchange.tickets import Ticket
from orders.paper.terms import OrderType, Product, Side, Validity


class Happened(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime


class BookOpened(Happened):
    """An empty book begins; numbering goes on from where the archived one stopped."""

    kind: Literal["book.opened"] = "book.opened"
    last_order_id: str
    last_trade_number: int
    last_gtt_id: int = 0
    cash: Decimal | None = None  # INR; None: what the server was started with


class Accepted(Happened):
    """The order has an id. What follows it was asked for by a fault."""

    kind: Literal["order.accepted"] = "order.accepted"
    order_id: str
    ticket: Ticket
    hidden_until: AwareDatetime | None = None
    reject_at: AwareDatetime | None = None
    held: bool = False
    stuck_until: AwareDatetime | None = None
    fill_at_most: int | None = None
    strike: int | None = None  # the fault that struck the request which placed it, by the number of `FaultStruck`


class Queued(Happened):
    """An after-market order waits for the market to open."""

    kind: Literal["order.queued"] = "order.queued"
    order_id: str
    until: AwareDatetime


class Opened(Happened):
    """The order passed the checks and is at the exchange, or, a stop, waits for its trigger price."""

    kind: Literal["order.opened"] = "order.opened"
    order_id: str
    margin: Decimal = Decimal(0)  # INR that it needed then
    counted_at: Decimal | None = None  # INR, what each share is blocked at; None in older journals
    # A protected market order is from here on a limit order at the edge of its band.
    order_type: OrderType | None = None
    price: Decimal | None = None
    stopped: bool = False


class Triggered(Happened):
    """A stop's trigger price was reached; it is at the exchange from now on."""

    kind: Literal["order.triggered"] = "order.triggered"
    order_id: str
    price: Decimal  # INR, its limit; 0 when there is none


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
    trigger_price: Decimal = Decimal(0)
    validity: Validity | None = None
    validity_ttl: int = 0
    disclosed_quantity: int | None = None
    margin: Decimal = Decimal(0)
    counted_at: Decimal | None = None
    stopped: bool = False


class Filled(Happened):
    kind: Literal["order.filled"] = "order.filled"
    order_id: str
    trade_number: int
    quantity: int
    price: Decimal


class Cancelled(Happened):
    kind: Literal["order.cancelled"] = "order.cancelled"
    order_id: str
    reason: Literal["asked", "ioc", "expired", "ttl", "squared off"]


class Appeared(Happened):
    """An order that a fault had hidden can be seen, and its clients were told."""

    kind: Literal["order.appeared"] = "order.appeared"
    order_id: str


class PriceSet(Happened):
    """A price was set from outside, or released when it is None; `depth` is what can be traded around it."""

    kind: Literal["price.set"] = "price.set"
    instrument: str
    price: Decimal | None
    buy: tuple[tuple[Decimal, int, int], ...] = ()
    sell: tuple[tuple[Decimal, int, int], ...] = ()


class ClockSet(Happened):
    """The clock says `moment` at `wall` on the machine's, and runs at this speed; None: the machine's clock."""

    kind: Literal["clock.set"] = "clock.set"
    moment: AwareDatetime | None
    speed: float = 1
    wall: AwareDatetime


class FundsAdded(Happened):
    kind: Literal["funds.added"] = "funds.added"
    amount: Decimal  # INR, negative for a withdrawal


class HoldingGiven(Happened):
    """Settled shares arrive from outside, as by a transfer."""

    kind: Literal["holding.given"] = "holding.given"
    instrument: str
    quantity: int
    average_price: Decimal


class PositionConverted(Happened):
    kind: Literal["position.converted"] = "position.converted"
    instrument: str
    side: Side
    quantity: int
    overnight: bool
    old_product: Product
    new_product: Product


class GttPlaced(Happened):
    kind: Literal["gtt.placed"] = "gtt.placed"
    gtt_id: int
    terms: GttTerms


class GttModified(Happened):
    kind: Literal["gtt.modified"] = "gtt.modified"
    gtt_id: int
    terms: GttTerms


class GttEnded(Happened):
    """It was deleted, or its year is over."""

    kind: Literal["gtt.ended"] = "gtt.ended"
    gtt_id: int
    status: Literal["deleted", "expired"]


class GttTriggered(Happened):
    """The price reached one of its trigger values, whose order was placed, or refused with a reason."""

    kind: Literal["gtt.triggered"] = "gtt.triggered"
    gtt_id: int
    leg: int
    trigger_price: Decimal
    order_id: str | None
    reason: str | None = None


class FaultStruck(Happened):
    """A fault on demand met a request: the witness that a rehearsal suffered what it was to suffer."""

    kind: Literal["fault.struck"] = "fault.struck"
    route: str
    fault: str
    number: int  # how many requests this fault has struck by now
    strike: int = 0  # counts them all; 0 in older journals
    tag: str | None = None  # of the order that the request was about, as far as it said
    order_id: str | None = None  # likewise; a new order has none yet, and names the strike instead


OrderHappened = Queued | Opened | Triggered | Rejected | Modified | Filled | Cancelled
AccountHappened = FundsAdded | HoldingGiven | PositionConverted
GttHappened = GttPlaced | GttModified | GttEnded | GttTriggered
ElseHappened = PriceSet | ClockSet | Appeared | FaultStruck
Event = BookOpened | Accepted | OrderHappened | AccountHappened | GttHappened | ElseHappened

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
EVENTS: TypeAdapter[list[Event]] = TypeAdapter(list[Annotated[Event, Field(discriminator="kind")]])


def encode(events: Sequence[Event]) -> bytes:
    """Return the events as one line of JSON: what happened together is kept or lost together."""
    return EVENT.dump_json(events[0]) if len(events) == 1 else EVENTS.dump_json(list(events))


def decode(line: bytes) -> list[Event]:
    """Return the events of a line; raise pydantic's `ValidationError`."""
    return EVENTS.validate_json(line) if line.startswith(b"[") else [EVENT.validate_json(line)]
