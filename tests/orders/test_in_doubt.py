"""What may come between a doubt and its end: midnight, a halt, an expired login, a second doubt, half a book."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orders.broker.gateway import BrokerUnreachable
from orders.deciding import OrderDenied, decide_manual
from orders.execution import cancel, halt, submit
from orders.models import Order
from orders.reconciliation import reconcile
from orders.tracker import Tracker
from risk import control as switch
from risk.models import Incident, TradingControl
from tests.conftest import open_the_limits

from .stand_ins import BookGateway, report_of
from .test_adversity import live

pytestmark = pytest.mark.usefixtures("noon")

__all__ = ["live"]

BEFORE_MIDNIGHT = datetime(2026, 11, 30, 18, 29, 59, 900_000, tzinfo=UTC)  # in Mumbai it is 23:59:59.9


@pytest.fixture
def doubtful(desk, wish, paper):
    """Send a person's order whose answer is lost; it would rest."""
    open_the_limits()

    def make(fault="drop_after", where=desk, **more):
        order = decide_manual(where, wish(limit_price=Decimal("1390.00")))
        paper.fault("place", fault, **more)
        submit(where, order)
        assert order.status == "IN_DOUBT"
        return order

    return make


def at_the_days_end(order, wired, desk, book):
    """Date the doubt to the evening before, and read a book that ends a second after it began."""
    sent = BEFORE_MIDNIGHT - timedelta(minutes=5)
    day = datetime(2026, 11, 30, tzinfo=UTC).date()
    Order.objects.filter(pk=order.pk).update(submitted_at=sent, created_at=sent, trading_date=day)
    times = [BEFORE_MIDNIGHT]

    class AcrossMidnight(BookGateway):
        def book(self, as_of):
            times[0] = times[0] + timedelta(seconds=1)
            return super().book(as_of)

    gateway = AcrossMidnight(orders=book)
    return wired(desk, gateway=gateway, clock=lambda: times[0]), times


def test_a_book_read_across_midnight_proves_nothing_by_absence(desk, doubtful, wired):
    order = doubtful("drop_before")
    there, times = at_the_days_end(order, wired, desk, [])

    for earlier in (0.05, 0):
        times[0] = BEFORE_MIDNIGHT - timedelta(seconds=earlier)
        reconcile(there)

    order.refresh_from_db()
    assert (order.status, order.missed_at) == ("IN_DOUBT", None)


def test_an_order_sent_before_midnight_and_listed_after_it_is_found(desk, doubtful, wired):
    order = doubtful()
    there, times = at_the_days_end(order, wired, desk, [report_of(order, "OPEN", broker_order_id="SIM9")])
    times[0] += timedelta(minutes=1)

    reconcile(there)

    order.refresh_from_db()
    assert (order.status, order.broker_order_id) == ("OPEN", "SIM9")


def test_a_doubt_of_a_past_day_stays_counted_and_refuses_what_opens(desk, doubtful, wish, clock):
    order = doubtful("drop_before")
    clock.advance(days=1)
    for _ in range(3):
        reconcile(desk)

    order.refresh_from_db()
    assert order.status == "IN_DOUBT"
    with pytest.raises(OrderDenied):
        decide_manual(desk, wish())


@pytest.mark.parametrize("fault", ["drop_after", "late_after"])
def test_a_halt_while_in_doubt_cancels_what_is_found(desk, doubtful, paper, clock, fault):
    order = doubtful(fault, **({"seconds": 0.1} if fault == "late_after" else {}))
    halt(desk, by="priya", reason="enough")

    for _ in range(50):
        reconcile(desk)
        order.refresh_from_db()
        if not order.is_unfinished:
            break
        threading.Event().wait(0.02)

    assert order.status == "CANCELLED"
    assert paper.accepted() == [order.broker_order_id]
    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"


@pytest.mark.parametrize("route", ["orders", "trades", "positions", "holdings"])
def test_half_a_book_ends_no_doubt(desk, doubtful, paper, clock, route):
    order = doubtful("drop_before")
    clock.advance(seconds=125)

    for _ in range(3):
        paper.fault(route, "error_503")
        with pytest.raises(BrokerUnreachable):
            reconcile(desk)

    order.refresh_from_db()
    assert (order.status, order.missed_at) == ("IN_DOUBT", None)
    reconcile(desk)
    reconcile(desk)
    order.refresh_from_db()
    assert order.status == "NOT_PLACED"


