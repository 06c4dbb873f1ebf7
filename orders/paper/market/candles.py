"""Open, high, low, close and volume of a stretch of time: of the day so far, and of candles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from orders.paper.indian_time import IST, trading_date
from orders.paper.market.instruments import Instrument
from orders.paper.market.outside import Outside
from orders.paper.market.path import MINUTE, DayPath, Paths
from orders.paper.market.sessions import Sessions

MINUTES = {
    "minute": 1,
    "3minute": 3,
    "5minute": 5,
    "10minute": 10,
    "15minute": 15,
    "30minute": 30,
    "60minute": 60,
}
ONE_DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    open: Decimal  # INR
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Candle:
    at: datetime
    open: Decimal  # INR
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Traded:
    volume: int
    average_price: Decimal  # INR


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One instrument's trading day."""

    instrument: Instrument
    path: DayPath
    opening: datetime
    closing: datetime

    def second(self, moment: datetime) -> int:
        return int((moment - self.opening).total_seconds())


class Candles:
    def __init__(self, paths: Paths, sessions: Sessions, outside: Mapping[str, Outside]) -> None:
        self.paths = paths
        self.sessions = sessions
        self.outside = outside

    def between(
        self, instrument: Instrument, interval: str, start: datetime, end: datetime, now: datetime
    ) -> list[Candle]:
        """Return the candles that begin from start to end, the one in progress as far as it has come."""
        day, last_day = trading_date(start), min(trading_date(end), trading_date(now))
        found: list[Candle] = []
        while day <= last_day:
            session = self._session(instrument, day)
            if session is not None and session.opening <= now:
                found += [
                    self._candle(session, at, begins, ends, now)
                    for at, begins, ends in periods(session, interval)
                    if start <= at <= end and begins <= now
                ]
            day += ONE_DAY
        return found

    def of_day(self, instrument: Instrument, day: date, now: datetime) -> Prices | None:
        """Return the prices of the day so far, or None before it began."""
        session = self._session(instrument, day)
        if session is None or now < session.opening:
            return None
        return self._prices(session, session.opening, min(session.closing, now + INSTANT))

    def traded(self, instrument: Instrument, prices: Prices | None, now: datetime) -> Traded:
        """Return the volume of the day so far and its average price, which is among its prices."""
        session = self._session(instrument, trading_date(now))
        if session is None or prices is None or instrument.is_index:
            return Traded(volume=0, average_price=Decimal(0))
        second = session.second(now) + 1
        volume = session.path.volume_before(second)
        if not volume:
            return Traded(volume=0, average_price=Decimal(0))
        average = session.path.value_before(second) * instrument.tick_size / volume
        # Prices that were set from outside are not in the path's values; the average stays among the day's prices.
        return Traded(volume=volume, average_price=min(max(average, prices.low), prices.high))

    def _session(self, instrument: Instrument, day: date) -> Session | None:
        opening, closing = self.sessions.opens_at(instrument, day), self.sessions.closes_at(instrument, day)
        if opening is None or closing is None:
            return None
        return Session(instrument=instrument, path=self.paths.day(instrument, day), opening=opening, closing=closing)

    def _candle(self, session: Session, at: datetime, begins: datetime, ends: datetime, now: datetime) -> Candle:
        ends = min(ends, now + INSTANT)
        prices = self._prices(session, begins, ends)
        volume = 0
        if not session.instrument.is_index:
            last = session.second(ends - INSTANT) + 1
            volume = session.path.volume_before(last) - session.path.volume_before(session.second(begins))
        return Candle(at=at, open=prices.open, high=prices.high, low=prices.low, close=prices.close, volume=volume)

    def _prices(self, session: Session, start: datetime, end: datetime) -> Prices:
        """Return the prices from start up to, not with, the end, within a session."""
        tick, outside = session.instrument.tick_size, self.outside.get(session.instrument.key)
        if outside is None:
            opens, high, low, closes = walked(session.path, session.second(start), session.second(end - INSTANT))
            return Prices(open=opens * tick, high=high * tick, low=low * tick, close=closes * tick)
        parts = list(self._parts(session, outside, start, end))
        return Prices(
            open=parts[0].open,
            high=max(part.high for part in parts),
            low=min(part.low for part in parts),
            close=parts[-1].close,
        )

    def _parts(self, session: Session, outside: Outside, start: datetime, end: datetime) -> Iterator[Prices]:
        """Yield the prices of each stretch between two steps."""
        tick = session.instrument.tick_size
        for piece in outside.pieces(start, end):
            if piece.price is not None:
                yield Prices(open=piece.price, high=piece.price, low=piece.price, close=piece.price)
                continue
            first, last = session.second(piece.start), session.second(piece.end - INSTANT)
            opens, high, low, closes = walked(session.path, first, last)
            yield Prices(open=opens * tick, high=high * tick, low=low * tick, close=closes * tick)


def periods(session: Session, interval: str) -> Iterator[tuple[datetime, datetime, datetime]]:
    """Yield when each candle of the day is dated, when it begins and when it ends."""
    if interval == "day":
        dated = datetime.combine(session.opening.date(), time(), IST)
        yield dated, session.opening, session.closing
        return
    step = timedelta(minutes=MINUTES[interval])
    begins = session.opening
    while begins < session.closing:
        yield begins, begins, min(begins + step, session.closing)
        begins += step


def walked(path: DayPath, first: int, last: int) -> tuple[int, int, int, int]:
    """Return open, high, low and close, in ticks, of the seconds from the first to the last, both included."""
    last = min(last, path.minutes * MINUTE - 1)
    whole_from, whole_to = -(-first // MINUTE), (last + 1) // MINUTE
    parts = [path.extremes(whole_from, whole_to)] if whole_from < whole_to else []
    if first < whole_from * MINUTE:  # within a minute, where it may also end
        part_ends = min(last, whole_from * MINUTE - 1)
        parts.append(path.bar(first // MINUTE).extremes(first % MINUTE, part_ends % MINUTE))
    if first <= whole_to * MINUTE <= last:
        parts.append(path.bar(whole_to).extremes(0, last % MINUTE))
    opens = path.open if first == 0 else path.bar(first // MINUTE).at(first % MINUTE)
    closes = path.close if last == path.minutes * MINUTE - 1 else path.bar(last // MINUTE).at(last % MINUTE)
    return opens, max(high for high, _ in parts), min(low for _, low in parts), closes
