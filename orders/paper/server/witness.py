"""The journal as a witness reads it: what was accepted, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from orders.paper.exchange.events import Accepted, Cancelled, Event, FaultStruck, Filled, Modified, Rejected, Triggered
from orders.paper.exchange.tickets import Ticket
from orders.paper.server.wire import Row, number

Witnessed = Accepted | Rejected | Modified | Triggered | Filled | Cancelled


def journal_rows(events: Iterable[Event]) -> Iterator[Row]:
    """Yield a row for each event that says something new of an order, and for each fault that struck."""
    tickets: dict[str, Ticket] = {}  # with the terms of the latest modification
    for event in events:
        if isinstance(event, Accepted):
            tickets[event.order_id] = event.ticket
        elif isinstance(event, Modified):
            tickets[event.order_id] = changed(tickets[event.order_id], event)
        if isinstance(event, FaultStruck):
            yield {
                "event": "fault",
                "at": event.at.isoformat(),
                "route": event.route,
                "fault": event.fault,
                "number": event.number,
                "strike": event.strike,
                "tag": event.tag,
                "order_id": event.order_id,
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
    return row | details(event, ticket)


def changed(ticket: Ticket, event: Modified) -> Ticket:
    """Return the ticket with the terms that the modification leaves; what the event does not say stays."""
    kept = ticket.disclosed_quantity
    return replace(
        ticket,
        quantity=event.quantity,
        order_type=event.order_type,
        price=event.price,
        trigger_price=event.trigger_price,
        validity=event.validity or ticket.validity,
        validity_ttl=event.validity_ttl,
        disclosed_quantity=kept if event.disclosed_quantity is None else event.disclosed_quantity,
    )


def details(event: Witnessed, ticket: Ticket) -> Row:
    """Return what is particular to the kind of event."""
    match event:
        case Accepted():
            return terms(ticket) | {"strike": event.strike}  # of the fault that met its request, None without one
        case Modified():
            return terms(ticket)
        case Filled():
            return {"quantity": event.quantity, "price": number(event.price), "trade_id": str(event.trade_number)}
        case Triggered():
            return {"price": number(event.price)}
        case Rejected():
            return {"reason": event.message}
        case Cancelled():
            return {"reason": event.reason}


def terms(ticket: Ticket) -> Row:
    return {
        "quantity": ticket.quantity,
        "order_type": str(ticket.order_type),
        "price": number(ticket.price),
        "trigger_price": number(ticket.trigger_price),
        "validity": str(ticket.validity),
        "validity_ttl": ticket.validity_ttl,  # minutes
        "disclosed_quantity": ticket.disclosed_quantity,
    }
