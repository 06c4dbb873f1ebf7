from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from orders.execution import halt
from orders.models import Order, Position
from orders.reconciliation import reconcile
from risk import control
from risk.models import Incident, Mode, TradingControl
from tests.orders.test_reconciliation import place_elsewhere
from tests.risk.admin.staff import told, traces


def version_of(desk):
    return TradingControl.objects.get(mode=desk.mode).version


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

    assert "₹20.00</span></b><span>at " in fresh
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


def test_an_exit_that_was_turned_away_says_that_it_can_be_pressed_again_and_can(act, tara, held, paper):
    position = held(1)
    paper.fault("place", "error_429", times=1)

    answer = act("orders_position_exit", position, token="t")
    page = tara.get(answer["HX-Redirect"]).content.decode()
    too_early = act("orders_position_exit", position, token="t")
    exits().update(ended_at=F("ended_at") - timedelta(seconds=5))
    act("orders_position_exit", position, token="t")

    assert "Too many requests. It takes so many orders a second from all programs of the account: press Exit" in page
    assert "only 5 seconds later the book says whether that was true" in told(too_early)
    assert sorted(exits().values_list("status", flat=True)) == ["OPEN", "REJECTED"]


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


def test_an_exit_from_the_incident_does_not_sell_the_same_symbol_at_another_exchange(act, missed_exit):
    Position.objects.update(exchange="BSE")  # the one at NSE went flat

    answer = act("risk_incident_exit", missed_exit, token="t")

    assert "no open position" in told(answer)
    assert not exits().exists()


def test_nor_what_was_bought_after_the_position_had_gone_flat(act, desk, held, follow, received):
    held(2)
    halt(desk, by="priya", reason="a rumour")
    follow(received(signal_type="SELL", cms_score=-75))
    missed_exit = Incident.objects.get(kind="EXIT_NOT_TAKEN")
    act("risk_incident_exit", missed_exit, token="mine")
    reconcile(desk)
    control.resume(desk.mode, by="priya", reason="over", now=desk.clock(), version_shown=version_of(desk))
    held(1)

    answer = act("risk_incident_exit", missed_exit, token="an old page")

    assert "what is open now was bought since" in told(answer)
    assert exits().count() == 1


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


@pytest.fixture
def differs(desk, held):
    """Two are ours, and the broker says three."""
    position = held(2)
    Position.objects.update(broker_quantity=3)
    return position


def test_the_brokers_quantity_is_accepted_with_a_reason(act, desk, held, paper):
    position = held(2)
    place_elsewhere(paper, quantity=1, price=1405.0)
    reconcile(desk)

    act("orders_position_accept_broker", position, shown=3, reason="bought by phone", token="t")
    act("orders_position_accept_broker", position, shown=3, reason="bought by phone", token="t")

    position.refresh_from_db()
    assert position.quantity == 3
    assert [trace.endswith("2 → 3 shares: bought by phone") for trace in traces()] == [True, True]


def test_what_the_dialog_did_not_show_is_not_accepted(act, differs):
    answer = act("orders_position_accept_broker", differs, shown=9, reason="so it says", token="t")

    assert "by now" in told(answer)
    differs.refresh_from_db()
    assert differs.quantity == 2


def test_the_brokers_quantity_is_offered_only_where_the_two_differ_and_to_who_may(tara, vera, differs):
    url = reverse("admin:orders_position_change", args=[differs.pk])
    button = reverse("admin:orders_position_accept_broker", args=[differs.pk])

    assert button in tara.get(url).content.decode()
    assert button not in vera.get(url).content.decode()
    Position.objects.update(broker_quantity=2)
    assert button not in tara.get(url).content.decode()


def test_of_two_products_of_a_symbol_the_dialog_says_what_this_one_becomes(tara, differs):
    """The broker's number is of the symbol: it holds 5, of which 2 are another product's."""
    Position.objects.update(broker_quantity=5)
    differs.refresh_from_db()
    other = Position.objects.get(pk=differs.pk)
    other.pk, other.product = None, "MIS"
    other.save(force_insert=True)
    url = reverse("admin:orders_position_change", args=[differs.pk])
    button = reverse("admin:orders_position_accept_broker", args=[differs.pk])

    dialog = tara.get(button).content.decode()
    Position.objects.update(broker_quantity=4)

    assert "3 shares, at the average price so far" in dialog
    assert button not in tara.get(url).content.decode()


def test_a_position_is_exited_from_its_row_by_who_may(tara, vera, held):
    position = held(2)
    url = reverse("admin:orders_position_changelist")
    button = reverse("admin:orders_position_exit", args=[position.pk])

    assert button in tara.get(url).content.decode()
    assert button not in vera.get(url).content.decode()
    Position.objects.update(quantity=0)
    assert button not in tara.get(url).content.decode()
