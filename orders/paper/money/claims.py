"""
What the orders at the exchange may still open, and what they block for it, INR.

A position can be closed only once: of the orders against it the older ones are its way out, and what is left of
the younger ones opens something new. It is reckoned anew from the position of the moment, so that a fill, of
whichever order, leaves nothing open that nothing was blocked for. No amount is divided, so none drifts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from orders.paper.money.margins import NOTHING, Wanted, closable, full_margin
from orders.paper.money.positions import Position
from orders.paper.terms import Product, Side

Key = tuple[str, Product, Side]


class Claims:
    def __init__(self) -> None:
        self._full = NOTHING  # INR, if there were no positions
        self._claims: dict[Key, dict[str, Wanted]] = {}

    def put(self, order_id: str, wanted: Wanted) -> None:
        """Let the order claim this from now on; one that was changed keeps its turn."""
        claims = self._claims.setdefault(key_of(wanted), {})
        self._full += full_margin(wanted) - (full_margin(claims[order_id]) if order_id in claims else NOTHING)
        claims[order_id] = wanted

    def drop(self, order_id: str, wanted: Wanted) -> None:
        """Let the order, of which `wanted` says the kind, claim nothing any more."""
        claim = self._claims.get(key_of(wanted), {}).pop(order_id, None)
        if claim is not None:
            self._full -= full_margin(claim)

    def blocked(self, positions: Iterable[Position]) -> Decimal:
        """Return what all of the orders block beside these positions."""
        covered = NOTHING
        for position in positions:
            if position.quantity and position.product is not Product.CNC:
                side = Side.SELL if position.quantity > 0 else Side.BUY
                claims = self._claims.get((position.instrument.key, position.product, side), {})
                covered += covered_margin(claims.values(), abs(position.quantity))
        return self._full - covered

    def margin_of(self, order_id: str, wanted: Wanted, position: int) -> Decimal:
        """Return what is blocked more with this order among the others than without it."""
        room = closable(wanted.side, position)
        if not room or wanted.product is Product.CNC:
            return full_margin(wanted)
        claims = self._claims.get(key_of(wanted), {})
        others = (claim for name, claim in claims.items() if name != order_id)
        covered = covered_margin((claims | {order_id: wanted}).values(), room) - covered_margin(others, room)
        return full_margin(wanted) - covered


def key_of(wanted: Wanted) -> Key:
    return wanted.instrument.key, wanted.product, wanted.side


def covered_margin(claims: Iterable[Wanted], room: int) -> Decimal:
    """Return what the first so many shares would have blocked if they did not close something."""
    covered = NOTHING
    for claim in claims:
        if not room:
            break
        shares = min(claim.quantity, room)
        covered += full_margin(replace(claim, quantity=shares))
        room -= shares
    return covered
