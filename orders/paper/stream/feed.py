"""
What there is to tell of prices: each instrument is looked at once and packed once per mode, for all connections.

A packet is news when it says something that the last one of its kind did not. In full mode that is whenever
the snapshot changed; the last price or a quote can stay the same while only the depth moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from orders.paper.market.instruments import Instrument
from orders.paper.market.market import Snapshot
from orders.paper.stream.packets import Mode, packet

AT_ONCE = 10  # instruments looked at before others have their turn: about a millisecond

Pair = tuple[int, Mode]


class Prices(Protocol):
    """What the stream needs of the market."""

    def snapshot(self, instrument: Instrument, now: datetime) -> Snapshot: ...


class Feed:
    def __init__(self, prices: Prices, instruments: Iterable[Instrument]) -> None:
        self.prices = prices
        self.instruments = {one.instrument_token: one for one in instruments}
        self.seen: dict[int, Snapshot] = {}
        self.told: dict[Pair, bytes] = {}

    def current(self, wanted: Mapping[int, Mode], now: datetime) -> list[bytes]:
        """Return the packets as of now, for one that has just subscribed. A token that names nothing has none."""
        packets = []
        for token, mode in wanted.items():
            if token in self.instruments:
                snapshot = self.prices.snapshot(self.instruments[token], now)
                body = packet(self.instruments[token], snapshot, mode, now)
                # Only if nobody watches it yet: others must still be told what changed since the last look.
                self.seen.setdefault(token, snapshot)
                self.told.setdefault((token, mode), body)
                packets.append(body)
        return packets

    async def news(self, watched: Callable[[], Iterable[Pair]], now: datetime) -> dict[Pair, bytes]:
        """
        Look at every watched instrument, and return the packets that differ from the last ones.

        A few at a time: whoever asks for something else meanwhile does not wait for all of them.
        """
        modes: dict[int, list[Mode]] = {}
        for token, mode in self._known(watched()):
            modes.setdefault(token, []).append(mode)
        fresh: dict[Pair, bytes] = {}
        for number, token in enumerate(modes):
            if number and number % AT_ONCE == 0:
                await asyncio.sleep(0)
            fresh |= self._look(token, modes[token], now)
        self._forget_all_but(self._known(watched()))  # some may be watched only since this began
        return fresh

    def latest(self, token: int, mode: Mode, now: datetime) -> bytes | None:
        """Return the packet as of the last look, or None when the token names nothing that was looked at."""
        snapshot = self.seen.get(token)
        return None if snapshot is None else packet(self.instruments[token], snapshot, mode, now)

    def _known(self, pairs: Iterable[Pair]) -> set[Pair]:
        return {(token, mode) for token, mode in pairs if token in self.instruments}

    def _look(self, token: int, modes: Iterable[Mode], now: datetime) -> dict[Pair, bytes]:
        instrument = self.instruments[token]
        snapshot = self.prices.snapshot(instrument, now)
        if self.seen.get(token) == snapshot:
            return {}
        self.seen[token] = snapshot
        packets = {(token, mode): packet(instrument, snapshot, mode, now) for mode in modes}
        fresh = {pair: body for pair, body in packets.items() if self.told.get(pair) != body}
        self.told |= fresh
        return fresh

    def _forget_all_but(self, pairs: set[Pair]) -> None:
        tokens = {token for token, _ in pairs}
        self.seen = {token: snapshot for token, snapshot in self.seen.items() if token in tokens}
        self.told = {pair: body for pair, body in self.told.items() if pair in pairs}
