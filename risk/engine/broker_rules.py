"""The controls about what is known of the broker, and about what has gone wrong there."""

from __future__ import annotations

from datetime import datetime, timedelta

from risk.engine.control import Applies, Control, Finding
from risk.engine.facts import Portfolio, ProposedOrder, TradingSignalType, closing_quantity
from risk.engine.limits import (
    BROKER_POSITION_AGE_MAX_SECONDS,
    CLOCKS_APART_MAX_SECONDS,
    RECONCILED_AGE_MAX_SECONDS,
    REJECTIONS_WITHIN_SECONDS,
    Limits,
)


def nothing_is_in_doubt(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    count = portfolio.orders_in_doubt
    reason = f"{count} sent without a trustworthy answer" if count else None
    return Finding(f"{count} in doubt", "none", reason)


def book_is_reconciled(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    limit = f"within {RECONCILED_AGE_MAX_SECONDS} s"
    if portfolio.reconciled_at is None:
        return Finding("never", limit, "our book was not compared with the broker's yet")
    age = (now - portfolio.reconciled_at).total_seconds()
    if age < -CLOCKS_APART_MAX_SECONDS:
        return Finding(f"{-age:.0f} s ahead", limit, "the clock was set back since our book was last compared")
    late = age > RECONCILED_AGE_MAX_SECONDS
    return Finding(f"{age:.0f} s ago", limit, f"last compared with the broker {age:.0f} s ago" if late else None)


def broker_position_is_fresh(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """What closes goes by what the broker holds for us now; what it held a while ago may be closed already."""
    limit = f"within {BROKER_POSITION_AGE_MAX_SECONDS} s"
    sells = proposed.action == TradingSignalType.SELL and proposed.quantity > 0
    if not sells and closing_quantity(proposed, portfolio.holding) == 0:
        return Finding("not asked for", "none", None)
    as_of = portfolio.holding.broker_as_of
    if as_of is None or portfolio.holding.broker is None:
        return Finding("unknown", limit, "the broker's position could not be read")
    fresh = now - as_of <= timedelta(seconds=BROKER_POSITION_AGE_MAX_SECONDS)
    measured = f"{(now - as_of).total_seconds():.1f} s ago"
    return Finding(measured, limit, None if fresh else f"the broker's position was read {measured}")


def no_incident_stops_it(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    return Finding(f"{len(portfolio.stops)} open", "none", "; ".join(portfolio.stops) or None)


def session_is_valid(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    reason = None if portfolio.session_valid else "there is no valid login at the broker"
    return Finding("valid" if portfolio.session_valid else "none", "valid", reason)


def live_is_armed(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    if not portfolio.is_live:
        return Finding("paper", "armed when live", None)
    reason = None if portfolio.armed else "nobody has armed live trading yet"
    return Finding("armed" if portfolio.armed else "not armed", "armed", reason)


def rejections_are_few(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """What the broker refuses again and again points at broken logic or a broken account, not at one order."""
    streak, lately = portfolio.rejections_in_a_row, portfolio.rejections_lately
    minutes = REJECTIONS_WITHIN_SECONDS // 60
    measured = f"{streak} in a row, {lately} in {minutes} min"
    if limits.reject_streak_max is None or limits.rejections_max is None:
        return Finding(measured, "not set", "the limit of the broker's refusals is not set")
    limit = f"below {limits.reject_streak_max} in a row and {limits.rejections_max} in {minutes} min"
    return Finding(measured, limit, too_many_rejections(streak, lately, limits))


def too_many_rejections(streak: int, lately: int, limits: Limits) -> str | None:
    """Return why the broker's refusals stop new exposure; None when they do not, or no limit is set."""
    in_a_row = limits.reject_streak_max is not None and streak >= limits.reject_streak_max
    in_all = limits.rejections_max is not None and lately >= limits.rejections_max
    if not (in_a_row or in_all):
        return None
    return f"the broker refused {streak} orders in a row, {lately} in {REJECTIONS_WITHIN_SECONDS // 60} min"


CONTROLS = (
    Control(
        code="REJECT_STREAK",
        title="Refusals by the broker",
        sentence="So many in a row, or within ten minutes, set trading to REDUCE_ONLY and auto-trading off.",
        unit="orders",
        rule=rejections_are_few,
        limits=("reject_streak_max", "rejections_max"),
    ),
    Control(
        code="ORDER_IN_DOUBT",
        title="No order is in doubt",
        sentence="Nothing is opened while an order was sent without a trustworthy answer.",
        unit="orders",
        rule=nothing_is_in_doubt,
    ),
    Control(
        code="NOT_RECONCILED",
        title="Book compared with the broker",
        sentence="Nothing is opened unless our book was compared with the broker's a short while ago.",
        unit="s",
        rule=book_is_reconciled,
    ),
    Control(
        code="BROKER_POSITION_STALE",
        title="Fresh broker position",
        sentence="What closes goes by the broker's position of this moment.",
        unit="s",
        rule=broker_position_is_fresh,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="INCIDENT_OPEN",
        title="No incident stops new exposure",
        sentence="Some incidents stop new exposure, in a symbol or in all, until a person resolves them.",
        unit="incidents",
        rule=no_incident_stops_it,
    ),
    Control(
        code="BROKER_SESSION_INVALID",
        title="Logged in at the broker",
        sentence="Nothing is sent without a login that is valid now.",
        unit="login",
        rule=session_is_valid,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="LIVE_NOT_ARMED",
        title="Live trading is armed",
        sentence="Live orders go only to the account that a person named.",
        unit="account",
        rule=live_is_armed,
        applies=Applies.ALWAYS,
    ),
)
