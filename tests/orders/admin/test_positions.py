from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from orders.execution import halt
from orders.models import Order, Position
from orders.reconciliation import reconcile
from risk.models import Incident, Mode
from tests.risk.admin.staff import told, traces


def exits():
    return Order.objects.filter(is_exit=True)


def test_a_position_is_exited_once_by_one_form(act, desk, held):
    position = held(2)

    answer = act("orders_position_exit", position, token="the-same-form")
    act("orders_position_exit", position, token="the-same-form")
    reconcile(desk)

    order = exits().get()
    assert (order.side, order.quantity, order.created_by, order.status) == ("SELL", 2, "tara", "FILLED")
    assert answer["HX-Redirect"] == reverse("admin:orders_order_change", args=[order.pk])
    assert traces()[0] == f"Exit: order {order.client_order_id}"
    position.refresh_from_db()
    assert position.quantity == 0


def test_an_exit_works_while_trading_is_halted(act, desk, held):
    position = held(1)
    halt(desk, by="tara", reason="something is wrong")

    act("orders_position_exit", position, token="t")

    assert exits().get().status == "OPEN"


def test_the_page_tells_the_unrealised_profit_at_the_brokers_price_and_marks_an_old_one(tara, desk, held, paper):
    position = held(2)
    bought_at = Position.objects.get().cost / 2
    paper.set_price("NSE:RELIANCE", str(bought_at + 10))
    reconcile(desk)
    page = reverse("admin:orders_position_change", args=[position.pk])

    fresh = tara.get(page).content.decode()
    Position.objects.update(broker_as_of=timezone.now() - timedelta(seconds=61))
    old = tara.get(page).content.decode()
    Position.objects.update(last_price=None)
    unknown = tara.get(page).content.decode()

    assert "₹20.00</span> at" in fresh
    assert "price of" not in fresh
    assert "price of" in old
    assert "₹20.00</span> at" not in unknown


def test_a_flat_position_has_nothing_to_exit(act, held):
    position = held(1)
    Position.objects.update(quantity=0)

    answer = act("orders_position_exit", position, token="t")

    assert told(answer) == "There is no open position in RELIANCE."
    assert not exits().exists()


def test_an_exit_that_the_risk_desk_refuses_is_told(act, held, paper):
    position = held(1)
    paper.fault("positions", "error_503", times=2)

    answer = act("orders_position_exit", position, token="t")

    assert "BROKER_POSITION_STALE" in told(answer)
    assert not exits().exists()


def test_a_position_of_the_other_mode_is_left_alone(act, held):
    position = held(1)
    Position.objects.update(mode=Mode.LIVE)

    assert "belongs to LIVE" in told(act("orders_position_exit", position, token="t"))


def test_the_dialog_says_what_will_be_sent(tara, held):
    position = held(2)

    dialog = tara.get(reverse("admin:orders_position_exit", args=[position.pk])).content.decode()

    assert "SELL 2 NSE:RELIANCE at the market" in dialog


@pytest.fixture
def missed_exit(held):
    held(1)
    return Incident.objects.open(
        Incident.Kind.EXIT_NOT_TAKEN,
        mode=Mode.PAPER,
        subject="NSE:RELIANCE",
        title="A signal to sell RELIANCE was not acted on",
        symbol="RELIANCE",
        now=timezone.now(),
    )


def test_what_a_signal_did_not_close_is_exited_from_its_incident(act, missed_exit):
    answer = act("risk_incident_exit", missed_exit, token="t")

    assert exits().get().symbol == "RELIANCE"
    assert "Exit: SELL 1 RELIANCE" in told(answer)
    missed_exit.refresh_from_db()
    assert missed_exit.is_open


def test_only_the_incident_of_a_missed_exit_has_that_action(act, tara, missed_exit):
    Incident.objects.update(kind=Incident.Kind.SIGNAL_GAP)

    page = tara.get(reverse("admin:risk_incident_change", args=[missed_exit.pk])).content.decode()
    answer = act("risk_incident_exit", missed_exit, token="t")

    assert "Exit position" not in page
    assert "no open position" in told(answer)
    assert not exits().exists()


def test_an_incident_is_acknowledged_then_resolved_once(act, missed_exit):
    act("risk_incident_acknowledge", missed_exit, note="looking")
    missed_exit.refresh_from_db()
    assert (missed_exit.status, missed_exit.is_open, missed_exit.note) == ("ACKNOWLEDGED", True, "looking")

    act("risk_incident_resolve", missed_exit, note="sold by hand")
    again = act("risk_incident_resolve", missed_exit, note="me too")

    missed_exit.refresh_from_db()
    assert (missed_exit.status, missed_exit.closed_by, missed_exit.note) == ("RESOLVED", "tara", "sold by hand")
    assert "nothing was changed" in told(again)
    assert traces() == ["Acknowledged: looking", "Resolved: sold by hand"]


def adjusting(**changes):
    return {"kind": "BONUS", "ratio_new": 1, "ratio_old": 1, "reason": "bonus of one for one", "token": "a", **changes}


def test_a_position_is_adjusted_once_by_one_form_and_says_so(act, tara, held):
    position = held(2)

    act("orders_position_adjust", position, **adjusting())
    act("orders_position_adjust", position, **adjusting())

    position.refresh_from_db()
    assert (position.quantity, position.average_price) == (4, 700)
    page = tara.get(reverse("admin:orders_position_change", args=[position.pk])).content.decode()
    assert "bonus of one for one" in page
    assert "Realised today" in page


def test_a_refused_adjustment_is_told(act, held):
    position = held(2)

    answer = act("orders_position_adjust", position, **adjusting(kind="BROKER", shown=9))

    assert "by now" in told(answer)
    position.refresh_from_db()
    assert position.quantity == 2


def test_who_only_looks_adjusts_nothing(vera, held):
    position = held(2)
    url = reverse("admin:orders_position_adjust", args=[position.pk])

    assert vera.get(url).status_code == 403
    assert vera.post(url, {"_form_submitted": "True", **adjusting()}).status_code == 403
    position.refresh_from_db()
    assert position.quantity == 2
