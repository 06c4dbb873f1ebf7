"""The journal as a witness reads it: what was accepted, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orders.paper.exchange.events import Accepted, Cancelled, Event, FaultStruck, Filled, Modified, Rejected, Triggered
from orders.paper.exchange.tickets import Ticket
from orders.paper.server.wire import Row, number

Witnessed = Accepted | Rejected | Modified | Triggered | Filled | Cancelled


def journal_rows(events: Iterable[Event]) -> Iterator[Row]:
    """Yield a row for each event that says something new of an order, and for each fault that struck."""
    tickets: dict[str, Ticket] = {}
    for event in events:
        if isinstance(event, Accepted):
            tickets[event.order_id] = event.ticket
        if isinstance(event, FaultStruck):
            yield {
                "event": "fault",
                "at": event.at.isoformat(),
                "route": event.route,
                "fault": event.fault,
                "number": event.number,
            }
        elif isinstance(event, Witnessed):
            yield order_happening(event, tickets[event.order_id])


def order_happening(event: Witnessed, ticket: Ticket) -> Row:
    row: Row = {
        "event": event.kind.removeprefix("order."),
        "at": event.at.isoformat(),
        "order_id": event.order_id,
        "tag": ticket.tag,
        "variety": str(ticket.variety),
        "exchange": ticket.exchange,
        "tradingsymbol": ticket.tradingsymbol,
        "transaction_type": str(ticket.side),
        "product": str(ticket.product),
    }
    return row | details(event)


def details(event: Witnessed) -> Row:
    """Return what is particular to the kind of event."""
    match event:
        case Accepted(ticket=terms):
            price = number(terms.price)
            return {"quantity": terms.quantity, "order_type": str(terms.order_type), "price": price}
        case Modified():
            price = number(event.price)
            return {"quantity": event.quantity, "order_type": str(event.order_type), "price": price}
        case Filled():
            return {"quantity": event.quantity, "price": number(event.price), "trade_id": str(event.trade_number)}
        case Triggered():
            return {"price": number(event.price)}
        case Rejected():
            return {"reason": event.message}
        case Cancelled():
            return {"reason": event.reason}
