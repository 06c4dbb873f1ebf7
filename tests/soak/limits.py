"""The limits of a run: wide, but for those of one order and one position, which bind all the time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

WIDE: dict[str, Any] = {
    "order_value_max": Decimal(5000),
    "order_quantity_max": 50,
    "position_value_max": Decimal(10_000),
    "daily_trades_max": 5000,
    "position_size": Decimal(1500),
    "orders_per_second_max": 8,
    "orders_per_minute_max": 360,
    "duplicate_window_seconds": 0,
    "open_orders_max": 1000,
    "symbol_open_orders_max": 1000,
    "gross_exposure_max": Decimal(100_000_000),
    "positions_max": 1000,
    "reject_streak_max": 100,
    "rejections_max": 100,
}

# Without them a start would hold the limits to the usual ceilings, and a long run would stop trading at a hundred.
CEILINGS = {
    "CEILING_MAX_DAILY_TRADES": "5000",
    "CEILING_ORDERS_PER_MINUTE": "360",
    "CEILING_OPEN_ORDERS": "1000",
    "CEILING_SYMBOL_OPEN_ORDERS": "1000",
    "CEILING_GROSS_EXPOSURE": "100000000",
    "CEILING_POSITIONS": "1000",
    "CEILING_REJECT_STREAK": "100",
    "CEILING_REJECTIONS": "100",
}
