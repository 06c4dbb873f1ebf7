"""
What the broker's risk system and the exchange refuse.

Some of it is refused before an order has an id, as an error; most of it afterwards, as the state REJECTED with
a reason, which is how Zerodha answers for holdings, margins and prices out of range.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orders.paper.errors import bad_input
from orders.paper.exchange.tickets import Ticket
from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import Instrument
from orders.paper.market.market import Market
from orders.paper.profile import Profile
from orders.paper.terms import OrderType, Side, Validity, Variety

CLOSED = "Markets are closed right now. Use GTT or AMO to place this order."
AMO_IN_SESSION = "After market orders (AMO) can be placed only while the market is closed."
MIS_OVER = "MIS and CO orders are not taken any more today: intraday positions are being squared off."


@dataclass(frozen=True, kw_only=True)
class Objection:
    """Why an order with an id is rejected: a sentence, and what the broker's system calls it."""

    message: str
    raw: str


def check_hours(ticket: Ticket, market: Market, profile: Profile, now: datetime) -> None:
    """Refuse an order for which the market's hours are wrong."""
    instrument, sessions = ticket.instrument, market.sessions
    is_open = sessions.is_open(instrument, now)
    if ticket.variety is Variety.AMO:
        if is_open and not profile.amo_at_any_hour:
            raise bad_input(AMO_IN_SESSION)
        return
    if not is_open:
        raise bad_input(CLOSED)
    cutoff = sessions.square_off_at(instrument, trading_date(now))
    if ticket.product.intraday and cutoff is not None and now >= cutoff and not ticket.squares_off:
        raise bad_input(MIS_OVER)


def check_disclosed(shown: int, quantity: int) -> None:
    if shown > quantity:
        raise bad_input("Invalid `disclosed_quantity`: it cannot be more than the quantity.")


def check_immediate(validity: Validity, variety: Variety, order_type: OrderType) -> None:
    """Refuse IOC for an order that has to wait for something first."""
    if validity is Validity.IOC and (order_type.is_stop or variety in (Variety.AMO, Variety.CO, Variety.ICEBERG)):
        raise bad_input(f"Invalid `validity`: IOC is not for {order_type} orders of variety {variety}.")


def check_stop_side(side: Side, order_type: OrderType, trigger_price: Decimal, last_price: Decimal) -> None:
    """Refuse a stop that the price has already passed."""
    if not order_type.is_stop:
        return
    if side is Side.BUY and trigger_price <= last_price:
        raise bad_input("Trigger price for stoploss buy orders should be higher than the last traded price.")
    if side is Side.SELL and trigger_price >= last_price:
        raise bad_input("Trigger price for stoploss sell orders should be lower than the last traded price.")


def check_cover_trigger(ticket: Ticket, last_price: Decimal) -> None:
    """Refuse a cover order whose second leg would be on the wrong side of its first."""
    if ticket.variety is not Variety.CO:
        return
    entry = ticket.price if ticket.order_type.has_limit else last_price
    check_stop_side(ticket.side.opposite, OrderType.SL_M, ticket.trigger_price, entry)


def out_of_range(price: Decimal, instrument: Instrument, market: Market, now: datetime) -> Objection | None:
    """Object to a price outside the day's circuit limits."""
    if not price:
        return None
    lower, upper = market.circuit(instrument, now)
    if lower <= price <= upper:
        return None
    word, bound = (
        ("higher", f"upper circuit limit of {upper}")
        if price > upper
        else (
            "lower",
            f"lower circuit limit of {lower}",
        )
    )
    return Objection(
        message=f"Your order price is {word} than the current {bound}. Place the order within the daily range.",
        raw="16283 : The order price is out of the current price range",
    )


def missing_price(ticket: Ticket) -> Objection | None:
    """Object to a limit order without a limit, which only a lenient profile lets come so far."""
    if ticket.price or not ticket.order_type.has_limit:
        return None
    return Objection(message="The order needs a price.", raw="RMS:Rule: Price not given for a limit order")


def frozen_quantity(ticket: Ticket) -> Objection | None:
    """Object to more than the exchange takes in one order."""
    if ticket.quantity <= ticket.instrument.freeze_quantity:
        return None
    return Objection(
        message=f"The order quantity is above the freeze quantity of {ticket.instrument.freeze_quantity}. "
        "Place it in slices.",
        raw="16338 : Quantity freeze",
    )


def shortage(wanted: int, held: int) -> Objection | None:
    """Object to a delivery sale of shares that are not there."""
    held = max(held, 0)
    if wanted <= held:
        return None
    return Objection(
        message=f"Insufficient stock holding. Holding quantity: {held}, required quantity: {wanted}. "
        "Check your holdings and open sell orders.",
        raw="RMS:Rule: Check holdings including BTST/T1 holdings for entity account-PAPER1 "
        "across exchange across segment across product",
    )


def insufficient_funds(required: Decimal, available: Decimal) -> Objection | None:
    """Object to an order that the account cannot pay for, INR."""
    if required <= available:
        return None
    return Objection(
        message=f"Insufficient funds. Required margin is {required:.2f} but available margin is {available:.2f}. "
        "Check the orderbook for open orders.",
        raw="RMS:Margin Exceeds,Cash Available for entity account-PAPER1 across exchange across segment across product",
    )
