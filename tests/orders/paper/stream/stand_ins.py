"""
A market whose snapshots the test sets, and a cast of three: INFY and RELIANCE on the NSE, and NIFTY 50.

INFY's numbers are those of Zerodha's published samples `ticker_quote.json` and `ticker_full.json`
(github.com/zerodha/kiteconnect-mocks), which belong to `ticker_quote.packet` and `ticker_full.packet`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from orders.paper.errors import BAD_TOKEN, KiteRefusal
from orders.paper.indian_time import IST
from orders.paper.market.depth import Depth, Level
from orders.paper.market.instruments import Instrument
from orders.paper.market.market import DayPrices, Snapshot

TRADED_AT = datetime(2021, 7, 5, 10, 41, 27, tzinfo=IST)
NOW = datetime(2021, 7, 5, 10, 41, 28, tzinfo=IST)


def instrument(exchange_token: int, tradingsymbol: str, segment: int = 1) -> Instrument:
    return Instrument(
        exchange="NSE",
        tradingsymbol=tradingsymbol,
        name=tradingsymbol,
        exchange_token=exchange_token,
        base_price=Decimal(1500),
        tick_size=Decimal("0.10"),
        segment=segment,
    )


def levels(*rows: tuple[str, int, int]) -> tuple[Level, ...]:
    return tuple(Level(price=Decimal(price), quantity=quantity, orders=orders) for price, quantity, orders in rows)


INFY = instrument(1594, "INFY")
RELIANCE = instrument(2885, "RELIANCE")
NIFTY = instrument(1001, "NIFTY 50", segment=9)

DAY = DayPrices(open=Decimal("1569.15"), high=Decimal(1575), low=Decimal("1561.05"), close=Decimal("1567.8"))
FULL_SAMPLE = Snapshot(
    last_price=Decimal("1573.7"),
    last_quantity=7,
    last_trade_time=TRADED_AT,
    average_price=Decimal("1570.37"),
    volume=1192471,
    buy_quantity=256443,
    sell_quantity=363009,
    day=DAY,
    lower_circuit=Decimal("1411.05"),
    upper_circuit=Decimal("1724.55"),
    depth=Depth(
        buy=levels(("1573.4", 5, 1), ("1573", 140, 2), ("1572.95", 2, 1), ("1572.9", 219, 7), ("1572.85", 50, 1)),
        sell=levels(
            ("1573.7", 172, 3), ("1573.75", 44, 3), ("1573.85", 302, 3), ("1573.9", 141, 2), ("1573.95", 724, 5)
        ),
    ),
    net_change=Decimal("5.9"),
)
QUOTE_SAMPLE = replace(
    FULL_SAMPLE,
    last_price=Decimal("1573.15"),
    last_quantity=1,
    average_price=Decimal("1570.33"),
    volume=1175986,
    buy_quantity=256511,
    sell_quantity=360503,
)
INDEX_SAMPLE = replace(
    FULL_SAMPLE,
    last_price=Decimal("15834.35"),
    day=DayPrices(open=Decimal("15793.4"), high=Decimal("15845.95"), low=Decimal("15762.05"), close=Decimal("15722.2")),
    depth=Depth(buy=(), sell=()),
)


class Prices:
    """The market: what the test says it is."""

    def __init__(self) -> None:
        self.looks = 0
        self.by_token = {
            INFY.instrument_token: FULL_SAMPLE,
            RELIANCE.instrument_token: QUOTE_SAMPLE,
            NIFTY.instrument_token: INDEX_SAMPLE,
        }

    def snapshot(self, instrument: Instrument, now: datetime) -> Snapshot:
        self.looks += 1
        return self.by_token[instrument.instrument_token]

    def trade(self, instrument: Instrument, price: str) -> None:
        self.change(instrument, last_price=Decimal(price))

    def change(self, instrument: Instrument, **changes: object) -> None:
        token = instrument.instrument_token
        self.by_token[token] = replace(self.by_token[token], **changes)


class Tokens:
    """Who may connect: `key` with `token`, until it is taken away."""

    def __init__(self) -> None:
        self.valid = {("key", "token")}

    def check(self, api_key: str, access_token: str, now: datetime) -> None:
        if (api_key, access_token) not in self.valid:
            raise KiteRefusal(403, "TokenException", BAD_TOKEN)
