"""The inbox of signals to close: what it shows, what a person may do there, and what two at once are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from orders.execution import halt
from orders.models import ExecutorHeartbeat, MissedExit, Order, Position, Signal
from orders.reconciliation import reconcile
from risk import control
from risk.models import AuditEntry, Mode
from tests.orders.admin.test_every_page import clone, queries_of
from tests.risk.admin.staff import SENT, person, told, traces

SELL = {"signal_type": "SELL", "cms_score": -75}
LIST = "admin:orders_missedexit_changelist"


@pytest.fixture
def missed(desk, held, follow, received):
    """Two RELIANCE are held, and a signal to sell them was ignored because auto-trading is off."""
    held(2)
    control.auto_trading_off(desk.mode, by="priya", reason="lunch", now=desk.clock())
    signal = received(signal_id="missed", strategy="momentum", **SELL)
    follow(signal)
    return signal.missed_exit


def listed(client, **asked):
    return client.get(reverse(LIST), asked).context["cl"].result_count


def exits():
    return Order.objects.filter(is_exit=True)


def test_the_list_says_what_it_takes_to_decide(tara, missed):
    page = tara.get(reverse(LIST)).content.decode()

    assert "SELL NSE:RELIANCE" in page
    assert "score -75 momentum" in page
    assert "AUTO_TRADING_DISABLED: auto-trading is off" in page
    assert '<span class="desk-number">2</span>' in page
    assert "₹1,400.00" in page
    assert "s old" in page
    assert reverse("admin:orders_missedexit_exit", args=[missed.pk]) in page
    assert reverse("admin:orders_missedexit_dismiss", args=[missed.pk]) in page


def test_an_old_price_is_marked_and_an_unknown_one_is_no_price(tara, missed):
    Position.objects.update(broker_as_of=timezone.now() - timedelta(minutes=3))
    old = tara.get(reverse(LIST)).content.decode()
    Position.objects.update(last_price=None)
    unknown = tara.get(reverse(LIST)).content.decode()

    assert "3 min old" in old
    assert "₹1,400.00" not in unknown


def test_a_viewer_sees_it_and_no_button(vera, missed):
    page = vera.get(reverse(LIST)).content.decode()

    assert "SELL NSE:RELIANCE" in page
    assert "desk-act" not in page
    assert "dismiss_selected" not in page


def test_who_may_only_dismiss_gets_no_exit(missed):
    rita = person("rita", "view_missedexit", "dismiss_missedexit")

    page = rita.get(reverse(LIST)).content.decode()

    assert reverse("admin:orders_missedexit_dismiss", args=[missed.pk]) in page
    assert reverse("admin:orders_missedexit_exit", args=[missed.pk]) not in page


def test_the_sidebar_counts_what_waits(tara, missed):
    assert "1 waiting" in tara.get(reverse("admin:orders_order_changelist")).content.decode()
    MissedExit.objects.get().dismiss(by="tara", reason="no", at=timezone.now())
    assert "1 waiting" not in tara.get(reverse("admin:orders_order_changelist")).content.decode()


def test_what_nobody_decides_stands_above_with_the_executors_absence(tara, desk, held, received):
    held(2)
    signal = received(**SELL)
    Signal.objects.update(received_at=timezone.now() - timedelta(minutes=3))

    page = tara.get(reverse(LIST)).content.decode()

    assert "The executor is not running" in page
    assert reverse("admin:orders_signal_change", args=[signal.pk]) in page
    assert reverse("admin:orders_position_exit", args=[Position.objects.get().pk]) in page
    assert "1 waiting" in page


def test_a_running_executor_says_for_what_it_waits(vera, desk, held, received):
    held(2)
    received(**SELL)
    Signal.objects.update(received_at=timezone.now() - timedelta(minutes=3), reason="BROKER_POSITION_STALE: 9 s")
    now = timezone.now()
    ExecutorHeartbeat.objects.create(
        mode=desk.mode, host="h", pid=1, backend_pid=2, started_at=now, beat_at=now + timedelta(minutes=1)
    )

    page = vera.get(reverse(LIST)).content.decode()

    assert "The executor waits" in page
    assert "BROKER_POSITION_STALE: 9 s" in page
    assert "desk-act" not in page


def test_thirty_rows_take_no_more_queries_than_one(tara, missed):
    tara.get(reverse(LIST))
    few = queries_of(tara, reverse(LIST))
    clone(Signal, 30, lambda row, n: setattr(row, "signal_id", f"clone-{n}"))
    for signal in Signal.objects.filter(signal_id__startswith="clone-"):
        MissedExit.objects.create(
            mode=missed.mode, signal=signal, exchange="NSE", symbol="RELIANCE", why="x", at=missed.at
        )

    assert listed(tara) == 31
    assert queries_of(tara, reverse(LIST)) == few
    assert few <= 12


def test_an_exit_is_sent_once_by_one_form_and_the_row_leaves(act, tara, desk, missed):
    answer = act("orders_missedexit_exit", missed, token="the-same-form")
    act("orders_missedexit_exit", missed, token="the-same-form")

    order = exits().get()
    assert (order.side, order.quantity, order.created_by) == ("SELL", 2, "tara")
    assert answer["HX-Redirect"] == reverse(LIST)
    assert f"Exit: {order} is open" in told(answer)
    assert traces()[0] == f"Exit: order {order.client_order_id}"
    assert (listed(tara), listed(tara, view="closing")) == (0, 1)

    reconcile(desk)

    assert (listed(tara, view="closing"), listed(tara, view="ended")) == (0, 1)
    assert "asked for by tara" in tara.get(
        reverse("admin:orders_missedexit_change", args=[missed.pk])
    ).content.decode()  # fmt: skip


def test_a_second_person_who_exits_is_told_that_it_is_being_closed(act, missed):
    rita = person("rita", "view_missedexit", "exit_position")
    act("orders_missedexit_exit", missed, token="taras")

    url = reverse("admin:orders_missedexit_exit", args=[missed.pk])
    answer = rita.post(url, {**SENT, "token": "ritas"}, headers={"HX-Request": "true"})

    assert "it is being closed" in told(answer)
    assert exits().count() == 1


def test_an_exit_works_while_trading_is_halted(act, desk, missed):
    halt(desk, by="tara", reason="something is wrong")

    act("orders_missedexit_exit", missed, token="t")

    assert exits().get().status == "OPEN"


def test_an_exit_at_a_dead_broker_is_told_and_nothing_is_sent(act, tara, missed, paper):
    paper.fault("any", "error_503", times=20)

    answer = act("orders_missedexit_exit", missed, token="t")

    assert "BROKER_POSITION_STALE" in told(answer)
    assert not exits().exists()
    assert listed(tara) == 1


def test_a_position_that_is_flat_by_now_has_nothing_to_exit(act, tara, missed):
    Position.objects.update(quantity=0)

    answer = act("orders_missedexit_exit", missed, token="t")

    assert told(answer) == "Nothing is open in RELIANCE any more."
    assert listed(tara) == 0


def test_a_form_from_before_the_position_went_flat_does_not_sell_what_was_bought_since(act, tara, desk, missed, held):
    act("orders_missedexit_exit", missed, token="mine")
    reconcile(desk)
    held(1)

    answer = act("orders_missedexit_exit", missed, token="an old page")

    page = tara.get(reverse("admin:orders_missedexit_change", args=[missed.pk])).content.decode()
    assert "what is open now was bought since" in told(answer)
    assert exits().count() == 1
    assert reverse("admin:orders_missedexit_exit", args=[missed.pk]) not in page


def test_one_of_the_other_mode_is_left_alone(act, tara, missed, settings):
    settings.TRADING_MODE = Mode.LIVE

    page = tara.get(reverse(LIST), {"mode": "PAPER"}).content.decode()
    answer = act("orders_missedexit_exit", missed, token="t")

    assert "SELL NSE:RELIANCE" in page
    assert "desk-act" not in page
    assert not exits().exists()
    assert told(answer)


def test_getting_out_still_works_after_it_was_dismissed(act, missed):
    act("orders_missedexit_dismiss", missed, reason="held on purpose")

    act("orders_missedexit_exit", missed, token="t")

    assert exits().get().quantity == 2


def test_a_dismissal_is_kept_with_who_and_why(act, tara, missed):
    answer = act("orders_missedexit_dismiss", missed, reason="held on purpose")

    missed.refresh_from_db()
    assert (missed.state, missed.ended_by, missed.note) == ("DISMISSED", "tara", "held on purpose")
    assert told(answer) == "SELL NSE:RELIANCE: dismissed."
    assert traces()[0] == "Dismissed: held on purpose"
    assert (listed(tara), listed(tara, view="ended")) == (0, 1)
    assert not exits().exists()


def test_the_audit_trail_says_who_dismissed_it_and_why(act, missed):
    act("orders_missedexit_dismiss", missed, reason="held on purpose")

    entry = AuditEntry.objects.filter(table_name="orders_missedexit").latest("id")
    assert (entry.actor, entry.reason) == ("tara", "held on purpose")


def test_who_dismisses_it_twice_is_told_who_did_it(act, missed):
    act("orders_missedexit_dismiss", missed, reason="held on purpose")

    answer = act("orders_missedexit_dismiss", missed, reason="held on purpose")

    assert told(answer).endswith("It has ended already: dismissed by tara: held on purpose.")
    assert len(traces()) == 1


def test_nothing_is_dismissed_without_a_reason(act, missed):
    act("orders_missedexit_dismiss", missed, reason="")

    missed.refresh_from_db()
    assert missed.state == "WAITING"


def test_a_dead_broker_keeps_nobody_from_dismissing(act, missed, paper):
    paper.fault("any", "error_503", times=20)

    act("orders_missedexit_dismiss", missed, reason="held on purpose")

    missed.refresh_from_db()
    assert missed.state == "DISMISSED"


def test_several_are_dismissed_with_a_result_for_each(tara, missed, follow, received):
    follow(received(signal_id="second", **SELL))
    first, second = MissedExit.objects.order_by("id")
    ticked = {"action": "dismiss_selected", "_selected_action": [first.pk, second.pk]}

    asked = tara.post(reverse(LIST), ticked).content.decode()
    first.dismiss(by="rita", reason="mine", at=timezone.now())
    answer = tara.post(reverse(LIST), {**ticked, "confirmed": "yes", "reason": "both held on purpose", **SENT})

    page = answer.content.decode()
    assert "Dismiss the selected signals to close?" in asked
    assert "1 of 2 dismissed" in page
    assert "It has ended already: dismissed by rita: mine." in page
    second.refresh_from_db()
    assert (second.ended_by, second.note) == ("tara", "both held on purpose")


def test_several_are_not_dismissed_without_a_reason_or_the_permission(tara, vera, missed):
    ticked = {"action": "dismiss_selected", "_selected_action": [missed.pk], "confirmed": "yes", **SENT}

    tara.post(reverse(LIST), {**ticked, "reason": ""})
    vera.post(reverse(LIST), {**ticked, "reason": "because"})

    missed.refresh_from_db()
    assert missed.state == "WAITING"


def test_at_most_fifty_are_dismissed_at_once(tara, missed):
    clone(Signal, 51, lambda row, n: setattr(row, "signal_id", f"clone-{n}"))
    for signal in Signal.objects.exclude(pk=missed.signal_id).filter(signal_id__startswith="clone"):
        MissedExit.objects.create(
            mode=missed.mode, signal=signal, exchange="NSE", symbol="RELIANCE", why="x", at=missed.at
        )
    ticked = {
        "action": "dismiss_selected",
        "_selected_action": list(MissedExit.objects.values_list("pk", flat=True)),
    }

    answer = tara.post(reverse(LIST), {**ticked, "confirmed": "yes", "reason": "because", **SENT})

    assert "At most 50 at once." in told(answer)
    assert not MissedExit.objects.exclude(state="WAITING").exists()


def test_the_list_is_a_file_with_how_each_ended(tara, missed):
    missed.dismiss(by="rita", reason="held on purpose", at=timezone.now())

    file = tara.get(reverse("admin:orders_missedexit_export_csv"), {"view": "ended"}).getvalue().decode()

    assert "RELIANCE,missed,-75.000000000000,momentum,AUTO_TRADING_DISABLED: auto-trading is off,DISMISSED" in file
    assert "rita,held on purpose" in file


def test_a_search_finds_one_that_ended_long_ago(tara, missed):
    MissedExit.objects.get().dismiss(by="tara", reason="no", at=timezone.now())

    assert (listed(tara), listed(tara, q="missed"), listed(tara, q="RELIANCE")) == (0, 1, 1)
