"""The limits' page: what it lets through, what it asks for, and what it writes."""

from __future__ import annotations

from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from risk import approvals, limit_versions
from risk.admin.limit_history import label_with_unit
from risk.engine.rules import RULES
from risk.models import RiskSettings, RiskSettingsVersion

from .staff import person, told, traces

PAGE = "/admin/risk/risksettings/1/change/"


@pytest.fixture
def shown(rita) -> dict[str, Any]:
    """The fields as the page shows them to Rita, with a reason."""
    form = rita.get(PAGE).context["adminform"].form
    fields = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in {**fields, "reason": "review"}.items() if value not in (None, False)}


def save_elsewhere(**changes: Any) -> None:
    edited = limit_versions.in_force(now=timezone.now())
    for name, value in changes.items():
        setattr(edited, name, value)
    limit_versions.save(edited, list(changes), by="omar", reason="meanwhile", now=timezone.now())


def in_force() -> RiskSettings:
    return limit_versions.in_force(now=timezone.now())


def errors(response: Any) -> str:
    return " ".join(
        f"{name}: {each}" for name, found in response.context["adminform"].form.errors.items() for each in found
    )


def test_a_tightened_limit_is_in_force_at_once(rita, shown):
    answer = rita.post(PAGE, {**shown, "daily_trades_max": 5})

    assert (in_force().daily_trades_max, in_force().version, in_force().changed_by) == (5, 2, "rita")
    assert RiskSettingsVersion.objects.first().changed == {"daily_trades_max": ["10", "5"]}
    assert RiskSettingsVersion.objects.first().reason == "review"
    assert told(answer) == "Version 2 of the limits is in force."
    assert traces() == ["max trades a day 10 → 5. review"]


def test_only_what_was_changed_is_saved(rita, shown):
    before = RiskSettings.objects.values().get()

    rita.post(PAGE, {**shown, "order_quantity_max": 900})

    after = RiskSettings.objects.values().get()
    assert {name for name in before if before[name] != after[name]} == {
        "order_quantity_max",
        "version",
        "changed_by",
        "changed_at",
    }


def test_nothing_changed_is_no_version(rita, shown):
    rita.post(PAGE, shown)

    assert in_force().version == 1


def test_a_form_opened_before_somebody_elses_change_is_refused(rita, shown):
    save_elsewhere(position_value_max=Decimal(8000))

    answer = rita.post(PAGE, {**shown, "daily_trades_max": 5})

    assert "omar changed the limits since this page was opened" in errors(answer)
    assert (in_force().position_value_max, in_force().daily_trades_max) == (8000, 10)


def test_a_contradiction_that_was_there_before_keeps_nothing_else_from_being_saved(rita, shown):
    """Such as one that an older version let through, or a ceiling: what is edited is what is checked."""
    RiskSettings.objects.update(slippage_percent=Decimal(4))
    shown["slippage_percent"] = "4"

    rita.post(PAGE, {**shown, "daily_trades_max": 5})
    refused = rita.post(PAGE, {**shown, "version_shown": 2, "daily_trades_max": 5, "collar_percent": "3.5"})

    assert in_force().daily_trades_max == 5
    assert "slippage (%) 4 must be at most price collar, opening (%) 3.5" in errors(refused)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("daily_trades_max", 20, "max trades a day from 10 to 20"),
        ("cms_buy_threshold", "50", "CMS buy threshold from 60 to 50"),
        ("cms_sell_threshold", "-50", "CMS sell threshold from -60 to -50"),
        ("order_value_max", "6000", "max order value (₹) from 5000 to 6000"),
        ("signal_age_max_seconds", 600, "max signal age, opening (s) from 300 to 600"),
        ("duplicate_window_seconds", 30, "duplicate window (s) from 60 to 30"),
    ],
)
def test_what_loosens_names_itself_and_needs_the_word(rita, shown, name, value, sentence):
    refused = rita.post(PAGE, {**shown, name: value})
    assert in_force().version == 1
    assert f"This loosens {sentence}. Type LOOSEN to confirm it." in errors(refused)

    wrong = rita.post(PAGE, {**shown, name: value, "confirmation": "loosen"})
    assert in_force().version == 1
    assert "Type LOOSEN" in errors(wrong)

    rita.post(PAGE, {**shown, name: value, "confirmation": "LOOSEN"})
    assert Decimal(getattr(in_force(), name)) == Decimal(value)


