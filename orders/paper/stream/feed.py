"""
What there is to tell of prices: each instrument is looked at once and packed once per mode, for all connections.

A packet is news when it says something that the last one of its kind did not. In full mode that is whenever
the snapshot changed; the last price or a quote can stay the same while only the depth moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from orders.paper.market.instruments import Instrument
from orders.paper.market.market import Snapshot
from orders.paper.stream.packets import Mode, packet

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

    def news(self, wanted: Iterable[Pair], now: datetime) -> dict[Pair, bytes]:
        """Look at every wanted instrument, and return the packets that differ from the last ones."""
        pairs = {(token, mode) for token, mode in wanted if token in self.instruments}
        snapshots = {
            token: self.prices.snapshot(self.instruments[token], now) for token in {token for token, _ in pairs}
        }
        moved = {token for token, snapshot in snapshots.items() if self.seen.get(token) != snapshot}
        packets = {
            (token, mode): packet(self.instruments[token], snapshots[token], mode, now)
            for token, mode in pairs
            if token in moved
        }
        fresh = {pair: body for pair, body in packets.items() if self.told.get(pair) != body}
        # What nobody watches any more is forgotten with these.
        self.seen = snapshots
        self.told = {pair: packets.get(pair) or self.told.get(pair, b"") for pair in pairs}
        return fresh

    def latest(self, token: int, mode: Mode, now: datetime) -> bytes | None:
        """Return the packet as of the last look, or None when the token names nothing that was looked at."""
        snapshot = self.seen.get(token)
        return None if snapshot is None else packet(self.instruments[token], snapshot, mode, now)
