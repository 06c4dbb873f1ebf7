"""The visible book: five levels on each side, renewed every few seconds, less what was taken of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from orders.paper.market.instruments import Instrument
from orders.paper.market.path import Draw
from orders.paper.terms import Side

LEVELS = 5
RENEWED_SECONDS = 5
LEVEL_VALUE = 300_000  # INR offered at a middling level
DEEP = 1_000_000  # shares at each level around a price set from outside
# Ticks from the last price to the best bid and the best offer: one of the two may trade at it.
SPREADS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2))
GIVEN = -1  # the time slice of levels that were given from outside, which are not renewed


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    price: Decimal  # INR
    quantity: int
    orders: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """What is offered, the best of each side first."""

    buy: tuple[Level, ...]
    sell: tuple[Level, ...]


class Taken:
    """What our own fills have taken of the visible levels since those were last renewed."""

    def __init__(self) -> None:
        self._slices: dict[tuple[str, Side], tuple[int, int]] = {}

    def add(self, key: str, side: Side, time_slice: int, quantity: int) -> None:
        """Count shares that an order of this side took from the other."""
        self._slices[key, side] = (time_slice, self.of(key, side, time_slice) + quantity)

    def of(self, key: str, side: Side, time_slice: int) -> int:
        last_slice, quantity = self._slices.get((key, side), (time_slice, 0))
        return quantity if last_slice == time_slice else 0

    def forget(self, key: str) -> None:
        for side in Side:
            self._slices.pop((key, side), None)

    def clear(self) -> None:
        self._slices.clear()


def time_slice(now: datetime) -> int:
    return int(now.timestamp()) // RENEWED_SECONDS


def moving_depth(seed: int, instrument: Instrument, last_price: Decimal, now: datetime) -> Depth:
    """Return the book around a price that moves by itself: a spread of one to three ticks."""
    if instrument.is_index:
        return Depth(buy=(), sell=())
    text = f"{seed}:{instrument.key}:{time_slice(now)}"
    draw = Draw(hashlib.blake2b(text.encode(), digest_size=64).digest())
    below, above = SPREADS[draw.below(len(SPREADS))]
    shares = max(int(LEVEL_VALUE / last_price), 1)
    tick = instrument.tick_size
    return Depth(
        buy=drawn_levels(draw, last_price - below * tick, -tick, shares),
        sell=drawn_levels(draw, last_price + above * tick, tick, shares),
    )


def drawn_levels(draw: Draw, best: Decimal, step: Decimal, shares: int) -> tuple[Level, ...]:
    """Return levels from the best one outwards, more and more offered on them."""
    levels = (
        Level(
            price=best + step * number,
            quantity=max(shares * draw.between(30, 170) * (number + 2) // 200, 1),
            orders=draw.between(1, 20),
        )
        for number in range(LEVELS)
    )
    return tuple(level for level in levels if level.price > 0)


def deep(price: Decimal, tick: Decimal) -> Depth:
    """Return a book that trades exactly at the price, in any quantity: for prices set from outside."""
    return Depth(buy=deep_levels(price, -tick), sell=deep_levels(price, tick))


def deep_levels(best: Decimal, step: Decimal) -> tuple[Level, ...]:
    levels = (Level(price=best + step * number, quantity=DEEP, orders=number + 1) for number in range(LEVELS))
    return tuple(level for level in levels if level.price > 0)


def less(levels: Iterable[Level], taken: int) -> tuple[Level, ...]:
    """Return the levels without the shares that were taken, from the best on."""
    left = []
    for level in levels:
        gone = min(taken, level.quantity)
        taken -= gone
        if gone < level.quantity:
            left.append(replace(level, quantity=level.quantity - gone) if gone else level)
    return tuple(left)
