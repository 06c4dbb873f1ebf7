"""
What things cost at a moment, and what can be traded at it.

A price is the instrument's own path, or what was given from outside. Everything else follows from it: the
day's prices, the book, the candles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from orders.paper.indian_time import trading_date
from orders.paper.market import depth as books
from orders.paper.market.candles import Candle, Candles, Prices
from orders.paper.market.depth import Depth, Level, Taken
from orders.paper.market.instruments import Instrument
from orders.paper.market.outside import Outside, Step
from orders.paper.market.path import Paths
from orders.paper.market.replay import ReplayRow
from orders.paper.market.sessions import AlwaysOpen, Sessions
from orders.paper.terms import Side

__all__ = ["Candle", "DayPrices", "Depth", "Level", "Market", "Snapshot"]

CIRCUIT = Decimal("0.10")
PAISA = Decimal("0.01")


@dataclass(frozen=True, kw_only=True, slots=True)
class DayPrices:
    """The day so far, INR; `close` is the previous day's."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """All that a full quote says; prices INR, quantities shares."""

    last_price: Decimal
    last_quantity: int
    last_trade_time: datetime
    average_price: Decimal
    volume: int
    buy_quantity: int
    sell_quantity: int
    day: DayPrices
    lower_circuit: Decimal
    upper_circuit: Decimal
    depth: Depth
    net_change: Decimal


