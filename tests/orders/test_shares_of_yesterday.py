"""Shares bought yesterday are held at the broker before they are settled (T+1), sold at once, and earn today."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders.average_cost import realised_on
from orders.ledger import Line, steps_of
from orders.models import Position
from orders.reconciliation import reconcile
from risk.models import Incident
from tests.conftest import switch_on


@pytest.fixture
def days_later(desk, clock, paper):
    """Let so many days pass, for us and at the broker; the paper server's clock is its own again in the end."""

    def come(days):
        clock.advance(days=days)
        paper.control("POST", "clock", {"at": clock().isoformat(), "speed": 1})
        reconcile(desk)
        switch_on(desk)

    yield come
    paper.control("DELETE", "clock")


def test_what_was_bought_yesterday_is_sold_today_and_earns_today(desk, held, days_later, received, follow, paper):
    days_later(8 - desk.today().weekday())  # a Tuesday: no weekend settles anything in between
    held(3)
    bought_on = desk.today()

    days_later(1)
    (holding,) = paper.kite().holdings()
    assert (holding["t1_quantity"], holding["quantity"]) == (3, 0)
    position = Position.objects.get()
    assert (position.quantity, position.broker_quantity) == (3, 3)
    paper.set_price("NSE:RELIANCE", "1450.00")
    order = follow(received(signal_type="SELL", cms_score=-75))

    assert (order.side, order.quantity, order.status, order.filled_quantity) == ("SELL", 3, "FILLED", 3)
    position.refresh_from_db()
    assert (position.quantity, position.realised_pnl) == (0, 3 * (order.average_price - Decimal(1400)))
    steps = steps_of(Line.of(position))
    assert realised_on(steps, bought_on) == 0
    assert realised_on(steps, bought_on + timedelta(days=1)) == position.realised_pnl > 0
    for _ in range(2):
        reconcile(desk)
    assert not Incident.objects.exists()
    assert Position.objects.get().broker_quantity == 0
