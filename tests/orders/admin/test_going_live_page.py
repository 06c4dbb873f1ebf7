"""The page of the way to live money, the proofs of the line and the shadow report, as staff use them."""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from orders.models import GoingLiveStep, LineProof, Order, ShadowQuote
from risk.models import LimitChange, Mode, RiskSettings, TradingControl
from tests.orders.test_going_live import day, lacking, order, quote, rehearsed, signals
from tests.orders.test_shadow import publish
from tests.risk.admin.staff import SENT, person, told, traces

__all__ = ["publish"]

pytestmark = pytest.mark.django_db

PAGE = "/admin/orders/goinglivestep/"
Step = GoingLiveStep.Step


def checks_of(client, step: str) -> str:
    return client.get(PAGE, {"part": "checks", "step": step}).content.decode()


def test_the_page_shows_the_five_steps_and_which_is_the_present_one(tara):
    shown = tara.get(PAGE).content.decode()

    assert [shown.count(f"<b>{step.label}</b>") for step in Step] == [1] * 5
    assert shown.count("the present step") == 1
    assert shown.count("not reached") == 4
    assert "This is <b>PAPER</b>" in shown


@pytest.mark.parametrize("step", Step.values)
def test_each_step_says_what_must_be_green(tara, step):
    shown = checks_of(tara, step)

    assert "to do before it is green" in shown
    assert "Not yet" in shown


def test_a_green_step_says_so_and_links_to_its_rows(tara):
    rehearsed()

    shown = checks_of(tara, "REHEARSE")

    assert "green, and a person passes it" in shown
    assert reverse("admin:orders_signal_changelist") in shown


@pytest.mark.parametrize(("step", "status"), [("REHEARSE", 200), ("NONE", 403), ("", 403)])
def test_only_the_checks_of_a_step_can_be_asked_for(tara, step, status):
    assert tara.get(PAGE, {"part": "checks", "step": step}).status_code == status


def test_a_step_is_passed_with_its_trace(act, tara):
    rehearsed()

    answer = act("orders_goinglivestep_pass_step", step="REHEARSE", reason="two good days")

    row = GoingLiveStep.objects.get()
    assert (row.said, row.by, row.reason) == ("PASSED", "tara", "two good days")
    assert told(answer) == "Rehearse: passed."
    assert traces() == ["Rehearse: passed. two good days"]
    assert "by tara" in tara.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("word", "reason", "kept"), [("GO PAST", "no time", 1), ("go past", "no time", 0), ("GO PAST", "", 0), ("", "x", 0)]
)
def test_going_past_needs_the_word_and_a_reason(act, word, reason, kept):
    act("orders_goinglivestep_go_past", step="REHEARSE", word=word, reason=reason)

    assert GoingLiveStep.objects.filter(said="OVERRIDDEN").count() == kept


def test_a_step_that_was_gone_past_meanwhile_is_not_gone_past_again(act):
    act("orders_goinglivestep_go_past", step="REHEARSE", word="GO PAST", reason="no time")

    answer = act("orders_goinglivestep_go_past", step="REHEARSE", word="GO PAST", reason="no time")

    assert "the present step is Shadow" in told(answer)
    assert GoingLiveStep.objects.count() == 1


def test_a_step_is_begun_anew(act):
    act("orders_goinglivestep_go_past", step="REHEARSE", word="GO PAST", reason="no time")

    act("orders_goinglivestep_begin_anew", step="REHEARSE", reason="a new strategy")

    assert GoingLiveStep.objects.first().said == "REOPENED"


def test_what_was_measured_stands_on_the_rows_page(act, tara):
    act("orders_goinglivestep_go_past", step="REHEARSE", word="GO PAST", reason="no time")

    shown = tara.get(f"{PAGE}{GoingLiveStep.objects.get().pk}/change/").content.decode()

    assert "Signals decided: 0 of 20 (bad)" in shown


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("pass_step", {"step": "REHEARSE", "reason": "x"}),
        ("go_past", {"step": "REHEARSE", "reason": "x", "word": "GO PAST"}),
        ("begin_anew", {"step": "REHEARSE", "reason": "x"}),
        ("prove_line", {"symbol": "RELIANCE", "word": "PROVE", "token": "t", "shown": 0}),
        ("hold_small", {"symbol": "RELIANCE", "reason": "x", "version_shown": 1}),
        ("lift", {"reason": "x", "word": "LOOSEN", "version_shown": 1}),
    ],
)
def test_who_only_looks_can_do_nothing(vera, desk, paper, action, fields):
    rehearsed()
    before = GoingLiveStep.objects.count()

    for method in (vera.get, vera.post):
        answer = method(reverse(f"admin:orders_goinglivestep_{action}"), {**SENT, **fields})
        assert answer.status_code == 403

    assert GoingLiveStep.objects.count() == before
    assert not LineProof.objects.filter(token="t").exists()
    assert paper.accepted() == []
    assert vera.get(PAGE).status_code == 200
    assert reverse(f"admin:orders_goinglivestep_{action}") not in vera.get(PAGE).content.decode()


