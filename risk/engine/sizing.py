"""
Quantity and price: lots, ticks, slippage and collars, in Decimal throughout.

An order that we price ourselves stays inside its own limit and on the exchange's price grid: a BUY is rounded down
to the tick and a SELL up, so that it is never worse than what was decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from risk.engine.facts import Holding, OrderType, PriceBand, Quote, Side
from risk.engine.limits import Limits

HUNDRED = Decimal(100)


@dataclass(frozen=True, kw_only=True)
class Sized:
    """What to send: shares, the limit price in INR (None for MARKET), and a remark for the decision."""

    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    note: str = ""


def to_tick(price: Decimal, tick_size: Decimal, side: Side) -> Decimal:
    """Return the price on the tick grid: down for a BUY, up for a SELL."""
    rounding = ROUND_FLOOR if side == Side.BUY else ROUND_CEILING
    return (price / tick_size).to_integral_value(rounding) * tick_size


def is_on_tick(price: Decimal, tick_size: Decimal) -> bool:
    return price % tick_size == 0


def marketable_limit(quote: Quote, side: Side, *, percent: Decimal, tick_size: Decimal) -> Decimal:
    """Return a limit `percent` past the last price, on tick: it trades at once unless the market runs away."""
    shift = quote.price * percent / HUNDRED
    return to_tick(quote.price + shift if side == Side.BUY else quote.price - shift, tick_size, side)


def into_band(price: Decimal, band: PriceBand | None, quote: Quote | None, side: Side, tick_size: Decimal) -> Decimal:
    """
    Return the price of a closing order inside the exchange's band, on tick, where that makes it no worse.

    A SELL below the band gets its lower end, a BUY above it its upper end. What asks for more than the band allows is
    left to the exchange: nobody may sell for less than was said. A later price outside it says that the exchange has
    set another one since.
    """
    if band is None or (quote is not None and quote.as_of > band.as_of and not band.lower <= quote.price <= band.upper):
        return price
    if side == Side.SELL:
        return max(price, to_tick(band.lower, tick_size, side))
    return min(price, to_tick(band.upper, tick_size, side))


def with_charges(value: Decimal, limits: Limits) -> Decimal:
    """Return what an order worth so much may cost in INR, taxes and fees as they are estimated for the day's loss."""
    return value * (1 + limits.charges_percent / HUNDRED)


def worst_price(
    side: Side, limit_price: Decimal | None, quote: Quote | None, collar_percent: Decimal | None
) -> Decimal | None:
    """
    Return the price in INR an order is valued at, or None when that is not known.

    A LIMIT is worth its limit (a SELL the last price if that is higher); a MARKET order is taken as if it filled at
    the end of the collar.
    """
    if limit_price is not None:
        return max(limit_price, quote.price) if side == Side.SELL and quote else limit_price
    if quote is None or collar_percent is None:
        return None
    return quote.price * (1 + collar_percent / HUNDRED)


def exposure_price(price: Decimal, quote: Quote | None, holding: Holding, limits: Limits) -> Decimal:
    """
    Return the price in INR that a whole position is valued at when an order at `price` joins it.

    The worst of them all: a low bid does not make what is held, or what is bid higher already, worth less.
    """
    prices = [price]
    if quote is not None:
        prices.append(quote.price)
        if holding.market_buys_work and limits.collar_percent is not None:
            prices.append(quote.price * (1 + limits.collar_percent / HUNDRED))
    if holding.highest_working_bid is not None:
        prices.append(holding.highest_working_bid)
    return max(prices)


def floor_to_lot(amount: Decimal, price: Decimal, lot_size: int) -> int:
    """Return how many shares, in whole lots, the amount in INR buys at the price."""
    lots = (amount / (price * lot_size)).to_integral_value(ROUND_FLOOR)
    return max(0, int(lots)) * lot_size


def size_entry(
    *,
    price: Decimal,
    lot_size: int,
    holding: Holding,
    limits: Limits,
    quote: Quote | None = None,
    elsewhere: Decimal | None = None,
    spendable: Decimal | None = None,
) -> tuple[int, str]:
    """
    Return the shares of one automatic entry and a remark.

    `elsewhere` is what the other symbols may be worth, and `spendable` what may still be spent, in INR; None where that
    is not known, which a control refuses.

    The position size buys whole lots. Where it buys none, one lot is taken if the settings say so and the order value
    limit allows it. What is left is clipped to the room the limits leave, but never below one lot: an order too large
    by even that is for the controls to deny by name, not for the sizing to hide.
    """
    assert price > 0, "a price is checked before an order is sized"
    assert lot_size > 0, "a lot size is checked before an order is sized"
    if limits.position_size is None:
        return 0, "no position size is set"
    quantity, note = floor_to_lot(limits.position_size, price, lot_size), ""
    if quantity == 0:
        affordable = limits.order_value_max is not None and price * lot_size <= limits.order_value_max
        if not (limits.round_up_to_one_lot and affordable and limits.position_size > 0):
            return 0, f"one lot costs {price * lot_size} INR, the position size is {limits.position_size} INR"
        quantity, note = lot_size, f"rounded up to one lot: {limits.position_size} INR buys less"
    held_at = exposure_price(price, quote, holding, limits)
    room = _room(price=price, held_at=held_at, lot_size=lot_size, holding=holding, limits=limits)
    if elsewhere is not None and limits.gross_exposure_max is not None:
        here = holding.long_when_filled * held_at
        room = min(room, floor_to_lot(limits.gross_exposure_max - elsewhere - here, held_at, lot_size))
    if spendable is not None:
        room = min(room, floor_to_lot(spendable, with_charges(price, limits), lot_size))
    clipped = max(room, lot_size)
    if clipped < quantity:
        note = f"clipped from {quantity} to {clipped} by the room that the limits leave"
        quantity = clipped
    return quantity, note


def _room(*, price: Decimal, held_at: Decimal, lot_size: int, holding: Holding, limits: Limits) -> int:
    """Return how many more shares the order value, quantity and position limits allow."""
    held = holding.long_when_filled
    rooms = []
    if limits.position_value_max is not None:
        left = max(Decimal(0), limits.position_value_max - held * held_at)
        rooms.append(floor_to_lot(left, held_at, lot_size))
    if limits.order_value_max is not None:
        rooms.append(floor_to_lot(limits.order_value_max, price, lot_size))
    if limits.order_quantity_max is not None:
        rooms.append(limits.order_quantity_max // lot_size * lot_size)
    return min(rooms, default=0)
