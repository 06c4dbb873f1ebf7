"""The bodies of signals, as the schema shows them. They are read by `orders.messages`, which takes more than this."""

from __future__ import annotations

from typing import Any

_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string"}]}
_OPTIONAL: dict[str, Any] = {
    "signal_id": {
        "type": "string",
        "maxLength": 80,
        "description": "Yours, the same each time you send it. Without one, a digest of the content stands for it.",
    },
    "price": {**_NUMBER, "description": "Advice, INR."},
    "quantity": {"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "Advice, shares."},
    "order_type": {"type": "string", "enum": ["LIMIT", "MARKET"], "description": "Advice."},
    "strategy": {"type": "string", "maxLength": 60},
    "seq": {"type": "integer", "minimum": 0, "description": "Counts a strategy's signals: a gap is an incident."},
}
_SIGNAL: dict[str, Any] = {
    "title": "Signal",
    "type": "object",
    "required": ["signal_type", "symbol", "cms_score", "timestamp"],
    "properties": {
        "signal_type": {"type": "string", "enum": ["BUY", "SELL", "HOLD"]},
        "symbol": {"type": "string", "maxLength": 60, "description": "RELIANCE, or NSE:RELIANCE."},
        "cms_score": {**_NUMBER, "description": "−100 to 100."},
        "timestamp": {"type": "string", "description": "ISO 8601; up to 30 s ahead of our clock."},
        **_OPTIONAL,
    },
    "example": {
        "signal_id": "momentum-20261127-17",
        "signal_type": "BUY",
        "symbol": "NSE:RELIANCE",
        "cms_score": 75,
        "timestamp": "2026-11-27T10:15:00+05:30",
    },
}
_ALERT: dict[str, Any] = {
    "title": "Alert",
    "type": "object",
    "required": ["token", "ticker", "action", "timenow"],
    "properties": {
        "token": {"type": "string", "description": "Of the kind that is made for TradingView."},
        "ticker": {"type": "string", "maxLength": 60, "description": "{{ticker}}; NSE's M_M is M&M."},
        "exchange": {"type": "string", "description": "{{exchange}}"},
        "action": {"type": "string", "description": "{{strategy.order.action}}"},
        "timenow": {"type": "string", "description": "{{timenow}}"},
        "score": {**_NUMBER, "description": "0 to 100, its sign is the action's; 100 without one."},
        **_OPTIONAL,
    },
    "example": {
        "token": "oex_…",
        "ticker": "{{ticker}}",
        "exchange": "{{exchange}}",
        "action": "{{strategy.order.action}}",
        "price": "{{strategy.order.price}}",
        "timenow": "{{timenow}}",
        "strategy": "momentum",
    },
}
_LINES = {"type": "string", "description": "The same names in lines: `action=buy`, or parted by commas."}
SIGNAL: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _SIGNAL}}},
}
ALERT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _ALERT}, "text/plain": {"schema": _LINES}},
    },
}
