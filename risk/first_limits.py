"""The first limits of an installation, from the names that the environment has for them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

OPEN_ORDERS_LEAST = 5
# The environment has no name for these.
DERIVED = frozenset({"order_value_max", "gross_exposure_max", "open_orders_max"})


def first_values(environment: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return a consistent first set of limits from the environment's names.

    `environment` holds POSITION_SIZE, MAX_POSITION_SIZE, MAX_DAILY_TRADES, CMS_BUY_THRESHOLD and CMS_SELL_THRESHOLD.
    The others have no name there. The order value limit is half a position, and never less than one entry; all
    symbols together may be worth five positions. An entry is open until the broker's book shows its fill, so as many
    may be open as may be made in a day: signals that come at once are not refused for coming at once.
    """
    position_size = Decimal(environment["POSITION_SIZE"])
    position_value_max = Decimal(environment["MAX_POSITION_SIZE"])
    return {
        "position_size": position_size,
        "position_value_max": position_value_max,
        "order_value_max": min(max(position_size, position_value_max / 2), position_value_max),
        "gross_exposure_max": 5 * position_value_max,
        "daily_trades_max": environment["MAX_DAILY_TRADES"],
        "open_orders_max": max(OPEN_ORDERS_LEAST, environment["MAX_DAILY_TRADES"]),
        "cms_buy_threshold": Decimal(environment["CMS_BUY_THRESHOLD"]),
        "cms_sell_threshold": Decimal(environment["CMS_SELL_THRESHOLD"]),
    }
