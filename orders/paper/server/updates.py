"""Telling clients of their orders as it happens: over the socket, and by postback."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from aiohttp import web

from orders.paper.exchange.book import Order
from orders.paper.exchange.events import Accepted, Filled, Modified, OrderHappened
from orders.paper.exchange.states import ENDED, Status
from orders.paper.faults.faults import UPDATE_KINDS, Kind, Route
from orders.paper.server.app import PaperKite
from orders.paper.server.wire import PLACED_BY, order_row
from orders.paper.stream.mishaps import StreamMishap, UpdateFault, UpdateKind
from orders.paper.stream.postbacks import UPDATE, Postbacks, payload
from orders.paper.stream.stream import Stream

APP_ID = 1
# Nothing is told of an order on its way to the exchange, or waiting for the morning.
TOLD_NOBODY = frozenset(
    {Status.RECEIVED, Status.AMO_RECEIVED, Status.MODIFY_AMO_RECEIVED, Status.VALIDATING, Status.OPENING}
)


class Updates:
    def __init__(self, paper: PaperKite, postback_url: str | None) -> None:
        self.paper = paper
        self.stream = Stream(
            paper.exchange.market,
            clock=paper.clock,
            check=paper.logins.check,
            update_fault=self._update_fault,
            mishap=self._mishap,
            at_release=self.tell_appeared,
        )
        # By id. After a restart, the journal's orders may still be hidden.
        self.hidden = {
            order_id: order
            for order_id, order in paper.exchange.book.orders.items()
            if not order.visible(paper.clock())
        }
        self.postbacks: Postbacks | None = None
        if postback_url is not None:
            self.postbacks = Postbacks(postback_url)
        paper.exchange.ledger.listeners.append(self._tell)

    def attach(self, app: web.Application) -> None:
        """Serve the socket on the application's port, and send postbacks for as long as it runs."""
        self.stream.attach(app)
        if self.postbacks is not None:
            app.on_startup.append(self.postbacks.start)
            app.on_cleanup.append(self.postbacks.stop)

    def forget(self) -> None:
        """Tell nothing of what has happened so far: the book is begun afresh."""
        self.hidden = {}
        self.stream.forget()
        if self.postbacks is not None:
            self.postbacks.forget()

    def tell_appeared(self, now: datetime) -> None:
        """Tell of the orders that were hidden and can be seen now, as what they are by now."""
        for order in [one for one in self.hidden.values() if one.visible(now)]:
            del self.hidden[order.order_id]
            self._say(order, now, changed=bool(order.state.filled_quantity or order.modifications))

    def _tell(self, order: Order, event: Accepted | OrderHappened) -> None:
        """Say what the event made of the order."""
        now = self.paper.clock()
        if not order.visible(now):
            self.hidden[order.order_id] = order
            return
        if order.state.status not in TOLD_NOBODY:
            # What is told here is newer than what would be told of its appearance.
            self.hidden.pop(order.order_id, None)
        self._say(order, now, changed=isinstance(event, Modified | Filled))

    def _say(self, order: Order, now: datetime, *, changed: bool) -> None:
        status = told_status(order, changed=changed)
        if status is None or not (self.stream.connections or self.postbacks):
            return
        row = order_row(order) | {"status": status}
        message = payload(row, api_secret=self.paper.logins.api_secret, user_id=PLACED_BY, app_id=APP_ID)
        self.stream.order_update(message, now)
        if self.postbacks is not None:
            self.postbacks.send(message)

    def _update_fault(self, _now: datetime) -> UpdateFault | None:
        fault = self.paper.faults.take(Route.UPDATES, UPDATE_KINDS)
        return None if fault is None else UpdateFault(kind=UpdateKind(fault.do), after=fault.duration)

    def _mishap(self, _now: datetime, possible: Collection[StreamMishap]) -> StreamMishap | None:
        fault = self.paper.faults.take(Route.STREAM, frozenset(Kind(mishap) for mishap in possible))
        return None if fault is None else StreamMishap(fault.do)


def told_status(order: Order, *, changed: bool) -> str | None:
    """
    Return the status that an order is told as, or None when nobody is told.

    An end is told as it is. An order that lives on is an UPDATE when it was `changed`, which is modified or filled
    in part, and else what it is. What the exchange made of a MARKET order, a LIMIT at the band's edge, is no
    modification: that order is merely OPEN (Kite Connect v3 documentation, "Postback").
    """
    status = order.state.status
    if status in TOLD_NOBODY:
        return None
    return UPDATE if changed and status not in ENDED else str(status)
