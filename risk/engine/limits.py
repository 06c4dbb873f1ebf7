"""The numbers a decision is held against, with their units. None is "not configured" and refuses what opens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar


@dataclass(frozen=True, kw_only=True)
class Limits:
    """One version of the limits. Money is INR; equal to a limit passes, except the two thresholds."""

    version: int
    cms_buy_threshold: Decimal | None  # a BUY needs a score strictly above it
    cms_sell_threshold: Decimal | None  # a SELL needs a score strictly below it
    position_size: Decimal | None  # INR of one automatic entry
    round_up_to_one_lot: bool  # where position_size buys nothing, take one lot if the order value limit allows it
    order_value_max: Decimal | None  # INR
    order_quantity_max: int | None  # shares
    position_value_max: Decimal | None  # INR of one symbol, working orders counted as filled
    daily_trades_max: int | None  # orders of one Mumbai date that may still open
    daily_loss_max: Decimal | None  # INR of one Mumbai date, realised and not, charges included; reaching it stops
    charges_percent: Decimal  # what brokerage, taxes and fees are reckoned at, of what was bought and sold
    exits_after_loss: bool  # whether signals may still close positions once the loss or an exposure limit tripped
    exposure_breach_reduces: bool  # whether what is held past an exposure limit lets only closing go
    include_external: bool  # whether what the broker holds beyond ours counts in exposure and in the day's loss
    slippage_percent: Decimal | None  # how far past the last price a marketable LIMIT is set
    collar_percent: Decimal | None  # how far past the last price an opening order may go
    closing_collar_percent: Decimal | None  # likewise for an order that only closes
    signal_age_max_seconds: int | None
    closing_signal_age_max_seconds: int | None
    quote_age_max_seconds: int | None
    orders_per_second_max: int | None  # of all orders; what opens waits or is refused from then on
    orders_per_minute_max: int | None
    signal_drift_percent: Decimal | None  # how far the last price may be from the price that the signal names
    duplicate_window_seconds: int | None  # how long after an order a like one is a duplicate
    open_orders_max: int | None  # orders unsent, in doubt or resting, of all symbols
    symbol_open_orders_max: int | None  # likewise of one symbol and side
    opposite_orders_allowed: bool | None  # an order may meet one of our own
    adding_allowed: bool | None  # an order may add to what is held or being bought
    gross_exposure_max: Decimal | None  # INR of all symbols, working orders counted as filled
    positions_max: int | None  # symbols held or being bought
    funds_use_percent: Decimal | None  # of what the broker lets be spent
    reject_streak_max: int | None  # this many refusals of the broker in a row stop new exposure
    rejections_max: int | None  # likewise within REJECTIONS_WITHIN_SECONDS, in a row or not
    allowed_instruments: str | None  # kinds that may be opened, such as "NSE:EQ, BSE:EQ"
    instrument_blocked: bool = False  # of the symbol at hand
    only_product: str = ""  # of the symbol at hand; empty: any

    def within(self, own: InstrumentLimits) -> Limits:
        """Return the tighter of these and the instrument's own. What is not set here refuses what opens, still."""
        return replace(
            self,
            order_value_max=_least(self.order_value_max, own.order_value_max),
            order_quantity_max=_least(self.order_quantity_max, own.order_quantity_max),
            position_value_max=_least(self.position_value_max, own.position_value_max),
            instrument_blocked=self.instrument_blocked or own.blocked,
            only_product=own.product or self.only_product,
        )


@dataclass(frozen=True, kw_only=True)
class InstrumentLimits:
    """The limits of one symbol beside the general ones. None is "none of its own"."""

    blocked: bool = False
    order_value_max: Decimal | None = None  # INR
    order_quantity_max: int | None = None  # shares
    position_value_max: Decimal | None = None  # INR
    product: str = ""  # the only one that may be opened; empty: any


Number = TypeVar("Number", Decimal, int)


def _least(general: Number | None, own: Number | None) -> Number | None:
    return general if general is None or own is None else min(general, own)


def listed(names: str) -> frozenset[str]:
    """Return the entries of a list as people write it: with commas, in any case."""
    return frozenset(name.strip().upper() for name in names.split(",") if name.strip())


def covers(allowed: frozenset[str], entry: str) -> bool:
    """Return whether a list of kinds allows what the entry names: a kind, NSE:EQ, allows each of its symbols."""
    parts = entry.split(":")
    return entry in allowed or (len(parts) > 2 and ":".join(parts[:2]) in allowed)


SIGNAL_AHEAD_MAX_SECONDS = 30  # a publisher's clock may run this far ahead of ours
RECONCILED_AGE_MAX_SECONDS = 180  # the book is compared every minute; three misses are too many
BROKER_POSITION_AGE_MAX_SECONDS = 10
CLOCKS_APART_MAX_SECONDS = 30  # of two machines; what lies further ahead was dated before the clock was set back
FUNDS_AGE_MAX_SECONDS = 10
BAND_AGE_MAX_SECONDS = 300  # the exchange sets it for the day, and at times anew during the day
REJECTIONS_WITHIN_SECONDS = 600
