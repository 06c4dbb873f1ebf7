"""
Rows of Kite's answers → the gateway's values. Pure: what cannot be one raises `ValueError`, and stays out of the book.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from orders.broker.gateway import (
    Depth,
    HoldingReport,
    InstrumentReport,
    Level,
    MarketQuote,
    OrderReport,
    TradeReport,
)
from orders.redaction import strike_out

IST = ZoneInfo("Asia/Kolkata")
WORD_LENGTH_MAX = 60  # Kite's longest, a trade id, is half of it
SYMBOL_LENGTH_MAX = 40
SHARES_MAX = 2_000_000_000  # what the columns hold, far beyond any account
PRICE_MAX = Decimal(100_000_000)  # INR
RAW_LENGTH_MAX = 4000  # characters of one order's row; Kite's have some nine hundred
YEARS = range(2000, 2100)


def said(words: Any) -> str:
    """Return what the broker says to people as text that every column takes and every page may show."""
    return strike_out(str(words or "").replace("\x00", "␀").encode(errors="replace").decode())


def word(value: Any, *, longest: int = WORD_LENGTH_MAX) -> str:
    """Return an id, a symbol or a status as it is. Raise `ValueError` for what cannot be one."""
    text = str(value) if isinstance(value, int | str) else ""
    if not text.isprintable() or not 0 < len(text) <= longest:
        raise ValueError(f"a word was expected, not {value!r}")
    return text


def _number(value: Any) -> Decimal:
    """Return it through its shortest text. Raise `ValueError` for NaN, which PostgreSQL would keep and count with."""
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"a number was expected, not {value!r}")
    return number


def price_told(value: Any) -> Decimal | None:
    """Return the price, through its shortest text so that 204.1 stays 204.1; None for what is no price."""
    price = Decimal(str(value or 0))
    return price if price.is_finite() and 0 < price <= PRICE_MAX else None


def market_quote(row: dict[str, Any]) -> MarketQuote | None:
    last_price = price_told(row.get("last_price"))
    if last_price is None:
        return None
    lower, upper = price_told(row.get("lower_circuit_limit")), price_told(row.get("upper_circuit_limit"))
    return MarketQuote(last_price=last_price, lower_circuit=lower, upper_circuit=upper)


def market_depth(row: dict[str, Any]) -> Depth | None:
    """Return a full quote; a level that makes no sense is left out. None where there is no last price."""
    quote = market_quote(row)
    if quote is None:
        return None
    told = row.get("depth")
    sides = told if isinstance(told, dict) else {}
    return Depth(quote=quote, buy=_levels(sides.get("buy")), sell=_levels(sides.get("sell")))


def _levels(rows: Any) -> tuple[Level, ...]:
    levels = []
    for row in rows if isinstance(rows, list) else []:
        price, quantity = price_told(row.get("price")), _shares(row.get("quantity"))
        if price is not None and quantity:
            levels.append(Level(price=price, quantity=quantity, orders=max(1, _shares(row.get("orders")))))
    return tuple(levels)


def amount(value: Any) -> Decimal:
    """Return an amount in INR. Raise `ValueError` for what is no number: an unknown sum is not zero."""
    rupees = Decimal(str(value))
    if isinstance(value, bool) or not rupees.is_finite():
        raise ValueError(f"an amount was expected, not {value!r}")
    return rupees


def _moment(value: Any) -> datetime:
    """Return the SDK's naive datetime, or the text it leaves as it is, in the zone it is in: India's."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.year not in YEARS:  # Go's word for "no time" is of the year 1, which can be stored and not be read again
        raise ValueError(f"{moment} is no moment of trading")
    return moment.replace(tzinfo=IST)


def order_report(row: dict[str, Any]) -> OrderReport:
    return OrderReport(
        broker_order_id=word(row["order_id"]),
        tag=word(row["tag"]) if row.get("tag") else "",
        status=word(row["status"]),
        status_message=said(row.get("status_message")),
        exchange=word(row["exchange"]),
        symbol=word(row["tradingsymbol"]),
        side=word(row["transaction_type"]),
        product=word(row["product"]),
        order_type=word(row["order_type"]),
        quantity=int(row["quantity"]),
        filled_quantity=int(row.get("filled_quantity") or 0),
        price=price_told(row.get("price")),
        placed_at=_moment(row["order_timestamp"]),
        raw=json.dumps(row, default=str, sort_keys=True, ensure_ascii=False).replace("\\u0000", "")[:RAW_LENGTH_MAX],
    )


def trade_report(row: dict[str, Any]) -> TradeReport:
    quantity, price = int(row["quantity"]), price_told(row["average_price"])
    if price is None or not 0 < quantity <= SHARES_MAX:
        raise ValueError(f"{quantity} shares at {row['average_price']!r} are no trade")
    return TradeReport(
        trade_id=word(row["trade_id"]),
        broker_order_id=word(row["order_id"]),
        exchange=word(row["exchange"]),
        symbol=word(row["tradingsymbol"]),
        side=word(row["transaction_type"]),
        product=word(row["product"]),
        quantity=quantity,
        price=price,
        filled_at=_moment(row["fill_timestamp"]),
    )


def holding_report(row: dict[str, Any]) -> HoldingReport:
    """Return the row as it is shown: only what is held of what must be sensible, all else may be missing."""
    quantity = int(row["quantity"])
    if abs(quantity) > SHARES_MAX:
        raise ValueError(f"{quantity} shares are more than there can be")
    return HoldingReport(
        exchange=word(row["exchange"], longest=10),
        symbol=word(row["tradingsymbol"], longest=SYMBOL_LENGTH_MAX),
        isin=said(row.get("isin"))[:12],
        quantity=quantity,
        t1_quantity=_shares(row.get("t1_quantity")),
        sold_today=_shares(row.get("used_quantity")),
        authorised_quantity=_shares(row.get("authorised_quantity")),
        collateral_quantity=_shares(row.get("collateral_quantity")),
        **{name: _price_shown(row.get(name)) for name in ("average_price", "last_price", "close_price")},
        discrepancy=bool(row.get("discrepancy")),
    )


def _price_shown(value: Any) -> Decimal | None:
    return price_told(value) if isinstance(value, int | float) else None


def _shares(value: Any) -> int:
    """Return a part of a holding; 0 where the broker does not tell it."""
    return value if isinstance(value, int) and 0 <= value <= SHARES_MAX else 0


def instrument_report(row: dict[str, Any]) -> InstrumentReport:
    lot_size, tick_size = int(row["lot_size"]), _number(row["tick_size"])
    if lot_size > SHARES_MAX or tick_size > PRICE_MAX:
        raise ValueError(f"a lot of {lot_size} or a tick of {tick_size} is none")
    return InstrumentReport(
        exchange=word(row["exchange"]),
        symbol=word(row["tradingsymbol"], longest=SYMBOL_LENGTH_MAX),
        name=said(row["name"])[:100],
        token=_token(row["instrument_token"]),
        lot_size=lot_size,
        tick_size=tick_size,
        instrument_type=said(row["instrument_type"])[:10],
        segment=said(row["segment"])[:20],
    )


def _token(value: Any) -> int:
    """Return an instrument's number, of which the stream has four bytes."""
    token = int(value)
    if not 0 < token < 2**32:
        raise ValueError(f"{token} is no instrument's token")
    return token
