"""A login refused in the middle of the session halts; a new one and a clean book lift that halt and no other."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from orders.broker.gateway import SessionRefused
from orders.broker.kite_rows import IST
from orders.deciding import decide_manual
from orders.execution import cancel, halt, submit
from orders.models import Order
from orders.reconciliation import carry_out_cancels, reconcile
from orders.tracker import Tracker
from orders.worker import Worker
from risk import control as switch
from risk.models import CalendarDay, Incident, TradingControl

from .stand_ins import BookGateway, report_of
from .test_adversity import live

__all__ = ["live"]


def set_to(clock, hour, minute=0):
    """Move the clock ahead to the next Monday's time in Mumbai."""
    local = clock().astimezone(IST)
    monday = local + timedelta(days=7 - local.weekday())
    clock.advance(seconds=(monday.replace(hour=hour, minute=minute) - local).total_seconds())


@pytest.fixture
def trading(clock, request):
    """The armed live desk, on a Monday at ten."""
    set_to(clock, 10)
    return request.getfixturevalue("live")


def log_in(desk, paper):
    desk.vault.keep(paper.log_in("live"), user_id="PAPER1", now=desk.clock())


def refuse_a_read(desk, paper):
    paper.fault("any", "token")
    with pytest.raises(SessionRefused):
        reconcile(desk)


def state():
    return TradingControl.objects.get(mode="LIVE").state


def test_a_refused_login_in_session_halts_and_is_one_incident(trading, paper):
    refuse_a_read(trading, paper)

    control = TradingControl.objects.get(mode="LIVE")
    assert (control.state, control.changed_by) == ("HALTED", "executor")
    assert control.reason.startswith("the broker refused the login: ")
    assert Incident.objects.get().kind == "LOGIN_REFUSED"


def test_a_refused_login_halts_whatever_call_met_it(trading, wish, paper):
    order = decide_manual(trading, wish())
    paper.fault("place", "token")

    submit(trading, order)

    assert (order.status, state()) == ("REJECTED", "HALTED")
    assert paper.accepted() == []


def test_a_cancel_whose_login_is_refused_halts_and_is_repeated_after_the_new_login(trading, wish, paper):
    order = submit(trading, decide_manual(trading, wish(limit_price=Decimal("1390.00"))))
    paper.fault("cancel", "token")
    cancel(trading, order, by="priya", reason="enough")
    assert state() == "HALTED"
    assert not trading.vault.is_valid(trading.clock())

    log_in(trading, paper)
    trading.clock.advance(seconds=3)
    carry_out_cancels(trading)
    reconcile(trading)

    order.refresh_from_db()
    assert (order.status, state()) == ("CANCELLED", "ACTIVE")


def test_an_order_that_rests_is_left_alone_by_a_halt_for_the_login(trading, wish, paper):
    order = submit(trading, decide_manual(trading, wish(limit_price=Decimal("1390.00"))))
    refuse_a_read(trading, paper)
    ready = threading.Event()
    ready.set()

    Worker(trading, ready=ready, sent=lambda: None).turn()
    log_in(trading, paper)
    carry_out_cancels(trading)
    reconcile(trading)

    order.refresh_from_db()
    assert (order.status, order.cancel_requested_at, state()) == ("OPEN", None, "ACTIVE")


def test_a_new_login_and_a_clean_book_lift_it(trading, paper):
    refuse_a_read(trading, paper)

    log_in(trading, paper)
    assert state() == "HALTED"
    reconcile(trading)

    control = TradingControl.objects.get(mode="LIVE")
    assert (control.state, control.lifts_to) == ("ACTIVE", "")
    assert control.reason == "logged in again, and the book was compared"


def test_a_comparison_without_a_new_login_does_not_lift_it(trading, paper):
    refuse_a_read(trading, paper)

    reconcile(trading)  # another process had begun to read

    assert state() == "HALTED"


def test_an_order_in_doubt_keeps_the_halt(trading, wish, wired, paper):
    order = decide_manual(trading, wish(limit_price=Decimal("1390.00")))
    paper.fault("place", "drop_before")
    submit(trading, order)
    refuse_a_read(trading, paper)
    log_in(trading, paper)

    reconcile(trading)
    assert (Order.objects.get().status, state()) == ("IN_DOUBT", "HALTED")
    reconcile(wired(trading, gateway=BookGateway(orders=[report_of(order, "CANCELLED")])))

    assert (Order.objects.get().status, state()) == ("CANCELLED", "ACTIVE")


