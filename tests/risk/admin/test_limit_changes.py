"""The inbox of what loosens: what the limits' page leaves there, who may answer it, and what the pages show."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from risk import limit_versions
from risk.models import LimitChange, Mode, RiskSettings, RiskSettingsVersion

from .staff import SENT, person, told, traces

pytestmark = pytest.mark.django_db

PAGE = "/admin/risk/risksettings/1/change/"
INBOX = "/admin/risk/limitchange/"


@pytest.fixture
def two_persons(settings) -> None:
    settings.LOOSENING_NEEDS = "second_person"


@pytest.fixture
def live(settings) -> None:
    settings.TRADING_MODE = Mode.LIVE


def save(client, **changes: Any) -> Any:
    """Save the page as it is shown to this person, with these changes."""
    form = client.get(PAGE).context["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    fields = {
        name: value
        for name, value in {**shown, "reason": "busy", **changes}.items()
        if value is not None and value is not False
    }
    return client.post(PAGE, fields)


def waiting() -> LimitChange:
    return LimitChange.objects.get(status="PENDING")


def answer(client, action: str, change: LimitChange, reason: str = "agreed") -> Any:
    url = reverse(f"admin:risk_limitchange_{action}", args=[change.pk])
    return client.post(url, {**SENT, "reason": reason}, headers={"HX-Request": "true"})


def in_force() -> RiskSettings:
    return limit_versions.in_force(now=timezone.now())


def errors(response: Any) -> str:
    form = response.context["adminform"].form
    return " ".join(f"{name}: {each}" for name, found in form.errors.items() for each in found)


def test_a_mixed_save_says_what_holds_and_what_waits(two_persons, rita):
    page = save(rita, daily_trades_max=11, order_quantity_max=900)

    assert (in_force().daily_trades_max, in_force().order_quantity_max) == (10, 900)
    assert told(page) == "max trades a day 10 → 11 waits for a second person. | Version 2 of the limits is in force."
    assert traces() == ["max order quantity (shares) 1000 → 900; max trades a day 10 → 11 (waits). busy"]


def test_no_word_is_asked_for_where_a_second_person_is(two_persons, rita):
    page = rita.get(PAGE).content.decode()
    save(rita, daily_trades_max=11)

    assert "LOOSEN" not in page
    assert "a second person, superusers included" in page
    assert waiting().author == "rita"


def test_the_second_person_approves_with_a_reason(two_persons, rita, adam):
    save(rita, daily_trades_max=11)
    change = waiting()

    page = answer(adam, "approve", change)

    assert page.headers["HX-Redirect"] == f"{INBOX}{change.pk}/change/"
    assert in_force().daily_trades_max == 11
    kept = RiskSettingsVersion.objects.get(version=2)
    assert (kept.author, kept.approved_by, kept.reason) == ("rita", "adam", "busy")
    assert traces()[-1] == "Applied: max trades a day 10 → 11. agreed"
    history = person("olga", "view_risksettingsversion").get(reverse("admin:risk_risksettingsversion_changelist"))
    assert "adam" in history.content.decode()


def test_an_answer_without_a_reason_is_no_answer(two_persons, rita, adam):
    save(rita, daily_trades_max=11)

    for action in ("approve", "reject"):
        answer(adam, action, waiting(), reason=" ")

    assert in_force().daily_trades_max == 10


def test_the_second_person_rejects_with_a_reason(two_persons, rita, adam):
    save(rita, daily_trades_max=11)

    answer(adam, "reject", waiting(), reason="too many")

    change = LimitChange.objects.get()
    assert (change.status, change.decided_by, change.note) == ("REJECTED", "adam", "too many")
    assert "too many" in adam.get(f"{INBOX}{change.pk}/change/").content.decode()


def test_a_superuser_is_told_that_he_asked_himself(two_persons):
    boss = person("boss", superuser=True)
    save(boss, daily_trades_max=11)
    change = waiting()

    page = answer(boss, "approve", change)

    assert "You asked for it yourself: a second person must answer, superuser or not." in told(page)
    assert (in_force().daily_trades_max, waiting().pk) == (10, change.pk)
    shown = boss.get(f"{INBOX}{change.pk}/change/").content.decode()
    assert "/withdraw" in shown
    assert "/approve" not in shown


def test_who_may_change_limits_may_not_approve_them(two_persons, rita):
    save(rita, daily_trades_max=11)
    other = person("ruth", "view_limitchange", "change_risksettings", "view_risksettings")

    assert answer(other, "approve", waiting()).status_code == 403
    assert answer(other, "reject", waiting()).status_code == 403
    assert answer(other, "withdraw", waiting(), reason="no").status_code == 200
    assert LimitChange.objects.get().status == "WITHDRAWN"


def test_who_may_approve_may_not_edit(two_persons, adam):
    assert adam.post(PAGE, {"daily_trades_max": 11, "reason": "x"}).status_code == 403


def test_a_stale_change_is_refused_in_words_and_marked(two_persons, rita, adam):
    save(rita, daily_trades_max=11)
    change = waiting()
    RiskSettings.objects.update(daily_trades_max=9)

    page = answer(adam, "approve", change)

    assert "Max trades a day was 10 when rita asked, and is 9 now: ask for it anew." in told(page)
    assert LimitChange.objects.get().status == "STALE"


def test_the_dialog_shows_what_is_in_force_beside_what_is_asked(two_persons, rita, adam):
    save(rita, daily_trades_max=11)

    dialog = adam.get(reverse("admin:risk_limitchange_approve", args=[waiting().pk])).content.decode()

    for words in ("In force now", "10 → 11", "rita: busy", "Ceiling"):
        assert words in dialog


def test_the_inbox_shows_the_present_value_and_what_waits_first(two_persons, rita, adam):
    save(rita, daily_trades_max=11)
    first = waiting()
    save(rita, order_quantity_max=1001)
    answer(adam, "reject", LimitChange.objects.exclude(pk=first.pk).get())
    RiskSettings.objects.update(daily_trades_max=7)

    page = adam.get(INBOX)

    rows = page.context["cl"].result_list
    assert rows[0].pk == first.pk
    assert [row.value_now for row in rows] == ["7", "1000"]


def test_the_limits_page_shows_what_is_in_force_its_ceiling_and_what_waits(two_persons, rita):
    save(rita, daily_trades_max=11)

    page = rita.get(PAGE).content.decode()

    assert "In force: 10. Ceiling: 100. Pending: max trades a day 10 → 11, by rita." in page
    assert "The ceilings are those of the settings as this web server read them at its start" in page
    assert "waits for a second person" in page


def test_a_second_change_of_a_limit_that_waits_is_refused_in_words(two_persons, rita):
    save(rita, daily_trades_max=11)

    page = save(rita, daily_trades_max=12)

    assert "Nothing was saved: max trades a day has an unfinished change by rita already, to 11." in told(page)
    assert LimitChange.objects.count() == 1


def test_the_browsers_retry_of_a_save_waits_once(two_persons, rita):
    for _ in range(2):
        save(rita, daily_trades_max=11)

    assert LimitChange.objects.count() == 1


@pytest.mark.parametrize(("value", "taken"), [(100, True), (101, False)])
def test_a_ceiling_is_said_beside_its_field(rita, value, taken):
    page = save(rita, daily_trades_max=value, confirmation="LOOSEN")

    assert in_force().daily_trades_max == (100 if taken else 10)
    if not taken:
        assert errors(page) == (
            "daily_trades_max: The settings of this installation allow at most 100, whoever approves."
        )


def test_a_limit_above_its_ceiling_is_shown_and_can_still_be_tightened(rita, settings):
    settings.LIMIT_CEILINGS = {**settings.LIMIT_CEILINGS, "daily_trades_max": 8}

    assert "Above the ceiling of the settings" in rita.get(PAGE).content.decode()
    save(rita, order_quantity_max=900)
    save(rita, daily_trades_max=8)

    assert (in_force().order_quantity_max, in_force().daily_trades_max) == (900, 8)


def test_in_live_a_typed_word_takes_effect_a_minute_later_and_can_be_withdrawn(live, rita):
    page = save(rita, daily_trades_max=11, confirmation="LOOSEN")
    change = waiting()

    assert in_force().daily_trades_max == 10
    assert "and can be withdrawn until then" in told(page)
    assert change.due_at == change.created_at + timedelta(minutes=1)
    assert limit_versions.in_force(now=change.due_at).daily_trades_max == 11
    answer(rita, "withdraw", change, reason="not today")
    assert limit_versions.in_force(now=change.due_at).daily_trades_max == 10


def test_a_limit_is_raised_for_a_time(rita):
    until = (timezone.localtime() + timedelta(hours=1)).replace(second=0, microsecond=0)

    save(rita, daily_trades_max=11, confirmation="LOOSEN", expires_at=f"{until:%Y-%m-%dT%H:%M}")

    assert LimitChange.objects.get().expires_at == until
    assert limit_versions.in_force(now=until - timedelta(microseconds=1)).daily_trades_max == 11
    assert limit_versions.in_force(now=until).daily_trades_max == 10
    assert "holds until" in rita.get(PAGE).content.decode()


def test_a_time_that_is_past_is_refused(rita):
    page = save(rita, daily_trades_max=11, confirmation="LOOSEN", expires_at="2020-01-01T10:00")

    assert "Nothing was saved: it would be over before it takes effect" in told(page)
    assert in_force().daily_trades_max == 10


def test_the_page_shows_a_value_whose_time_is_over_as_it_holds(rita):
    now = timezone.now()
    expired(now - timedelta(minutes=1))

    page = rita.get(PAGE)
    assert page.context["adminform"].form["daily_trades_max"].value() == 10
    assert RiskSettings.objects.get().daily_trades_max == 11  # a look writes nothing

    told_of = save(rita, order_quantity_max=900)
    assert "expiry changed the limits meanwhile" in told(told_of)
    save(rita, order_quantity_max=900)
    assert (RiskSettings.objects.get().daily_trades_max, in_force().order_quantity_max) == (10, 900)


def expired(until: datetime) -> None:
    """Raise the day's trades to 11 until a moment that is past."""
    RiskSettings.objects.update(daily_trades_max=11)
    LimitChange.objects.create(
        limit="daily_trades_max",
        before="10",
        after="11",
        based_on_version=1,
        author="rita",
        author_account=1,
        reason="busy",
        created_at=until - timedelta(hours=1),
        needs="CONFIRMATION",
        due_at=until - timedelta(hours=1),
        expires_at=until,
        status="TEMPORARY",
    )


def test_the_history_shows_values_in_words(rita):
    save(rita, position_size=Decimal(900), round_up_to_one_lot=None)

    page = rita.get(reverse("admin:risk_risksettingsversion_changelist")).content.decode()

    assert "position size (₹) <s>1000</s> → <b>900</b>" in page
    assert "round up to one lot <s>on</s> → <b>off</b>" in page


def test_who_only_looks_answers_nothing(two_persons, rita, vera):
    save(rita, daily_trades_max=11)

    for action in ("approve", "reject", "withdraw"):
        assert answer(vera, action, waiting()).status_code == 403
    assert vera.get(f"{INBOX}{waiting().pk}/change/").status_code == 200
    assert vera.post(f"{INBOX}{waiting().pk}/change/", {"status": "APPLIED"}).status_code == 403
    assert in_force().version == 1
