"""
Which way each limit allows more, and which limits must stay in order. One table each, for forms and use cases alike.

A limit that is missing in `LOOSER` cannot be saved: what nobody has thought about is not taken for tightening.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple

from risk.engine.limits import Limits, covers, listed


class Looser(StrEnum):
    """How a limit changes when it comes to allow more."""

    UP = "UP"
    DOWN = "DOWN"
    WHEN_ON = "WHEN_ON"
    WHEN_OFF = "WHEN_OFF"
    ENTRY_ADDED = "ENTRY_ADDED"  # a list of names with commas: looser with one that it did not allow
    ANY_CHANGE = "ANY_CHANGE"  # its values have no order: whatever it becomes may allow what was refused


LOOSER: Mapping[str, Looser] = {
    "cms_buy_threshold": Looser.DOWN,
    "cms_sell_threshold": Looser.UP,  # towards zero, and past it: more scores are below it
    "position_size": Looser.UP,
    "round_up_to_one_lot": Looser.WHEN_ON,
    "order_value_max": Looser.UP,
    "order_quantity_max": Looser.UP,
    "position_value_max": Looser.UP,
    "daily_trades_max": Looser.UP,
    "daily_loss_max": Looser.UP,
    "charges_percent": Looser.DOWN,  # the day's loss is reckoned smaller
    "exits_after_loss": Looser.WHEN_ON,
    "exposure_breach_reduces": Looser.WHEN_OFF,
    "include_external": Looser.WHEN_OFF,
    "orders_per_second_max": Looser.UP,
    "orders_per_minute_max": Looser.UP,
    "slippage_percent": Looser.UP,
    "collar_percent": Looser.UP,
    "closing_collar_percent": Looser.UP,
    "signal_age_max_seconds": Looser.UP,
    "closing_signal_age_max_seconds": Looser.UP,
    "quote_age_max_seconds": Looser.UP,
    "signal_drift_percent": Looser.UP,
    "duplicate_window_seconds": Looser.DOWN,
    "open_orders_max": Looser.UP,
    "symbol_open_orders_max": Looser.UP,
    "opposite_orders_allowed": Looser.WHEN_ON,
    "adding_allowed": Looser.WHEN_ON,
    "gross_exposure_max": Looser.UP,
    "positions_max": Looser.UP,
    "funds_use_percent": Looser.UP,
    "reject_streak_max": Looser.UP,
    "rejections_max": Looser.UP,
    "allowed_instruments": Looser.ENTRY_ADDED,
}

# Of one symbol, beside the general ones; empty is none of its own, which allows what the general one does.
LOOSER_OF_INSTRUMENT: Mapping[str, Looser] = {
    "blocked": Looser.WHEN_OFF,
    "order_value_max": Looser.UP,
    "order_quantity_max": Looser.UP,
    "position_value_max": Looser.UP,
    "product": Looser.ANY_CHANGE,
}


def loosens(name: str, before: Any, after: Any) -> bool:
    """Return whether the limit allows more after than before. None allows nothing that opens."""
    if before == after or after is None:
        return False
    looser = LOOSER[name]
    return before is None or _allows_more(looser, before, after)


def instrument_limit_loosens(name: str, before: Any, after: Any) -> bool:
    """Return whether a symbol's own limit allows more after than before. Empty limits nothing; 0 is a limit."""
    looser = LOOSER_OF_INSTRUMENT[name]
    if before == after or before is None or before == "":
        return False
    return after is None or after == "" or _allows_more(looser, before, after)


def _allows_more(looser: Looser, before: Any, after: Any) -> bool:
    if looser == Looser.ANY_CHANGE:
        return True
    if looser == Looser.ENTRY_ADDED:
        return not all(covers(listed(before), entry) for entry in listed(after))
    return bool(after > before) if looser in {Looser.UP, Looser.WHEN_ON} else bool(after < before)


def taken_back(name: str, before: Any, after: Any) -> Any:
    """Return what is left of a limit once its loosening from `before` is over: of a list, what is in both."""
    if LOOSER[name] != Looser.ENTRY_ADDED:
        return before
    wide, narrow = listed(before), listed(after)
    in_both = {each for each in wide if covers(narrow, each)} | {each for each in narrow if covers(wide, each)}
    return before if wide <= in_both else ", ".join(sorted(in_both))


class InOrder(NamedTuple):
    """Two limits that contradict each other unless the smaller is below the larger, or equal where that is allowed."""

    smaller: str
    larger: str
    may_be_equal: bool
    why: str

    def holds(self, limits: Mapping[str, Any]) -> bool:
        """Return whether it holds; a limit that is not known contradicts nothing."""
        low, high = limits.get(self.smaller), limits.get(self.larger)
        return low is None or high is None or bool(low < high) or (self.may_be_equal and bool(low == high))


IN_ORDER = (
    InOrder("position_size", "order_value_max", True, "one automatic entry must fit into one order"),
    InOrder("order_value_max", "position_value_max", True, "one order must fit into one position"),
    InOrder("position_value_max", "gross_exposure_max", True, "one position must fit into the whole book"),
    InOrder("symbol_open_orders_max", "open_orders_max", True, "the orders of one symbol are among all"),
    InOrder("cms_sell_threshold", "cms_buy_threshold", False, "no score may ask to buy and to sell"),
    InOrder("slippage_percent", "collar_percent", True, "an entry must be priced inside the collar"),
    InOrder("orders_per_second_max", "orders_per_minute_max", True, "a second is part of a minute"),
    InOrder("collar_percent", "closing_collar_percent", True, "getting out must never be harder than getting in"),
    InOrder(
        "signal_age_max_seconds",
        "closing_signal_age_max_seconds",
        True,
        "getting out must never be harder than getting in",
    ),
)


def contradictions(limits: Mapping[str, Any], *, about: Iterable[str] | None = None) -> list[InOrder]:
    """Return the orders that do not hold; with `about`, only those that have one of these limits in them."""
    named = None if about is None else set(about)
    return [
        each
        for each in IN_ORDER
        if not each.holds(limits) and (named is None or not named.isdisjoint({each.smaller, each.larger}))
    ]


def above_ceilings(limits: Mapping[str, Any], ceilings: Mapping[str, Any]) -> list[str]:
    """Return the limits that allow more than their ceiling does; at the ceiling is allowed."""
    return [name for name, value in limits.items() if name in ceilings and loosens(name, ceilings[name], value)]


def within_ceilings(limits: Mapping[str, Any], ceilings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the limits that must become tighter, with their new values, so that none allows more than its ceiling.

    What must stay below a limit that was lowered is lowered with it: the limits contradict each other no more than
    before. Nothing is loosened.
    """
    lowered = {name: ceilings[name] for name in above_ceilings(limits, ceilings)}
    for _ in IN_ORDER:  # as often as one can be lowered because another was
        for order in contradictions({**limits, **lowered}, about=lowered):
            if order.may_be_equal and order.larger in lowered and LOOSER[order.smaller] == Looser.UP:
                lowered[order.smaller] = lowered[order.larger]
    return lowered


def held_to(limits: Limits, ceilings: Mapping[str, Any]) -> Limits:
    """Return the limits as they count for a decision: none allows more than its ceiling, whatever is stored."""
    lowered = within_ceilings({name: getattr(limits, name) for name in LOOSER}, ceilings)
    return replace(limits, **lowered) if lowered else limits
