"""The numbers a decision is held against, with their units. None is "not configured" and refuses what opens."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


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
    exits_after_loss: bool  # whether signals may still close positions once the loss limit was reached
    slippage_percent: Decimal | None  # how far past the last price a marketable LIMIT is set
    collar_percent: Decimal | None  # how far past the last price an opening order may go
    closing_collar_percent: Decimal | None  # likewise for an order that only closes
    signal_age_max_seconds: int | None
    closing_signal_age_max_seconds: int | None
    quote_age_max_seconds: int | None
    orders_per_second_max: int | None  # of all orders; what opens waits or is refused from then on
    orders_per_minute_max: int | None


SIGNAL_AHEAD_MAX_SECONDS = 30  # a publisher's clock may run this far ahead of ours
RECONCILED_AGE_MAX_SECONDS = 180  # the book is compared every minute; three misses are too many
BROKER_POSITION_AGE_MAX_SECONDS = 10
CLOCKS_APART_MAX_SECONDS = 30  # of two machines; what lies further ahead was dated before the clock was set back
