"""Quotes in Kite's shapes: full, day prices, last price."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from orders.paper.indian_time import timestamp
from orders.paper.market.instruments import Instrument
from orders.paper.market.market import DayPrices, Level, Market
from orders.paper.server.wire import Row, number

DEPTH_LEVELS = 5


def ltp_row(market: Market, instrument: Instrument, now: datetime) -> Row:
    return {
        "instrument_token": instrument.instrument_token,
        "last_price": number(market.last_price(instrument, now)),
    }


def ohlc_row(market: Market, instrument: Instrument, now: datetime) -> Row:
    return ltp_row(market, instrument, now) | {"ohlc": day_row(market.day(instrument, now))}


def quote_row(market: Market, instrument: Instrument, now: datetime) -> Row:
    seen = market.snapshot(instrument, now)
    row: Row = {
        "instrument_token": instrument.instrument_token,
        "timestamp": timestamp(now),
        "last_price": number(seen.last_price),
        "net_change": number(seen.net_change),
        "ohlc": day_row(seen.day),
    }
    if instrument.is_index:
        return row  # nobody trades an index: it has no volume, depth or limits
    return row | {
        "last_trade_time": timestamp(seen.last_trade_time),
        "last_quantity": seen.last_quantity,
        "buy_quantity": seen.buy_quantity,
        "sell_quantity": seen.sell_quantity,
        "volume": seen.volume,
        "average_price": number(seen.average_price),
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "lower_circuit_limit": number(seen.lower_circuit),
        "upper_circuit_limit": number(seen.upper_circuit),
        "depth": {"buy": level_rows(seen.depth.buy), "sell": level_rows(seen.depth.sell)},
    }


def day_row(day: DayPrices) -> Row:
    return {
        "open": number(day.open),
        "high": number(day.high),
        "low": number(day.low),
        "close": number(day.close),
    }


def level_rows(levels: Iterable[Level]) -> list[Row]:
    """Return five levels, the missing ones empty."""
    rows: list[Row] = [
        {"price": number(level.price), "quantity": level.quantity, "orders": level.orders} for level in levels
    ]
    return rows + [{"price": 0, "quantity": 0, "orders": 0}] * (DEPTH_LEVELS - len(rows))


QUOTE_SHAPES = {"/quote": (quote_row, 500), "/quote/ohlc": (ohlc_row, 1000), "/quote/ltp": (ltp_row, 1000)}
