"""Quotes in Kite's shapes: full, day prices, last price."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from orders.paper.indian_time import midnight, timestamp
from orders.paper.market.instruments import Instrument
from orders.paper.market.market import Market
from orders.paper.server.wire import Row, number

DEPTH_LEVELS = 5
SHARES_A_SECOND = 25


def ltp_row(market: Market, instrument: Instrument, now: datetime) -> Row:
    return {
        "instrument_token": instrument.instrument_token,
        "last_price": number(market.last_price(instrument, now)),
    }


def ohlc_row(market: Market, instrument: Instrument, now: datetime) -> Row:
    day = market.day(instrument, now)
    ohlc = {"open": day.open, "high": day.high, "low": day.low, "close": day.close}
    return ltp_row(market, instrument, now) | {"ohlc": {key: number(price) for key, price in ohlc.items()}}


def quote_row(market: Market, instrument: Instrument, now: datetime) -> Row:
    last = market.last_price(instrument, now)
    lower, upper = market.circuit(instrument, now)
    seconds = int((now - midnight(now)).total_seconds())
    return ohlc_row(market, instrument, now) | {
        "timestamp": timestamp(now),
        "last_trade_time": timestamp(now),
        "last_quantity": 1 + seconds % 100,
        "buy_quantity": 1000 * DEPTH_LEVELS,
        "sell_quantity": 1000 * DEPTH_LEVELS,
        "volume": seconds * SHARES_A_SECOND,
        "average_price": number(last),
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "net_change": number(last - market.previous_close(instrument, now)),
        "lower_circuit_limit": number(lower),
        "upper_circuit_limit": number(upper),
        "depth": {"buy": levels(last, -instrument.tick_size), "sell": levels(last, instrument.tick_size)},
    }


def levels(last: Decimal, step: Decimal) -> list[Row]:
    """Return five levels that begin one step from the last price."""
    return [
        {"price": number(max(last + step * level, Decimal(0))), "quantity": 1000, "orders": level}
        for level in range(1, DEPTH_LEVELS + 1)
    ]


QUOTE_SHAPES = {"/quote": (quote_row, 500), "/quote/ohlc": (ohlc_row, 1000), "/quote/ltp": (ltp_row, 1000)}
