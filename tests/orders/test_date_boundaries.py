"""The first and the last microsecond of a date in Mumbai, on a server that keeps UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orders.deciding import decide_manual
from orders.desk import trading_date
from orders.models import BrokerSession, Order
from tests.conftest import StillClock, open_the_limits

from .test_further_controls import refused

IST = ZoneInfo("Asia/Kolkata")


@pytest.fixture
def clock():
    return StillClock()


def to_the_last_moment_of_the_day(clock):
    """Return the first moment of the next date in Mumbai, a microsecond ahead."""
    tomorrow = (clock().astimezone(IST) + timedelta(days=1)).date()
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=IST)
    clock.ahead += midnight - timedelta(microseconds=1) - clock()
    return midnight


def test_the_trades_of_a_day_end_with_its_last_microsecond_in_mumbai(desk, wish, clock):
    midnight = to_the_last_moment_of_the_day(clock)
    BrokerSession.objects.update(reconciled_at=midnight)
    open_the_limits(daily_trades_max=1)
    decide_manual(desk, wish())
    assert refused(desk, wish()).startswith("DAILY_TRADES_EXCEEDED: 1 trades today, the limit is 1")

    clock.advance(microseconds=1)
    order = decide_manual(desk, wish())

    assert clock() == midnight
    assert order.trading_date == trading_date(midnight)
    assert sorted(Order.objects.values_list("trading_date", flat=True)) == [
        trading_date(midnight - timedelta(microseconds=1)),
        trading_date(midnight),
    ]
    assert refused(desk, wish()).startswith("DAILY_TRADES_EXCEEDED: 1 trades today, the limit is 1")
