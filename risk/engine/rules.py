"""
The catalogue of controls: one small function each, all with the same four arguments.

A rule says what it measured, what the limit is and, when the order must not go, why. It raises nothing and changes
nothing. Limits are inclusive: equal passes. An unknown fact refuses what opens, for unknown is not zero. The rules
about the shape of an order and the state of the broker are in `order_rules`; those about the signal and about what
may be risked are here, with the list that fixes the order of all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from risk.engine import market_rules, order_rules, rates
from risk.engine.facts import Origin, Portfolio, ProposedOrder, TradingSignalType, TradingState, is_closing
from risk.engine.limits import Limits
from risk.engine.order_rules import Finding, plain
from risk.engine.rates import MUMBAI
from risk.engine.sizing import exposure_price, worst_price

Rule = Callable[[ProposedOrder, Portfolio, Limits, datetime], Finding]


class Outcome(StrEnum):
    """What becomes of the signal when a control refuses it."""

    APPROVED = "APPROVED"
    IGNORED = "IGNORED"  # nothing was wrong, nothing was to be done
    DENIED = "DENIED"  # a limit or the state of trading said no
    EXPIRED = "EXPIRED"  # its time has passed


class Applies(StrEnum):
    """Whether a control looks at every order or only at those that open exposure."""

    ALWAYS = "ALWAYS"
    OPENING = "OPENING"


@dataclass(frozen=True, kw_only=True)
class Control:
    """One row of the catalogue. `code` is stable: it is stored, logged and searched for."""

    code: str
    title: str
    applies: Applies
    outcome: Outcome
    rule: Rule


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


def order_value_is_within_limit(
    proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime
) -> Finding:
    value = _order_value(proposed, portfolio, limits)
    return _rupees_within(value, limits.order_value_max, "order value")


def position_value_is_within_limit(
    proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime
) -> Finding:
    """What the position would be worth if every working order of the symbol filled, in INR, at the worse price."""
    price = worst_price(order_rules.side_of(proposed), proposed.limit_price, portfolio.quote, limits.collar_percent)
    if price is None:
        return _rupees_within(None, limits.position_value_max, "position value")
    price = exposure_price(price, portfolio.quote, portfolio.holding, limits)
    held = max(0, portfolio.holding.own) + portfolio.holding.working_buys
    added = proposed.quantity if proposed.action == TradingSignalType.BUY else 0
    return _rupees_within((held + added) * price, limits.position_value_max, "position value")


def daily_trades_are_left(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    done, allowed = portfolio.trades_today, limits.daily_trades_max
    if allowed is None:
        return Finding(f"{done} today", "not set", "the daily trade limit is not set")
    reason = None if done < allowed else f"{done} trades today, the limit is {allowed}"
    return Finding(f"{done} today", f"{allowed} a day", reason)


def daily_loss_is_within_limit(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """Unlike the other limits reaching it is enough: a limit of 0 allows no loss, and a day without one is at 0."""
    known = portfolio.day_loss is not None and portfolio.day_loss.is_finite()
    loss, limit = portfolio.day_loss if known else None, limits.daily_loss_max
    measured = "unknown" if loss is None else f"{max(loss, Decimal(0)):.2f} INR lost"
    if limit is None:
        return Finding(measured, "not set", "the daily loss limit is not set")
    if loss is None:
        return Finding(measured, f"{plain(limit)} INR", "the day's loss is unknown: a position has no last price")
    reached = loss >= limit and loss > 0
    reason = f"{loss:.2f} INR lost today, the limit is {plain(limit)} INR" if reached else None
    return Finding(measured, f"{plain(limit)} INR", reason)


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


def _order_value(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits) -> Decimal | None:
    price = worst_price(order_rules.side_of(proposed), proposed.limit_price, portfolio.quote, limits.collar_percent)
    return None if price is None else price * proposed.quantity


def _rupees_within(value: Decimal | None, limit: Decimal | None, what: str) -> Finding:
    measured = "unknown" if value is None else f"{value:.2f} INR"
    if limit is None:
        return Finding(measured, "not set", f"the {what} limit is not set")
    if value is None:
        return Finding(measured, f"{plain(limit)} INR", f"the {what} cannot be known without a price")
    reason = None if value <= limit else f"{what} {value:.2f} INR, the limit is {plain(limit)} INR"
    return Finding(measured, f"{plain(limit)} INR", reason)


def _control(code: str, title: str, applies: Applies, outcome: Outcome, rule: Rule) -> Control:
    return Control(code=code, title=title, applies=applies, outcome=outcome, rule=rule)


_ALWAYS, _OPENING = Applies.ALWAYS, Applies.OPENING
_DENIED, _IGNORED, _EXPIRED = Outcome.DENIED, Outcome.IGNORED, Outcome.EXPIRED

RULES: tuple[Control, ...] = (
    _control("TRADING_HALTED", "Trading is not halted", _ALWAYS, _DENIED, trading_is_not_halted),
    _control("TRADING_REDUCE_ONLY", "New exposure is allowed", _OPENING, _DENIED, state_allows_opening),
    _control("AUTO_TRADING_DISABLED", "Auto-trading is on", _ALWAYS, _IGNORED, auto_trading_is_on),
    _control("HOLD_SIGNAL", "The signal asks for a trade", _ALWAYS, _IGNORED, signal_asks_for_a_trade),
    _control("CMS_SCORE_TOO_WEAK", "CMS score past its threshold", _ALWAYS, _IGNORED, score_is_strong_enough),
    _control("SIGNAL_STALE", "Age of the signal", _ALWAYS, _EXPIRED, signal_is_fresh),
    _control("SIGNAL_OUT_OF_ORDER", "No newer signal was decided", _ALWAYS, _EXPIRED, signal_is_in_order),
    _control("NOTHING_TO_SELL", "Something of ours to sell", _ALWAYS, _IGNORED, something_to_sell),
    _control("SHORT_NOT_ALLOWED", "Sells only what is held", _ALWAYS, _DENIED, order_rules.sells_only_what_is_held),
    _control("WOULD_FLIP", "Does not cross zero", _ALWAYS, _DENIED, order_rules.does_not_cross_zero),
    _control("ORDER_QUANTITY", "Quantity, whole lots", _ALWAYS, _DENIED, order_rules.quantity_is_whole_lots),
    _control("ORDER_QTY_EXCEEDED", "Order quantity", _OPENING, _DENIED, order_rules.quantity_is_within_limit),
    _control("PRICE_MISSING", "A last price is known", _OPENING, _DENIED, order_rules.price_is_known),
    _control("PRICE_STALE", "Age of the last price", _OPENING, _DENIED, order_rules.price_is_fresh),
    _control("PRICE_NOT_ON_TICK", "Limit price on the tick grid", _ALWAYS, _DENIED, order_rules.price_is_on_tick),
    _control("PRICE_COLLAR_EXCEEDED", "Distance from last price", _ALWAYS, _DENIED, order_rules.price_is_in_collar),
    _control("ORDER_VALUE_EXCEEDED", "Order value", _OPENING, _DENIED, order_value_is_within_limit),
    _control("POSITION_VALUE_EXCEEDED", "Position size", _OPENING, _DENIED, position_value_is_within_limit),
    _control("DAILY_TRADES_EXCEEDED", "Trades of the day", _OPENING, _DENIED, daily_trades_are_left),
    _control("DAILY_LOSS_EXCEEDED", "Loss of the day", _OPENING, _DENIED, daily_loss_is_within_limit),
    _control(rates.RATE_LIMIT_EXCEEDED, "Pace of orders", _OPENING, _DENIED, rates.order_rate_is_within_limits),
    _control("BROKER_DAY_EXCEEDED", "The broker's orders of a day", _OPENING, _DENIED, rates.broker_day_has_room),
    _control("ORDER_IN_DOUBT", "No order is in doubt", _OPENING, _DENIED, order_rules.nothing_is_in_doubt),
    _control("NOT_RECONCILED", "Book compared with the broker", _OPENING, _DENIED, order_rules.book_is_reconciled),
    _control(
        "BROKER_POSITION_STALE",
        "Fresh broker position",
        _ALWAYS,
        _DENIED,
        order_rules.broker_position_is_fresh,
    ),
    _control("INCIDENT_OPEN", "No incident stops new exposure", _OPENING, _DENIED, order_rules.no_incident_stops_it),
    _control("BROKER_SESSION_INVALID", "Logged in at the broker", _ALWAYS, _DENIED, order_rules.session_is_valid),
    _control("LIVE_NOT_ARMED", "Live trading is armed", _ALWAYS, _DENIED, order_rules.live_is_armed),
    _control("MARKET_CLOSED", "The market is open", _ALWAYS, _DENIED, market_rules.market_is_open),
    _control("NOT_CONTINUOUS", "Trading is continuous", _ALWAYS, _DENIED, market_rules.trading_is_continuous),
    _control("OPENING_WINDOW", "Time of day to open", _OPENING, _DENIED, market_rules.opening_is_in_its_window),
)

# What can be said without asking the broker anything: a weak signal must not cost a price request.
SCREEN: tuple[Control, ...] = tuple(
    control
    for control in RULES
    if control.code in {"TRADING_HALTED", "TRADING_REDUCE_ONLY", "NOTHING_TO_SELL", rates.RATE_LIMIT_EXCEEDED}
    or control.code in {"MARKET_CLOSED", "NOT_CONTINUOUS", "OPENING_WINDOW"}
    or control.outcome in {Outcome.IGNORED, Outcome.EXPIRED}
)
