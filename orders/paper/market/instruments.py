"""
What can be traded on paper: large companies of the NSE, the largest of them on the BSE too, and two indices.

They stand in `shares.csv` beside this module, under their symbols; the tokens are the exchanges' own as far as
they are known to us, and unique in any case. Prices are levels to wander around, not quotations. An ISIN is
left out where it is not certain.

The dump also lists the futures of the current month on the shares that underlie derivatives, because a client tells
those shares by them. They are listed and not traded: no quote is given of one and no order taken. Lots are as many
shares as make the ₹15 lakh that SEBI asks of a contract, not the exchange's own.
"""

from __future__ import annotations

import csv
import io
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from importlib import resources

NSE_SEGMENT, NFO_SEGMENT, BSE_SEGMENT, INDEX_SEGMENT = 1, 2, 4, 9
SEGMENTS = {"NSE": NSE_SEGMENT, "BSE": BSE_SEGMENT}
EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX")

# Ticks of the NSE cash market since 2025-04-15: prices up to the bound move in this step.
TICKS = (
    (Decimal(250), Decimal("0.01")),
    (Decimal(1000), Decimal("0.05")),
    (Decimal(5000), Decimal("0.10")),
    (Decimal(10000), Decimal("0.50")),
    (Decimal(20000), Decimal("1.00")),
)
TICK_ABOVE = Decimal("5.00")
INDEX_TICK = Decimal("0.05")
CONTRACT_VALUE = Decimal(1_500_000)  # INR, at least
LOT_STEP = 25  # shares
TUESDAY = 1  # on the last one of the month, stock futures end

CSV_HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Instrument:
    exchange: str
    tradingsymbol: str
    name: str
    exchange_token: int
    base_price: Decimal  # INR; the market wanders around it
    tick_size: Decimal  # INR
    segment: int = NSE_SEGMENT
    lot_size: int = 1
    isin: str = ""
    freeze_quantity: int = 100_000  # shares; the exchange takes no more in one order
    closes_early: bool = False  # it underlies derivatives, and its day ends in a closing auction
    key: str = field(init=False)  # the name by which quotes are asked for, such as NSE:INFY
    instrument_token: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.exchange}:{self.tradingsymbol}")
        object.__setattr__(self, "instrument_token", self.exchange_token * 256 + self.segment)

    @property
    def is_index(self) -> bool:
        return self.segment == INDEX_SEGMENT


def tick_size(price: Decimal) -> Decimal:
    """Return the step of prices for a share that costs about this much."""
    for bound, tick in TICKS:
        if price <= bound:
            return tick
    return TICK_ABOVE


def share(row: dict[str, str]) -> Instrument:
    price = Decimal(row["base_price"])
    return Instrument(
        exchange=row["exchange"],
        tradingsymbol=row["tradingsymbol"],
        name=row["name"],
        exchange_token=int(row["exchange_token"]),
        base_price=price,
        tick_size=tick_size(price),
        segment=SEGMENTS[row["exchange"]],
        isin=row["isin"],
        closes_early=row["underlies_derivatives"] == "yes",
    )


def index(exchange: str, name: str, exchange_token: int, level: int) -> Instrument:
    return Instrument(
        exchange=exchange,
        tradingsymbol=name,
        name=name,
        exchange_token=exchange_token,
        base_price=Decimal(level),
        tick_size=INDEX_TICK,
        segment=INDEX_SEGMENT,
    )


def listed() -> list[Instrument]:
    text = resources.files("orders.paper.market").joinpath("shares.csv").read_text(encoding="utf-8")
    shares = [share(row) for row in csv.DictReader(text.splitlines())]
    return [*shares, index("NSE", "NIFTY 50", 1001, 26_000), index("BSE", "SENSEX", 1, 85_000)]


INSTRUMENTS = {instrument.key: instrument for instrument in listed()}
BY_TOKEN = {str(instrument.instrument_token): instrument for instrument in INSTRUMENTS.values()}


def instrument_dump(instruments: Iterable[Instrument], futures: Iterable[tuple[object, ...]] = ()) -> str:
    """Return Kite's CSV of instruments; prices in it are zero, as Zerodha's are outside the session."""
    text = io.StringIO(CSV_HEADER)
    text.seek(0, io.SEEK_END)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerows(dump_row(one) for one in instruments)
    rows.writerows(futures)
    return text.getvalue()


def future_rows(today: date) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the futures that end next, one for each share of the NSE that underlies derivatives."""
    ends = last_tuesday(today)
    if ends < today:
        ends = last_tuesday(date(today.year, today.month, 1) + timedelta(days=31))
    for share in INSTRUMENTS.values():
        if share.exchange != "NSE" or not share.closes_early:
            continue
        names = (share.exchange_token * 256 + NFO_SEGMENT, share.exchange_token)
        symbol = f"{share.tradingsymbol}{ends:%y%b}FUT".upper()
        steps = (CONTRACT_VALUE / share.base_price / LOT_STEP).to_integral_value(ROUND_CEILING)
        terms = ("0", ends.isoformat(), "0", share.tick_size, int(steps) * LOT_STEP)
        yield (*names, symbol, share.tradingsymbol, *terms, "FUT", "NFO-FUT", "NFO")


def last_tuesday(day: date) -> date:
    """Return the last Tuesday of the day's month, whether or not it is a holiday."""
    last = day.replace(day=monthrange(day.year, day.month)[1])
    return last - timedelta(days=(last.weekday() - TUESDAY) % 7)


def dump_row(one: Instrument) -> tuple[object, ...]:
    names = (one.instrument_token, one.exchange_token, one.tradingsymbol, one.name)
    no_expiry_no_strike = ("0", "", "0")
    if one.is_index:
        return (*names, *no_expiry_no_strike, 0, 0, "EQ", "INDICES", one.exchange)
    return (*names, *no_expiry_no_strike, one.tick_size, one.lot_size, "EQ", one.exchange, one.exchange)
