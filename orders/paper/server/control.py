"""
The routes under /paper/, for tests and rehearsals: set prices, ask for faults, read the journal, start
afresh.

They have no counterpart at Zerodha and no password, which is why the server listens on loopback by default.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orders.paper.errors import NO_SUCH_INSTRUMENT, KiteRefusal, bad_input
from orders.paper.exchange.book import Book
from orders.paper.exchange.events import Accepted, Cancelled, Event, Filled, Modified, Rejected
from orders.paper.exchange.exchange import Exchange
from orders.paper.faults.faults import Fault, FaultQueue
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.server.wire import Row, number, success


class NewPrice(BaseModel):
    model_config = ConfigDict(extra="forbid")

    price: Decimal | None = Field(gt=0, le=10_000_000, decimal_places=2)  # INR; None lets it move again


def add_control_routes(
    app: web.Application,
    exchange: Exchange,
    faults: FaultQueue,
    late: set[asyncio.Task[None]],
    clock: Callable[[], datetime],
) -> None:
    control = Control(exchange, faults, late, clock)
    app.router.add_put("/paper/prices/{exchange}/{symbol}", control.set_price)
    app.router.add_post("/paper/faults", control.add_fault)
    app.router.add_delete("/paper/faults", control.clear_faults)
    app.router.add_get("/paper/journal", control.journal, allow_head=False)
    app.router.add_post("/paper/reset", control.reset)


class Control:
    def __init__(
        self,
        exchange: Exchange,
        faults: FaultQueue,
        late: set[asyncio.Task[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self.exchange = exchange
        self.faults = faults
        self.late = late
        self.clock = clock

    async def set_price(self, request: web.Request) -> web.Response:
        """Freeze an instrument's price and match at once, or release it; answer the price now."""
        instrument = INSTRUMENTS.get(f"{request.match_info['exchange']}:{request.match_info['symbol']}")
        if instrument is None:
            raise bad_input(NO_SUCH_INSTRUMENT)
        try:
            wanted = NewPrice.model_validate_json(await request.read())
        except ValidationError as error:
            raise malformed(error) from error
        now = self.clock()
        self.exchange.set_price(instrument, wanted.price, now)
        return success({"last_price": number(self.exchange.market.last_price(instrument, now))})

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = Fault.model_validate_json(await request.read())
        except ValidationError as error:
            raise malformed(error) from error
        self.faults.add(fault)
        return success(fault.model_dump(mode="json"))

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self.faults.clear()
        return success(True)

    async def journal(self, _request: web.Request) -> web.Response:
        """Answer all that happened to orders since the book began, oldest first, as a bare list."""
        rows = [journal_row(event, self.exchange.book) for event in self.exchange.happened]
        return web.json_response([row for row in rows if row])

    async def reset(self, _request: web.Request) -> web.Response:
        """Archive the journal; begin an empty book with moving prices, no faults and nothing pending."""
        archive = self.exchange.reset(self.clock())
        self.faults.clear()
        for task in self.late:
            task.cancel()
        return success({"archived": archive})


def malformed(error: ValidationError) -> KiteRefusal:
    """Return a refusal that names the first thing wrong with a JSON body."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return bad_input(f"Invalid `{where}`: {first['msg']}.")


def journal_row(event: Event, book: Book) -> Row | None:
    """Return what a witness would say of the event, or None when it says nothing new of the order."""
    if not isinstance(event, Accepted | Rejected | Modified | Filled | Cancelled):
        return None
    ticket = book.orders[event.order_id].ticket
    row: Row = {
        "event": event.kind.removeprefix("order."),
        "at": event.at.isoformat(),
        "order_id": event.order_id,
        "tag": ticket.tag,
        "exchange": ticket.exchange,
        "tradingsymbol": ticket.tradingsymbol,
        "transaction_type": str(ticket.side),
        "product": str(ticket.product),
    }
    return row | details(event)


def details(event: Accepted | Rejected | Modified | Filled | Cancelled) -> Row:
    """Return what is particular to the kind of event."""
    match event:
        case Accepted(ticket=terms):
            price = number(terms.price)
            return {"quantity": terms.quantity, "order_type": str(terms.order_type), "price": price}
        case Modified():
            price = number(event.price)
            return {"quantity": event.quantity, "order_type": str(event.order_type), "price": price}
        case Filled():
            return {
                "quantity": event.quantity,
                "price": number(event.price),
                "trade_id": str(event.trade_number),
            }
        case Rejected():
            return {"reason": event.message}
        case Cancelled():
            return {"reason": event.reason}
