"""
Telling clients of their orders as it happens: over the socket, and by postback.

What is on its way when the process is killed is lost, be it held back by a fault or not taken by the receiver: Kite
promises neither, so a client reads its book anew when it connects again. Only that a hidden order has appeared is
written down, for its moment may come when nobody runs, and the next server tells of it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from aiohttp import web

from orders.paper.exchange.book import Order
from orders.paper.exchange.events import Accepted, Appeared, Filled, Modified, OrderHappened
from orders.paper.exchange.journal import JournalUnwritable
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
        # By id: those whose appearance is still to be told, be it of a server that ran before.
        self.hidden = {
            order_id: order for order_id, order in paper.exchange.book.orders.items() if order.hidden_until is not None
        }
        self.appeared: set[str] = set()  # ids of those that were told of, which is still to be written down
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
        self.hidden, self.appeared = {}, set()
        self.stream.forget()
        if self.postbacks is not None:
            self.postbacks.forget()

    def tell_appeared(self, now: datetime) -> None:
        """Tell of the orders that were hidden and can be seen now, as what they are by now."""
        for order in [one for one in self.hidden.values() if one.visible(now)]:
            self._note_appearance(order)
            self._say(order, now, changed=bool(order.state.filled_quantity or order.modifications))
        self._write_down_appeared(now)

    def _tell(self, order: Order, event: Accepted | OrderHappened) -> None:
        """Say what the event made of the order."""
        now = self.paper.clock()
        if not order.visible(now):
            self.hidden[order.order_id] = order
            return
        if order.hidden_until is not None:
            # What is told here is newer than what would be told of its appearance.
            self._note_appearance(order)
        self._say(order, now, changed=isinstance(event, Modified | Filled))

    def _note_appearance(self, order: Order) -> None:
        self.hidden.pop(order.order_id, None)
        self.appeared.add(order.order_id)

    def _write_down_appeared(self, now: datetime) -> None:
        if not self.appeared:
            return
        shown = [Appeared(at=now, order_id=order_id) for order_id in sorted(self.appeared)]
        try:
            self.paper.exchange.ledger.write(*shown)
        except JournalUnwritable:
            return  # Tried again with the next release: the stream must not end for it.
        self.appeared.clear()

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
