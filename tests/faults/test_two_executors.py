"""
Two executors: one takes over from the other, dead or only paused, and the one that wakes up does nothing any more.

Each pause is a SIGSTOP of the whole process at a named point of the path; the paper broker's journal is the witness.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from orders.models import ExecutorHeartbeat, Order, OrderEvent, Position, Signal
from tests.orders.paper.paper_process import until
from tests.proofs import telling
from tests.test_story import concluded, filled, publish, signal_bytes

from .conftest import leads, paused, said, stands_still

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

TAKEN_OVER_SECONDS = 20.0  # five on a machine that is not shared with other suites; the figure is printed


def stand_by(start, **options):
    executor = start(**options)
    until(lambda: said(executor, "leadership.standing_by"), 30)
    return executor


def measured(executor, began) -> float:
    until(lambda: leads(executor), TAKEN_OVER_SECONDS)
    seconds = time.monotonic() - began
    sys.stderr.write(f"taken over after {seconds:.2f} s\n")
    return seconds


def send(valkey, signal_id="one", **changes) -> None:
    valkey.xadd("signals:stream", {"signal": signal_bytes(signal_id=signal_id, **changes)})


def wake(executor) -> None:
    executor.process.send_signal(signal.SIGCONT)
    until(lambda: said(executor, "leadership.lost") and said(executor, "leadership.standing_by"), 20)


@pytest.mark.parametrize("how", telling([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], signal.SIGSTOP))
def test_a_standby_takes_over_from_a_leader_that_was_killed_stopped_or_paused(leader, start, valkey, auto_trading, how):
    first = leader()
    second = stand_by(start)
    beat = ExecutorHeartbeat.objects.get().beat_at
    until(lambda: ExecutorHeartbeat.objects.get().beat_at > beat)

    began = time.monotonic()
    first.process.send_signal(how)
    measured(second, began)

    send(valkey)
    assert filled(concluded("one")).sender.endswith(str(second.process.pid))


def test_a_leader_that_was_paused_for_too_short_to_be_missed_leads_on(leader, start, valkey, auto_trading):
    first = leader()
    second = stand_by(start)

    with paused(first.process.pid):
        time.sleep(1.5)  # the time is what is tested: less than the silence that ends a leader
    send(valkey)

    assert filled(concluded("one")).sender.endswith(str(first.process.pid))
    assert not said(second, "leadership.taken")


@pytest.mark.parametrize("point", telling(["deciding, not committed", "decided, not sent", "claiming"], "claiming"))
def test_a_sender_paused_before_its_claim_sends_nothing_when_it_wakes_and_the_new_leader_sends_once(
    start, leader, valkey, auto_trading, paper, point
):
    first = leader(pauses_at=point)
    second = stand_by(start)
    send(valkey)
    until(lambda: stands_still(first.process.pid), 20)
    measured(second, time.monotonic())

    order = filled(until(lambda: Signal.objects.filter(signal_id="one", orders__status="FILLED").first(), 30))
    wake(first)

    assert order.sender.endswith(str(second.process.pid))
    assert len(paper.accepted()) == 1
    assert Position.objects.get().quantity == 1


@pytest.mark.parametrize("point", telling(["claimed, not sent", "in connect"], "in connect"))
def test_a_sender_paused_anywhere_between_its_claim_and_the_socket_sends_nothing_when_it_wakes(
    start, leader, valkey, auto_trading, paper, point
):
    first = leader(pauses_at=point)
    second = stand_by(start, ABSENCE_WINDOW_SECONDS="3")
    send(valkey)
    until(lambda: stands_still(first.process.pid), 20)
    measured(second, time.monotonic())

    order = until(Order.objects.filter(status="NOT_PLACED").first, 60)
    wake(first)

    assert paper.accepted() == []
    assert OrderEvent.objects.filter(order=order, after="IN_DOUBT").count() == 1
    order.refresh_from_db()
    assert order.status == "NOT_PLACED"


def test_a_sender_paused_past_the_socket_has_its_one_order_found_again_by_its_tag(
    start, leader, valkey, auto_trading, paper
):
    first = leader(pauses_at="sent, answer not written")
    second = stand_by(start)
    send(valkey)
    until(lambda: stands_still(first.process.pid), 20)
    measured(second, time.monotonic())

    order = filled(concluded("one"))
    wake(first)

    placed = [row for row in paper.journal() if row["event"] == "accepted"]
    assert [row["tag"] for row in placed] == [order.client_order_id]
    order.refresh_from_db()
    assert (order.status, order.fills.count(), Position.objects.get().quantity) == ("FILLED", 1, 1)


def test_a_leader_paused_with_the_book_in_its_hand_changes_nothing_with_it_when_it_wakes(
    start, leader, valkey, auto_trading, paper
):
    first = leader(pauses_at="book read, not compared")
    second = stand_by(start)
    send(valkey)
    until(lambda: stands_still(first.process.pid), 20)
    measured(second, time.monotonic())
    filled(concluded("one"))
    send(valkey, "two", signal_type="SELL", cms_score=-75)
    filled(concluded("two"))
    before = sorted(OrderEvent.objects.values_list("order_id", "after"))

    wake(first)

    assert sorted(OrderEvent.objects.values_list("order_id", "after")) == before
    assert (Position.objects.get().quantity, len(paper.accepted())) == (0, 2)


def test_what_the_channel_told_a_paused_leader_and_nobody_else_is_written_down_when_it_wakes(
    leader, start, valkey, auto_trading
):
    first = leader()
    second = stand_by(start)
    with paused(first.process.pid):
        publish(valkey, signal_id="only the paused one", signal_type="HOLD")
        until(lambda: leads(second), TAKEN_OVER_SECONDS)
        assert not Signal.objects.exists()

    assert concluded("only the paused one").status == "IGNORED"
    assert leads(second)
    assert os.getpgid(first.process.pid)  # it did not end for it
    until(lambda: said(first, "leadership.standing_by"))
