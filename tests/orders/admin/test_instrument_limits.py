"""The page of single symbols' limits: what it takes, what it keeps, and for which instruments."""

from __future__ import annotations

from decimal import Decimal
from html import unescape

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from risk import four_eyes, limit_versions
from risk.models import InstrumentLimit, LimitChange, RiskSettingsVersion
from tests.risk.admin.staff import SENT, person, told, traces

LIST = "/admin/risk/instrumentlimit/"
ADD = f"{LIST}add/"


@pytest.fixture
def rita(desk):
    names = ("view", "add", "change")
    return person("rita", *(f"{name}_instrumentlimit" for name in names), "view_risksettingsversion")


def form(**changes):
    version = limit_versions.in_force(now=timezone.now()).version
    fields = {"exchange": "nse", "symbol": " reliance ", "reason": "results tonight", "version_shown": version}
    return {**fields, **changes}


def errors(response) -> str:
    return str(response.context["adminform"].form.errors)


def kept() -> RiskSettingsVersion:
    return RiskSettingsVersion.objects.first()


def test_a_symbol_is_limited_and_that_is_a_version_with_its_author_and_reason(rita):
    answer = rita.post(ADD, form(blocked="on", order_value_max="500.00"))

    row = InstrumentLimit.objects.get()
    assert (str(row), row.blocked, row.order_value_max, row.changed_by) == ("NSE:RELIANCE", True, 500, "rita")
    assert (kept().version, kept().author, kept().reason) == (2, "rita", "results tonight")
    assert kept().changed == {
        "NSE:RELIANCE blocked": ["", "True"],
        "NSE:RELIANCE order_value_max": ["", "500.00"],
    }
    assert kept().limits == limit_versions.in_force(now=timezone.now()).values() | {
        "NSE:RELIANCE blocked": "True",
        "NSE:RELIANCE order_value_max": "500.00",
    }
    assert "Version 2 of the limits is in force." in told(answer)
    assert traces() == [
        "NSE:RELIANCE blocked none → True; NSE:RELIANCE max order value (₹) none → 500.00. results tonight"
    ]
    assert "blocked; max order value (₹) 500.00" in rita.get(LIST).content.decode()


def test_a_change_loosens_and_tightens_with_both_values_kept(rita):
    rita.post(ADD, form(blocked="on", order_quantity_max=5))
    page = f"{LIST}{InstrumentLimit.objects.get().pk}/change/"

    rita.post(page, form(order_quantity_max=7, product="CNC", confirmation=four_eyes.CONFIRMATION))

    row = InstrumentLimit.objects.get()
    assert (row.blocked, row.order_quantity_max, row.product) == (False, 7, "CNC")
    assert kept().changed == {
        "NSE:RELIANCE blocked": ["True", ""],
        "NSE:RELIANCE order_quantity_max": ["5", "7"],
        "NSE:RELIANCE product": ["", "CNC"],
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "blocked True → none"),
        ({"blocked": "on", "order_value_max": "500.01"}, "max order value (₹) 500.00 → 500.01"),
        ({"blocked": "on", "order_value_max": ""}, "max order value (₹) 500.00 → none"),
        ({"blocked": "on", "position_value_max": "1"}, "max position size (₹) 0.00 → 1"),
        ({"blocked": "on", "order_quantity_max": 6}, "max order quantity (shares) 5 → 6"),
        ({"blocked": "on", "product": "MIS"}, "product CNC → MIS"),
        ({"blocked": "on", "product": ""}, "product CNC → none"),
    ],
)
def test_what_loosens_a_symbols_limit_needs_the_word(rita, changes, sentence):
    limited = {"order_value_max": "500.00", "position_value_max": "0", "order_quantity_max": 5, "product": "CNC"}
    rita.post(ADD, form(blocked="on", **limited))
    page = f"{LIST}{InstrumentLimit.objects.get().pk}/change/"

    refused = rita.post(page, form(**{**limited, **changes}))
    assert f"This loosens {sentence}. Type LOOSEN to confirm it." in unescape(errors(refused))
    assert kept().version == 2

    rita.post(page, form(**{**limited, **changes}, confirmation="LOOSEN"))
    assert kept().version == 3


