"""The controls about what is traded: kinds that are allowed, symbols that are blocked, the product."""

from __future__ import annotations

import re
from datetime import datetime

from risk.engine.control import Control, Finding
from risk.engine.facts import Portfolio, ProposedOrder
from risk.engine.limits import Limits, covers, listed

# Zerodha puts the series behind the symbol of all shares but those of EQ: XYZ-BE, XYZ-SM. BAJAJ-AUTO has none.
_SERIES = re.compile(r"-([A-Z][A-Z0-9])$")


def kind_of(proposed: ProposedOrder) -> str:
    """Return what it is, such as NSE:EQ, NSE:BE (trade for trade), NFO:FUT or NSE:INDEX; empty when nobody says."""
    return kind_of_listed(proposed.exchange, proposed.symbol, proposed.instrument_type, proposed.segment)


def kind_of_listed(exchange: str, symbol: str, instrument_type: str, segment: str) -> str:
    """Return likewise what the broker's list says of it."""
    if segment == "INDICES":
        return f"{exchange}:INDEX"
    if not instrument_type:
        return ""
    series = _SERIES.search(symbol) if instrument_type == "EQ" else None
    return f"{exchange}:{series[1] if series else instrument_type}"


def instrument_is_eligible(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    kind, allowed = kind_of(proposed), limits.allowed_instruments
    if allowed is None:
        return Finding(kind or "unknown", "not set", "which instruments are allowed is not set")
    refused = not covers(listed(allowed), f"{kind}:{proposed.symbol.upper()}")
    reason = f"{proposed.symbol} is {kind or 'of an unknown kind'}, allowed are {allowed or 'none'}"
    return Finding(kind or "unknown", allowed or "none", reason if refused else None)


def instrument_is_not_blocked(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    blocked = limits.instrument_blocked
    reason = f"{proposed.symbol} is blocked by its instrument limit" if blocked else None
    return Finding("blocked" if blocked else "not blocked", "not blocked", reason)


def product_is_allowed(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    only = limits.only_product
    refused = bool(only) and proposed.product != only
    reason = f"only {only} may be opened in {proposed.symbol}, not {proposed.product}" if refused else None
    return Finding(proposed.product, only or "any", reason)


CONTROLS = (
    Control(
        code="INSTRUMENT_RESTRICTED",
        title="A kind of instrument that is allowed",
        sentence="Only the listed exchanges and series, or symbols of them, may be opened.",
        unit="exchange:series",
        rule=instrument_is_eligible,
        limits=("allowed_instruments",),
    ),
    Control(
        code="INSTRUMENT_BLOCKED",
        title="The symbol is not blocked",
        sentence="A symbol that its instrument limit blocks may only be closed.",
        unit="blocked or not",
        rule=instrument_is_not_blocked,
        limits=("instrument_blocked",),
    ),
    Control(
        code="PRODUCT_NOT_ALLOWED",
        title="A product that is allowed",
        sentence="Where an instrument limit names a product, only that one may be opened.",
        unit="product",
        rule=product_is_allowed,
        limits=("only_product",),
    ),
)