def test_two_doubts_end_each_by_its_own_evidence(desk, doubtful, wired, clock):
    first = doubtful("drop_before")
    # A second doubt: an exit, or another process's order, may be on its way when the first arises.
    second = Order.objects.get(pk=first.pk)
    second.pk, second.client_order_id, second.decision = None, "OTHER000000000000001", None
    second.save(force_insert=True)
    clock.advance(seconds=125)
    there = wired(desk, gateway=BookGateway(orders=[report_of(second, "OPEN", broker_order_id="SIM9")]))

    reconcile(there)
    reconcile(there)

    ends = [Order.objects.get(pk=order.pk).status for order in (first, second)]
    assert ends == ["NOT_PLACED", "OPEN"]


def test_an_expired_login_leaves_the_doubt_until_somebody_logs_in(live, wish, paper, clock, monkeypatch):
    switch.auto_trading_off("LIVE", by="priya", reason="test", now=clock())
    order = decide_manual(live, wish(limit_price=Decimal("1390.00")))
    paper.fault("place", "drop_after")
    submit(live, order)
    live.vault.row().__class__.objects.filter(mode="LIVE").update(valid_until=clock())
    tracker = Tracker(live, ready=threading.Event(), busy_seconds=0.0)
    monkeypatch.setattr(tracker, "_wait", lambda: None)

    for _ in range(3):
        tracker.turn()
    order.refresh_from_db()
    assert order.status == "IN_DOUBT"
    assert TradingControl.objects.get(mode="LIVE").state == "ACTIVE"
    assert [each.kind for each in Incident.objects.all()] == ["ORDER_IN_DOUBT"]

    live.vault.keep(paper.log_in("live"), user_id="PAPER1", now=clock())
    tracker.turn()

    order.refresh_from_db()
    assert (order.status, [order.broker_order_id]) == ("OPEN", paper.accepted())


@pytest.mark.parametrize("away", ["the book", "the login"])
def test_what_has_no_answer_is_in_doubt_though_the_book_was_never_read_since_the_start(
    live, wish, clock, monkeypatch, paper, away
):
    open_the_limits()
    order, now = decide_manual(live, wish(limit_price=Decimal("1390.00"))), clock()
    order.advance("SUBMITTING", at=now, note="sending", sender="gone", submitted_at=now, answer_by=now)
    clock.advance(seconds=1)
    if away == "the book":
        paper.fault("orders", "error_503")
    else:
        live.vault.refuse("logged out", asked_at=clock(), now=clock())
    tracker = Tracker(live, ready=threading.Event(), busy_seconds=0.01)
    monkeypatch.setattr(tracker, "_wait", lambda: None)

    tracker.turn()

    order.refresh_from_db()
    assert order.status == "IN_DOUBT"
    assert Incident.objects.filter(kind="ORDER_IN_DOUBT").exists()


def test_a_restart_in_between_changes_nothing(bare_desk, doubtful, wired, clock, paper):
    order = doubtful()
    tracker = Tracker(wired(bare_desk), ready=threading.Event(), busy_seconds=0.0)

    tracker.turn()

    order.refresh_from_db()
    assert (order.status, [order.broker_order_id]) == ("OPEN", paper.accepted())


@pytest.mark.parametrize(("seconds", "status"), [(121.9, "IN_DOUBT"), (122.1, "NOT_PLACED")])
def test_absence_ends_a_doubt_right_after_the_window(desk, doubtful, clock, seconds, status):
    order = doubtful("drop_before")
    clock.ahead += order.submitted_at + timedelta(seconds=seconds - 0.05) - clock()

    reconcile(desk)
    reconcile(desk)

    order.refresh_from_db()
    assert order.status == status


# --- What was told of it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_the_incident_of_a_doubt_is_resolved_by_the_book_that_ends_it(desk, doubtful, clock, fault):
    order = doubtful(fault)
    told = Incident.objects.get(kind="ORDER_IN_DOUBT")
    told.acknowledge(by="asha", note="seen")
    if fault == "drop_before":
        reconcile(desk)
        assert Incident.objects.unresolved().count() == 1
        clock.advance(seconds=125)

    reconcile(desk)
    reconcile(desk)

    order.refresh_from_db()
    told.refresh_from_db()
    assert (told.status, told.closed_by) == ("RESOLVED", "executor")
    assert told.note == f"the doubt has ended: {order} is {order.get_status_display().lower()}"
    assert not TradingControl.objects.get(mode="PAPER").auto_trading  # that is a person's to turn on


def test_another_order_s_end_leaves_the_incident_of_a_doubt_open(desk, doubtful, resting):
    other = resting(symbol="INFY")
    doubtful("drop_before")

    cancel(desk, other, by="priya", reason="test")
    reconcile(desk)

    assert Incident.objects.unresolved().count() == 1
