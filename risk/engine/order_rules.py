"""The controls about the shape of an order and about what is known of the broker. See `rules` for the catalogue."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from risk.engine.facts import OrderType, Portfolio, ProposedOrder, Side, TradingSignalType, closing_quantity, is_closing
from risk.engine.limits import (
    BROKER_POSITION_AGE_MAX_SECONDS,
    CLOCKS_APART_MAX_SECONDS,
    RECONCILED_AGE_MAX_SECONDS,
    Limits,
)
from risk.engine.sizing import HUNDRED, is_on_tick


class Finding(NamedTuple):
    """What a rule saw, what it allows, and the reason for no; None when there is none."""

    measured: str
    limit: str
    reason: str | None


def plain(number: Decimal) -> str:
    """Return a number without the zeros that its column adds: 60 for 60.00."""
    return f"{number.normalize():f}"


def side_of(proposed: ProposedOrder) -> Side:
    return Side.SELL if proposed.action == TradingSignalType.SELL else Side.BUY


def sells_only_what_is_held(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """Long only: no part of a SELL may open a short position. No order crosses zero."""
    closable = portfolio.holding.closable_by_sell
    if proposed.action != TradingSignalType.SELL or proposed.quantity <= closable:
        return Finding(f"{proposed.quantity} shares", f"{closable} held", None)
    reason = f"selling {proposed.quantity} when {closable} are held would open a short position"
    return Finding(f"{proposed.quantity} shares", f"{closable} held", reason)


def does_not_cross_zero(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """A BUY either closes a short position or opens; one that did both would turn the position over."""
    closing = closing_quantity(proposed, portfolio.holding)
    opening = proposed.quantity - closing
    measured = f"closes {closing}, opens {opening}"
    crosses = proposed.action == TradingSignalType.BUY and closing > 0 and opening > 0
    reason = f"it would close {closing} and open {opening} the other way: send two orders" if crosses else None
    return Finding(measured, "one of the two", reason)


def quantity_is_whole_lots(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """Whole lots of at least one; a closing order may sell the odd remainder of a holding."""
    measured = f"{proposed.quantity} shares"
    if proposed.action == TradingSignalType.HOLD:
        return Finding(measured, "none asked for", None)
    if proposed.lot_size is None or proposed.lot_size <= 0:
        return Finding(measured, "unknown", f"{proposed.exchange}:{proposed.symbol} is not a known instrument")
    limit = f"whole lots of {proposed.lot_size}"
    if proposed.quantity <= 0:
        return Finding(measured, limit, f"SIZE_BELOW_ONE_LOT: {proposed.size_note or 'nothing to trade'}")
    closes_all = proposed.quantity == closing_quantity(proposed, portfolio.holding) == _closable(proposed, portfolio)
    odd = proposed.quantity % proposed.lot_size != 0 and not closes_all
    return Finding(measured, limit, f"{proposed.quantity} is not in {limit}" if odd else None)


def quantity_is_within_limit(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    measured, allowed = f"{proposed.quantity} shares", limits.order_quantity_max
    if allowed is None:
        return Finding(measured, "not set", "the order quantity limit is not set")
    over = proposed.quantity > allowed
    return Finding(measured, f"{allowed} shares", f"{measured}, the limit is {allowed}" if over else None)


def price_is_known(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    if proposed.action == TradingSignalType.HOLD:
        return Finding("not asked for", "none", None)
    if portfolio.quote is None or portfolio.quote.price <= 0:
        return Finding("unknown", "known", f"no last price of {proposed.symbol} is known")
    return Finding(f"{plain(portfolio.quote.price)} INR", "known", None)


def price_is_fresh(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    if portfolio.quote is None:  # which PRICE_MISSING refuses
        return Finding("unknown", "none", None)
    seconds, allowed = portfolio.quote.age(now).total_seconds(), limits.quote_age_max_seconds
    if allowed is None:
        return Finding(f"{seconds:.1f} s", "not set", "the age limit for prices is not set")
    stale = seconds > allowed
    return Finding(f"{seconds:.1f} s", f"{allowed} s", f"the last price is {seconds:.1f} s old" if stale else None)


def price_is_on_tick(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    price, tick_size = proposed.limit_price, proposed.tick_size
    if price is None:
        lacking = proposed.order_type == OrderType.LIMIT and proposed.quantity > 0
        return Finding("no limit price", "one for a LIMIT", "a LIMIT order needs a price" if lacking else None)
    if tick_size is None or tick_size <= 0:
        return Finding(f"{plain(price)} INR", "unknown", f"the tick size of {proposed.symbol} is not known")
    valid = price > 0 and is_on_tick(price, tick_size)
    reason = None if valid else f"{plain(price)} INR is not a positive multiple of the tick {plain(tick_size)}"
    return Finding(f"{plain(price)} INR", f"multiples of {plain(tick_size)}", reason)


def price_is_in_collar(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """
    How far the limit price lies past the last price in the harmful direction, in percent.

    Compared by multiplication, so that no division rounds a price into the collar.
    """
    price, quote = proposed.limit_price, portfolio.quote
    if price is None or quote is None or quote.price <= 0:  # MARKET is bounded by the exchange's protection
        return Finding("no limit price", "none", None)
    closing = is_closing(proposed, portfolio.holding)
    percent = limits.closing_collar_percent if closing else limits.collar_percent
    if percent is None:
        return Finding(f"{plain(price)} INR", "not set", "the price collar is not set")
    beyond = price - quote.price if side_of(proposed) == Side.BUY else quote.price - price
    measured = f"{max(beyond, Decimal(0)) * HUNDRED / quote.price:.2f} %"
    outside = beyond * HUNDRED > quote.price * percent
    reason = f"{plain(price)} INR is {measured} past the last price {plain(quote.price)}" if outside else None
    return Finding(measured, f"{plain(percent)} %", reason)


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


def _closable(proposed: ProposedOrder, portfolio: Portfolio) -> int:
    selling = side_of(proposed) == Side.SELL
    return portfolio.holding.closable_by_sell if selling else portfolio.holding.closable_by_buy
