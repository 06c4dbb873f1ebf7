"""
What an order needs before it is let out, INR.

Delivery is paid in full; intraday equity with a fifth (five times leverage, the most that the exchanges' peak
margin rules allow since 2021-09-01). Only what opens exposure needs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from orders.paper.market.instruments import Instrument
from orders.paper.terms import Product, Side

NOTHING = Decimal(0)
LEVERAGE = {Product.CNC: 1, Product.NRML: 1, Product.MIS: 5, Product.CO: 5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """An order to be counted: `price` is its limit, or what it is counted at, INR."""

    instrument: Instrument
    product: Product
    side: Side
    quantity: int
    price: Decimal


def margin_rate(product: Product) -> Decimal:
    """Return the part of an order's value that it blocks."""
    return 1 / Decimal(LEVERAGE[product])


def closable(side: Side, position: int) -> int:
    """Return how many shares of the position, which is signed, orders of this side can close."""
    return max(-position if side is Side.BUY else position, 0)


def full_margin(wanted: Wanted) -> Decimal:
    """Return what the order blocks where it closes nothing; delivery shares that are sold block nothing."""
    if wanted.product is Product.CNC and wanted.side is Side.SELL:
        return NOTHING
    return wanted.price * wanted.quantity * margin_rate(wanted.product)


def margin_of(wanted: Wanted, position: int) -> Decimal:
    """Return what the order blocks beside this position in the same product, and no other order."""
    closing = 0 if wanted.product is Product.CNC else closable(wanted.side, position)
    return full_margin(replace(wanted, quantity=max(wanted.quantity - closing, 0)))


def basket_margin(basket: Iterable[Wanted], position_of: Callable[[Wanted], int]) -> Decimal:
    """
    Return what the orders block together, INR, if all of them fill in the order given.

    An order that closes what an earlier one of the basket, or the account, has open needs nothing, and frees
    what that one needed; the largest need on the way is not counted.
    """
    quantities: dict[tuple[str, Product], int] = {}
    needed: dict[tuple[str, Product], Decimal] = {}
    for wanted in basket:
        key = (wanted.instrument.key, wanted.product)
        before = quantities.setdefault(key, position_of(wanted))
        after = before + (wanted.quantity if wanted.side is Side.BUY else -wanted.quantity)
        blocked = needed.get(key, NOTHING)
        if abs(after) < abs(before) and before:
            blocked = blocked * abs(after) / abs(before)
        needed[key] = blocked + margin_of(wanted, before)
        quantities[key] = after
    return sum(needed.values(), NOTHING)
