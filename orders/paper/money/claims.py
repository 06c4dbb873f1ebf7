"""
What the orders at the exchange may still open, and what they block for it, INR.

A position can be closed only once: of the orders against it the older ones are its way out, and what is left of
the younger ones opens something new. It is reckoned anew from the position of the moment, so that a fill, of
whichever order, leaves nothing open that nothing was blocked for. No amount is divided, so none drifts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from orders.paper.money.margins import NOTHING, Wanted, closable, full_margin, margin_of, margin_rate
from orders.paper.money.positions import Position
from orders.paper.terms import Product, Side

Key = tuple[str, Product, Side]


@dataclass(slots=True)
class Line:
    """The claims of one side on one product of an instrument, the oldest first, and their sums."""

    claims: dict[str, Wanted] = field(default_factory=dict)
    quantity: int = 0
    full: Decimal = NOTHING  # INR, if they closed nothing

    def put(self, order_id: str, wanted: Wanted) -> None:
        self._count(self.claims.get(order_id), -1)
        self.claims[order_id] = wanted
        self._count(wanted, +1)

    def drop(self, order_id: str) -> None:
        self._count(self.claims.pop(order_id, None), -1)

    def covered(self, room: int) -> Decimal:
        """Return what the first so many shares would block if they did not close something."""
        return self.full if self.quantity <= room else covered_margin(self.claims.values(), room)

    def _count(self, claim: Wanted | None, sign: int) -> None:
        if claim is not None:
            self.quantity += sign * claim.quantity
            self.full += sign * full_margin(claim)


class Claims:
    def __init__(self) -> None:
        self._lines: dict[Key, Line] = {}
        self._full = NOTHING  # INR, if there were no positions

    def put(self, order_id: str, wanted: Wanted) -> None:
        """Let the order claim this from now on; one that was changed keeps its turn."""
        line = self._lines.setdefault(key_of(wanted), Line())
        self._full -= line.full
        line.put(order_id, wanted)
        self._full += line.full

    def drop(self, order_id: str, wanted: Wanted) -> None:
        """Let the order, of which `wanted` says the kind, claim nothing any more."""
        line = self._lines.get(key_of(wanted))
        if line is not None:
            self._full -= line.full
            line.drop(order_id)
            self._full += line.full

    def blocked(self, positions: Iterable[Position]) -> Decimal:
        """Return what all of the orders block beside these positions."""
        covered = NOTHING
        for position in positions:
            if position.quantity and position.product is not Product.CNC:
                side = Side.SELL if position.quantity > 0 else Side.BUY
                line = self._lines.get((position.instrument.key, position.product, side))
                covered += line.covered(abs(position.quantity)) if line else NOTHING
        return self._full - covered

    def margin_of(self, order_id: str, wanted: Wanted, position: int) -> Decimal:
        """Return what is blocked more with this order among the others than without it."""
        room = closable(wanted.side, position)
        if not room or wanted.product is Product.CNC:
            return full_margin(wanted)
        line = self._lines.get(key_of(wanted), NO_CLAIMS)
        if order_id not in line.claims:
            # It goes last, so that it closes what the others leave.
            return margin_of(wanted, position_left(position, line.quantity))
        others = (claim for name, claim in line.claims.items() if name != order_id)
        covered = covered_margin((line.claims | {order_id: wanted}).values(), room) - covered_margin(others, room)
        return full_margin(wanted) - covered


NO_CLAIMS = Line()


def key_of(wanted: Wanted) -> Key:
    return wanted.instrument.key, wanted.product, wanted.side


def position_left(position: int, closed: int) -> int:
    """Return what is left of a position, which is signed, when so many shares of it are closed."""
    return max(position - closed, 0) if position > 0 else min(position + closed, 0)


def covered_margin(claims: Iterable[Wanted], room: int) -> Decimal:
    """Return what the first so many shares would block if they did not close something; all are of one product."""
    value, product = NOTHING, None
    for claim in claims:
        if not room:
            break
        shares = min(claim.quantity, room)
        value += claim.price * shares
        room -= shares
        product = claim.product
    return value * margin_rate(product) if product else NOTHING
