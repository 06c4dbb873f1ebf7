"""
Holdings: delivery shares that were there when the day began.

Shares bought on a day are a position; on the next trading day they are a holding that is still to be settled
(T1), and on the one after that they are in the demat account. A sale appears as a negative position today and
leaves the holding at night, so that position and holding together always say what there is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from orders.paper.market.instruments import Instrument

NOTHING = Decimal(0)


@dataclass(kw_only=True, slots=True)
class Lot:
    quantity: int
    price: Decimal  # INR
    settles_on: date  # from that day on it is in the demat account
    settled: bool = False


@dataclass(kw_only=True, slots=True)
class Holding:
    instrument: Instrument
    lots: deque[Lot] = field(default_factory=deque)  # the oldest first, which is sold first
    used_quantity: int = 0  # sold today

    @property
    def opening_quantity(self) -> int:
        """Return what was carried over night: settled and still to be settled."""
        return sum(lot.quantity for lot in self.lots)

    @property
    def t1_quantity(self) -> int:
        return sum(lot.quantity for lot in self.lots if not lot.settled)

    @property
    def settled_quantity(self) -> int:
        return self.opening_quantity - self.t1_quantity

    @property
    def average_price(self) -> Decimal:
        """Return the average cost of what is held, first in, first out, INR."""
        quantity = self.opening_quantity
        return sum((lot.price * lot.quantity for lot in self.lots), NOTHING) / quantity if quantity else NOTHING

    def add(self, quantity: int, price: Decimal, settles_on: date) -> None:
        self.lots.append(Lot(quantity=quantity, price=price, settles_on=settles_on))

    def settle(self, today: date) -> None:
        for lot in self.lots:
            lot.settled = lot.settled or lot.settles_on <= today

    def remove(self, quantity: int) -> None:
        """Take out what was sold, the oldest first."""
        while quantity and self.lots:
            oldest = self.lots[0]
            taken = min(quantity, oldest.quantity)
            oldest.quantity -= taken
            quantity -= taken
            if not oldest.quantity:
                self.lots.popleft()
