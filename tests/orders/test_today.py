"""What today brought, counted from rows: yesterday's do not count, and neither does what others placed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orders.desk import Desk, start_of_day
from orders.models import Decision, Order, OrderEvent, Signal
from orders.today import Denied, Percentiles, decided, latencies, orders_by_status
from risk.models import RiskSettings


def test_orders_are_counted_by_how_they_stand_today(desk: Desk, held: Any, resting: Any):
    held(1)
    resting(symbol="INFY")
    strange = resting(symbol="INFY")
    Order.objects.filter(pk=strange.pk).update(origin="EXTERNAL", client_order_id=None)

    assert orders_by_status(desk.mode, desk.clock()) == {"FILLED": 1, "OPEN": 1}
    assert orders_by_status(desk.mode, desk.clock() + timedelta(days=1)) == {}
    assert orders_by_status("LIVE", desk.clock()) == {}


def test_signals_count_from_midnight_in_mumbai_on(desk: Desk, follow: Any, received: Any):
    midnight = start_of_day(desk.clock())
    follow(received())
    follow(received(symbol="INFY", cms_score=5))
    Signal.objects.filter(status="IGNORED").update(received_at=midnight)
    assert decided(desk.mode, desk.clock()).signals == {"APPROVED": 1, "IGNORED": 1}

    Signal.objects.filter(status="IGNORED").update(received_at=midnight - timedelta(microseconds=1))

    assert decided(desk.mode, desk.clock()).signals == {"APPROVED": 1}


def test_what_was_denied_counts_for_the_first_control_that_said_no(desk: Desk, follow: Any, received: Any):
    RiskSettings.objects.update(daily_trades_max=0, order_value_max=0)
    follow(received())
    follow(received(symbol="INFY"))
    reasons = list(Decision.objects.filter(outcome="DENIED").values_list("reason", flat=True))
    assert all("DAILY_TRADES_EXCEEDED" in reason and ";" in reason for reason in reasons)

    (first,) = decided(desk.mode, desk.clock()).denied

    assert first == Denied(code=reasons[0].split(":")[0], title=first.title, count=2)
    assert first.title != first.code
    assert decided(desk.mode, desk.clock() + timedelta(days=1)).denied == []


def test_a_control_that_exists_no_more_keeps_its_code(desk: Desk, follow: Any, received: Any):
    follow(received())
    decision = Decision.objects.get()
    decision.pk, decision.outcome, decision.reason = None, "DENIED", "OF_LONG_AGO: because"
    decision.save(force_insert=True)

    assert decided(desk.mode, desk.clock()).denied == [Denied(code="OF_LONG_AGO", title="OF_LONG_AGO", count=1)]


def test_each_leg_from_the_signal_to_the_answer_is_measured(desk: Desk, follow: Any, received: Any):
    """Twenty orders, the nth sent n × 10 ms after its signal came; one answered by a clock that lags behind."""
    order = follow(received())
    submitted = order.submitted_at
    assert OrderEvent.objects.filter(order=order, before="SUBMITTING").exclude(after="SUBMITTING").count() == 1
    Signal.objects.update(received_at=submitted - timedelta(milliseconds=10))
    for n in range(2, 21):
        signal = Signal.objects.order_by("pk").first()
        signal.pk, signal.signal_id = None, f"copy-{n}"
        signal.received_at = submitted - timedelta(milliseconds=10 * n)
        signal.save(force_insert=True)
        copy = Order.objects.order_by("pk").first()
        copy.pk, copy.signal, copy.decision = None, signal, None
        copy.client_order_id, copy.broker_order_id = f"COPY{n}", f"SIM{n}"
        copy.save(force_insert=True)
        OrderEvent.objects.create(order=copy, at=submitted - timedelta(seconds=1), before="SUBMITTING", after="OPEN")

    sent, answered, whole = latencies(desk.mode, desk.clock())

    assert sent == Percentiles(leg="Signal → sent", p50=100, p95=190, p99=200)
    assert answered.p50 == 0
    assert whole.leg == "Signal → answered"


def test_a_day_without_signals_has_no_latency(desk: Desk, held: Any):
    held(1)

    assert [each.all for each in latencies(desk.mode, desk.clock())] == [(None, None, None)] * 3