def test_tightening_one_and_loosening_another_names_only_the_loosened(rita, shown):
    answer = rita.post(PAGE, {**shown, "daily_trades_max": 20, "order_quantity_max": 10})

    assert errors(answer) == "confirmation: This loosens max trades a day from 10 to 20. Type LOOSEN to confirm it."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"position_size": "5001"}, "position size (₹) 5001 must be at most max order value (₹) 5000"),
        ({"position_value_max": "4999"}, "max order value (₹) 5000 must be at most max position size (₹) 4999"),
        ({"cms_buy_threshold": "-60"}, "CMS sell threshold -60 must be below CMS buy threshold -60"),
        ({"slippage_percent": "3.001"}, "slippage (%) 3.001 must be at most price collar, opening (%) 3"),
        (
            {"closing_collar_percent": "2.999"},
            "price collar, opening (%) 3 must be at most price collar, closing (%) 2.999",
        ),
        ({"closing_signal_age_max_seconds": 299}, "300 must be at most max signal age, closing (s) 299"),
        (
            {"gross_exposure_max": "9999.99"},
            "max position size (₹) 10000 must be at most max gross exposure (₹) 9999.99",
        ),
        ({"open_orders_max": 0}, "max open orders of a symbol and side 1 must be at most max open orders 0"),
        ({"allowed_instruments": "NSE:EQ:"}, "allowed_instruments: Give exchange:series with commas between"),
        ({"allowed_instruments": "NSE EQ"}, "allowed_instruments: Give exchange:series with commas between"),
        ({"funds_use_percent": "100.001"}, "funds_use_percent: The settings of this installation allow at most 100"),
        ({"reject_streak_max": 101}, "reject_streak_max: The settings of this installation allow at most 100"),
        ({"duplicate_window_seconds": 86401}, "duplicate_window_seconds: Ensure this value is less than or equal to"),
        ({"position_size": "-1"}, "position_size: Ensure this value is greater than or equal to 0"),
        ({"cms_buy_threshold": "100.01"}, "cms_buy_threshold: Ensure this value is less than or equal to 100"),
        ({"daily_trades_max": ""}, "daily_trades_max: This field is required"),
        ({"reason": " "}, "reason: This field is required"),
    ],
)
def test_limits_that_contradict_each_other_are_explained(rita, shown, changes, sentence):
    answer = rita.post(PAGE, {**shown, **changes, "confirmation": "LOOSEN"})

    assert sentence in errors(answer)
    assert in_force().version == 1


@pytest.mark.parametrize("value", ["5000", "4999.99", "0"])
def test_a_limit_at_its_edge_is_taken(rita, shown, value):
    rita.post(PAGE, {**shown, "position_size": value, "confirmation": "LOOSEN"})

    assert in_force().position_size == Decimal(value)


def test_each_field_is_explained_by_the_controls_that_are_held_against_it(rita, vera):
    for page in (rita.get(PAGE), vera.get(PAGE)):
        shown = unescape(" ".join(page.content.decode().split()))
        for control in RULES:
            if set(control.limits) & set(RiskSettings.LIMIT_FIELDS):
                assert f"{control.code}: {control.sentence}" in shown


def test_every_limit_has_a_place_on_the_page(rita):
    form = rita.get(PAGE).context["adminform"]
    placed = {name for fieldset in form for line in fieldset for name in line.fields}

    assert set(RiskSettings.LIMIT_FIELDS) <= placed


