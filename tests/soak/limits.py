"""The limits of a run: wide, but for those of one order and one position, which bind all the time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

WIDE: dict[str, Any] = {
    "order_value_max": Decimal(5000),
    "order_quantity_max": 50,
    "position_value_max": Decimal(10_000),
    "daily_trades_max": 100_000,
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