class Market:
    def __init__(self, seed: int, sessions: Sessions | None = None) -> None:
        self.seed = seed
        self.sessions: Sessions = sessions or AlwaysOpen()
        self.paths = Paths(seed, self.sessions)
        self._outside: dict[str, Outside] = {}
        self._given: dict[str, Depth] = {}
        self._taken = Taken()
        self._candles = Candles(self.paths, self.sessions, self._outside)

    def last_price(self, instrument: Instrument, now: datetime) -> Decimal:
        """Return the price of the last trade, INR, on tick unless it was given from outside."""
        given = self._given_price(instrument, now)
        return self.paths.price(instrument, now) * instrument.tick_size if given is None else given

    def set_price(self, instrument: Instrument, price: Decimal, at: datetime, depth: Depth | None = None) -> None:
        """Let the price be this, INR, and the book around it that, or as deep as anybody wants."""
        self._outside.setdefault(instrument.key, Outside()).set(price, at)
        self._taken.forget(instrument.key)
        if depth is None:
            self._given.pop(instrument.key, None)
        else:
            self._given[instrument.key] = depth

    def release(self, instrument: Instrument, at: datetime) -> None:
        """Let the price move by itself again, or as it is replayed."""
        if instrument.key in self._outside:
            self._outside[instrument.key].set(None, at)
        self._given.pop(instrument.key, None)
        self._taken.forget(instrument.key)

    def release_all(self) -> None:
        """Forget everything that was set."""
        for outside in self._outside.values():
            outside.steps.clear()
        self._given.clear()
        self._taken.clear()

    def replay(self, rows: Sequence[ReplayRow]) -> None:
        """Let prices be those of the rows, each from its moment on."""
        for row in rows:
            outside = self._outside.setdefault(row.instrument.key, Outside())
            outside.replayed.append(Step(at=row.at, price=row.price))

    def frozen(self, instrument: Instrument) -> bool:
        """Tell whether prices of the instrument have ever been given from outside."""
        return instrument.key in self._outside

    def previous_close(self, instrument: Instrument, now: datetime) -> Decimal:
        day = self.sessions.previous_trading_day(trading_date(now))
        closing = self.sessions.closes_at(instrument, day)
        assert closing is not None
        given = self._given_price(instrument, closing - timedelta(microseconds=1))
        return self.paths.close(instrument, day) * instrument.tick_size if given is None else given

    def day(self, instrument: Instrument, now: datetime) -> DayPrices:
        """Return the prices of the day so far; before its first trade all of them are the last price."""
        so_far, last = self._today(instrument, now), self.last_price(instrument, now)
        return day_prices(so_far, last=last, close=self.previous_close(instrument, now))

    def circuit(self, instrument: Instrument, now: datetime) -> tuple[Decimal, Decimal]:
        """
        Return the lowest and the highest price allowed today, INR.

        A price given from outside may lie beyond what the exchange would allow; the limits then give way to it.
        """
        return self._circuit(instrument, self.previous_close(instrument, now), now)

    def _circuit(self, instrument: Instrument, close: Decimal, now: datetime) -> tuple[Decimal, Decimal]:
        tick = instrument.tick_size
        lower, upper = close * (1 - CIRCUIT), close * (1 + CIRCUIT)
        given = self._given_price(instrument, now)
        if given is not None:
            lower, upper = min(lower, given * (1 - CIRCUIT)), max(upper, given * (1 + CIRCUIT))
        return max(on_tick(lower, tick), tick), on_tick(upper, tick)

    def depth(self, instrument: Instrument, now: datetime) -> Depth:
        """Return what is offered now, without what our own fills have taken of it."""
        return self._depth(instrument, self.last_price(instrument, now), now)

    def _depth(self, instrument: Instrument, last: Decimal, now: datetime) -> Depth:
        whole = self._whole_depth(instrument, last, now)
        part = self._time_slice(instrument, now)
        bought, sold = (self._taken.of(instrument.key, side, part) for side in (Side.BUY, Side.SELL))
        if not bought and not sold:
            return whole
        return Depth(buy=books.less(whole.buy, sold), sell=books.less(whole.sell, bought))

    def take(self, instrument: Instrument, side: Side, quantity: int, at: datetime) -> None:
        """Count shares that our own order took from the visible book."""
        self._taken.add(instrument.key, side, self._time_slice(instrument, at), quantity)

    def snapshot(self, instrument: Instrument, now: datetime) -> Snapshot:
        last, close = self.last_price(instrument, now), self.previous_close(instrument, now)
        so_far = self._today(instrument, now)
        day, depth = day_prices(so_far, last=last, close=close), self._depth(instrument, last, now)
        lower, upper = self._circuit(instrument, close, now)
        traded = self._candles.traded(instrument, so_far, now)
        return Snapshot(
            last_price=last,
            last_quantity=1 + int(now.timestamp()) % 97 if traded.volume else 0,
            last_trade_time=self._last_trade_time(instrument, now),
            average_price=traded.average_price.quantize(PAISA) if traded.volume else last,
            volume=traded.volume,
            buy_quantity=sum(level.quantity for level in depth.buy) * 7,
            sell_quantity=sum(level.quantity for level in depth.sell) * 7,
            day=day,
            lower_circuit=lower,
            upper_circuit=upper,
            depth=depth,
            net_change=last - close,
        )

    def candles(
        self, instrument: Instrument, interval: str, start: datetime, end: datetime, now: datetime
    ) -> list[Candle]:
        """Return the candles that begin from start to end, as far as they have come by now."""
        return self._candles.between(instrument, interval, start, end, now)

    def _today(self, instrument: Instrument, now: datetime) -> Prices | None:
        return self._candles.of_day(instrument, trading_date(now), now)

    def _given_price(self, instrument: Instrument, now: datetime) -> Decimal | None:
        outside = self._outside.get(instrument.key)
        return None if outside is None else outside.price_at(now)

    def _whole_depth(self, instrument: Instrument, last: Decimal, now: datetime) -> Depth:
        given = self._given.get(instrument.key)
        if given is not None:
            return given
        if self._given_price(instrument, now) is not None and not instrument.is_index:
            return books.deep(last, instrument.tick_size)
        return books.moving_depth(self.seed, instrument, last, now)

    def _time_slice(self, instrument: Instrument, now: datetime) -> int:
        return books.GIVEN if instrument.key in self._given else books.time_slice(now)

    def _last_trade_time(self, instrument: Instrument, now: datetime) -> datetime:
        """Return when it last traded: this second, or the end of the last session."""
        day: date = trading_date(now)
        opening, closing = self.sessions.opens_at(instrument, day), self.sessions.closes_at(instrument, day)
        if opening is not None and closing is not None and now >= opening:
            return min(now.replace(microsecond=0), closing - timedelta(seconds=1))
        closing = self.sessions.closes_at(instrument, self.sessions.previous_trading_day(day))
        assert closing is not None
        return closing - timedelta(seconds=1)


def day_prices(so_far: Prices | None, *, last: Decimal, close: Decimal) -> DayPrices:
    """Return the day's prices; before its first trade all but the previous close are the last price."""
    if so_far is None:
        return DayPrices(open=last, high=last, low=last, close=close)
    return DayPrices(open=so_far.open, high=so_far.high, low=so_far.low, close=close)


def on_tick(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick
