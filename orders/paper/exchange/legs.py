"""Tickets made from tickets: the next leg of an iceberg, a cover order's stop, slices, square-offs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from orders.paper.errors import bad_input
from orders.paper.exchange.matching import AUTOMATIC
from orders.paper.exchange.tickets import NO_PRICE, Iceberg, Ticket
from orders.paper.market.instruments import Instrument
from orders.paper.terms import OrderType, Product, Side, Validity, Variety

SLICES_MAX = 10  # as the exchanges' rules for API orders allow


def next_leg(ticket: Ticket) -> Ticket | None:
    """Return the iceberg's next leg, or None after its last."""
    now = ticket.iceberg
    if now is None or now.remaining_quantity == 0:
        return None
    quantity = min(now.leg_quantity, now.remaining_quantity)
    leg: Iceberg = replace(now, leg=now.leg + 1, remaining_quantity=now.remaining_quantity - quantity)
    return replace(ticket, quantity=quantity, iceberg=leg)


def cover_stop(parent_order_id: str, ticket: Ticket, filled_quantity: int) -> Ticket:
    """Return the second leg of a cover order: the stop that closes what its first leg opened."""
    return replace(
        ticket,
        side=ticket.side.opposite,
        quantity=filled_quantity,
        order_type=OrderType.SL_M,
        price=NO_PRICE,
        validity=Validity.DAY,
        validity_ttl=0,
        market_protection=Decimal(AUTOMATIC),
        disclosed_quantity=0,
        tag=None,  # legs do not carry it
        parent_order_id=parent_order_id,
    )


def slices(ticket: Ticket, freeze_quantity: int) -> list[Ticket]:
    """Return the orders that a large one is cut into, each of them no larger than the exchange takes at once."""
    lot = ticket.instrument.lot_size
    largest = freeze_quantity // lot * lot
    if ticket.quantity > largest * SLICES_MAX:
        raise bad_input(f"Order quantity needs more than {SLICES_MAX} slices of {largest}: use a smaller quantity.")
    full, rest = divmod(ticket.quantity, largest)
    return [replace(ticket, quantity=quantity) for quantity in [largest] * full + [rest] * bool(rest)]


def square_off(instrument: Instrument, product: Product, quantity: int) -> Ticket:
    """Return the broker's own order that closes this intraday position."""
    return Ticket(
        exchange=instrument.exchange,
        tradingsymbol=instrument.tradingsymbol,
        side=Side.SELL if quantity > 0 else Side.BUY,
        quantity=abs(quantity),
        product=product,
        order_type=OrderType.MARKET,
        price=NO_PRICE,
        validity=Validity.DAY,
        market_protection=NO_PRICE,
        disclosed_quantity=0,
        tag=None,
        variety=Variety.REGULAR,
        squares_off=True,
    )
