"""
What things cost at a moment.

Nobody trades against us on paper, so a price is a pure function of seed, symbol and time: restarts, replays
and two observers agree on it. It is a sum of triangle waves around the base price. All of it is integer
arithmetic in millionths, so that no rounding differs between machines. A price set from outside freezes its
symbol.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from orders.paper.indian_time import midnight
from orders.paper.market.instruments import Instrument

MILLION = 1_000_000
# Each wave: shortest period and how much longer it can be, in seconds; height in millionths of the price.
WAVES = ((5400, 9000, 9000), (420, 600, 2500), (37, 50, 700), (5, 6, 250))
# The day's extremes are found by looking at this many moments of it: exact ones are not worth the work.
DAY_SAMPLES = 48
CIRCUIT = Decimal("0.10")


@dataclass(frozen=True, kw_only=True)
class DayPrices:
    """The day so far, INR; `close` is the previous day's."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class Market:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.frozen: dict[str, Decimal] = {}

    def last_price(self, instrument: Instrument, now: datetime) -> Decimal:
        """Return the price of the last trade, INR, on tick unless it was set from outside."""
        frozen = self.frozen.get(instrument.key)
        return self.moving_price(instrument, now) if frozen is None else frozen

    def freeze(self, instrument: Instrument, price: Decimal) -> None:
        self.frozen[instrument.key] = price

    def release(self, instrument: Instrument) -> None:
        self.frozen.pop(instrument.key, None)

    def release_all(self) -> None:
        self.frozen.clear()

    def moving_price(self, instrument: Instrument, now: datetime) -> Decimal:
        """Return what the price would be if nobody had set it."""
        second = int(now.timestamp())
        key = f"{self.seed}:{instrument.key}".encode()
        millionths = sum(
            wave(hashlib.sha256(key + bytes([number])).digest(), shape, second) for number, shape in enumerate(WAVES)
        )
        return on_tick(instrument.base_price * (MILLION + millionths) / MILLION, instrument.tick_size)

    def previous_close(self, instrument: Instrument, now: datetime) -> Decimal:
        return self.moving_price(instrument, midnight(now) - timedelta(seconds=1))

    def day(self, instrument: Instrument, now: datetime) -> DayPrices:
        start = midnight(now)
        step = (now - start) / DAY_SAMPLES
        seen = [self.moving_price(instrument, start + step * number) for number in range(DAY_SAMPLES)]
        seen.append(self.last_price(instrument, now))
        return DayPrices(open=seen[0], high=max(seen), low=min(seen), close=self.previous_close(instrument, now))

    def circuit(self, instrument: Instrument, now: datetime) -> tuple[Decimal, Decimal]:
        """Return the lowest and the highest price allowed today, INR."""
        close = self.previous_close(instrument, now)
        tick = instrument.tick_size
        return on_tick(close * (1 - CIRCUIT), tick), on_tick(close * (1 + CIRCUIT), tick)


def wave(noise: bytes, shape: tuple[int, int, int], second: int) -> int:
    """Return a triangle wave's height now, in millionths; the noise chooses its period and phase."""
    shortest, spread, height = shape
    period = shortest + int.from_bytes(noise[:4]) % spread
    position = (second + int.from_bytes(noise[4:8])) % period
    rising_and_falling = abs(2 * position - period)  # period … 0 … period
    return (2 * rising_and_falling - period) * height // period


def on_tick(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick
