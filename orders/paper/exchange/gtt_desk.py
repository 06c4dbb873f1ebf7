"""Placing, changing and watching GTTs: when a price is reached, its order is placed like any other."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.events import GttEnded, GttModified, GttPlaced, GttTriggered
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.gtt import Gtt
from orders.paper.exchange.gtt_terms import GttOrder, GttTerms
from orders.paper.exchange.matching import AUTOMATIC
from orders.paper.exchange.tickets import Ticket
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.terms import Validity

ACTIVE_MAX = 250  # per account (support.zerodha.com, "What is the GTT feature")
NO_SUCH_TRIGGER = "Trigger not found"


class GttDesk:
    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.ledger = exchange.ledger

    def place(self, terms: GttTerms, now: datetime) -> int:
        """Begin to watch for the trigger values and return the id."""
        gtts = self.ledger.gtts
        if len(gtts.active) >= ACTIVE_MAX:
            raise KiteRefusal(400, "InputException", f"At most {ACTIVE_MAX} GTTs can be active at once.")
        event = GttPlaced(at=now, gtt_id=gtts.last_id + 1, terms=terms)
        self.ledger.write(event)
        return event.gtt_id

    def modify(self, gtt_id: int, terms: GttTerms, now: datetime) -> None:
        self._active(gtt_id)
        self.ledger.write(GttModified(at=now, gtt_id=gtt_id, terms=terms))

    def delete(self, gtt_id: int, now: datetime) -> None:
        self.find(gtt_id)
        self.ledger.write(GttEnded(at=now, gtt_id=gtt_id, status="deleted"))

    def find(self, gtt_id: int) -> Gtt:
        gtt = self.ledger.gtts.all.get(gtt_id)
        if gtt is None or not gtt.listed:
            raise KiteRefusal(404, "GeneralException", NO_SUCH_TRIGGER)
        return gtt

    def watch(self, now: datetime) -> None:
        """Expire what is a year old, and place the order of each trigger value that was reached."""
        for gtt in list(self.ledger.gtts.active.values()):
            if now >= gtt.expires_at:
                self.ledger.write(GttEnded(at=now, gtt_id=gtt.gtt_id, status="expired"))
                continue
            instrument = INSTRUMENTS.get(gtt.terms.instrument_key)
            if instrument is None or not self.ledger.market.sessions.is_open(instrument, now):
                continue
            last = self.ledger.market.last_price(instrument, now)
            leg = gtt.terms.leg_reached(last)
            if leg is not None:
                self._trigger(gtt, leg, now)

    def _active(self, gtt_id: int) -> Gtt:
        gtt = self.find(gtt_id)
        if gtt.status != "active":
            raise KiteRefusal(400, "InputException", "The trigger is not active any more and cannot be modified.")
        return gtt

    def _trigger(self, gtt: Gtt, leg: int, now: datetime) -> None:
        """
        Place the leg's order and write down what became of it.

        The trigger is ended first: a crash in between leaves an order unplaced, never one placed twice.
        """
        terms = gtt.terms
        event = GttTriggered(at=now, gtt_id=gtt.gtt_id, leg=leg, trigger_price=terms.trigger_values[leg], order_id=None)
        self.ledger.write(event)
        try:
            order_id = self.exchange.place(ticket_of(terms.orders[leg]), now)
        except KiteRefusal as refusal:
            self.ledger.write(event.model_copy(update={"reason": refusal.message}))
        else:
            self.ledger.write(event.model_copy(update={"order_id": order_id}))


def ticket_of(order: GttOrder) -> Ticket:
    return Ticket(
        exchange=order.exchange,
        tradingsymbol=order.tradingsymbol,
        side=order.side,
        quantity=order.quantity,
        product=order.product,
        order_type=order.order_type,
        price=order.price,
        validity=Validity.DAY,
        market_protection=Decimal(AUTOMATIC),
        disclosed_quantity=0,
        tag=None,
    )