def test_another_kind_of_instrument_is_loosened_by_name(rita, shown):
    listed = {**shown, "allowed_instruments": "NSE:EQ, NSE:BE"}
    assert "This loosens allowed instruments from NSE:EQ, BSE:EQ to NSE:EQ, NSE:BE" in errors(rita.post(PAGE, listed))

    rita.post(PAGE, {**shown, "allowed_instruments": "NSE:EQ"})
    assert in_force().allowed_instruments == "NSE:EQ"


def test_the_lot_is_no_longer_rounded_up(rita, shown):
    shown.pop("round_up_to_one_lot")

    rita.post(PAGE, shown)

    assert in_force().round_up_to_one_lot is False
    assert traces() == ["round up to one lot on → off. review"]


@pytest.mark.django_db(transaction=True)
def test_the_limits_are_saved_outside_the_forms_transaction(rita, shown, monkeypatch):
    save, seen = approvals.save, []
    monkeypatch.setattr(
        approvals, "save", lambda *args, **more: seen.append(connection.in_atomic_block) or save(*args, **more)
    )

    rita.post(PAGE, {**shown, "daily_trades_max": 5})

    assert seen == [False]
    assert in_force().daily_trades_max == 5


def test_the_form_is_protected_against_other_sites(rita, shown):
    rita.handler.enforce_csrf_checks = True

    assert rita.post(PAGE, {**shown, "daily_trades_max": 5}).status_code == 403
    assert in_force().version == 1


def test_who_only_looks_cannot_save(vera, shown):
    assert vera.get(PAGE).status_code == 200
    assert vera.post(PAGE, {**shown, "daily_trades_max": 5}).status_code == 403
    assert in_force().version == 1


def test_a_difference_from_the_environment_is_shown_and_not_applied(rita, settings):
    settings.FIRST_LIMITS = {**settings.FIRST_LIMITS, "MAX_DAILY_TRADES": 25}

    page = rita.get(PAGE).content.decode()

    assert "max trades a day: 25 in the environment, 10 in force" in page
    assert in_force().daily_trades_max == 10


def test_the_history_shows_before_and_after(rita, shown):
    rita.post(PAGE, {**shown, "daily_trades_max": 5})

    page = rita.get(reverse("admin:risk_risksettingsversion_changelist")).content.decode()

    assert "max trades a day <s>10</s> → <b>5</b>" in page
    assert "review" in page


def test_there_is_one_row_and_it_is_not_deleted(rita):
    assert rita.get("/admin/risk/risksettings/add/").status_code == 403
    assert rita.post("/admin/risk/risksettings/1/delete/", {"post": "yes"}).status_code == 403
    assert rita.get("/admin/risk/risksettings/")["Location"] == PAGE


def test_every_limit_has_its_unit_for_who_edits_and_for_who_looks(rita, vera):
    for client in (rita, vera):
        page = unescape(client.get(PAGE).content.decode())
        for name in RiskSettings.LIMIT_FIELDS:
            label = label_with_unit(name)
            assert label.endswith(")"), f"{name} has no unit"
            assert label.lower() in page.lower(), label


def test_what_the_broker_fixes_is_named_where_it_cannot_be_edited(rita):
    page = unescape(rita.get(PAGE).content.decode())

    assert "Modifications of one order: the broker takes 25; 5 are left to orders that close." in page
    assert "Orders a day: the broker takes 5000; 500 are left to exits." in page


def test_the_last_changes_stand_on_the_page_with_their_differences(rita, shown):
    rita.post(PAGE, {**shown, "daily_trades_max": 5, "reason": "a quiet week"})

    page = " ".join(unescape(rita.get(PAGE).content.decode()).split())

    assert "rita: a quiet week" in page
    assert "max trades a day <s>10</s> → <b>5</b>" in page
    assert "a quiet week" not in person("sam", "view_risksettings").get(PAGE).content.decode()
