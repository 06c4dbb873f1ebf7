"""From a received signal to a decision, and an order written down."""

from __future__ import annotations

import pytest

from orders.deciding import decide
from orders.execution import submit
from orders.models import Order, Position, Signal
from orders.reconciliation import reconcile
from tests.conftest import open_the_limits


@pytest.fixture
def follow(desk):
    """Decide and send a signal, and read the book."""

    def go(signal: Signal) -> Order | None:
        order = decide(desk, signal)
        if order is not None:
            submit(desk, order)
            reconcile(desk)
            order.refresh_from_db()
        signal.refresh_from_db()
        return order

    return go


def test_a_strong_buy_becomes_one_filled_order_with_its_verdicts(follow, received):
    signal = received()

    order = follow(signal)

    assert (signal.status, order.status, order.quantity) == ("APPROVED", "FILLED", 1)
    assert order.broker_order_id.startswith("SIM")
    assert order.signal == signal
    assert all(verdict["passed"] for verdict in order.decision.verdicts)
    assert Position.objects.get().quantity == 1


def test_a_strong_sell_closes_what_our_fills_opened(follow, received):
    follow(received())
    follow(received())

    order = follow(received(signal_type="SELL", cms_score=-75))

    assert (order.side, order.quantity, order.status) == ("SELL", 2, "FILLED")
    assert Position.objects.get().quantity == 0


@pytest.mark.parametrize(
    ("changes", "control"),
    [
        ({"signal_type": "HOLD"}, "HOLD_SIGNAL"),
        ({"cms_score": 60.0}, "CMS_SCORE_TOO_WEAK"),
        ({"cms_score": 55}, "CMS_SCORE_TOO_WEAK"),
        ({"signal_type": "SELL", "cms_score": -60}, "CMS_SCORE_TOO_WEAK"),
        ({"signal_type": "SELL", "cms_score": -75}, "NOTHING_TO_SELL"),
    ],
)
def test_what_asks_for_nothing_is_ignored_by_name(follow, received, changes, control):
    signal = received(**changes)

    assert follow(signal) is None

    assert signal.status == "IGNORED"
    assert control in signal.reason


def test_the_eleventh_opening_trade_of_the_day_is_denied_by_name(follow, received):
    open_the_limits(daily_trades_max=10)
    for _ in range(10):
        assert follow(received()).status == "FILLED"

    eleventh = received()

    assert follow(eleventh) is None
    assert eleventh.status == "DENIED"
    assert eleventh.reason == "DAILY_TRADES_EXCEEDED: 10 trades today, the limit is 10"


def test_a_sell_still_closes_when_the_day_has_no_trades_left(follow, received):
    open_the_limits(daily_trades_max=1)
    follow(received())

    order = follow(received(signal_type="SELL", cms_score=-75))

    assert order.status == "FILLED"
