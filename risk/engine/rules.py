"""
The catalogue of controls: one small function each, all with the same four arguments.

A rule says what it measured, what the limit is and, when the order must not go, why. It raises nothing and changes
nothing. Limits are inclusive: equal passes. An unknown fact refuses what opens, for unknown is not zero. The rules
stand by meaning in the modules named here, each module with its rows of the catalogue; the list fixes their order.
What people read of a control anywhere (admin, incidents, errors, README) comes from its row.
"""

from __future__ import annotations

from risk.engine import (
    broker_rules,
    exposure_rules,
    instrument_rules,
    market_rules,
    order_rules,
    rates,
    repeat_rules,
    signal_rules,
)
from risk.engine.control import Applies, Control, Outcome

__all__ = ["CATALOGUE", "RULES", "SCREEN", "Applies", "Control", "Outcome", "as_table", "of_limit"]

RULES: tuple[Control, ...] = (
    *signal_rules.CONTROLS,
    *instrument_rules.CONTROLS,
    *order_rules.CONTROLS,
    *exposure_rules.CONTROLS,
    *rates.CONTROLS,
    *repeat_rules.CONTROLS,
    *broker_rules.CONTROLS,
    *market_rules.CONTROLS,
)
CATALOGUE: dict[str, Control] = {control.code: control for control in RULES}

# What can be said without asking the broker anything: a weak signal must not cost a price request.
SCREEN: tuple[Control, ...] = tuple(
    control
    for control in RULES
    if control.code in {"TRADING_HALTED", "TRADING_REDUCE_ONLY", "NOTHING_TO_SELL", rates.RATE_LIMIT_EXCEEDED}
    or control.code in {"MARKET_CLOSED", "NOT_CONTINUOUS", "OPENING_WINDOW"}
    or control.outcome in {Outcome.IGNORED, Outcome.EXPIRED}
)


def of_limit(name: str) -> tuple[Control, ...]:
    """Return the controls that are held against this limit."""
    return tuple(control for control in RULES if name in control.limits)


def as_table() -> str:
    """Return the catalogue as a table in Markdown, for the README."""
    rows = ["| code | what it says | unit | applies to |", "|---|---|---|---|"]
    for control in RULES:
        applies = "every order" if control.applies == Applies.ALWAYS else "what opens"
        rows.append(f"| `{control.code}` | {control.sentence} | {control.unit} | {applies} |")
    return "\n".join(rows)
