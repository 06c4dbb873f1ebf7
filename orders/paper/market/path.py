"""
The path that a price takes when nobody sets it.

It is a pure function of seed, instrument and second, so that restarts, replays and two observers agree on it,
and it is drawn from the outside in: a day has its open, high, low and close, each minute begins and ends
between the day's extremes, and within a minute the price runs from its open over its own extremes to its close.
What is coarse therefore always agrees with what is fine. All of it is integer arithmetic in ticks, so that no
rounding differs between machines. A price stays within 2.5 % of the instrument's base.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import Instrument
from orders.paper.market.sessions import Sessions

MILLION = 1_000_000
MINUTE = 60
LAST_SECOND = 59
# Where a minute's numbers are.
FIELDS, HIGH, LOW = 6, 1, 2
# Waves of the daily close: period in days, height in millionths of the price.
DAY_WAVES = ((41, 7000), (17, 3500), (5, 1500))
GAP = 2000  # millionths between a close and the next open, either way
REACH = (1000, 8000)  # millionths that a day's extreme lies beyond its open and close
# Waves of the minutes: period in minutes, height.
MINUTE_WAVES = ((83, 4000), (29, 1800), (7, 700))
WIGGLE = 500  # millionths that a minute's extreme lies beyond its ends
DAYS_KEPT = 600  # today's of all instruments and more; a day of minutes is 60 kB
TURNOVER = 2_000_000_000  # INR traded in an instrument on a middling day


@dataclass(frozen=True, slots=True)
class MinuteBar:
    """A minute in ticks: the extremes are reached at these seconds, the first of them and then the other."""

    open: int
    high: int
    low: int
    close: int
    high_at: int
    low_at: int

    def at(self, second: int) -> int:
        """Return the price at this second of the minute."""
        first, second_extreme = sorted(((self.high_at, self.high), (self.low_at, self.low)))
        before, after = (0, self.open), first
        if second >= second_extreme[0]:
            before, after = second_extreme, (LAST_SECOND, self.close)
        elif second >= first[0]:
            before, after = first, second_extreme
        if second >= after[0]:
            return after[1]
        (start, here), (end, there) = before, after
        return here + (there - here) * (second - start) // (end - start)

    def extremes(self, first: int, last: int) -> tuple[int, int]:
        """Return the highest and the lowest price from the first second to the last: at its ends, or where it turns."""
        prices = [self.at(first), self.at(last)]
        if first < self.high_at < last:
            prices.append(self.high)
        if first < self.low_at < last:
            prices.append(self.low)
        return max(prices), min(prices)


class DayPath:
    """One instrument's day: its four prices, and its minutes as far as somebody has looked."""

    def __init__(self, noise: bytes, instrument: Instrument, ends: tuple[int, int], minutes: int) -> None:
        self.noise = noise
        self.open, self.close = ends
        self.minutes = minutes
        draw = Draw(noise)
        base = base_ticks(instrument)
        self.high = max(ends) + max(base * draw.between(*REACH) // MILLION, 1)
        self.low = max(min(ends) - max(base * draw.between(*REACH) // MILLION, 1), 1)
        self.high_minute = draw.below(minutes)
        self.low_minute = (self.high_minute + 1 + draw.below(minutes - 1)) % minutes
        self.phases = [draw.below(period) for period, _ in MINUTE_WAVES]
        self.base = base
        self.volume = max(int(TURNOVER / instrument.base_price) * draw.between(50, 150) // 100, minutes)
        # Six numbers of each minute one after another, since a minute as an object is ten times as large.
        self.numbers = array("i")
        # Value traded, in ticks times shares, and extremes of all minutes before the one at the index.
        self.values = array("q", [0])
        self.highs = array("i", [0])
        self.lows = array("i", [0])

    def bar(self, minute: int) -> MinuteBar:
        self._draw_to(minute)
        return MinuteBar(*self.numbers[minute * FIELDS : (minute + 1) * FIELDS])

    def boundary(self, minute: int) -> int:
        """Return the price at the beginning of the minute."""
        if minute <= 0:
            return self.open
        if minute >= self.minutes:
            return self.close
        straight = self.open + (self.close - self.open) * minute // self.minutes
        swing = sum(
            wave(minute + phase, period, height)
            for phase, (period, height) in zip(self.phases, MINUTE_WAVES, strict=True)
        )
        # The swing dies away towards both ends, which are given.
        damping = min(minute, self.minutes - minute, MINUTE)
        price = straight + self.base * swing * damping // (MILLION * MINUTE)
        return min(max(price, self.low), self.high)

    def volume_before(self, second: int) -> int:
        """Return how many shares have traded before this second of the day."""
        minute, part = divmod(min(second, self.minutes * MINUTE), MINUTE)
        weights = busyness(self.minutes)
        done = weights[minute] * MINUTE
        if part:
            done += (weights[minute + 1] - weights[minute]) * part
        return self.volume * done // (weights[-1] * MINUTE)

    def value_before(self, second: int) -> int:
        """Return what those shares traded for, in ticks times shares."""
        minute, part = divmod(min(second, self.minutes * MINUTE), MINUTE)
        if minute:
            self._draw_to(minute - 1)
        value = self.values[minute]
        if part:
            shares = self.volume_before(second) - self.volume_before(minute * MINUTE)
            value += shares * self.bar(minute).at(part - 1)
        return value

    def extremes(self, first: int, last: int) -> tuple[int, int]:
        """Return the highest and the lowest price of whole minutes, from the first up to, not with, the last."""
        if first == 0 and last == self.minutes:
            return self.high, self.low
        self._draw_to(last - 1)
        if first == 0:
            return self.highs[last], self.lows[last]
        begin, end = first * FIELDS, last * FIELDS
        return max(self.numbers[begin + HIGH : end : FIELDS]), min(self.numbers[begin + LOW : end : FIELDS])

    def _draw_to(self, minute: int) -> None:
        for number in range(len(self.numbers) // FIELDS, minute + 1):
            bar = self._bar(number)
            self.numbers.extend((bar.open, bar.high, bar.low, bar.close, bar.high_at, bar.low_at))
            shares = self.volume_before((number + 1) * MINUTE) - self.volume_before(number * MINUTE)
            self.values.append(self.values[-1] + shares * (bar.high + bar.low + bar.close) // 3)
            self.highs.append(max(self.highs[-1], bar.high))
            self.lows.append(min(self.lows[-1], bar.low) if number else bar.low)

    def _bar(self, number: int) -> MinuteBar:
        draw = Draw(hashlib.blake2b(self.noise + number.to_bytes(2), digest_size=16).digest())
        opens, closes = self.boundary(number), self.boundary(number + 1)
        high = min(max(opens, closes) + self.base * draw.below(WIGGLE) // MILLION, self.high)
        low = max(min(opens, closes) - self.base * draw.below(WIGGLE) // MILLION, self.low)
        early, late = 5 + draw.below(20), 30 + draw.below(25)
        high_first = draw.below(2) == 0
        if number == self.high_minute:
            high = self.high
        if number == self.low_minute:
            low = self.low
        return MinuteBar(
            open=opens,
            high=high,
            low=low,
            close=closes,
            high_at=early if high_first else late,
            low_at=late if high_first else early,
        )


class Paths:
    """The paths of all instruments under one seed."""

    def __init__(self, seed: int, sessions: Sessions) -> None:
        self.seed = seed
        self.sessions = sessions
        self._days: OrderedDict[tuple[str, date], DayPath] = OrderedDict()
        self.close_of = lru_cache(maxsize=16_384)(self._close_of)

    def day(self, instrument: Instrument, day: date) -> DayPath:
        """Return the path of a trading day."""
        key = (instrument.key, day)
        path = self._days.get(key)
        if path is not None:
            self._days.move_to_end(key)
            return path
        path = self._days[key] = self._draw(instrument, day)
        if len(self._days) > DAYS_KEPT:
            self._days.popitem(last=False)
        return path

    def close(self, instrument: Instrument, day: date) -> int:
        """Return the price at which a trading day ends, in ticks."""
        return self.close_of(instrument.key, base_ticks(instrument), day)

    def price(self, instrument: Instrument, now: datetime) -> int:
        """Return the price of the moment in ticks; outside the session, that of its nearer end behind us."""
        day = trading_date(now)
        opening = self.sessions.opens_at(instrument, day)
        if opening is None or now < opening:
            return self.close(instrument, self.sessions.previous_trading_day(day))
        path = self.day(instrument, day)
        second = int((now - opening).total_seconds())
        if second >= path.minutes * MINUTE:
            return path.close
        return path.bar(second // MINUTE).at(second % MINUTE)

    def _draw(self, instrument: Instrument, day: date) -> DayPath:
        opening, closing = self.sessions.opens_at(instrument, day), self.sessions.closes_at(instrument, day)
        assert opening is not None
        assert closing is not None
        noise = self._noise(instrument.key, day)
        base = base_ticks(instrument)
        before = self.close_of(instrument.key, base, self.sessions.previous_trading_day(day))
        opens = before + base * Draw(noise[::-1]).between(-GAP, GAP) // MILLION
        ends = (max(opens, 2), self.close_of(instrument.key, base, day))
        return DayPath(noise, instrument, ends, int((closing - opening) / timedelta(minutes=1)))

    def _close_of(self, key: str, base: int, day: date) -> int:
        draw = Draw(hashlib.blake2b(f"{self.seed}:{key}".encode(), digest_size=32).digest())
        number = day.toordinal()
        swing = sum(wave(number + draw.below(period), period, height) for period, height in DAY_WAVES)
        return max(base + base * swing // MILLION, 2)

    def _noise(self, key: str, day: date) -> bytes:
        text = f"{self.seed}:{key}:{day.isoformat()}"
        return hashlib.blake2b(text.encode(), digest_size=32).digest()


class Draw:
    """Numbers drawn one after another from a digest."""

    def __init__(self, noise: bytes) -> None:
        self.number = int.from_bytes(noise)

    def below(self, bound: int) -> int:
        self.number, drawn = divmod(self.number, max(bound, 1))
        return drawn

    def between(self, lowest: int, highest: int) -> int:
        return lowest + self.below(highest - lowest + 1)


@lru_cache(maxsize=64)
def busyness(minutes: int) -> list[int]:
    """Return the running sum of each minute's weight in the day's volume: most at its ends, least in its middle."""
    sums = [0]
    for minute in range(minutes):
        from_middle = abs(2 * minute - minutes) * 100 // minutes  # percent
        sums.append(sums[-1] + 50 + from_middle * from_middle * 150 // 10_000)
    return sums


@lru_cache(maxsize=4096)
def _ticks(base_price: Decimal, tick: Decimal) -> int:
    return int(base_price / tick)


def base_ticks(instrument: Instrument) -> int:
    return _ticks(instrument.base_price, instrument.tick_size)


def wave(position: int, period: int, height: int) -> int:
    """Return a triangle wave's height at the position: −height … height."""
    rising_and_falling = abs(2 * (position % period) - period)  # period … 0 … period
    return (2 * rising_and_falling - period) * height // period
