"""A broker that dribbles and dawdles, before a running executor: off once, said once, and staff can still close."""

from __future__ import annotations

import pytest

from orders import by_hand
from orders.models import Order, Position, Signal
from risk.models import Incident, Mode, TradingControl
from tests.orders.paper.paper_process import until
from tests.proofs import telling
from tests.test_story import concluded, filled

from .conftest import said
from .test_outages import auto_is_off, recorded, send, sent_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

SLOW = {  # each ends well within the eight seconds that one call may take
    "answered late": {"do": "delay", "seconds": 2.5},
    "trickling": {"do": "trickle", "seconds": 0.0015},
}


@pytest.mark.parametrize("how", telling([*SLOW], "trickling"))
def test_reads_that_are_slow_and_never_fail_turn_auto_trading_off_once_and_staff_can_still_close(
    how, leader, valkey, auto_trading, paper, bare_desk
):
    executor = leader(BROKER_SLOW_SECONDS="1")
    send(valkey, "one")
    filled(concluded("one"))

    paper.fault("orders", times=60, **SLOW[how])
    until(auto_is_off, 60)
    send(valkey, "while it is slow")
    order = by_hand.exit_position(bare_desk, Position.objects.get(), token="exit", by="priya")

    assert order.broker_order_id in paper.accepted()
    assert concluded("while it is slow").status == Signal.Status.IGNORED
    until(lambda: Position.objects.get().quantity == 0, 60)
    paper.control("DELETE", "faults")
    until(lambda: "It was read again at" in Incident.objects.get().detail, 60)
    told = Incident.objects.get()
    assert (told.kind, told.title, told.count) == ("BROKER_UNREACHABLE", "The broker answers too slowly", 1)
    control = TradingControl.objects.get(mode=Mode.PAPER)
    assert (control.auto_trading, control.version) == (False, 3)  # switched on by a person, and off once
    assert not said(executor, "broker.not_read", times=60)


def test_an_order_answered_after_six_seconds_is_sent_once_and_turns_auto_trading_off(
    leader, valkey, auto_trading, paper
):
    leader()
    paper.fault("place", "delay", seconds=6)
    send(valkey, "one")
    until(lambda: Order.objects.filter(status="SUBMITTING").exists(), 20)
    send(valkey, "meanwhile", symbol="INFY", signal_type="HOLD")
    until(lambda: recorded("meanwhile"), 20)

    until(auto_is_off, 60)

    filled(concluded("one"))
    assert Incident.objects.get().title == "The broker answers too slowly"
    sent_once(paper)


def test_an_order_answered_after_its_time_is_in_doubt_found_again_and_not_sent_twice(
    leader, valkey, auto_trading, paper
):
    leader()
    paper.fault("place", "late_after", seconds=10)
    paper.fault("place", "delay", seconds=20)
    send(valkey, "one")

    until(lambda: Order.objects.filter(status="IN_DOUBT").exists(), 40)
    filled(until(lambda: Signal.objects.filter(signal_id="one", orders__status="FILLED").first(), 60))

    assert auto_is_off()
    assert list(Incident.objects.values_list("kind", "count")) == [("ORDER_IN_DOUBT", 1)]
    sent_once(paper)
