"""A file of prices by time, to be lived through again: `at,exchange,tradingsymbol,price`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from orders.paper.clock import EARLIEST, LATEST
from orders.paper.indian_time import IST
from orders.paper.market.instruments import INSTRUMENTS, Instrument

COLUMNS = ["at", "exchange", "tradingsymbol", "price"]
PRICE_MAX = 10_000_000


class ReplayUnreadable(Exception):
    """The file cannot be replayed; the text says which line and what it should be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayRow:
    at: datetime
    instrument: Instrument
    price: Decimal  # INR


def read_replay(path: Path) -> list[ReplayRow]:
    """Return the file's rows in the order of time; raise `ReplayUnreadable`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            table = csv.DictReader(text)
            if table.fieldnames != COLUMNS:
                raise ReplayUnreadable(f"{path}: the first line should be {','.join(COLUMNS)}.")
            rows = [read_row(row, f"{path}, line {table.line_num}") for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReplayUnreadable(f"{path} cannot be read ({error}): give a CSV file of prices.") from error
    return sorted(rows, key=lambda row: row.at)


def read_row(row: dict[str, str], where: str) -> ReplayRow:
    if None in row or None in row.values():
        raise ReplayUnreadable(f"{where}: there should be {len(COLUMNS)} fields.")
    instrument = INSTRUMENTS.get(f"{row['exchange']}:{row['tradingsymbol']}")
    if instrument is None:
        raise ReplayUnreadable(f"{where}: {row['exchange']}:{row['tradingsymbol']} is not traded on paper.")
    try:
        at = datetime.fromisoformat(row["at"])
        price = Decimal(row["price"])
    except (ValueError, InvalidOperation) as error:
        raise ReplayUnreadable(
            f"{where}: write it like 2026-11-23T09:15:00,NSE,INFY,1540.50 (Mumbai time without an offset)."
        ) from error
    at = at if at.tzinfo else at.replace(tzinfo=IST)
    if not EARLIEST <= at <= LATEST:
        raise ReplayUnreadable(f"{where}: the moment should be from {EARLIEST.year} to {LATEST.year}.")
    if not price.is_finite() or not 0 < price <= PRICE_MAX:
        raise ReplayUnreadable(f"{where}: the price should be above 0 and at most {PRICE_MAX} INR.")
    return ReplayRow(at=at, instrument=instrument, price=price)
