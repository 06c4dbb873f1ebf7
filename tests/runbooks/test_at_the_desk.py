"""The runbooks of what happens at the desk, each staged at the paper broker and gone through to its end."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.db import connection

from orders import by_hand
from orders.broker.gateway import SessionRefused
from orders.deciding import OrderDenied
from orders.execution import submit
from orders.losses import watch_limits
from orders.models import Order, Position, Signal
from orders.reconciliation import reconcile
from orders.tracker import Tracker
from risk.models import Incident, RiskSettings, TradingControl
from tests.conftest import open_the_limits
from tests.orders.paper.paper_process import until
from tests.orders.test_adversity import live
from tests.orders.test_login_refused import trading
from tests.orders.test_reconciliation import place_elsewhere

from .conftest import control, manage, said

__all__ = ["live", "trading"]


@pytest.fixture(autouse=True)
def soon(settings):
    settings.ABSENCE_WINDOW_SECONDS = 1


# --- An order is in doubt ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "ended"), [("drop_after", "FILLED"), ("drop_before", "NOT_PLACED")])
def test_an_order_in_doubt_is_explained_by_the_book_and_trading_goes_on(desk, pending, wish, paper, fault, ended):
    order = pending()
    paper.fault("place", fault)
    submit(desk, order)
    assert (order.status, control()) == ("IN_DOUBT", ("ACTIVE", False))
    assert said(desk, "Orders in doubt").measured == "1"
    with pytest.raises(OrderDenied, match="ORDER_IN_DOUBT"):
        by_hand.place(desk, wish(symbol="INFY", limit_price=Decimal("1505.00")))

    until(lambda: manage("reconcile_orders") and not Order.objects.in_doubt("PAPER").exists(), 20)

    order.refresh_from_db()
    assert order.status == ended
    assert said(desk, "Orders in doubt").measured == "none"
    assert not Incident.objects.unresolved().exists()
    assert "auto-trading on" in manage("auto_trading", "on", "--reason", "explained")
    assert len(paper.accepted()) == (ended == "FILLED")


# --- The login was refused and trading is halted ----------------------------------------------------------------------


def test_after_a_refused_login_a_new_one_and_a_clean_book_are_all_it_takes(trading, paper, resolve, monkeypatch):
    paper.fault("any", "token")
    with pytest.raises(SessionRefused):
        reconcile(trading)
    assert control("LIVE")[0] == "HALTED"
    (incident,) = Incident.objects.all()
    assert incident.kind == "LOGIN_REFUSED"

    trading.vault.keep(paper.log_in("live"), user_id="PAPER1", now=trading.clock())
    reconcile(trading)

    assert control("LIVE")[0] == "ACTIVE"
    resolve()
    assert not Incident.objects.unresolved().exists()


# --- The broker is down in the session --------------------------------------------------------------------------------


def test_while_the_broker_is_down_it_can_be_halted_and_what_rests_is_cancelled_when_it_is_back(
    desk, wish, paper, resolve, resume
):
    open_the_limits()
    resting = by_hand.place(desk, wish(limit_price=Decimal("1390.00")))
    reconcile(desk)
    paper.fault("any", "error_503", times=1000)
    tracker = Tracker(desk, ready=threading.Event(), busy_seconds=0, idle_seconds=0)
    for _ in range(4):
        tracker.turn()
    assert [incident.kind for incident in Incident.objects.all()] == ["BROKER_UNREACHABLE"]
    assert control() == ("ACTIVE", False)

    assert "HALTED" in manage("halt_trading", "--reason", "broker down")

    assert control()[0] == "HALTED"
    assert "could not be read" in manage("reconcile_orders")
    paper.control("DELETE", "faults")
    until(lambda: manage("reconcile_orders") and Order.objects.get(pk=resting.pk).status == "CANCELLED", 20)
    assert said(desk, "The broker's book").state == "good"
    resume()
    assert "auto-trading on" in manage("auto_trading", "on", "--reason", "it answers")
    resolve()
    assert control() == ("ACTIVE", True)
    assert not Incident.objects.unresolved().exists()


# --- A limit is reached and only closing goes on ----------------------------------------------------------------------


def test_after_a_day_s_loss_one_gets_out_and_only_a_person_resumes(desk, held, wish, paper, resume, resolve):
    held(10)
    open_the_limits(daily_loss_max=Decimal(1000), charges_percent=Decimal(0))
    paper.set_price("NSE:RELIANCE", "1300.00")
    reconcile(desk)
    watch_limits(desk)
    assert control() == ("REDUCE_ONLY", False)
    assert "DAILY_LOSS" in Incident.objects.values_list("kind", flat=True)
    assert said(desk, "Trading").state == "bad"

    out = manage("flatten", "--reason", "the limit", "--confirm", "FLATTEN")

    assert Position.objects.get().quantity == 0, out
    resume()
    assert control() == ("ACTIVE", False)
    with pytest.raises(OrderDenied, match="DAILY_LOSS_EXCEEDED"):
        by_hand.place(desk, wish(limit_price=Decimal("1305.00")))
    resolve()
    assert not Incident.objects.unresolved().exists()


# --- A position differs from the broker's -----------------------------------------------------------------------------


def test_a_difference_is_explained_by_accepting_the_broker_s_quantity(desk, held, paper, act, wish):
    position = held(3)
    place_elsewhere(paper, transaction_type="SELL", quantity=1, price=1395.0)
    for _ in range(3):
        manage("reconcile_orders")
    (incident,) = Incident.objects.all()
    assert (incident.kind, incident.stops_opening) == ("POSITION_DIFFERENCE", True)
    with pytest.raises(OrderDenied, match="RELIANCE"):
        by_hand.place(desk, wish())

    act("orders_position_accept_broker", position, shown=2, reason="sold in Kite's app", token="t")

    position.refresh_from_db()
    assert position.quantity == 2
    manage("reconcile_orders")
    manage("reconcile_orders")
    assert not Incident.objects.unresolved().exists()
    assert by_hand.place(desk, wish()).status == "OPEN"


# --- An order with our mark that we do not know -----------------------------------------------------------------------


def test_an_unknown_order_is_cancelled_in_kite_s_app_and_told_of_once(desk, paper, wish, resolve):
    prefix = TradingControl.objects.get(mode="PAPER").order_id_prefix
    there = place_elsewhere(paper, tag=f"{prefix}0000000000000000", price=1390.0)
    manage("reconcile_orders")
    assert [incident.kind for incident in Incident.objects.all()] == ["UNKNOWN_ORDER"]
    with pytest.raises(OrderDenied):
        by_hand.place(desk, wish(symbol="INFY", limit_price=Decimal("1505.00")))

    paper.kite().cancel_order("regular", there)
    manage("reconcile_orders")
    resolve()
    manage("reconcile_orders")

    assert not Incident.objects.unresolved().exists()
    assert by_hand.place(desk, wish(symbol="INFY", limit_price=Decimal("1505.00"))).status == "OPEN"


# --- A publisher floods or sends nonsense -----------------------------------------------------------------------------


def test_a_flood_is_stopped_recorded_and_never_acted_on_later(desk, received, follow, paper):
    told_twice = {"signal_id": "one", "timestamp": desk.clock().isoformat()}
    follow(received(**told_twice))
    received(**told_twice)
    assert Signal.objects.get().duplicates == 1

    assert "auto-trading off" in manage("auto_trading", "off", "--reason", "publisher")
    flood = [received(signal_id=f"flood-{number}", symbol="INFY") for number in range(20)]
    for signal in flood:
        follow(signal)

    assert {signal.status for signal in flood} == {"IGNORED"}
    assert len(paper.accepted()) == 1
    assert "auto-trading on" in manage("auto_trading", "on", "--reason", "mended")
    for signal in flood:
        signal.refresh_from_db()
    assert {signal.status for signal in flood} == {"IGNORED"}
    out = manage("flatten", "--reason", "publisher", "--confirm", "FLATTEN")
    assert Position.objects.get(symbol="RELIANCE").quantity == 0, out


# --- The machine is lost ----------------------------------------------------------------------------------------------


def forget(order: Order) -> None:
    """Be the database of a backup from before this order."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM orders_fill WHERE order_id = %s", [order.pk])
        cursor.execute("DELETE FROM orders_orderevent WHERE order_id = %s", [order.pk])
        cursor.execute("DELETE FROM orders_order WHERE id = %s", [order.pk])
        cursor.execute("DELETE FROM orders_position")
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_what_was_traded_after_the_backup_stops_opening_until_each_order_is_explained(desk, wish, paper, act, resolve):
    open_the_limits()
    forget(by_hand.place(desk, wish(quantity=2)))
    manage("auto_trading", "off", "--reason", "restored")

    manage("reconcile_orders")
    manage("reconcile_orders")

    (incident,) = Incident.objects.all()
    assert incident.kind == "UNKNOWN_ORDER"
    with pytest.raises(OrderDenied):
        by_hand.place(desk, wish(symbol="INFY", limit_price=Decimal("1505.00")))
    RiskSettings.objects.filter(pk=1).update(include_external=True)
    manage("reconcile_orders")
    position = Position.objects.get(symbol="RELIANCE")
    assert (position.quantity, position.broker_quantity) == (0, 2)
    corrected = {"kind": "CORRECTION", "quantity": "2", "price": "1400", "reason": "restored", "token": "t"}
    act("orders_position_adjust", position, **corrected)
    resolve()
    manage("reconcile_orders")
    position.refresh_from_db()
    assert position.quantity == 2
    assert said(desk, "Incidents").state == "good"
    assert by_hand.place(desk, wish(symbol="INFY", limit_price=Decimal("1505.00"))).status == "OPEN"
    assert "auto-trading on" in manage("auto_trading", "on", "--reason", "compared")
