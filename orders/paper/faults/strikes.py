"""The strikes of the journal: which fault struck what, and which orders came of it."""

from __future__ import annotations

from collections.abc import Iterable

from orders.paper.exchange.events import Accepted, Event, FaultStruck


def strike_rows(events: Iterable[Event]) -> list[dict[str, object]]:
    """
    Return a row for each strike, oldest first.

    `order_ids` has the order that a change was about, or those that a placement led to: none when it was not
    accepted, or is late; several when it was sliced. An order of the placement names the strike in the same
    line of the journal that accepts it, so a crash cannot part the two.
    """
    rows: list[dict[str, object]] = []
    orders: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, FaultStruck):
            orders[event.strike] = [event.order_id] if event.order_id else []
            rows.append(
                {
                    "strike": event.strike,
                    "at": event.at.isoformat(),
                    "route": event.route,
                    "fault": event.fault,
                    "number": event.number,
                    "tag": event.tag,
                    "order_ids": orders[event.strike],
                }
            )
        elif isinstance(event, Accepted) and event.strike in orders:
            orders[event.strike].append(event.order_id)
    return rows
