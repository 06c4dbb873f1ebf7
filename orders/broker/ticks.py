"""
Prices as Kite's WebSocket sends them: one binary frame holds several packets, and a packet's length is its type.

8 bytes carry the last price, 28 and 32 an index, 44 a quote and 184 a quote with depth; all numbers are big-endian, and
prices are whole parts of a rupee, how small a part depends on the exchange (Kite Connect v3, "WebSocket streaming").
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL = 8, 28, 32, 44, 184
_SIZES = frozenset({LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL})
# Where the times are, in seconds since 1970.
_TRADED_AT = {FULL: 44}
_EXCHANGE_AT = {INDEX_FULL: 28, FULL: 60}

_COUNT = struct.Struct(">H")
_NUMBER = struct.Struct(">I")
_TOKEN_AND_PRICE = struct.Struct(">2I")

# Digits after the point, by the token's last byte: currencies are quoted finer than paise.
_DIGITS = {3: 7, 6: 4, 12: 4}
_DIGITS_USUALLY = 2


class MalformedTicks(Exception):
    """The frame is not made of packets as Kite describes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """The last price of an instrument in INR, when that trade was, and when the exchange said so, where it is said."""

    token: int
    last_price: Decimal
    traded_at: datetime | None
    exchange_at: datetime | None


def decode(frame: bytes) -> list[Tick]:
    """
    Return the ticks of a binary frame; a heartbeat has none. Packets of an unknown length are passed over.

    Raise `MalformedTicks` when the frame ends before what it announces.
    """
    if len(frame) < _COUNT.size:
        return []
    (count,) = _COUNT.unpack_from(frame)
    ticks: list[Tick] = []
    at = _COUNT.size
    for _ in range(count):
        if at + _COUNT.size > len(frame):
            raise MalformedTicks(f"{len(frame)} bytes announce {count} packets and hold {len(ticks)}")
        (size,) = _COUNT.unpack_from(frame, at)
        at += _COUNT.size
        packet = frame[at : at + size]
        if len(packet) < size:
            raise MalformedTicks(f"a packet of {size} bytes ends after {len(packet)}")
        at += size
        if size in _SIZES:
            ticks.append(_tick(packet))
    return ticks


def _tick(packet: bytes) -> Tick:
    token, price = _TOKEN_AND_PRICE.unpack_from(packet)
    return Tick(
        token=token,
        last_price=Decimal(price).scaleb(-_DIGITS.get(token & 0xFF, _DIGITS_USUALLY)),
        traded_at=_moment(packet, _TRADED_AT),
        exchange_at=_moment(packet, _EXCHANGE_AT),
    )


def _moment(packet: bytes, places: dict[int, int]) -> datetime | None:
    place = places.get(len(packet))
    if place is None:
        return None
    (seconds,) = _NUMBER.unpack_from(packet, place)
    return datetime.fromtimestamp(seconds, tz=UTC) if seconds else None
