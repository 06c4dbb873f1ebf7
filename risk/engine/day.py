"""
What a day has brought so far: pure arithmetic over what is held, what was traded and what it is worth now.

Of one symbol, with q shares now, q₀ when the day began, and c their price at the close before:

    result = q × last − q₀ × c − paid + received

The shares that the day's trades do not explain were there when it began, so adjustments gain and lose nothing. Charges
are an estimate, a share of the turnover: the broker's own figures come with its contract note, after the close.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple


class DayOfSymbol(NamedTuple):
    """One symbol's day: signed shares, INR. A price that is not known is None."""

    name: str
    quantity: int
    bought: int = 0
    sold: int = 0
    paid: Decimal = Decimal(0)
    received: Decimal = Decimal(0)
    last_price: Decimal | None = None
    close_price: Decimal | None = None  # of the trading day before

    @property
    def opening_quantity(self) -> int:
        return self.quantity - self.bought + self.sold

    @property
    def turnover(self) -> Decimal:
        return self.paid + self.received

    @property
    def result(self) -> Decimal | None:
        """INR gained since the close before, charges not taken off; None when a price that it needs is not known."""
        now = _worth(self.quantity, self.last_price)
        before = _worth(self.opening_quantity, self.close_price)
        if now is None or before is None:
            return None
        return now - before - self.paid + self.received

    @property
    def unrealised(self) -> Decimal | None:
        """
        The part of `result` that is in the shares still held, in INR; the rest of it is realised.

        A share costs what the shares of the day cost on average: those held at the close before at that close, those
        bought since at what was paid. Of a short position it is what they brought, likewise.
        """
        if self.result is None or self.quantity == 0:
            return self.result if self.result is None else Decimal(0)
        before, now = _worth(self.opening_quantity, self.close_price), _worth(self.quantity, self.last_price)
        assert before is not None, "the result is known"
        assert now is not None, "likewise"
        if self.quantity > 0:
            cost, shares = before + self.paid, self.opening_quantity + self.bought
        else:
            cost, shares = before - self.received, self.opening_quantity - self.sold
        return now - cost / shares * self.quantity


@dataclass(frozen=True, kw_only=True)
class DayResult:
    """The account's day: INR; `result` is None when it cannot be known, `unknown` names the symbols that hide it."""

    gross: Decimal
    charges: Decimal
    unrealised: Decimal  # the part of `gross` that is in what is still held
    unknown: tuple[str, ...] = ()

    @property
    def realised(self) -> Decimal:
        return self.gross - self.unrealised

    @property
    def result(self) -> Decimal | None:
        return None if self.unknown else self.gross - self.charges

    @property
    def loss(self) -> Decimal | None:
        """INR lost, below zero on a day with a gain."""
        return None if self.result is None else -self.result


def day_result(symbols: Iterable[DayOfSymbol], *, charges_percent: Decimal) -> DayResult:
    """Add the symbols up and take the estimated charges off: `charges_percent` of what was bought and sold."""
    each = list(symbols)
    return DayResult(
        gross=sum((symbol.result or Decimal(0) for symbol in each), Decimal(0)),
        charges=sum((symbol.turnover for symbol in each), Decimal(0)) * charges_percent / 100,
        unrealised=sum((symbol.unrealised or Decimal(0) for symbol in each), Decimal(0)),
        unknown=tuple(symbol.name for symbol in each if symbol.result is None),
    )


def loss_of_day(symbols: Iterable[DayOfSymbol], *, charges_percent: Decimal) -> Decimal | None:
    """Return the `loss` of `day_result` alone, which every decision asks for."""
    gross = turnover = Decimal(0)
    for symbol in symbols:
        result = symbol.result
        if result is None:
            return None
        gross += result
        turnover += symbol.turnover
    return turnover * charges_percent / 100 - gross


def _worth(quantity: int, price: Decimal | None) -> Decimal | None:
    if quantity == 0:
        return Decimal(0)
    return None if price is None else quantity * price
