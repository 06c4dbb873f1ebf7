"""The controls about the shape of an order: its side, its quantity, its price."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from risk.engine.control import Applies, Control, Finding, plain
from risk.engine.facts import OrderType, Portfolio, ProposedOrder, Side, TradingSignalType, closing_quantity, is_closing
from risk.engine.limits import BAND_AGE_MAX_SECONDS, Limits
from risk.engine.sizing import HUNDRED, is_on_tick


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
    measured, allowed = f"{proposed.whole_quantity} shares", limits.order_quantity_max
    if allowed is None:
        return Finding(measured, "not set", "the order quantity limit is not set")
    over = proposed.whole_quantity > allowed
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


def price_is_in_band(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """The exchange surely refuses a price outside its circuit limits. A closing order was clipped to them."""
    price, band = proposed.limit_price, portfolio.band
    if proposed.action == TradingSignalType.HOLD:
        return Finding("not asked for", "none", None)
    if band is None:
        return Finding("unknown", "known", f"the price band of {proposed.symbol} is not known")
    limit = f"{plain(band.lower)} to {plain(band.upper)} INR"
    if (age := now - band.as_of) > timedelta(seconds=BAND_AGE_MAX_SECONDS):
        return Finding(f"{age.total_seconds():.0f} s ago", limit, "the price band was read too long ago")
    if price is None:
        return Finding("no limit price", limit, None)
    outside = not band.lower <= price <= band.upper
    return Finding(f"{plain(price)} INR", limit, f"{plain(price)} INR is outside {limit}" if outside else None)


def price_has_not_drifted(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """How far the last price has gone from the one that the signal names, either way; compared by multiplication."""
    told, percent = proposed.signal and proposed.signal.signal_price, limits.signal_drift_percent
    if not told or told <= 0 or portfolio.quote is None:
        return Finding("no price told", "none", None)
    gone = abs(portfolio.quote.price - told)
    measured = f"{gone * HUNDRED / told:.2f} %"
    if percent is None:
        return Finding(measured, "not set", "the signal price drift is not set")
    reason = f"the last price {plain(portfolio.quote.price)} is {measured} from the {plain(told)} of the signal"
    return Finding(measured, f"{plain(percent)} %", reason if gone * HUNDRED > told * percent else None)


def _closable(proposed: ProposedOrder, portfolio: Portfolio) -> int:
    selling = side_of(proposed) == Side.SELL
    return portfolio.holding.closable_by_sell if selling else portfolio.holding.closable_by_buy


CONTROLS = (
    Control(
        code="SHORT_NOT_ALLOWED",
        title="Sells only what is held",
        sentence="No part of a SELL may open a short position.",
        unit="shares",
        rule=sells_only_what_is_held,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="WOULD_FLIP",
        title="Does not cross zero",
        sentence="One order closes or opens, and never turns a position over.",
        unit="shares",
        rule=does_not_cross_zero,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="ORDER_QUANTITY",
        title="Quantity, whole lots",
        sentence="The quantity is whole lots, at least one; the odd rest of a holding may be sold.",
        unit="shares",
        rule=quantity_is_whole_lots,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="ORDER_QTY_EXCEEDED",
        title="Order quantity",
        sentence="The most shares in one opening order.",
        unit="shares",
        rule=quantity_is_within_limit,
        limits=("order_quantity_max",),
    ),
    Control(
        code="PRICE_MISSING",
        title="A last price is known",
        sentence="Nothing is opened without a last price to value it by.",
        unit="INR",
        rule=price_is_known,
    ),
    Control(
        code="PRICE_STALE",
        title="Age of the last price",
        sentence="Nothing is opened on a last price older than the limit.",
        unit="s",
        rule=price_is_fresh,
        limits=("quote_age_max_seconds",),
    ),
    Control(
        code="PRICE_NOT_ON_TICK",
        title="Limit price on the tick grid",
        sentence="A limit price is a multiple of the instrument's tick.",
        unit="INR",
        rule=price_is_on_tick,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="PRICE_COLLAR_EXCEEDED",
        title="Distance from last price",
        sentence="How far past the last price a limit may be set; what closes may go further.",
        unit="%",
        rule=price_is_in_collar,
        limits=("collar_percent", "closing_collar_percent"),
        applies=Applies.ALWAYS,
    ),
    Control(
        code="OUTSIDE_PRICE_BAND",
        title="Inside the exchange's price band",
        sentence="Nothing is opened outside the exchange's circuit limits; what closes is clipped to them.",
        unit="INR",
        rule=price_is_in_band,
    ),
    Control(
        code="SIGNAL_PRICE_DRIFT",
        title="Distance from the signal's price",
        sentence="Nothing is opened when the market has gone too far from the price that the signal names.",
        unit="%",
        rule=price_has_not_drifted,
        limits=("signal_drift_percent",),
    ),
)
