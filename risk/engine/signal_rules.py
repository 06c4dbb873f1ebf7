"""The controls about the switch and the signal: may anything go, and is this signal one to act on?"""

from __future__ import annotations

from datetime import datetime, timedelta

from risk.engine.control import Applies, Control, Finding, Outcome, plain
from risk.engine.facts import Origin, Portfolio, ProposedOrder, TradingSignalType, TradingState, is_closing
from risk.engine.limits import Limits
from risk.engine.sessions import MUMBAI


def trading_is_not_halted(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    exits = proposed.is_exit and is_closing(proposed, portfolio.holding)
    halted = portfolio.state == TradingState.HALTED and not exits
    return Finding(portfolio.state, "not HALTED", "trading is halted" if halted else None)


def state_allows_opening(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    reduce_only = portfolio.state == TradingState.REDUCE_ONLY
    return Finding(portfolio.state, "ACTIVE", "only closing orders may go" if reduce_only else None)


def auto_trading_is_on(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    measured = "on" if portfolio.auto_trading else "off"
    if proposed.origin != Origin.AUTO or portfolio.auto_trading:
        return Finding(measured, "on for a signal", None)
    return Finding(measured, "on for a signal", "auto-trading is off")


def signal_asks_for_a_trade(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    hold = proposed.action == TradingSignalType.HOLD
    return Finding(proposed.action, "BUY or SELL", "HOLD asks for nothing" if hold else None)


def score_is_strong_enough(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    if proposed.signal is None or proposed.action == TradingSignalType.HOLD:
        orphan = proposed.origin == Origin.AUTO and proposed.signal is None
        return Finding("no score", "none asked for", "an automatic order has no signal behind it" if orphan else None)
    score = proposed.signal.cms_score
    buying = proposed.action == TradingSignalType.BUY
    threshold = limits.cms_buy_threshold if buying else limits.cms_sell_threshold
    if threshold is None:
        return Finding(plain(score), "not set", "the score threshold is not set")
    passed = score > threshold if buying else score < threshold
    measured, limit = plain(score), f"{'above' if buying else 'below'} {plain(threshold)}"
    return Finding(measured, limit, None if passed else f"a {proposed.action} needs a score {limit}, got {measured}")


def signal_is_fresh(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    if proposed.signal is None:
        return Finding("no signal", "none", None)
    closing = is_closing(proposed, portfolio.holding)
    allowed = limits.closing_signal_age_max_seconds if closing else limits.signal_age_max_seconds
    age = now - proposed.signal.signal_at
    if allowed is None:
        return Finding(in_words(age), "not set", "the age limit for signals is not set")
    fresh = age <= timedelta(seconds=allowed)
    return Finding(in_words(age), f"{allowed} s", None if fresh else f"{in_words(age)} old{_time_zone_hint(age)}")


def signal_is_in_order(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    newest = proposed.signal.newest_decided_at if proposed.signal else None
    if proposed.signal is None or newest is None:
        return Finding("nothing newer", "the newest decided", None)
    older = proposed.signal.signal_at < newest
    reason = f"a newer signal for {proposed.symbol} was decided already" if older else None
    return Finding(_in_mumbai(proposed.signal.signal_at), f"not before {_in_mumbai(newest)}", reason)


def something_to_sell(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    closable = portfolio.holding.closable_by_sell
    selling = proposed.action == TradingSignalType.SELL and proposed.origin == Origin.AUTO
    reason = f"we hold no {proposed.symbol} of our own to sell" if selling and closable == 0 else None
    return Finding(f"{closable} shares", "what our fills opened", reason)


def in_words(age: timedelta) -> str:
    """Return an age as people say it: "5 h 30 min", "4 min 10 s", "12 s"."""
    seconds = round(age.total_seconds())
    if seconds < 0:
        return f"{-seconds} s ahead"
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _in_mumbai(moment: datetime) -> str:
    return f"{moment.astimezone(MUMBAI):%d %b %Y, %H:%M:%S.%f}"


def _time_zone_hint(age: timedelta) -> str:
    # India is 5 h 30 min ahead of UTC: an age close to that is a publisher's clock, not a slow queue.
    offset = timedelta(hours=5, minutes=30)
    return ": is the publisher on UTC?" if abs(age - offset) < timedelta(minutes=10) else ""


CONTROLS = (
    Control(
        code="TRADING_HALTED",
        title="Trading is not halted",
        sentence="While trading is halted nothing is sent but a person's exit of what is held.",
        unit="state",
        rule=trading_is_not_halted,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="TRADING_REDUCE_ONLY",
        title="New exposure is allowed",
        sentence="In REDUCE_ONLY only orders that close something may go.",
        unit="state",
        rule=state_allows_opening,
    ),
    Control(
        code="AUTO_TRADING_DISABLED",
        title="Auto-trading is on",
        sentence="Signals become orders only while a person has auto-trading on.",
        unit="on or off",
        rule=auto_trading_is_on,
        applies=Applies.ALWAYS,
        outcome=Outcome.IGNORED,
    ),
    Control(
        code="HOLD_SIGNAL",
        title="The signal asks for a trade",
        sentence="A HOLD asks for nothing.",
        unit="type of signal",
        rule=signal_asks_for_a_trade,
        applies=Applies.ALWAYS,
        outcome=Outcome.IGNORED,
    ),
    Control(
        code="CMS_SCORE_TOO_WEAK",
        title="CMS score past its threshold",
        sentence="A BUY needs a score strictly above its threshold, a SELL strictly below its own.",
        unit="score",
        rule=score_is_strong_enough,
        limits=("cms_buy_threshold", "cms_sell_threshold"),
        applies=Applies.ALWAYS,
        outcome=Outcome.IGNORED,
    ),
    Control(
        code="SIGNAL_STALE",
        title="Age of the signal",
        sentence="A signal older than its limit expires; one that closes may be older.",
        unit="s",
        rule=signal_is_fresh,
        limits=("signal_age_max_seconds", "closing_signal_age_max_seconds"),
        applies=Applies.ALWAYS,
        outcome=Outcome.EXPIRED,
    ),
    Control(
        code="SIGNAL_OUT_OF_ORDER",
        title="No newer signal was decided",
        sentence="A signal older than the newest one decided for its symbol and strategy expires.",
        unit="time",
        rule=signal_is_in_order,
        applies=Applies.ALWAYS,
        outcome=Outcome.EXPIRED,
    ),
    Control(
        code="NOTHING_TO_SELL",
        title="Something of ours to sell",
        sentence="A SELL signal closes what our own fills opened; without any it is ignored.",
        unit="shares",
        rule=something_to_sell,
        applies=Applies.ALWAYS,
        outcome=Outcome.IGNORED,
    ),
)
