"""
Ticks as Kite sends them: big-endian packets of five lengths, several in one binary frame.

A packet's length is its type: 8 bytes carry the last price, 28 and 32 an index, 44 a quote, 184 a quote with
five levels of depth. Prices are whole paise. A frame is the number of packets, then each with its length in
front. Source: Kite Connect v3 documentation, "WebSocket streaming".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from orders.paper.market.depth import Level
from orders.paper.market.instruments import Instrument
from orders.paper.market.market import Snapshot

LTP_PACKET = struct.Struct(">2I")
# The change is the one number that can be negative.
INDEX_PACKET = struct.Struct(">6Ii")
QUOTE_PACKET = struct.Struct(">11I")
TIMES_AND_OPEN_INTEREST = struct.Struct(">5I")
DEPTH_LEVEL = struct.Struct(">2IH2x")
EPOCH_SECONDS = struct.Struct(">I")
LENGTH = struct.Struct(">H")

DEPTH_LEVELS = 5
UINT32_MAX = 2**32 - 1
UINT16_MAX = 2**16 - 1
NO_OPEN_INTEREST = (0, 0, 0)  # shares have none: now, the day's highest, the day's lowest

HEARTBEAT = b"\x00"


class Mode(StrEnum):
    """How much a subscription tells of an instrument."""

    LTP = "ltp"
    QUOTE = "quote"
    FULL = "full"


def packet(instrument: Instrument, snapshot: Snapshot, mode: Mode, at: datetime) -> bytes:
    """Return the packet of one instrument; `at` becomes the exchange's time, which only the full mode carries."""
    if mode is Mode.LTP:
        return LTP_PACKET.pack(instrument.instrument_token, paise(snapshot.last_price))
    if instrument.is_index:
        return index_packet(instrument, snapshot, mode, at)
    quote = quote_packet(instrument, snapshot)
    return quote + times_and_depth(snapshot, at) if mode is Mode.FULL else quote


def index_packet(instrument: Instrument, snapshot: Snapshot, mode: Mode, at: datetime) -> bytes:
    """Return an index's 28 bytes, or 32 with the time. An index trades nothing, so there is less to tell."""
    day, last_price = snapshot.day, paise(snapshot.last_price)
    prices = (last_price, paise(day.high), paise(day.low), paise(day.open), paise(day.close))
    body = INDEX_PACKET.pack(instrument.instrument_token, *prices, last_price - paise(day.close))
    return body + EPOCH_SECONDS.pack(epoch(at)) if mode is Mode.FULL else body


def quote_packet(instrument: Instrument, snapshot: Snapshot) -> bytes:
    day = snapshot.day
    return QUOTE_PACKET.pack(
        instrument.instrument_token,
        paise(snapshot.last_price),
        count(snapshot.last_quantity),
        paise(snapshot.average_price),
        count(snapshot.volume),
        count(snapshot.buy_quantity),
        count(snapshot.sell_quantity),
        *(paise(price) for price in (day.open, day.high, day.low, day.close)),
    )


def times_and_depth(snapshot: Snapshot, at: datetime) -> bytes:
    """Return what the full mode adds to a quote: times, open interest, five bids and five offers."""
    times = TIMES_AND_OPEN_INTEREST.pack(epoch(snapshot.last_trade_time), *NO_OPEN_INTEREST, epoch(at))
    return times + levels(snapshot.depth.buy) + levels(snapshot.depth.sell)


def levels(side: Sequence[Level]) -> bytes:
    """Return one side of the book, best first; a level that is not there is all zeros."""
    packed = b"".join(
        DEPTH_LEVEL.pack(count(level.quantity), paise(level.price), min(level.orders, UINT16_MAX))
        for level in side[:DEPTH_LEVELS]
    )
    return packed.ljust(DEPTH_LEVELS * DEPTH_LEVEL.size, b"\x00")


def frame(packets: Sequence[bytes]) -> bytes:
    """Return the packets in one binary message."""
    return LENGTH.pack(len(packets)) + b"".join(LENGTH.pack(len(body)) + body for body in packets)


def paise(price: Decimal) -> int:
    """Return a price in INR as whole paise: nothing finer fits the wire."""
    return count(int((price * 100).to_integral_value(ROUND_HALF_EVEN)))


def count(number: int) -> int:
    """Return the number as far as 32 bits hold it: a volume beyond them must not stop the ticks."""
    return min(max(number, 0), UINT32_MAX)


def epoch(moment: datetime) -> int:
    """Return seconds since 1970, UTC."""
    return count(int(moment.timestamp()))
