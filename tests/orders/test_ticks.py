"""Ticks, decoded by us and by the SDK: both must read the same out of the same bytes."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kiteconnect import KiteTicker

from orders.broker.ticks import MalformedTicks, decode
from orders.paper.stream.packets import Mode, frame, packet
from tests.orders.paper.stream.stand_ins import FULL_SAMPLE, INFY, NIFTY, NOW, RELIANCE, TRADED_AT

MODES = st.sampled_from(list(Mode))
UINT32 = st.integers(0, 2**32 - 1)
SEGMENTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)


def of_the_sdk(payload: bytes) -> list[dict]:
    return KiteTicker("key", "token")._parse_binary(payload)


def seen(payload: bytes) -> list[tuple]:
    """Return what we read, in the shape that the SDK's answer is put into below."""
    return [(tick.token, float(tick.last_price), tick.traded_at, tick.exchange_at) for tick in decode(payload)]


def seen_by_the_sdk(payload: bytes) -> list[tuple]:
    def moment(tick, name):
        at = tick.get(name)  # naive, in the zone of this machine; 1970 where there is none
        return at.astimezone(UTC) if at and at.timestamp() > 0 else None

    return [
        (
            tick["instrument_token"],
            tick["last_price"],
            moment(tick, "last_trade_time"),
            moment(tick, "exchange_timestamp"),
        )
        for tick in of_the_sdk(payload)
    ]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_frame_of_shares_and_an_index_reads_as_the_sdk_reads_it(mode):
    payload = frame([packet(each, FULL_SAMPLE, mode, NOW) for each in (INFY, NIFTY, RELIANCE)])

    assert len(seen(payload)) == 3
    assert seen(payload) == seen_by_the_sdk(payload)


def test_the_full_tick_of_zerodhas_sample_has_its_price_and_both_times():
    (tick,) = decode(frame([packet(INFY, FULL_SAMPLE, Mode.FULL, NOW)]))

    assert tick.token == 408065
    assert (tick.last_price, str(tick.last_price)) == (Decimal("1573.70"), "1573.70")
    assert (tick.traded_at, tick.exchange_at) == (TRADED_AT, NOW)


@given(
    st.lists(st.tuples(st.sampled_from(SEGMENTS), UINT32, st.sampled_from((8, 28, 32, 44, 184)), UINT32), max_size=5)
)
def test_any_well_formed_frame_reads_as_the_sdk_reads_it(packets):
    bodies = []
    for segment, price, size, seconds in packets:
        body = bytearray(struct.pack(">2I", 1000 << 8 | segment, price).ljust(size, b"\x00"))
        if size in (32, 184):
            struct.pack_into(">I", body, 28 if size == 32 else 60, seconds)
        bodies.append(bytes(body))
    payload = frame(bodies)

    assert [tick[:2] + tick[3:] for tick in seen(payload)] == [tick[:2] + tick[3:] for tick in seen_by_the_sdk(payload)]


@pytest.mark.parametrize("heartbeat", [b"", b"\x00", b"\x00\x00"])
def test_a_heartbeat_holds_no_tick(heartbeat):
    assert decode(heartbeat) == []


def test_a_packet_of_an_unknown_length_is_passed_over_and_the_next_one_read():
    known = packet(INFY, FULL_SAMPLE, Mode.LTP, NOW)

    assert [tick.token for tick in decode(frame([b"\x01" * 50, known]))] == [408065]


@pytest.mark.parametrize("cut", [1, 10, 185])
def test_a_frame_that_ends_early_is_malformed(cut):
    payload = frame([packet(INFY, FULL_SAMPLE, Mode.FULL, NOW)])

    with pytest.raises(MalformedTicks):
        decode(payload[:-cut])


@given(st.binary(max_size=600))
def test_no_bytes_do_more_harm_than_being_malformed(payload):
    try:
        ticks = decode(payload)
    except MalformedTicks:
        return

    assert all(isinstance(tick.exchange_at, datetime | None) for tick in ticks)
