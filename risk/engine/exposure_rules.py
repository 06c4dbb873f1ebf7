"""The controls about what may be risked: in one order, in one symbol, in the whole book, with the money there is."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from risk.engine.control import Control, Finding, plain
from risk.engine.facts import Elsewhere, Portfolio, ProposedOrder, TradingSignalType
from risk.engine.limits import FUNDS_AGE_MAX_SECONDS, Limits
from risk.engine.order_rules import side_of
from risk.engine.sizing import HUNDRED, exposure_price, with_charges, worst_price


def order_value_is_within_limit(
    proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime
) -> Finding:
    value = _order_value(proposed, portfolio, limits)
    return _rupees_within(value, limits.order_value_max, "order value")


def position_value_is_within_limit(
    proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime
) -> Finding:
    """What the position would be worth if every working order of the symbol filled, in INR, at the worse price."""
    return _rupees_within(_position_value(proposed, portfolio, limits), limits.position_value_max, "position value")


def gross_exposure_is_within_limit(
    proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime
) -> Finding:
    """What the whole book would be worth if every working order of every symbol filled, in INR."""
    here, elsewhere = _position_value(proposed, portfolio, limits), value_elsewhere(portfolio, limits)
    gross = None if here is None or elsewhere is None else here + elsewhere
    return _rupees_within(gross, limits.gross_exposure_max, "gross exposure")


def positions_are_few(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """How many symbols would be open with this one, if every working order filled."""
    count, allowed = 1 + len(portfolio.others), limits.positions_max
    if allowed is None:
        return Finding(f"{count} symbols", "not set", "the limit of open positions is not set")
    reason = f"{count} symbols would be open, the limit is {allowed}" if count > allowed else None
    return Finding(f"{count} symbols", f"{allowed} symbols", reason)


def position_may_be_added_to(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    held = max(0, portfolio.holding.own) + portfolio.holding.working_buys
    measured = f"{held} held or being bought"
    if limits.adding_allowed is None:
        return Finding(measured, "not set", "whether a position may be added to is not set")
    adds = proposed.action == TradingSignalType.BUY and held > 0
    limit = "any" if limits.adding_allowed else "none"
    return Finding(measured, limit, f"{measured}: nothing is added" if adds and not limits.adding_allowed else None)


def funds_are_sufficient(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """What the order may cost with its charges, beside our other buys, of what the broker lets be spent, in INR."""
    needed, spendable = _cost(proposed, portfolio, limits), money_left(portfolio, limits)
    measured = "unknown" if needed is None else f"{needed:.2f} INR"
    if limits.funds_use_percent is None:
        return Finding(measured, "not set", "how much of the funds may be used is not set")
    if portfolio.funds is None or needed is None or spendable is None:
        return Finding(measured, "unknown", "what may be spent at the broker is not known")
    if (age := now - portfolio.funds.as_of) > timedelta(seconds=FUNDS_AGE_MAX_SECONDS):
        return Finding(measured, "unknown", f"what may be spent was read {age.total_seconds():.1f} s ago")
    reason = f"it needs {needed:.2f} INR, and {spendable:.2f} may be spent" if needed > spendable else None
    return Finding(measured, f"{spendable:.2f} INR", reason)


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


def value_elsewhere(portfolio: Portfolio, limits: Limits) -> Decimal | None:
    """Return what the other symbols may be worth, in INR; None when a price, or the collar it needs, is not known."""
    in_all = Decimal(0)
    for each in portfolio.others:
        value = worth(each, limits)
        if value is None:
            return None
        in_all += value
    return in_all


def money_left(portfolio: Portfolio, limits: Limits) -> Decimal | None:
    """Return what may still be spent at the broker, in INR, charges included; None when that is not known."""
    funds, percent, collar = portfolio.funds, limits.funds_use_percent, limits.collar_percent
    if funds is None or funds.committed is None or percent is None:
        return None
    if funds.committed_at_market and collar is None:
        return None
    at_market = funds.committed_at_market * (1 + (collar or 0) / HUNDRED)
    return funds.available * percent / HUNDRED - with_charges(funds.committed + at_market, limits)


def worth(other: Elsewhere, limits: Limits) -> Decimal | None:
    """
    Return what a symbol may be worth, in INR: the greater of when all its buys fill and when all its sells do.

    None when its price, or the collar it needs, is not known.
    """
    value, collar = other.value, limits.collar_percent
    if value is None or not other.market_buys_work:
        return value
    return None if collar is None else value * (1 + collar / HUNDRED)


def _position_value(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits) -> Decimal | None:
    price = worst_price(side_of(proposed), proposed.limit_price, portfolio.quote, limits.collar_percent)
    if price is None or portfolio.holding.external is None:
        return None
    price = exposure_price(price, portfolio.quote, portfolio.holding, limits)
    held = portfolio.holding.long_when_filled
    added = proposed.quantity if proposed.action == TradingSignalType.BUY else 0
    return (held + added) * price


def _cost(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits) -> Decimal | None:
    """Return what it costs; of a modification only what it costs more, for the rest it replaces is paid for."""
    price = worst_price(side_of(proposed), proposed.limit_price, portfolio.quote, limits.collar_percent)
    if price is None:
        return None
    old = proposed.replaces
    blocked = old.quantity * old.limit_price if old else Decimal(0)  # charges perhaps not: they are not relied on
    return max(Decimal(0), with_charges(price * proposed.quantity, limits) - blocked)


def _order_value(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits) -> Decimal | None:
    price = worst_price(side_of(proposed), proposed.limit_price, portfolio.quote, limits.collar_percent)
    return None if price is None else price * proposed.whole_quantity


def _rupees_within(value: Decimal | None, limit: Decimal | None, what: str) -> Finding:
    measured = "unknown" if value is None else f"{value:.2f} INR"
    if limit is None:
        return Finding(measured, "not set", f"the {what} limit is not set")
    if value is None:
        return Finding(measured, f"{plain(limit)} INR", f"the {what} cannot be known without a price and the shares")
    reason = None if value <= limit else f"{what} {value:.2f} INR, the limit is {plain(limit)} INR"
    return Finding(measured, f"{plain(limit)} INR", reason)


CONTROLS = (
    Control(
        code="ORDER_VALUE_EXCEEDED",
        title="Order value",
        sentence="The most that one opening order may be worth.",
        unit="INR",
        rule=order_value_is_within_limit,
        limits=("order_value_max",),
    ),
    Control(
        code="POSITION_VALUE_EXCEEDED",
        title="Position size",
        sentence="The most that one symbol may be worth, working orders counted as filled.",
        unit="INR",
        rule=position_value_is_within_limit,
        limits=("position_value_max",),
    ),
    Control(
        code="GROSS_EXPOSURE_EXCEEDED",
        title="Gross exposure",
        sentence="The most that all symbols together may be worth, working and doubtful orders counted as filled.",
        unit="INR",
        rule=gross_exposure_is_within_limit,
        limits=("gross_exposure_max",),
    ),
    Control(
        code="MAX_POSITIONS_EXCEEDED",
        title="Open positions",
        sentence="The most symbols that may be held or being bought at a time.",
        unit="symbols",
        rule=positions_are_few,
        new_orders_only=True,
        limits=("positions_max",),
    ),
    Control(
        code="ADDING_NOT_ALLOWED",
        title="Adding to a position",
        sentence="Where it is switched off, nothing is bought of what is held or being bought already.",
        unit="held",
        rule=position_may_be_added_to,
        limits=("adding_allowed",),
    ),
    Control(
        code="INSUFFICIENT_FUNDS",
        title="Funds at the broker",
        sentence="An opening order and its charges fit into this part of what the broker lets be spent.",
        unit="INR",
        rule=funds_are_sufficient,
        limits=("funds_use_percent", "charges_percent"),
    ),
    Control(
        code="DAILY_TRADES_EXCEEDED",
        title="Trades of the day",
        sentence="Nothing is opened once this many orders were made on a Mumbai date.",
        unit="orders",
        rule=daily_trades_are_left,
        new_orders_only=True,
        limits=("daily_trades_max",),
    ),
    Control(
        code="DAILY_LOSS_EXCEEDED",
        title="Loss of the day",
        sentence="Nothing is opened once the day's loss, realised and unrealised with charges, reaches this much.",
        unit="INR",
        rule=daily_loss_is_within_limit,
        limits=("daily_loss_max", "charges_percent"),
    ),
)