# --- The line ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_the_desk(desk, monkeypatch):
    """Have the admin's desk be that of the test, whose pauses take no time."""
    desk.__dict__["pause"] = lambda seconds: None
    monkeypatch.setattr("orders.desk.Desk.from_settings", lambda **_: desk)
    return desk


def prove(act, **changes):
    fields = {"symbol": "nse:reliance", "word": "PROVE", "token": "form-1", "shown": 0}
    return act("orders_goinglivestep_prove_line", **{**fields, **changes})


def test_the_line_is_proved_and_its_stages_shown(act, tara, at_the_desk, paper):
    answer = prove(act)

    proof = LineProof.objects.get()
    assert told(answer) == "Paper, RELIANCE: The line works."
    assert answer.headers["HX-Redirect"] == f"/admin/orders/lineproof/{proof.pk}/change/"
    shown = tara.get(answer.headers["HX-Redirect"]).content.decode()
    assert all(stage.measured.replace("'", "&#x27;") in shown for stage in proof.stages.all())
    assert len(paper.accepted()) == 1


@pytest.mark.parametrize("changes", [{"word": "prove"}, {"word": ""}, {"symbol": ""}, {"shown": ""}])
def test_without_word_and_share_nothing_is_placed(act, at_the_desk, paper, changes):
    prove(act, **changes)

    assert not LineProof.objects.exists()
    assert paper.accepted() == []


def test_a_double_click_and_a_second_person_place_one_order(act, at_the_desk, paper):
    prove(act)
    prove(act)
    answer = prove(act, token="form-2")

    assert "proved the line since this was shown" in told(answer)
    assert len(paper.accepted()) == 1


def test_what_failed_is_shown_with_the_brokers_words_and_what_to_do(act, tara, at_the_desk, paper):
    paper.fault("place", "refuse_margin")

    answer = prove(act)

    shown = tara.get(answer.headers["HX-Redirect"]).content.decode()
    assert "The funds do not suffice" in told(answer)
    assert "Insufficient funds" in shown
    assert "Add funds" in shown


# --- The small limits -------------------------------------------------------------------------------------------------


def version() -> int:
    return RiskSettings.objects.get().version


def test_limits_are_held_small_from_the_page(act, desk):
    answer = act("orders_goinglivestep_hold_small", symbol="reliance", reason="first days", version_shown=version())

    assert RiskSettings.objects.get().allowed_instruments == "NSE:EQ:RELIANCE"
    assert "became tighter" in told(answer)


@pytest.mark.parametrize(
    ("needs", "word", "lifted", "waits"),
    [
        ("confirmation", "LOOSEN", True, False),
        ("confirmation", "loosen", False, False),
        ("confirmation", "", False, False),
        ("second_person", "", False, True),
    ],
)
def test_lifting_follows_the_houses_rule(act, desk, settings, needs, word, lifted, waits):
    settings.LOOSENING_NEEDS, settings.LIMIT_CEILINGS = needs, {}
    act("orders_goinglivestep_hold_small", symbol="RELIANCE", reason="first days", version_shown=version())

    act("orders_goinglivestep_lift", reason="three good days", word=word, version_shown=version())

    assert (RiskSettings.objects.get().daily_trades_max == 10) is lifted
    assert LimitChange.objects.pending().filter(limit="daily_trades_max").exists() is waits


def test_limits_that_were_changed_since_the_dialog_are_not_lifted(act, desk):
    act("orders_goinglivestep_hold_small", symbol="RELIANCE", reason="first days", version_shown=version())

    answer = act("orders_goinglivestep_lift", reason="x", word="LOOSEN", version_shown=version() - 1)

    assert "changed the limits meanwhile" in told(answer)
    assert RiskSettings.objects.get().daily_trades_max == 4


