"""What one read of the broker's book cannot say, and what two in a row can."""

from __future__ import annotations

import pytest

from orders.desk import DeskRules
from orders.execution import cancel
from orders.models import Order
from orders.reconciliation import reconcile
from risk.models import Incident
from tests.conftest import StillClock

from .stand_ins import BookGateway, report_of, trade_of
from .test_adversity import kinds
from .test_reconciliation import place_elsewhere

pytestmark = pytest.mark.usefixtures("noon")


def test_a_fill_between_the_reading_of_the_orders_and_of_the_trades_is_nothing_odd(desk, resting, wired):
    order = resting()
    broker = BookGateway(orders=[report_of(order, "OPEN")], trades=[trade_of(order, "T1", 1)])

    reconcile(wired(desk, gateway=broker))
    reconcile(wired(desk, gateway=broker))

    order.refresh_from_db()
    assert (order.status, order.cancel_requested_at) == ("FILLED", None)
    assert broker.cancelled == []
    assert kinds() == []


def test_an_order_of_somebody_else_that_comes_back_is_left_alone(desk, resting, wired, paper):
    stranger = place_elsewhere(paper, quantity=1, price=1300.0)
    reconcile(desk)
    order = Order.objects.get(broker_order_id=stranger)
    broker = BookGateway(orders=[report_of(order, "CANCELLED", tag="")])
    reconcile(wired(desk, gateway=broker))

    broker.orders = [report_of(order, "OPEN", tag="")]
    reconcile(wired(desk, gateway=broker))

    assert broker.cancelled == []
    assert kinds() == []


def test_an_order_missing_twice_but_seen_unchanged_in_between_has_not_vanished(desk, resting, wired):
    order = resting()
    broker = BookGateway()
    there = wired(desk, gateway=broker)

    for listed in ([], [report_of(order, "OPEN")], [report_of(order, "OPEN")], []):
        broker.orders = listed
        reconcile(there)

    assert kinds() == []


@pytest.mark.parametrize(("seconds", "told"), [(0.9, []), (1.1, ["VANISHED_ORDER"])])
def test_two_reads_in_one_moment_are_one_look(desk, resting, wired, seconds, told):
    """Another process, or a script, may read the same answer of the broker a moment later."""
    resting()
    clock = StillClock().at_noon()
    there = wired(desk, gateway=BookGateway(), rules=DeskRules(), clock=clock)

    reconcile(there)
    clock.advance(seconds=seconds)
    reconcile(there)

    assert kinds() == told


def test_a_clock_that_was_set_back_does_not_keep_a_vanished_order_from_being_told(desk, resting, wired, clock):
    resting()
    there = wired(desk, gateway=BookGateway())
    clock.advance(hours=1)
    reconcile(there)
    clock.advance(hours=-1)

    for _ in range(2):
        reconcile(there)

    assert kinds() == ["VANISHED_ORDER"]


def test_a_resolved_difference_is_not_told_again_after_an_order_in_its_symbol(desk, held, resting, paper, clock):
    held(5)
    place_elsewhere(paper, transaction_type="SELL", quantity=2, price=1395.0)
    reconcile(desk)
    reconcile(desk)
    Incident.objects.get(kind="POSITION_DIFFERENCE").resolve(by="asha", note="sold by hand", now=clock())

    order = resting()
    reconcile(desk)
    cancel(desk, order, by="priya", reason="test")
    for _ in range(3):
        reconcile(desk)

    assert Incident.objects.filter(kind="POSITION_DIFFERENCE").count() == 1
