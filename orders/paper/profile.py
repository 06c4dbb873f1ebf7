"""
How strict this Kite is: today's rules, or those that older clients were written for.

Numbers that Zerodha changes are here and nowhere else. Sources: Kite Connect v3 documentation of July 2026
("Exceptions and errors", "Historical candle data") and the staff's answers on its forum.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

INTERVALS = ("minute", "3minute", "5minute", "10minute", "15minute", "30minute", "60minute", "day")


@dataclass(frozen=True, kw_only=True)
class Profile:
    name: str
    needs_market_protection: bool
    rate_limits: bool
    keeps_hours: bool  # False: the market is open whatever the calendar says
    amo_at_any_hour: bool
    refuses_wrong_side_stops: bool
    refuses_missing_price: bool  # False: a limit order without a price gets an id, and is rejected then
    tick_max: Decimal  # INR; a price on this tick is taken also where the exchange's is coarser
    span_days: MappingProxyType[str, int]  # the longest history that one call may ask for, by interval


STRICT = Profile(
    name="strict",
    needs_market_protection=True,
    rate_limits=True,
    keeps_hours=True,
    amo_at_any_hour=False,
    refuses_wrong_side_stops=True,
    refuses_missing_price=True,
    tick_max=Decimal("Infinity"),
    span_days=MappingProxyType(dict(zip(INTERVALS, (60, 100, 100, 100, 200, 200, 400, 2000), strict=True))),
)
RELAXED = Profile(
    name="relaxed",
    needs_market_protection=False,
    rate_limits=False,
    keeps_hours=False,
    amo_at_any_hour=True,
    refuses_wrong_side_stops=False,
    refuses_missing_price=False,
    tick_max=Decimal("0.05"),  # of every share until 2024
    span_days=MappingProxyType(dict(zip(INTERVALS, (30, 90, 90, 90, 180, 180, 365, 2000), strict=True))),
)
PROFILES = {profile.name: profile for profile in (STRICT, RELAXED)}
