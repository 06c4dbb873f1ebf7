"""The switch: each action through its use case, and a page opened before somebody else's change."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from orders.broker.sessions import TokenVault
from orders.models import ExecutorHeartbeat
from risk import control
from risk.models import Incident, Mode, TradingControl, TradingControlEvent
from tests.risk.admin.staff import SENT, person, told, traces


def paper() -> TradingControl:
    return TradingControl.objects.get(mode=Mode.PAPER)


def live() -> TradingControl:
    return TradingControl.objects.get(mode=Mode.LIVE)


def switched(**changes):
    TradingControl.objects.filter(mode=Mode.PAPER).update(**changes)
    return paper()


def test_auto_trading_is_turned_on(act):
    row = paper()

    answer = act("risk_tradingcontrol_auto_trading_on", row, reason="market opens", version_shown=row.version)

    assert paper().auto_trading
    assert (paper().changed_by, paper().reason) == ("tara", "market opens")
    assert "auto-trading on" in told(answer)
    assert traces() == ["Paper: ACTIVE, auto-trading on. market opens"]


def test_a_page_opened_before_a_halt_cannot_turn_auto_trading_on(act):
    shown = paper().version
    control.halt(Mode.PAPER, by="priya", reason="odd fills", now=timezone.now())

    answer = act("risk_tradingcontrol_auto_trading_on", paper(), reason="market opens", version_shown=shown)

    assert not paper().auto_trading
    assert told(answer) == "Trading control was changed by priya since this was shown: odd fills."
    assert traces() == []


def test_a_page_opened_before_a_halt_cannot_resume(act):
    row = switched(state="REDUCE_ONLY")
    control.halt(Mode.PAPER, by="priya", reason="odd fills", now=timezone.now())

    act("risk_tradingcontrol_resume", row, reason="fine again", version_shown=row.version)

    assert paper().state == "HALTED"


def test_auto_trading_is_not_turned_on_while_halted(act):
    row = switched(state="HALTED")

    answer = act("risk_tradingcontrol_auto_trading_on", row, reason="hopeful", version_shown=row.version)

    assert not paper().auto_trading
    assert told(answer) == "Trading is HALTED: resume it first."


def test_auto_trading_is_turned_off(act):
    row = switched(auto_trading=True)

    act("risk_tradingcontrol_auto_trading_off", row, reason="lunch")

    assert not paper().auto_trading


def test_trading_is_resumed_and_auto_trading_stays_as_it_was(act):
    row = switched(state="HALTED")

    act("risk_tradingcontrol_resume", row, reason="explained", version_shown=row.version)

    assert (paper().state, paper().auto_trading) == ("ACTIVE", False)


def test_trading_is_reduced(act):
    act("risk_tradingcontrol_reduce_only", paper(), reason="big news")

    assert paper().state == "REDUCE_ONLY"


def test_reducing_does_not_soften_a_halt(act):
    row = switched(state="HALTED")

    answer = act("risk_tradingcontrol_reduce_only", row, reason="big news")

    assert paper().state == "HALTED"
    assert "Nothing to change" in told(answer)


def test_a_halt_cancels_what_works(act, desk, resting):
    order = resting()

    answer = act("risk_tradingcontrol_halt", paper(), reason="odd fills")

    order.refresh_from_db()
    assert paper().state == "HALTED"
    assert order.cancel_reason == "trading halted: odd fills"
    assert "Cancels asked for: 1" in told(answer)
    assert traces() == ["Halt: odd fills"]


def test_a_halt_works_without_a_broker(act, settings):
    settings.PAPER_KITE_URL = ""

    answer = act("risk_tradingcontrol_halt", paper(), reason="odd fills")

    assert paper().state == "HALTED"
    assert "Nothing could be cancelled" in told(answer)


def test_a_halt_needs_a_reason(act):
    act("risk_tradingcontrol_halt", paper(), reason="")

    assert paper().state == "ACTIVE"


@pytest.fixture
def logged_in(settings, db):
    """The live mode, with a login of the account AB1234."""
    settings.TRADING_MODE = Mode.LIVE
    vault = TokenVault(Mode.LIVE, secret_key=settings.SECRET_KEY)
    vault.keep("a token", user_id="AB1234", now=timezone.now())


def test_live_is_armed_for_the_account_that_was_typed_and_is_logged_in(act, logged_in):
    row = live()

    act(
        "risk_tradingcontrol_arm_live", row, user_id=" AB1234 ", reason="rehearsed elsewhere", version_shown=row.version
    )

    assert live().armed_user_id == "AB1234"


def test_live_is_not_armed_for_a_mistyped_account(act, logged_in):
    row = live()

    answer = act(
        "risk_tradingcontrol_arm_live", row, user_id="AB1243", reason="rehearsed elsewhere", version_shown=row.version
    )

    assert live().armed_user_id == ""
    assert told(answer) == "You typed AB1243, and the login is of AB1234: nothing is armed."


def test_arming_shows_who_is_logged_in_and_what_may_be_sent(tara, logged_in):
    dialog = tara.get(reverse("admin:risk_tradingcontrol_arm_live", args=[live().pk])).content.decode()

    assert "AB1234" in dialog
    assert "until 06:00" in dialog
    assert "₹10,000.00" in dialog


def test_live_is_disarmed_at_once_by_whoever_may_halt(logged_in):
    control.arm_live(user_id="AB1234", by="asha", now=timezone.now(), version_shown=live().version)
    priya = person("priya", "halt_trading", "view_tradingcontrol")
    url = reverse("admin:risk_tradingcontrol_disarm_live", args=[live().pk])

    priya.post(url, {**SENT, "reason": "month end"})

    assert (live().armed_user_id, live().auto_trading, live().changed_by) == ("", False, "priya")
    assert live().reason == "month end"


def test_live_is_not_armed_from_paper(act):
    row = live()

    assert act("risk_tradingcontrol_arm_live", row, user_id="AB1234", version_shown=row.version).status_code == 403
    assert live().armed_user_id == ""


def test_the_page_is_the_one_of_the_mode_that_is_traded(tara):
    assert tara.get(reverse("admin:risk_tradingcontrol_changelist"))["Location"].endswith(f"/{paper().pk}/change/")
    assert tara.get(reverse("admin:risk_tradingcontrol_change", args=[live().pk])).status_code == 302


def test_the_switch_of_the_other_mode_cannot_be_reached(act):
    assert act("risk_tradingcontrol_halt", live(), reason="wrong one").status_code == 404
    assert live().state == "ACTIVE"


def test_the_page_shows_who_changed_what_and_why(act, tara):
    act("risk_tradingcontrol_reduce_only", paper(), reason="big news")

    page = tara.get(reverse("admin:risk_tradingcontrol_change", args=[paper().pk])).content.decode()

    assert TradingControlEvent.objects.get().reason in page
    assert "Reduce only" in page


def test_the_dialog_carries_the_version_it_shows(tara):
    row = switched(version=7)

    dialog = tara.get(reverse("admin:risk_tradingcontrol_auto_trading_on", args=[row.pk])).content.decode()

    assert '<input type="hidden" name="version_shown" value="7"' in dialog
    assert "Back" in dialog


@pytest.mark.parametrize("name", ["risk_tradingcontrol_changelist", "orders_order_changelist", "index"])
def test_the_strip_is_on_every_page(tara, name):
    page = tara.get(reverse(f"admin:{name}"), follow=True).content.decode()

    assert 'id="status-strip"' in page
    assert "PAPER" in page
    assert "No executor" in page


def test_the_strip_says_what_is_going_on(tara, django_assert_max_num_queries):
    now = timezone.now()
    switched(state="HALTED", auto_trading=True)
    ExecutorHeartbeat.objects.create(mode=Mode.PAPER, host="h", pid=1, backend_pid=2, started_at=now, beat_at=now)
    Incident.objects.open(Incident.Kind.SIGNAL_GAP, mode=Mode.PAPER, title="a gap", now=now)

    with django_assert_max_num_queries(6):  # the session, the user, his second factor, and three of its own
        strip = " ".join(strip_tags(tara.get(reverse("admin:status_strip")).content.decode()).split())

    assert strip.startswith("PAPER Trading HALTED Auto-tradingAuto ON ExecutorExec 0 s Incidents 1 no data since")


def test_the_strip_gives_nothing_to_a_stranger(db):
    assert Client().get(reverse("admin:status_strip")).status_code == 401
