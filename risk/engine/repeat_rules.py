"""The controls about orders beside the one proposed: sent twice, too many, or against each other."""

from __future__ import annotations

from datetime import datetime

from risk.engine.control import Control, Finding
from risk.engine.facts import Origin, Portfolio, ProposedOrder, Side
from risk.engine.limits import Limits
from risk.engine.order_rules import side_of


def is_no_duplicate(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """A like order soon after another; a signal's also as long as the other works, for nobody meant two."""
    last_at, working, _ = _beside(proposed, portfolio)
    window = limits.duplicate_window_seconds
    measured = "none before" if last_at is None else f"{(now - last_at).total_seconds():.1f} s after the last"
    if window is None:
        return Finding(measured, "not set", "the time in which a like order is a duplicate is not set")
    if proposed.origin == Origin.AUTO and working:
        return Finding(measured, "none working", f"a {side_of(proposed)} of {proposed.symbol} is working already")
    again = last_at is not None and (now - last_at).total_seconds() < window
    reason = f"a {side_of(proposed)} of {proposed.symbol} was made {measured.split()[0]} s ago"
    return Finding(measured, f"{window} s", reason if again else None)


def does_not_meet_its_own(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """A trade with oneself is a wash trade."""
    _, _, opposite = _beside(proposed, portfolio)
    measured, allowed = f"{opposite} the other way", limits.opposite_orders_allowed
    if allowed is None:
        return Finding(measured, "not set", "whether an order may meet our own is not set")
    meets = opposite > 0 and not allowed
    return Finding(measured, "any" if allowed else "none", f"{measured} may meet it" if meets else None)


def open_orders_are_few(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """How many orders would be open with this one: unsent, in doubt or resting."""
    _, alike, _ = _beside(proposed, portfolio)
    here, everywhere = alike + 1, portfolio.open_orders + 1
    measured = f"{everywhere} orders, {here} of {proposed.symbol} {side_of(proposed)}"
    here_max, everywhere_max = limits.symbol_open_orders_max, limits.open_orders_max
    if here_max is None or everywhere_max is None:
        return Finding(measured, "not set", "the limit of open orders is not set")
    limit = f"{everywhere_max} orders, {here_max} of a symbol and side"
    many = here > here_max or everywhere > everywhere_max
    return Finding(measured, limit, f"{measured} would be open, the limit is {limit}" if many else None)


def _beside(proposed: ProposedOrder, portfolio: Portfolio) -> tuple[datetime | None, int, int]:
    """Return when the last like order was made, how many like ones work, and how many the other way."""
    holding = portfolio.holding
    if side_of(proposed) == Side.BUY:
        return holding.last_buy_at, holding.buy_orders, holding.sell_orders
    return holding.last_sell_at, holding.sell_orders, holding.buy_orders


CONTROLS = (
    Control(
        code="DUPLICATE_ORDER",
        title="Not the same order again",
        sentence="A second opening order of a symbol and side is refused for so long after the first; a signal's also "
        "while the first works.",
        unit="s",
        rule=is_no_duplicate,
        new_orders_only=True,
        limits=("duplicate_window_seconds",),
    ),
    Control(
        code="SELF_MATCH",
        title="Does not trade with itself",
        sentence="Nothing is opened against a working order of our own in the symbol.",
        unit="orders the other way",
        rule=does_not_meet_its_own,
        limits=("opposite_orders_allowed",),
    ),
    Control(
        code="OPEN_ORDERS_EXCEEDED",
        title="Open orders",
        sentence="The most orders that may be unsent, in doubt or resting: in all, and of one symbol and side.",
        unit="orders",
        rule=open_orders_are_few,
        new_orders_only=True,
        limits=("open_orders_max", "symbol_open_orders_max"),
    ),
)
