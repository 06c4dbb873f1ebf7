"""Telling clients of their orders as it happens: over the socket, and by postback."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from aiohttp import web

from orders.paper.exchange.book import Order
from orders.paper.exchange.events import Accepted, Filled, Modified, OrderHappened, Queued
from orders.paper.exchange.states import ENDED, Status
from orders.paper.faults.faults import UPDATE_KINDS, Kind, Route
from orders.paper.server.app import PaperKite
from orders.paper.server.wire import PLACED_BY, order_row
from orders.paper.stream.mishaps import StreamMishap, UpdateFault, UpdateKind
from orders.paper.stream.postbacks import TOLD, UPDATE, Postbacks, payload
from orders.paper.stream.stream import Stream
from orders.paper.terms import Variety

APP_ID = 1
# Nothing is told of an order on its way to the exchange.
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
            secret = paper.logins.api_secret
            self.postbacks = Postbacks(postback_url, api_secret=secret, user_id=PLACED_BY, app_id=APP_ID)
        paper.exchange.ledger.listeners.append(self._tell)

    def attach(self, app: web.Application) -> None:
        """Serve the socket on the application's port, and send postbacks for as long as it runs."""
        self.stream.attach(app)
        if self.postbacks is not None:
            app.on_startup.append(self.postbacks.start)
            app.on_cleanup.append(self.postbacks.stop)

    def tell_appeared(self, now: datetime) -> None:
        """Tell of the orders that were hidden and can be seen now, as what they are by now."""
        for order in [one for one in self.hidden.values() if one.visible(now)]:
            del self.hidden[order.order_id]
            if order.state.status not in TOLD_NOBODY:
                self._say(order, status_now(order), now)

    def _tell(self, order: Order, event: Accepted | OrderHappened) -> None:
        """Say what the event made of the order; that it was received, or queued for the morning, is told to nobody."""
        now = self.paper.clock()
        if not order.visible(now):
            self.hidden[order.order_id] = order
            return
        if isinstance(event, Accepted | Queued):
            return
        # What is told here is newer than what would be told of its appearance.
        self.hidden.pop(order.order_id, None)
        self._say(order, told_status(order, event), now)

    def _say(self, order: Order, status: str, now: datetime) -> None:
        if not (self.stream.connections or self.postbacks):
            return
        told = payload(order_row(order), api_secret=self.paper.logins.api_secret, user_id=PLACED_BY, app_id=APP_ID)
        self.stream.order_update(told | {"status": status}, now)
        if self.postbacks is not None and status in TOLD and order.ticket.variety is not Variety.AMO:
            self.postbacks.send(order_row(order) | {"status": status})

    def _update_fault(self, _now: datetime) -> UpdateFault | None:
        fault = self.paper.faults.take(Route.UPDATES, UPDATE_KINDS)
        return None if fault is None else UpdateFault(kind=UpdateKind(fault.do), after=fault.duration)

    def _mishap(self, _now: datetime, possible: Collection[StreamMishap]) -> StreamMishap | None:
        fault = self.paper.faults.take(Route.STREAM, frozenset(Kind(mishap) for mishap in possible))
        return None if fault is None else StreamMishap(fault.do)


def told_status(order: Order, event: Accepted | OrderHappened) -> str:
    """Return the status that an update carries: UPDATE for a modification or a fill that leaves something open."""
    status: Status = order.state.status
    if status not in ENDED and isinstance(event, Modified | Filled):
        return UPDATE
    return str(status)


def status_now(order: Order) -> str:
    """Return what is told of an order as it appears: UPDATE when it is open, and more happened to it than that."""
    state = order.state
    changed = state.filled_quantity or order.modifications
    return UPDATE if changed and state.status not in ENDED else str(state.status)
