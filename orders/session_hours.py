"""Whether the market is open now, roughly: on paper always, live on weekdays from 09:15 to 15:30 in Mumbai."""

from __future__ import annotations

from datetime import time

from orders.broker.kite import IST
from orders.desk import Desk

OPEN, CLOSE = time(9, 15), time(15, 30)
FRIDAY = 4


def is_in_session(desk: Desk) -> bool:
    """
    Return whether a broker that cannot be read is an outage now, or merely asleep.

    Holidays are not known here: on one, an outage is reported that was none.
    """
    if not desk.is_live:
        return True
    local = desk.clock().astimezone(IST)
    return local.weekday() <= FRIDAY and OPEN <= local.time() <= CLOSE
