"""
The arithmetic of a position by average cost: pure, and exact as far as a Decimal goes.

What is carried along is what the open shares cost in all, and not their average: an average is seldom a round number,
and a rounded one times many shares is rupees off. Realised less cost is, after any trades, what was received less what
was paid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from risk.engine.facts import Side

IST = ZoneInfo("Asia/Kolkata")


@dataclass(frozen=True, kw_only=True)
class Net:
    """A position: signed shares, what they cost (INR, below zero for a short one), INR realised."""

    quantity: int = 0
    cost: Decimal = Decimal(0)
    realised_pnl: Decimal = Decimal(0)

    @property
    def average_price(self) -> Decimal:
        return self.cost / self.quantity if self.quantity else Decimal(0)

    def unrealised_pnl(self, price: Decimal) -> Decimal:
        """Return INR that closing all of it at this price would realise."""
        return self.quantity * price - self.cost


@dataclass(frozen=True, kw_only=True)
class Traded:
    """One execution: shares, INR a share."""

    at: datetime
    side: Side
    quantity: int
    price: Decimal

    def applied_to(self, net: Net) -> Net:
        signed = self.quantity if self.side == Side.BUY else -self.quantity
        if net.quantity * signed >= 0:  # opens or adds
            cost = net.cost + signed * self.price
            return Net(quantity=net.quantity + signed, cost=cost, realised_pnl=net.realised_pnl)
        closing = min(self.quantity, abs(net.quantity)) * (1 if signed > 0 else -1)
        left = net.quantity + closing
        kept = net.cost * left / net.quantity
        realised = net.realised_pnl - closing * self.price - (net.cost - kept)
        turned = signed - closing  # what opens beyond flat, at this price
        return Net(quantity=left + turned, cost=kept + turned * self.price, realised_pnl=realised)


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A bonus or a split: each `old` shares became `new`, and cost the same. A fraction of a share is dropped."""

    at: datetime
    new: int
    old: int

    def applied_to(self, net: Net) -> Net:
        shares = abs(net.quantity) * self.new // self.old
        if shares == 0:  # nothing is left to carry the cost
            return Net(realised_pnl=net.realised_pnl - net.cost)
        return Net(
            quantity=shares if net.quantity > 0 else -shares, cost=net.cost, realised_pnl=net.realised_pnl
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Restated:
    """A person's word for what is held, signed, at INR a share. It realises nothing."""

    at: datetime
    quantity: int
    price: Decimal

    def applied_to(self, net: Net) -> Net:
        return Net(quantity=self.quantity, cost=self.quantity * self.price, realised_pnl=net.realised_pnl)


Step = Traded | Scaled | Restated


def net_of(steps: Iterable[Step], net: Net = Net()) -> Net:
    """Return the position after these steps, in the order given, upon what there was before."""
    for step in steps:
        net = step.applied_to(net)
    return net


def realised_on(steps: Iterable[Step], day: date, opening: Net = Net()) -> Decimal:
    """Return INR realised on this date in Mumbai. The steps are in the order of time, upon what there was before."""
    until = [step for step in steps if step.at.astimezone(IST).date() <= day]
    before = [step for step in until if step.at.astimezone(IST).date() < day]
    return net_of(until, opening).realised_pnl - net_of(before, opening).realised_pnl
