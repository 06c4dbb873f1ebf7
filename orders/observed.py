"""What the broker was asked for before the lock was taken, or told a moment ago: price, band, funds and position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from orders.desk import Desk
from orders.quotes import (
    available_funds,
    broker_positions,
    broker_positions_lately,
    funds_at_hand,
    heard,
    quote_and_band,
)
from risk.engine.facts import Funds, Portfolio, PriceBand, Quote


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was fetched from the broker before the lock was taken, with when each reading began."""

    quote: Quote | None = None
    band: PriceBand | None = None
    funds: Funds | None = None
    broker_quantity: int | None = None
    broker_as_of: datetime | None = None


NOTHING_OBSERVED = Observed()


def observe(
    desk: Desk,
    exchange: str,
    symbol: str,
    *,
    with_position: bool,
    with_funds: bool = False,
    waits: bool = False,
) -> Observed:
    """
    Fetch the last price and the price band, for a sale the broker's position, and for a purchase what may be spent.

    What cannot be read stays unknown. Who waits for the position, and so asks again and again, shares one reading a
    second.
    """
    quote, band = quote_and_band(desk, exchange, symbol)
    observed = Observed(quote=quote, band=band, funds=available_funds(desk) if with_funds else None)
    read = broker_positions_lately if waits else broker_positions
    positions = read(desk) if with_position else None
    if positions is None:
        return observed
    net, as_of = positions
    return replace(observed, broker_quantity=net.get((exchange, symbol), 0), broker_as_of=as_of)


def at_hand(desk: Desk, exchange: str, symbol: str) -> Observed | None:
    """
    Return what a purchase needs of the broker where all of it was told within the last moments; else None.

    Nobody is asked, so it costs nothing to look before it is known whether the purchase comes about.
    """
    told = heard(desk, exchange, symbol)
    if told.quote is None or told.band is None or (funds := funds_at_hand(desk)) is None:
        return None
    return Observed(quote=told.quote, band=told.band, funds=funds)


def without_observed(portfolio: Portfolio) -> Portfolio:
    """Return the book as it is without what was observed at the broker."""
    holding = replace(portfolio.holding, broker=None, broker_as_of=None)
    return replace(portfolio, holding=holding, quote=None, band=None, funds=None)