def test_what_loosens_a_symbols_limit_waits_for_a_second_person_and_the_rest_does_not(rita, settings):
    settings.LOOSENING_NEEDS = "second_person"
    rita.post(ADD, form(order_quantity_max=5, order_value_max="500"))
    page = f"{LIST}{InstrumentLimit.objects.get().pk}/change/"
    assert "LOOSEN" not in rita.get(page).content.decode()

    answer = rita.post(page, form(order_quantity_max=6, order_value_max="400"))

    row = InstrumentLimit.objects.get()
    assert (row.order_quantity_max, row.order_value_max, kept().version) == (5, 400, 3)
    assert "NSE:RELIANCE max order quantity (shares) 5 → 6 waits for a second person." in told(answer)
    assert "(shares) 5 → 6 (waits)" in traces()[-1]
    for shown in (rita.get(page), rita.get(LIST)):
        words = " ".join(unescape(shown.content.decode()).split())
        assert "Now: <b>5</b> · based on: 5 (version 2)" in words
        assert "waits for a second person" in words


def test_a_second_person_answers_for_one_symbol_on_the_same_page(rita, settings):
    settings.LOOSENING_NEEDS = "second_person"
    adam = person("adam", "view_limitchange", "approve_limits")
    rita.post(ADD, form(blocked="on"))
    rita.post(f"{LIST}{InstrumentLimit.objects.get().pk}/change/", form())
    change = LimitChange.objects.get()

    listed = unescape(adam.get("/admin/risk/limitchange/").content.decode())
    assert "NSE:RELIANCE blocked on → off" in listed
    adam.post(reverse("admin:risk_limitchange_approve", args=[change.pk]), {**SENT, "reason": "results are out"})

    assert not InstrumentLimit.objects.get().blocked
    assert (kept().author, kept().approved_by) == ("rita", "adam")
    assert kept().changed == {"NSE:RELIANCE blocked": ["True", ""]}
    assert "NSE:RELIANCE blocked" not in kept().limits


def test_who_keeps_symbols_limits_takes_a_wish_for_one_back_and_none_of_all_orders(rita, settings):
    settings.LOOSENING_NEEDS = "second_person"
    rita.post(ADD, form(blocked="on"))
    rita.post(f"{LIST}{InstrumentLimit.objects.get().pk}/change/", form())
    change = LimitChange.objects.get()
    user = User.objects.get(username="rita")
    user.user_permissions.add(Permission.objects.get(codename="view_limitchange"))
    other = person("ruth", "view_limitchange", "change_risksettings")
    withdraw = reverse("admin:risk_limitchange_withdraw", args=[change.pk])

    assert other.post(withdraw, {**SENT, "reason": "no"}).status_code == 403
    rita.post(withdraw, {**SENT, "reason": "not today"})

    assert LimitChange.objects.get().status == "WITHDRAWN"


@pytest.mark.parametrize(("value", "taken"), [("50000", True), ("50000.01", False)])
def test_no_symbols_limit_passes_a_ceiling(rita, settings, value, taken):
    settings.LIMIT_CEILINGS = {"order_value_max": Decimal(50_000)}

    answer = rita.post(ADD, form(order_value_max=value))

    assert InstrumentLimit.objects.exists() == taken
    if not taken:
        assert "The settings of this installation allow at most 50000, whoever approves." in errors(answer)


def test_a_change_cannot_make_it_another_symbols(rita):
    rita.post(ADD, form(blocked="on"))
    page = f"{LIST}{InstrumentLimit.objects.get().pk}/change/"

    rita.post(page, form(symbol="INFY"))

    assert [str(row) for row in InstrumentLimit.objects.all()] == ["NSE:RELIANCE"]