def test_a_book_with_something_unexplained_keeps_the_halt(trading, wish, wired, paper):
    order = decide_manual(trading, wish())
    prefix = TradingControl.objects.get(mode="LIVE").order_id_prefix
    refuse_a_read(trading, paper)
    log_in(trading, paper)

    reconcile(wired(trading, gateway=BookGateway(orders=[report_of(order, "OPEN", tag=f"{prefix}0000000000000000")])))

    assert state() == "HALTED"


@pytest.mark.parametrize("first", ["the person", "the login"])
def test_a_persons_halt_is_lifted_by_a_person_alone(trading, paper, first):
    if first == "the person":
        halt(trading, by="priya", reason="enough")
    refuse_a_read(trading, paper)
    if first == "the login":
        halt(trading, by="priya", reason="enough")

    log_in(trading, paper)
    reconcile(trading)

    control = TradingControl.objects.get(mode="LIVE")
    assert (control.state, control.changed_by, control.reason) == ("HALTED", "priya", "enough")


@pytest.mark.parametrize("when", ["before", "while halted"])
def test_what_was_reduced_is_lifted_to_reduce_only(trading, paper, when):
    if when == "before":
        switch.reduce_only("LIVE", by="priya", reason="careful", now=trading.clock())
    refuse_a_read(trading, paper)
    if when == "while halted":
        switch.reduce_only("LIVE", by="priya", reason="careful", now=trading.clock())
    assert state() == "HALTED"

    log_in(trading, paper)
    reconcile(trading)

    assert state() == "REDUCE_ONLY"


def test_a_resumed_halt_leaves_nothing_to_lift(trading, paper):
    refuse_a_read(trading, paper)
    shown = TradingControl.objects.get(mode="LIVE").version

    switch.resume("LIVE", by="priya", reason="go", now=trading.clock(), version_shown=shown)
    switch.halt("LIVE", by="priya", reason="no", now=trading.clock())
    log_in(trading, paper)
    reconcile(trading)

    assert state() == "HALTED"


def test_auto_trading_stays_as_it_was(trading, paper):
    shown = TradingControl.objects.get(mode="LIVE").version
    switch.auto_trading_on("LIVE", by="priya", reason="go", now=trading.clock(), version_shown=shown)

    refuse_a_read(trading, paper)
    log_in(trading, paper)
    reconcile(trading)

    assert TradingControl.objects.get(mode="LIVE").auto_trading


def test_outside_the_session_a_refused_login_is_a_gate_and_no_halt(trading, clock, paper):
    CalendarDay.objects.all().delete()  # ordinary hours again
    clock.advance(hours=6)

    refuse_a_read(trading, paper)

    assert (state(), Incident.objects.count()) == ("ACTIVE", 0)
    assert not trading.vault.is_valid(clock())


def test_nor_does_it_halt_on_a_holiday(trading, paper):
    today = CalendarDay.objects.filter(date=trading.today())
    today.update(kind="HOLIDAY", opens=None, closes=None)

    refuse_a_read(trading, paper)

    assert (state(), Incident.objects.count()) == ("ACTIVE", 0)


def test_the_daily_expiry_is_a_gate_and_no_halt(trading, clock, paper):
    clock.advance(days=1)

    refuse_a_read(trading, paper)

    assert (state(), Incident.objects.count()) == ("ACTIVE", 0)


def test_paper_needs_no_login_and_is_not_halted_for_one(desk, paper):
    refuse_a_read(desk, paper)

    assert TradingControl.objects.get(mode="PAPER").state == "ACTIVE"


def test_a_login_of_another_account_while_the_first_is_asked_for_its_name_is_not_taken_for_the_armed_one(
    trading, wish, paper, monkeypatch
):
    order = decide_manual(trading, wish())
    asked = trading.gateway.user_id

    def overtaken():
        armed = asked()
        trading.vault.keep(paper.log_in("live"), user_id="OTHER1", now=trading.clock())
        return armed

    monkeypatch.setattr(trading.gateway, "user_id", overtaken)
    tracker = Tracker(trading, ready=threading.Event())
    monkeypatch.setattr(tracker, "_wait", lambda: None)

    tracker.turn()
    submit(trading, order)

    assert trading.vault.row().user_id == "OTHER1"
    assert (order.status, paper.accepted()) == ("WITHDRAWN", [])