# --- Arming -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged_in(settings, db):
    from orders.broker.sessions import TokenVault

    settings.TRADING_MODE = Mode.LIVE
    vault = TokenVault(Mode.LIVE, secret_key=settings.SECRET_KEY)
    vault.keep("a token", user_id="AB1234", now=timezone.now())
    return TradingControl.objects.get(mode=Mode.LIVE)


def test_the_arming_dialog_names_the_steps_that_were_not_passed(tara, logged_in):
    dialog = tara.get(reverse("admin:risk_tradingcontrol_arm_live", args=[logged_in.pk])).content.decode()

    assert "Step not passed: Rehearse" in dialog
    assert "Step not passed: Shadow" in dialog


def test_arming_without_the_steps_asks_why(act, logged_in):
    answer = act("risk_tradingcontrol_arm_live", logged_in, user_id="AB1234", version_shown=logged_in.version)

    assert "Not passed before live: Rehearse and Shadow" in told(answer)
    assert TradingControl.objects.get(mode=Mode.LIVE).armed_user_id == ""

    act("risk_tradingcontrol_arm_live", logged_in, user_id="AB1234", reason="no", version_shown=logged_in.version)

    assert TradingControl.objects.get(mode=Mode.LIVE).armed_user_id == "AB1234"
    assert {row.reason for row in GoingLiveStep.objects.all()} == {"armed live: no"}


# --- The shadow report ------------------------------------------------------------------------------------------------


REPORT = "/admin/shadow/"


def test_before_the_first_day_the_report_says_how_it_begins(tara):
    assert "No day was spent in the shadow yet" in tara.get(REPORT).content.decode()
    assert tara.get(f"{REPORT}csv/").status_code == 404


def test_the_report_shows_the_day_beside_the_real_market(tara, publish, shadow):
    publish("=cmd|'x'", strategy="s")

    shown = tara.get(REPORT).content.decode()
    rows = list(csv.reader(b"".join(tara.get(f"{REPORT}csv/")).decode("utf-8-sig").splitlines()))

    assert "₹1,500.50" in shown
    assert "₹0.50" in shown
    named = dict(zip(rows[0], rows[1], strict=True))
    assert named["Signal id"] == "'=cmd|'x'"
    assert (named["Price decided on (₹)"], named["Filled at (₹)"]) == ("1500.0", "1500.5000")
    assert Decimal(named["Slippage (₹)"]) == Decimal("0.5")
    assert (named["Order"], named["Close (₹)"]) == ("FILLED", "")


@pytest.mark.parametrize("named", ["2020-01-01", "yesterday", "1' OR 1=1"])
def test_a_day_that_was_not_spent_there_has_no_report(tara, publish, named):
    publish("buy-1")

    assert tara.get(REPORT, {"day": named}).status_code == 404


def test_the_report_is_for_who_may_see_orders_decisions_and_signals(vera):
    assert vera.get(REPORT).status_code == 200
    half = person("hari", "view_order", "view_signal")
    assert half.get(REPORT).status_code == 403
    assert half.get(f"{REPORT}csv/").status_code == 403


def test_the_quotes_behind_it_are_a_list(tara, publish):
    publish("buy-1")

    shown = tara.get(reverse("admin:orders_shadowquote_changelist")).content.decode()

    assert ShadowQuote.objects.get().client_order_id == Order.objects.get().client_order_id
    assert "₹1,500.00" in shown


@pytest.mark.parametrize(("mode", "shown"), [("SHADOW", True), ("LIVE", True), ("PAPER", False)])
def test_the_strip_names_the_mode_and_the_login_where_one_is_needed(tara, settings, mode, shown):
    settings.TRADING_MODE = mode

    strip = tara.get(reverse("admin:status_strip")).content.decode()

    assert f"desk-mode-{mode.lower()}" in strip
    assert ("Kite <b>" in strip) is shown


def test_the_facts_of_the_shadow_come_from_the_report_too():
    signals(Mode.SHADOW, 10)
    for ago in range(3):
        order(Mode.SHADOW), day(Mode.SHADOW, ago), quote(moment="CLOSE", trading_date=day_before(ago))

    assert lacking(Step.SHADOW) == []


def day_before(ago: int):
    from datetime import timedelta

    from tests.orders.test_going_live import TODAY

    return TODAY - timedelta(days=ago)