def test_nothing_changed_is_no_version(rita):
    rita.post(ADD, form(blocked="on"))
    page = f"{LIST}{InstrumentLimit.objects.get().pk}/change/"

    rita.post(page, form(blocked="on"))

    assert kept().version == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"symbol": "RELAINCE"}, "NSE:RELAINCE is not in the broker&#x27;s list of instruments."),
        ({"exchange": "BSE"}, "BSE:RELIANCE is not in the broker&#x27;s list of instruments."),
        ({"reason": " "}, "This field is required"),
        ({"order_value_max": "-1"}, "greater than or equal to 0"),
        ({"product": "BO"}, "Select a valid choice"),
    ],
)
def test_what_would_protect_nobody_is_explained(rita, changes, sentence):
    assert sentence in errors(rita.post(ADD, form(**changes)))
    assert not InstrumentLimit.objects.exists()


def test_a_symbol_has_one_row_of_limits(rita):
    rita.post(ADD, form(blocked="on"))

    assert "already exists" in errors(rita.post(ADD, form()))


def test_a_form_opened_before_somebody_elses_change_saves_nothing(rita):
    opened = form(blocked="on")
    limit_versions.save_instrument(
        InstrumentLimit(exchange="NSE", symbol="INFY", blocked=True), by="omar", reason="x", now=timezone.now()
    )

    answer = rita.post(ADD, opened)

    assert "Nothing was saved: omar changed the limits meanwhile" in told(answer)
    assert [str(row) for row in InstrumentLimit.objects.all()] == ["NSE:INFY"]


def test_the_list_and_the_history_say_it_in_words(rita):
    rita.post(ADD, form(position_value_max="750.50"))

    assert "max position size (₹) 750.50" in rita.get(LIST).content.decode()
    history = rita.get("/admin/risk/risksettingsversion/").content.decode()
    assert "NSE:RELIANCE max position size (₹) <s>none</s> → <b>750.5</b>" in history


def test_who_only_looks_cannot_save_and_nobody_deletes(rita, vera):
    rita.post(ADD, form(blocked="on"))
    row = f"{LIST}{InstrumentLimit.objects.get().pk}/"

    assert vera.get(f"{row}change/").status_code == 200
    assert vera.post(f"{row}change/", form()).status_code == 403
    assert rita.post(f"{row}delete/", {"post": "yes"}).status_code == 403
    assert InstrumentLimit.objects.get().blocked


def test_an_empty_limit_is_none_of_its_own(rita):
    rita.post(ADD, form())

    general = limit_versions.in_force(now=timezone.now()).limits()
    assert limit_versions.for_instrument("NSE", "RELIANCE", now=timezone.now()) == general
    assert InstrumentLimit.objects.get().order_value_max is None


def test_zero_is_a_limit(rita):
    rita.post(ADD, form())
    rita.post(f"{LIST}{InstrumentLimit.objects.get().pk}/change/", form(order_value_max="0"))

    assert limit_versions.for_instrument("NSE", "RELIANCE", now=timezone.now()).order_value_max == Decimal(0)
    assert kept().changed == {"NSE:RELIANCE order_value_max": ["", "0"]}
    assert limit_versions.for_instrument("NSE", "INFY", now=timezone.now()).order_value_max == 5000


def test_a_symbol_whose_limit_is_above_a_ceiling_lowered_since_can_still_be_blocked(rita, settings):
    rita.post(ADD, form(order_value_max="5000.00"))
    row = InstrumentLimit.objects.get()
    settings.LIMIT_CEILINGS = {"order_value_max": Decimal(3000)}

    rita.post(f"{LIST}{row.pk}/change/", form(order_value_max="5000.00", blocked="on"))

    row.refresh_from_db()
    assert (row.blocked, row.order_value_max) == (True, 5000)
