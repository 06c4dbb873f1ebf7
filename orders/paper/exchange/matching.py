"""What an order gets from the visible book, and how far from the last price it may trade: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from orders.paper.market.instruments import Instrument
from orders.paper.market.market import Depth, Level, Market
from orders.paper.terms import Side

AUTOMATIC = -1
# The automatic band of market protection, percent of the last price of a share below the bound; above the
# last bound the last line (support.zerodha.com, "What is market price protection").
BANDS = ((Decimal(100), Decimal(2)), (Decimal(500), Decimal(1)))
BAND_ABOVE = Decimal("0.5")
CENT = Decimal(100)


def offered(depth: Depth, side: Side) -> Sequence[Level]:
    """Return the levels that an order of this side would trade against, the best first."""
    return depth.sell if side is Side.BUY else depth.buy


def crosses(side: Side, limit: Decimal | None, price: Decimal) -> bool:
    """Tell whether an order with this limit may trade at the price."""
    if limit is None:
        return True
    return price <= limit if side is Side.BUY else price >= limit


def walk(levels: Sequence[Level], side: Side, limit: Decimal | None, quantity: int) -> list[tuple[Decimal, int]]:
    """Return the fills of an arriving order, price (INR) and shares: level after level up to its limit."""
    fills = []
    for level in levels:
        if not quantity or not crosses(side, limit, level.price):
            break
        shares = min(quantity, level.quantity)
        if shares:
            fills.append((level.price, shares))
            quantity -= shares
    return fills


def available(levels: Sequence[Level], side: Side, limit: Decimal | None) -> int:
    """Return how many shares are offered at the limit or better."""
    return sum(level.quantity for level in levels if crosses(side, limit, level.price))


def band_edge(instrument: Instrument, side: Side, last_price: Decimal, protection: Decimal) -> Decimal:
    """
    Return the worst price that market protection allows, INR.

    `protection` is a percentage, or -1 for the automatic one. The edge is on tick,
    and never on the wrong side of the last price.
    """
    percent = automatic_band(last_price) if protection == AUTOMATIC else protection
    tick, distance = instrument.tick_size, last_price * percent / CENT
    if side is Side.BUY:
        edge = ((last_price + distance) / tick).to_integral_value(ROUND_FLOOR) * tick
        return max(edge, last_price)
    edge = ((last_price - distance) / tick).to_integral_value(ROUND_CEILING) * tick
    return max(min(edge, last_price), tick)


def protected_limit(market: Market, instrument: Instrument, side: Side, protection: Decimal, now: datetime) -> Decimal:
    """Return the limit of a protected market order, INR: its band's edge, within what the exchange takes today."""
    lower, upper = market.circuit(instrument, now)
    edge = band_edge(instrument, side, market.last_price(instrument, now), protection)
    return min(max(edge, lower), upper)


def automatic_band(last_price: Decimal) -> Decimal:
    """Return the percentage that -1 stands for."""
    for bound, percent in BANDS:
        if last_price < bound:
            return percent
    return BAND_ABOVE
