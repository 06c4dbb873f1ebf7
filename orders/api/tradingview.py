"""
TradingView's alerts become signals.

TradingView posts what was typed into the alert, as JSON where it is JSON and as text otherwise, and can set no header.
So the token is in the text, of a kind that is good for nothing but this; it is found by its form, wherever it stands,
and struck out before anything else is done with the text. An address would be written into logs along the way: there
it is not taken.
"""

from __future__ import annotations

import json
import re
from typing import Any

from orders.api_tokens import SEEN_BY
from orders.messages import EXCHANGE, SYMBOL
from orders.models import Instrument

STRUCK_OUT = "…".encode()
# What an alert may call it → what a signal calls it. Of two for the same the upper one wins.
NAMES = {
    "action": "signal_type",
    "side": "signal_type",
    "type": "signal_type",
    "ticker": "symbol",
    "tradingsymbol": "symbol",
    "timenow": "timestamp",
    "time": "timestamp",  # when the bar began, which may be a day ago
    "contracts": "quantity",
    "close": "price",
    "id": "signal_id",
}
KNOWN = frozenset(
    {"signal_type", "symbol", "exchange", "cms_score", "timestamp", "signal_id", "price", "quantity"}
    | {"order_type", "strategy", "seq"}
)
FULL_SCORE = 100
_NAME = re.compile(r"\s*([A-Za-z_]+)\s*[=:]")


def token_in(body: bytes) -> str:
    """Return the token that stands in the text; empty when there is none, or more than one."""
    found = set(SEEN_BY.findall(body))
    return found.pop().decode() if len(found) == 1 else ""


def without_tokens(body: bytes) -> bytes:
    return SEEN_BY.sub(STRUCK_OUT, body)


def as_a_signal(body: bytes, *, default_exchange: str) -> bytes:
    """Return the alert in the wire form of a signal. What is no alert comes back as it was, without its token."""
    text = without_tokens(body)
    said = _fields(text)
    if said is None:
        return text
    fields = {name: value for name, value in said.items() if name in KNOWN}
    for name in (*NAMES, *said):
        if name in said:
            fields.setdefault(NAMES.get(name, name), said[name])
    fields.pop("token", None)
    _add_score(fields)
    symbol = fields.get("symbol")
    if isinstance(symbol, str):
        fields["symbol"] = _as_listed(symbol.strip(), str(fields.get("exchange") or default_exchange))
    return json.dumps(fields).encode()


def _fields(text: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(text, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return _of_lines(text)
    return {str(name).strip().lower(): value for name, value in said.items()} if isinstance(said, dict) else None


def _of_lines(text: bytes) -> dict[str, Any] | None:
    """Return what lines or commas part, each `name=value` or `name: value`; None when there is something else."""
    fields: dict[str, Any] = {}
    for line in re.split(r"[\r\n,;]+", text.decode("utf-8", "replace")):
        if said := _NAME.match(line):
            fields[said[1].lower()] = line[said.end() :].strip()
        elif line.strip():
            return None
    return fields or None


def _add_score(fields: dict[str, Any]) -> None:
    """Give the alert a score, where it has none: `score` or else a full one, with the sign of its action."""
    strength = fields.pop("score", FULL_SCORE)
    if "cms_score" in fields:
        return
    action = str(fields.get("signal_type", "")).strip().upper()
    sells = action.rpartition(".")[2] == "SELL"
    told = str(strength).strip()
    fields["cms_score"] = f"-{told}" if sells and not told.startswith(("-", "+")) else told


def _as_listed(symbol: str, exchange: str) -> str:
    """Return the broker's name for TradingView's, which has an underscore for whatever is no letter: M_M is M&M."""
    before, colon, name = symbol.rpartition(":")
    exchange, name = (before or exchange).upper(), name.upper()
    readable = re.fullmatch(EXCHANGE, exchange) and re.fullmatch(SYMBOL, name)  # the database takes not every text
    if "_" not in name or not readable:
        return symbol
    meant = {name.replace("_", each) for each in "&-"}
    listed = Instrument.objects.filter(exchange=exchange, symbol__in=[name, *meant])
    found = list(listed.values_list("symbol", flat=True)[:2])
    return f"{before}{colon}{found[0]}" if len(found) == 1 else symbol
