"""
The last prices that the broker's stream told, kept in memory, and which instruments it should tell of.

A price counts from the moment the exchange gave it, never from when we got round to hearing it: what waited in a socket
while this process was paused is as old as it is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from orders.broker.asked import WANTED_MAX, Key, is_within
from orders.broker.ticks import Tick
from risk.engine.facts import PriceBand, Quote
from risk.engine.limits import BAND_AGE_MAX_SECONDS

BAND_USABLE_FOR = timedelta(seconds=BAND_AGE_MAX_SECONDS)
BAND_AGE_MAX = BAND_USABLE_FOR * 0.8  # asked for anew while a decision may still go by it
BAND_YOUNG_FOR = BAND_AGE_MAX / 2  # then it is read ahead, so that nobody has to wait for it
BAND_WANTED_FOR = timedelta(minutes=15)  # after it was looked for last
ASKED_MAX = 100  # symbols remembered as asked about, the latest ones


class StreamedPrices:
    """Written by the stream's thread, read by all: each method holds the lock for a moment."""

    def __init__(self, *, age_max: timedelta) -> None:
        self._age_max = age_max
        self._lock = threading.Lock()
        self._tokens: dict[Key, int] = {}
        self._quotes: dict[int, Quote] = {}
        self._asked: OrderedDict[Key, None] = OrderedDict()
        self._bands: dict[Key, PriceBand] = {}
        self._bands_wanted: OrderedDict[Key, datetime] = OrderedDict()
        self._heard_at: datetime | None = None
        self._connects = 0

    def last(self, exchange: str, symbol: str, *, now: datetime) -> Quote | None:
        """Return the last price if it is young enough, and remember that it was asked for."""
        return self.last_of([(exchange, symbol)], now=now).get((exchange, symbol))

    def last_of(self, keys: Iterable[Key], *, now: datetime) -> dict[Key, Quote]:
        """Return likewise the last price of each of them that has a young one."""
        quotes: dict[Key, Quote] = {}
        oldest = now - self._age_max
        with self._lock:
            for key in keys:
                self._asked[key] = None
                self._asked.move_to_end(key)
                quote = self._quotes.get(self._tokens.get(key, 0))
                # A price from the future is one of a clock that was set back since: its age is unknown.
                if quote is not None and oldest <= quote.as_of <= now:
                    quotes[key] = quote
            while len(self._asked) > ASKED_MAX:
                self._asked.popitem(last=False)
        return quotes

    def band(self, exchange: str, symbol: str, *, now: datetime) -> PriceBand | None:
        """
        Return the price band as it was last asked for, if that is not long ago: the stream tells of none.

        It is remembered that it was looked for.
        """
        with self._lock:
            self._bands_wanted[exchange, symbol] = now
            self._bands_wanted.move_to_end((exchange, symbol))
            if len(self._bands_wanted) > WANTED_MAX:  # signals may name anything
                forgotten, _ = self._bands_wanted.popitem(last=False)
                self._bands.pop(forgotten, None)
            band = self._bands.get((exchange, symbol))
        return _no_older(band, BAND_AGE_MAX, now)

    def kept_band(self, exchange: str, symbol: str, *, now: datetime) -> PriceBand | None:
        """Return likewise what a decision may still go by, for who could not ask for a younger one."""
        with self._lock:
            band = self._bands.get((exchange, symbol))
        return _no_older(band, BAND_USABLE_FOR, now)

    def remember_bands(self, bands: Mapping[Key, PriceBand], *, now: datetime) -> None:
        """Keep these of what is looked for, unless a younger one was told meanwhile."""
        with self._lock:
            for key, band in bands.items():
                known = self._bands.get(key)
                if known is not None and band.as_of < known.as_of <= now:
                    continue
                if key in self._bands_wanted:
                    self._bands[key] = band

    def aging_bands(self, *, now: datetime) -> list[Key]:
        """Return the symbols whose band is looked for lately and no longer young: soon somebody would wait for it."""
        with self._lock:
            return [
                key
                for key, wanted_at in self._bands_wanted.items()
                if (band := self._bands.get(key)) is not None
                and is_within(wanted_at, BAND_WANTED_FOR, now)
                and not is_within(band.as_of, BAND_YOUNG_FOR, now)
            ]

    def asked(self) -> list[Key]:
        """Return what was asked for lately, the latest first."""
        with self._lock:
            return list(reversed(self._asked))

    def follow(self, tokens: Mapping[Key, int]) -> None:
        """Follow these instruments and no others."""
        with self._lock:
            self._tokens = dict(tokens)
            followed = frozenset(tokens.values())
            self._quotes = {token: quote for token, quote in self._quotes.items() if token in followed}

    def followed(self) -> frozenset[int]:
        with self._lock:
            return frozenset(self._tokens.values())

    def heard_at(self) -> datetime | None:
        """Return when the stream was last heard, its heartbeats included; None while the link is down."""
        with self._lock:
            return self._heard_at

    def connected(self) -> None:
        """Count one more connection to the stream."""
        with self._lock:
            self._connects += 1

    def connects(self) -> int:
        """Return how many connections were made so far."""
        with self._lock:
            return self._connects

    def hear(self, ticks: Iterable[Tick], *, heard_at: datetime) -> None:
        """Take over what the stream told. A tick without the exchange's time is of unknown age and left out."""
        with self._lock:
            self._heard_at = heard_at
            followed = frozenset(self._tokens.values())
            for tick in ticks:
                if tick.exchange_at is None or tick.last_price <= 0 or tick.token not in followed:
                    continue
                as_of = min(tick.exchange_at, heard_at)
                known = self._quotes.get(tick.token)
                if known is None or as_of >= known.as_of:
                    self._quotes[tick.token] = Quote(price=tick.last_price, as_of=as_of)

    def forget(self) -> None:
        """The link is down: nobody would tell us of a newer price."""
        with self._lock:
            self._quotes.clear()
            self._heard_at = None


def _no_older(band: PriceBand | None, age: timedelta, now: datetime) -> PriceBand | None:
    """Return it where it is; one from the future is of a clock that was set back since: its age is unknown."""
    return band if band is not None and timedelta(0) <= now - band.as_of <= age else None
