"""The button that simulates: who may press it, what it shows of the limits on the page, and that it saves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.html import strip_tags

from risk.models import RiskSettings, RiskSettingsVersion
from tests.risk.admin.staff import person

PAGE = "/admin/risk/risksettings/1/change/"
SIMULATE = "/admin/risk/risksettings/1/simulate/"


@pytest.fixture
def rita(db: None) -> Any:
    return person("rita", "view_risksettings", "change_risksettings", "view_decision")


def simulate(client: Any, **changes: Any) -> str:
    form = client.get(PAGE).context["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    fields = {name: value for name, value in {**shown, **changes}.items() if value is not None and value is not False}
    answer = client.post(SIMULATE, fields, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_the_edited_limits_are_held_against_the_last_decisions(follow, received, rita):
    follow(received())
    follow(received(symbol="INFY", cms_score=5))

    page = simulate(rita, daily_trades_max=0)

    assert "Edited: max trades a day." in page
    assert "Of the last <b>2</b> decisions <b>1</b> would have been others, 1 the same" in page
    assert "DAILY_TRADES_EXCEEDED: 0 trades today, the limit is 0" in page
    assert "BUY 1 RELIANCE at 1407" in page


def test_it_needs_no_reason_and_no_word_and_saves_nothing(follow, received, rita):
    follow(received())

    page = simulate(rita, daily_trades_max=50, cms_buy_threshold=50)

    assert "<b>0</b> would have been others" in page
    assert RiskSettings.objects.get().version == RiskSettingsVersion.objects.count() == 1
    assert "the last 200 decisions" in rita.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"position_size": "5001"}, "position size (₹) 5001 must be at most max order value (₹) 5000"),
        ({"daily_trades_max": "many"}, "max trades a day: Enter a whole number."),
        ({"daily_trades_max": "101"}, "max trades a day: The settings of this installation allow at most 100"),
    ],
)
def test_what_cannot_be_saved_cannot_be_simulated(rita, changes, reason):
    assert reason in simulate(rita, **changes)


def test_who_may_not_edit_the_limits_or_see_decisions_may_not_simulate(vera, rita):
    changer = person("carl", "view_risksettings", "change_risksettings")

    for client in (vera, changer):
        assert client.post(SIMULATE, {}).status_code == 403
        assert "Simulate" not in client.get(PAGE).content.decode()
    assert "Simulate" in rita.get(PAGE).content.decode()
    assert rita.get(SIMULATE).status_code == 405
    assert rita.post(SIMULATE.replace("1", "2"), {}).status_code == 405


def test_it_is_protected_against_other_sites(rita):
    rita.handler.enforce_csrf_checks = True

    assert rita.post(SIMULATE, {}).status_code == 403


PREVIEW, USED = "/admin/risk/risksettings/1/preview/", "/admin/risk/risksettings/1/used/"


def preview(client: Any, **changes: Any) -> str:
    form = client.get(PAGE).context["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    fields = {name: value for name, value in {**shown, **changes}.items() if value is not None and value is not False}
    answer = client.post(PREVIEW, fields, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return " ".join(strip_tags(answer.content.decode()).split())


def test_a_save_is_shown_before_it_is_made(rita):
    page = preview(rita, daily_trades_max=50, order_value_max="4000")

    assert "A save would change 2 limits." in page
    assert "max trades a day (trades) 10 50 lock_openLooser needs the word LOOSEN" in page
    assert "max order value (₹) 5000 4000 lockTighter at once" in page
    assert RiskSettings.objects.get().version == RiskSettingsVersion.objects.count() == 1
    assert "a save would change nothing" in preview(rita)


def test_the_preview_says_what_would_be_refused_and_who_must_agree(rita, settings):
    settings.LOOSENING_NEEDS = "second_person"

    page = preview(rita, position_size="5001", daily_trades_max=50)

    assert "and is refused" in page
    assert "position size (₹) 5001 must be at most max order value (₹) 5000" in page
    assert "Looser waits for a second person" in page
    assert "max trades a day: Enter a whole number." in preview(rita, daily_trades_max="many")


def test_how_much_of_a_limit_is_used_stands_beside_it(desk, held, resting, rita):
    held(2)
    resting(symbol="INFY")

    page = rita.get(USED).content.decode()
    told = " ".join(strip_tags(page).split())

    for name in ("daily_trades_max", "gross_exposure_max", "position_value_max", "positions_max", "open_orders_max"):
        assert f'id="use-{name}"' in page
        assert f'id="use-{name}"' in rita.get(PAGE).content.decode()
    assert "2 of 100 trades" in told or "2 of 100 orders" in told
    assert "1 of 1000 orders (BUY INFY)" in told
    assert "₹4,190.00 of" in told


def test_the_use_is_for_who_may_see_the_limits_and_the_preview_for_who_may_change_them(db):
    for client, used, seen in ((person("vic", "view_risksettings"), 200, 403), (person("nobody"), 403, 403)):
        assert client.get(USED).status_code == used
        assert client.post(PREVIEW).status_code == seen
    assert person("ria", "view_risksettings", "change_risksettings").get(PREVIEW).status_code == 405
    assert "hx-post" not in person("vera", "view_risksettings").get(PAGE).content.decode().split('id="content"')[-1]


def test_without_a_broker_no_use_is_told(rita, settings):
    settings.PAPER_KITE_URL = ""

    assert rita.get(USED).status_code == 200
    assert b"use-" not in rita.get(USED).content
