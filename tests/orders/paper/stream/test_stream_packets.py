"""The SDK reads in our packets the numbers that were put in, and each number lies where Kite documents it."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from kiteconnect import KiteTicker

from orders.paper.market.depth import Depth
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.market.market import Market
from orders.paper.stream.packets import HEARTBEAT, UINT32_MAX, Mode, frame, packet, paise

from .stand_ins import (
    DAY,
    FULL_SAMPLE,
    INDEX_SAMPLE,
    INFY,
    NIFTY,
    NOW,
    QUOTE_SAMPLE,
    TRADED_AT,
    levels,
)

QUOTE = {
    "tradable": True,
    "mode": "quote",
    "instrument_token": 408065,
    "last_price": 1573.15,
    "last_traded_quantity": 1,
    "average_traded_price": 1570.33,
    "volume_traded": 1175986,
    "total_buy_quantity": 256511,
    "total_sell_quantity": 360503,
    "ohlc": {"open": 1569.15, "high": 1575.0, "low": 1561.05, "close": 1567.8},
}
FULL = {
    "tradable": True,
    "mode": "full",
    "instrument_token": 408065,
    "last_price": 1573.7,
    "last_traded_quantity": 7,
    "average_traded_price": 1570.37,
    "volume_traded": 1192471,
    "total_buy_quantity": 256443,
    "total_sell_quantity": 363009,
    "ohlc": {"open": 1569.15, "high": 1575.0, "low": 1561.05, "close": 1567.8},
    # The SDK makes them times of the machine's own zone.
    "last_trade_time": datetime.fromtimestamp(TRADED_AT.timestamp()),  # noqa: DTZ006
    "exchange_timestamp": datetime.fromtimestamp(NOW.timestamp()),  # noqa: DTZ006
    "oi": 0,
    "oi_day_high": 0,
    "oi_day_low": 0,
    "depth": {
        "buy": [
            {"quantity": 5, "price": 1573.4, "orders": 1},
            {"quantity": 140, "price": 1573.0, "orders": 2},
            {"quantity": 2, "price": 1572.95, "orders": 1},
            {"quantity": 219, "price": 1572.9, "orders": 7},
            {"quantity": 50, "price": 1572.85, "orders": 1},
        ],
        "sell": [
            {"quantity": 172, "price": 1573.7, "orders": 3},
            {"quantity": 44, "price": 1573.75, "orders": 3},
            {"quantity": 302, "price": 1573.85, "orders": 3},
            {"quantity": 141, "price": 1573.9, "orders": 2},
            {"quantity": 724, "price": 1573.95, "orders": 5},
        ],
    },
}


def read(*packets: bytes) -> list[dict]:
    """Return what the SDK reads, without the percentage that it computes itself."""
    ticks = KiteTicker("key", "token")._parse_binary(frame(packets))
    return [{name: value for name, value in tick.items() if name != "change"} for tick in ticks]


def number(body: bytes, offset: int) -> int:
    return struct.unpack_from(">I", body, offset)[0]


def test_the_sdk_reads_zerodhas_quote_sample():
    assert read(packet(INFY, QUOTE_SAMPLE, Mode.QUOTE, NOW)) == [QUOTE]


def test_the_sdk_reads_zerodhas_full_sample():
    assert read(packet(INFY, FULL_SAMPLE, Mode.FULL, NOW)) == [FULL]


def test_the_sdk_reads_the_last_price_alone_in_ltp_mode():
    assert read(packet(INFY, FULL_SAMPLE, Mode.LTP, NOW)) == [
        {"tradable": True, "mode": "ltp", "instrument_token": 408065, "last_price": 1573.7}
    ]


def test_the_sdk_reads_an_index_in_quote_and_full():
    quote, full = read(packet(NIFTY, INDEX_SAMPLE, Mode.QUOTE, NOW), packet(NIFTY, INDEX_SAMPLE, Mode.FULL, NOW))

    assert quote == {
        "tradable": False,
        "mode": "quote",
        "instrument_token": 256265,
        "last_price": 15834.35,
        "ohlc": {"high": 15845.95, "low": 15762.05, "open": 15793.4, "close": 15722.2},
    }
    assert full == quote | {"mode": "full", "exchange_timestamp": FULL["exchange_timestamp"]}


def test_an_index_in_ltp_mode_is_like_any_other():
    assert read(packet(NIFTY, INDEX_SAMPLE, Mode.LTP, NOW)) == [
        {"tradable": False, "mode": "ltp", "instrument_token": 256265, "last_price": 15834.35}
    ]


@pytest.mark.parametrize(
    ("instrument", "mode", "length"),
    [
        (INFY, Mode.LTP, 8),
        (INFY, Mode.QUOTE, 44),
        (INFY, Mode.FULL, 184),
        (NIFTY, Mode.LTP, 8),
        (NIFTY, Mode.QUOTE, 28),
        (NIFTY, Mode.FULL, 32),
    ],
)
def test_the_length_tells_the_kind_of_packet(instrument, mode, length):
    assert len(packet(instrument, FULL_SAMPLE, mode, NOW)) == length


def test_each_number_of_a_full_packet_lies_at_its_documented_offset():
    body = packet(INFY, FULL_SAMPLE, Mode.FULL, NOW)

    in_order = (408065, 157370, 7, 157037, 1192471, 256443, 363009, 156915, 157500, 156105, 156780)
    assert [number(body, offset) for offset in range(0, 44, 4)] == list(in_order)
    assert number(body, 44) == 1625461887
    assert [number(body, offset) for offset in (48, 52, 56)] == [0, 0, 0]
    assert number(body, 60) == 1625461888
    assert struct.unpack_from(">IIH2x", body, 64) == (5, 157340, 1)
    assert struct.unpack_from(">IIH2x", body, 64 + 5 * 12) == (172, 157370, 3)
    assert struct.unpack_from(">IIH2x", body, 184 - 12) == (724, 157395, 5)


def test_an_index_packet_has_high_and_low_before_open_and_a_signed_change():
    fallen = replace(INDEX_SAMPLE, last_price=Decimal("15700.00"))

    body = packet(NIFTY, fallen, Mode.FULL, NOW)

    assert [number(body, offset) for offset in (8, 12, 16, 20)] == [1584595, 1576205, 1579340, 1572220]
    assert struct.unpack_from(">i", body, 24) == (-2220,)
    assert number(body, 28) == 1625461888


def test_levels_that_are_not_there_are_zeros_and_a_sixth_is_left_out():
    six = levels(*((f"{price}.00", 1, 1) for price in (105, 104, 103, 102, 101, 100)))
    thin = replace(FULL_SAMPLE, depth=Depth(buy=six, sell=levels(("106.00", 9, 2))))

    (tick,) = read(packet(INFY, thin, Mode.FULL, NOW))

    assert [level["price"] for level in tick["depth"]["buy"]] == [105.0, 104.0, 103.0, 102.0, 101.0]
    nothing = {"quantity": 0, "price": 0.0, "orders": 0}
    assert tick["depth"]["sell"] == [{"quantity": 9, "price": 106.0, "orders": 2}, *[nothing] * 4]


def test_prices_finer_than_a_paisa_are_rounded_half_to_even():
    assert [paise(Decimal(text)) for text in ("1.005", "1.015", "1.0151", "0.004")] == [100, 102, 102, 0]


def test_numbers_beyond_the_wire_are_cut_to_what_fits():
    huge = replace(
        FULL_SAMPLE,
        volume=2**32,
        sell_quantity=UINT32_MAX,
        buy_quantity=-1,
        depth=Depth(buy=levels(("1573.4", 1, 65536)), sell=()),
    )

    (tick,) = read(packet(INFY, huge, Mode.FULL, NOW))

    assert (tick["volume_traded"], tick["total_sell_quantity"], tick["total_buy_quantity"]) == (
        UINT32_MAX,
        UINT32_MAX,
        0,
    )
    assert tick["depth"]["buy"][0]["orders"] == 65535


def test_a_frame_holds_as_many_packets_as_it_says():
    quote, ltp = packet(INFY, FULL_SAMPLE, Mode.QUOTE, NOW), packet(NIFTY, INDEX_SAMPLE, Mode.LTP, NOW)

    whole = frame([quote, ltp])

    assert whole == b"\x00\x02" + b"\x00\x2c" + quote + b"\x00\x08" + ltp
    assert [tick["instrument_token"] for tick in read(quote, ltp)] == [408065, 256265]


def test_a_whole_connections_worth_of_packets_fits_one_frame():
    ticks = read(*[packet(INFY, FULL_SAMPLE, Mode.FULL, NOW)] * 3000)

    assert len(ticks) == 3000


def test_the_heartbeat_is_a_byte_in_which_the_sdk_reads_nothing():
    assert len(HEARTBEAT) == 1
    assert KiteTicker("key", "token")._parse_binary(HEARTBEAT) == []


def test_the_close_in_a_packet_is_yesterdays_so_that_the_sdk_computes_the_days_change():
    (tick,) = KiteTicker("key", "token")._parse_binary(frame([packet(INFY, FULL_SAMPLE, Mode.QUOTE, NOW)]))

    percent = (FULL_SAMPLE.last_price - DAY.close) * 100 / DAY.close
    assert tick["change"] == pytest.approx(float(percent))


def test_times_are_seconds_of_utc_whatever_zone_they_come_in():
    late = packet(INFY, FULL_SAMPLE, Mode.FULL, NOW + timedelta(microseconds=999_999))

    assert late == packet(INFY, FULL_SAMPLE, Mode.FULL, NOW)


@pytest.mark.parametrize("segment", [1, 4, 9])
def test_the_sdk_reads_the_paper_markets_own_prices(segment):
    market = Market(1)
    one = next(each for each in INSTRUMENTS.values() if each.segment == segment)
    snapshot = market.snapshot(one, NOW)

    (tick,) = read(packet(one, snapshot, Mode.FULL, NOW))

    assert (tick["instrument_token"], tick["tradable"]) == (one.instrument_token, segment != 9)
    assert Decimal(str(tick["last_price"])) == snapshot.last_price
    day = snapshot.day
    assert {name: Decimal(str(price)) for name, price in tick["ohlc"].items()} == {
        "open": day.open,
        "high": day.high,
        "low": day.low,
        "close": day.close,
    }
    if segment != 9:
        assert [(Decimal(str(level["price"])), level["quantity"]) for level in tick["depth"]["buy"]] == [
            (level.price, level.quantity) for level in snapshot.depth.buy
        ]
