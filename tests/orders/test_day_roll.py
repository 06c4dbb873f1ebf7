"""An order that rests over midnight in Mumbai: it still counts, and stands in nobody's way."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from orders.deciding import decide
from orders.differences import tell_of_past_days
from orders.execution import cancel_all
from orders.reconciliation import reconcile
from orders.tracker import Tracker
from risk.models import Incident

from .stand_ins import BookGateway, report_of
from .together import Together, direct_connection


def test_a_resting_buy_of_yesterday_does_not_hold_up_a_sale(desk, held, resting, received, clock):
    held(3)
    resting()
    clock.advance(days=1)
    reconcile(desk)

    order = decide(desk, received(signal_type="SELL", cms_score=-75))

    assert (order.side, order.quantity) == ("SELL", 3)


def test_an_order_of_a_past_day_is_told_once_until_a_person_closes_it(desk, resting, clock):
    order = resting()
    clock.advance(days=1)

    tell_of_past_days(desk)
    tell_of_past_days(desk)

    incident = Incident.objects.get(kind="UNFINISHED_OF_A_PAST_DAY")
    assert (incident.client_order_id, incident.count) == (order.client_order_id, 2)
    assert "Close past day" in incident.what_to_do


def test_a_day_whose_list_of_instruments_cannot_be_had_is_followed_and_a_new_leader_sends_nothing(desk, resting, paper):
    order = resting()
    ready = threading.Event()
    tracker = Tracker(desk, ready=ready, busy_seconds=0.0)
    paper.fault("instruments", "error_503")
    paper.set_price("NSE:RELIANCE", "1389.00")

    tracker.turn()
    order.refresh_from_db()
    assert (order.status, ready.is_set()) == ("FILLED", False)
    tracker.turn()

    assert ready.is_set()


def test_an_order_of_today_is_not_told_of(desk, resting):
    resting()

    tell_of_past_days(desk)

    assert not Incident.objects.exists()


def test_the_cancel_of_a_buy_that_a_sale_waits_for_is_sent_once_and_then_by_the_tracker(
    desk, held, resting, received, paper
):
    held(3)
    order = resting()
    paper.fault("cancel", "error_503", times=5)
    signal = received(signal_type="SELL", cms_score=-75)

    for _ in range(4):
        assert decide(desk, signal) is None

    order.refresh_from_db()
    first_try = order.cancel_tried_at
    assert first_try is not None
    assert decide(desk, signal) is None
    order.refresh_from_db()
    assert order.cancel_tried_at == first_try


def test_an_unknown_order_that_a_person_has_resolved_is_not_told_again(desk, resting, wired, clock):
    order = resting()
    stray = report_of(order, "OPEN", broker_order_id="SIM9", tag=f"{order.client_order_id[:4]}0000000000000000")
    there = wired(desk, gateway=BookGateway(orders=[report_of(order, "OPEN"), stray]))
    reconcile(there)
    Incident.objects.get(kind="UNKNOWN_ORDER").resolve(by="asha", note="a restored backup", now=clock())

    reconcile(there)

    assert not Incident.objects.unresolved().exists()


@pytest.mark.django_db(transaction=True)
def test_the_wishes_of_a_halt_wait_for_the_lock_as_the_halt_does(desk, resting):
    resting()
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")

    with direct_connection() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM risk_tradingcontrol FOR UPDATE")
        release = Together(lambda: (holder.execute("SELECT pg_sleep(0.4)"), holder.execute("COMMIT")))
        orders = cancel_all(desk, by="priya", reason="halted")
        release.join()
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")

    assert [order.cancel_reason for order in orders] == ["halted"]
