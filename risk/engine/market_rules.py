"""
The controls about the market's hours. See `rules` for the catalogue.

Opening and closing orders alike leave in continuous trading only, never into the closing auction. What a signal opens
keeps out of the first five and the last fifteen minutes besides. What only closes may go by the weekday's hours in a
year that is not complete, and by a person's hand in a special session whose times are not known: the exchange will say
whether it trades.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from risk.engine.control import Applies, Control, Finding
from risk.engine.facts import Origin, Portfolio, ProposedOrder, TradingSignalType, is_closing
from risk.engine.limits import Limits
from risk.engine.sessions import MUMBAI, MarketSession, Phase

AFTER_THE_OPEN = timedelta(minutes=5)  # prices of the first minutes are no guide
BEFORE_THE_CLOSE = timedelta(minutes=15)  # what is opened later cannot be closed again on the same day


def market_is_open(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    """Open by the calendar; what only closes is held to what of it is sure."""
    market, closing = portfolio.market, not _may_open(proposed, portfolio)
    if not market.keeps_hours:
        return Finding("round the clock", "an open market", None)
    measured, again = f"{market.phase} at {_moment(now)}", _opens_next(market)
    if market.lacks_hours:
        reason = f"the hours of {market.day_name} are not in the calendar; after it, {again}"
        return Finding(measured, "known hours", None if closing and proposed.origin == Origin.MANUAL else reason)
    if not market.year_complete and not closing:
        reason = f"the calendar of {now.astimezone(MUMBAI).year} is not complete: nothing is opened"
        return Finding(measured, "a complete calendar", reason)
    if market.phase in {Phase.CONTINUOUS, Phase.AUCTION}:
        return Finding(measured, "an open market", None)
    why = f" ({market.day_name})" if market.day_name else ""
    return Finding(measured, "an open market", f"the market is closed{why}: {again}")


def trading_is_continuous(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    market = portfolio.market
    if not market.keeps_hours:
        return Finding("round the clock", "not in an auction", None)
    measured = f"{market.phase} at {_moment(now)}"
    if market.phase != Phase.AUCTION or market.auction_ends_at is None:
        return Finding(measured, "not in an auction", None)
    reason = f"the closing auction runs until {_clock(market.auction_ends_at)}: {_opens_next(market)}"
    return Finding(measured, "not in an auction", reason)


def opening_is_in_its_window(proposed: ProposedOrder, portfolio: Portfolio, limits: Limits, now: datetime) -> Finding:
    market = portfolio.market
    if market.opens_at is None or market.closes_at is None or market.phase != Phase.CONTINUOUS:
        return Finding("not in session", "none", None)  # which MARKET_CLOSED and NOT_CONTINUOUS judge
    first, last = market.opens_at + AFTER_THE_OPEN, market.closes_at - BEFORE_THE_CLOSE
    limit, measured = f"{_clock(first)} to {_clock(last)} for a signal", _clock(now)
    if proposed.origin != Origin.AUTO or not _may_open(proposed, portfolio) or first <= now < last:
        return Finding(measured, limit, None)
    begins = f"it begins at {_clock(first)}" if now < first else f"it ended; {_opens_next(market)}"
    return Finding(measured, limit, f"{measured} is outside the window in which signals open positions: {begins}")


def _may_open(proposed: ProposedOrder, portfolio: Portfolio) -> bool:
    """A SELL never does: what is sold beyond what is held another control refuses, also where nothing is held yet."""
    return proposed.action != TradingSignalType.SELL and not is_closing(proposed, portfolio.holding)


def _clock(at: datetime) -> str:
    return f"{at.astimezone(MUMBAI):%H:%M:%S}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(MUMBAI):%H:%M:%S on %a %d %b %Y}"


def _opens_next(market: MarketSession) -> str:
    if market.next_open_at is None:
        return "when it opens next is not known: the calendar is not complete"
    return f"the market opens next at {_moment(market.next_open_at)}"


CONTROLS = (
    Control(
        code="MARKET_CLOSED",
        title="The market is open",
        sentence="Nothing is sent outside the exchange's hours or, to open, in a year without a complete calendar.",
        unit="phase",
        rule=market_is_open,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="NOT_CONTINUOUS",
        title="Trading is continuous",
        sentence="Nothing is sent into the closing auction.",
        unit="phase",
        rule=trading_is_continuous,
        applies=Applies.ALWAYS,
    ),
    Control(
        code="OPENING_WINDOW",
        title="Time of day to open",
        sentence="A signal opens nothing in the first five and the last fifteen minutes of the session.",
        unit="time",
        rule=opening_is_in_its_window,
    ),
)
