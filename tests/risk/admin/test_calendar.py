"""The calendar's pages: Rita keeps it, Vera looks at it, and what opens something asks for the word."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse

from risk import calendar, calendar_approvals
from risk.admin import calendar as pages
from risk.admin import calendar_forms as forms
from risk.engine.sessions import MUMBAI, InstrumentGroup, Phase
from risk.models import CalendarChange, CalendarDay, CalendarYear, SessionRule

from .staff import SENT, person, told, traces

DAYS, YEARS, HOURS = (f"admin:risk_{name}" for name in ("calendarday", "calendaryear", "sessionrule"))
FILE = b'"Sr. No","Date","Day","Description"\n"1","26-Jan-2027","Tuesday","Republic Day"\n'
SHARE = InstrumentGroup.EQ_NO_FNO


@pytest.fixture
def keeper(db: None) -> Client:
    """Rita keeps the calendar and no limits."""
    tables = ("calendarday", "calendaryear", "sessionrule")
    may = [f"{verb}_{table}" for table in tables for verb in ("view", "add", "change", "delete")]
    return person("rita", *may, "load_calendar", "view_calendarchange")


def phase(moment: str) -> Phase:
    return calendar.phase(SHARE, datetime.fromisoformat(moment).replace(tzinfo=MUMBAI))


def a_day(**changes: Any) -> dict[str, Any]:
    usual = {"date": "2026-11-25", "kind": "HOLIDAY", "name": "State funeral", "reason": "NSE/CMTR/1"}
    return {**usual, **changes}


def the_file(raw: bytes = FILE, **fields: Any) -> dict[str, Any]:
    return {**SENT, "file": SimpleUploadedFile("holidays.csv", raw), **fields}


def errors(response: Any) -> str:
    form = response.context["adminform"].form
    return " ".join(f"{name}: {each}" for name, found in form.errors.items() for each in found)


def test_a_closure_applies_at_once_and_says_who_and_why(keeper):
    answer = keeper.post(reverse(f"{DAYS}_add"), a_day())

    assert answer.status_code == 302
    assert phase("2026-11-25 11:00:00") == Phase.CLOSED
    day, kept = CalendarDay.objects.get(date="2026-11-25"), CalendarChange.objects.first()
    assert (day.entered_by, kept.author, kept.reason) == ("rita", "rita", "NSE/CMTR/1")
    assert kept.what == "calendar day added: Wed 25 Nov 2026: State funeral"


def test_a_session_on_a_sunday_asks_for_the_word(keeper):
    sunday = a_day(date="2026-11-29", kind="SPECIAL", opens="18:00", closes="19:00", name="Mock")

    refused = keeper.post(reverse(f"{DAYS}_add"), sunday)
    assert errors(refused) == "confirmation: This opens Sun 29 Nov 2026: type LOOSEN to confirm it."
    assert not CalendarDay.objects.filter(date="2026-11-29").exists()

    keeper.post(reverse(f"{DAYS}_add"), {**sunday, "confirmation": "LOOSEN"})
    assert phase("2026-11-29 18:30:00") == Phase.CONTINUOUS


def test_the_hours_of_the_muhurat_session_can_be_entered(keeper):
    muhurat = CalendarDay.objects.get(date="2026-11-08")
    page = reverse(f"{DAYS}_change", args=[muhurat.pk])
    form = keeper.get(page).context["adminform"].form
    fields = {name: form[name].value() for name in ("date", "kind", "name", "source", "note")}

    keeper.post(page, {**fields, "opens": "18:00", "closes": "19:00", "reason": "told", "confirmation": "LOOSEN"})

    assert phase("2026-11-08 18:30:00") == Phase.CONTINUOUS
    assert CalendarChange.objects.first().opened == "Sun 08 Nov 2026"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"date": "2026-11-24"}, "date: Calendar day with this Date already exists."),
        ({"opens": "09:15", "closes": "15:30"}, "__all__: A holiday has no hours."),
        ({"kind": "SPECIAL", "opens": "09:15"}, "__all__: Give both times or neither."),
        ({"kind": "SPECIAL", "opens": "15:30", "closes": "09:15"}, "__all__: It must open before it closes."),
        ({"reason": ""}, "reason: This field is required."),
        ({"name": ""}, "name: This field is required."),
        ({"kind": "HALF"}, "kind: Select a valid choice."),
    ],
)
def test_a_day_that_makes_no_sense_is_explained(keeper, changes, error):
    answer = keeper.post(reverse(f"{DAYS}_add"), a_day(**changes))

    assert error in errors(answer)
    assert CalendarDay.objects.count() == 18


def test_a_year_is_completed_with_the_word(keeper):
    page, fields = reverse(f"{YEARS}_add"), {"year": 2027, "complete": "on", "reason": "all entered"}

    assert "This opens Fri 01 Jan 2027" in errors(keeper.post(page, fields))
    assert not CalendarYear.objects.filter(year=2027).exists()

    keeper.post(page, {**fields, "confirmation": "LOOSEN"})
    assert phase("2027-01-04 11:00:00") == Phase.CONTINUOUS


def test_a_year_is_taken_back_at_once(keeper):
    year = CalendarYear.objects.get()

    keeper.post(reverse(f"{YEARS}_change", args=[year.pk]), {"year": 2026, "reason": "a circular is missing"})

    assert phase("2026-11-23 11:00:00") == Phase.CLOSED


def test_earlier_hours_apply_at_once_and_later_ones_ask_for_the_word(keeper):
    rule = {"group": "EQ_NO_FNO", "continuous_open": "09:15", "reason": "NSE/CMTR/2", "effective_from": "2026-12-14"}
    page = reverse(f"{HOURS}_add")

    keeper.post(page, {**rule, "continuous_close": "15:00"})
    assert phase("2026-12-14 15:00:00") == Phase.POST

    later = {**rule, "effective_from": "2026-12-21", "continuous_close": "17:00"}
    assert "This opens Mon 21 Dec 2026" in errors(keeper.post(page, later))
    keeper.post(page, {**later, "confirmation": "LOOSEN"})
    assert phase("2026-12-21 16:59:59") == Phase.CONTINUOUS


def test_a_holiday_is_removed_by_a_dialog_with_the_word(keeper):
    day = CalendarDay.objects.get(date="2026-11-24")
    remove = reverse(f"{DAYS}_remove", args=[day.pk])

    refused = keeper.post(remove, {**SENT, "reason": "it was moved"})
    assert told(refused) == "This opens Tue 24 Nov 2026: type LOOSEN to confirm it."
    assert CalendarDay.objects.filter(pk=day.pk).exists()
    assert traces() == []

    done = keeper.post(remove, {**SENT, "reason": "it was moved", "word": "LOOSEN"})
    assert "Calendar day removed: Tue 24 Nov 2026: Prakash Gurpurb" in told(done)
    assert phase("2026-11-24 11:00:00") == Phase.CONTINUOUS
    assert CalendarChange.objects.first().reason == "it was moved"
    assert "It is removed already." in told(keeper.post(remove, {**SENT, "reason": "again", "word": "LOOSEN"}))


def test_hours_are_removed_by_a_dialog(keeper):
    rule = SessionRule.objects.get(group="FO", effective_from=date(2026, 12, 7))

    keeper.post(reverse(f"{HOURS}_remove", args=[rule.pk]), {**SENT, "reason": "postponed"})

    assert calendar.load().trading_day(InstrumentGroup.FO, date(2026, 12, 8)).closes_at.time() == time(15, 40)


def test_what_opens_since_the_form_was_checked_is_refused_and_said(keeper, monkeypatch):
    """Between the form's check and its save somebody else removed the holiday that hid what it opens."""
    monkeypatch.setattr(forms.calendar, "opened_by", lambda edit: [])
    sunday = a_day(date="2026-11-29", kind="SPECIAL", opens="18:00", closes="19:00")

    answer = keeper.post(reverse(f"{DAYS}_add"), sunday)

    assert told(answer) == "Nothing was saved: this opens Sun 29 Nov 2026: type LOOSEN to confirm it."
    assert not CalendarDay.objects.filter(date="2026-11-29").exists()


@pytest.mark.django_db(transaction=True)
def test_a_form_saves_outside_its_own_transaction(keeper, monkeypatch):
    change, seen = calendar_approvals.change, []
    monkeypatch.setattr(
        calendar_approvals,
        "change",
        lambda *args, **more: seen.append(connection.in_atomic_block) or change(*args, **more),
    )

    keeper.post(reverse(f"{DAYS}_add"), a_day())

    assert seen == [False]
    assert CalendarDay.objects.get(date="2026-11-25").entered_by == "rita"


def test_no_form_deletes(keeper):
    day = CalendarDay.objects.first()

    assert keeper.post(reverse(f"{DAYS}_delete", args=[day.pk]), {"post": "yes"}).status_code == 403
    assert CalendarDay.objects.filter(pk=day.pk).exists()


# --- The exchange's file ----------------------------------------------------------------------------------------------


def test_the_exchanges_file_is_taken_over(keeper):
    answer = keeper.post(reverse(f"{DAYS}_load_file"), the_file(source="NSE/CMTR/9"))

    assert told(answer) == "1 day of 2027 loaded."
    day = CalendarDay.objects.get(date="2027-01-26")
    assert (day.name, day.source, day.entered_by) == ("Republic Day", "NSE/CMTR/9", "rita")
    assert not CalendarYear.objects.filter(year=2027).exists()


def test_a_whole_year_is_taken_over_with_the_word(keeper):
    page = reverse(f"{DAYS}_load_file")

    assert "This opens Fri 01 Jan 2027" in told(keeper.post(page, the_file(complete="on")))
    assert not CalendarDay.objects.filter(date="2027-01-26").exists()

    keeper.post(page, the_file(complete="on", word="LOOSEN"))
    assert (phase("2027-01-25 11:00:00"), phase("2027-01-26 11:00:00")) == (Phase.CONTINUOUS, Phase.CLOSED)
    assert CalendarYear.objects.get(year=2027).source == "holidays.csv"


def test_a_bad_file_is_refused_by_its_lines_and_nothing_of_it_is_kept(keeper):
    raw = b"date,name\n2027-01-26,Republic Day\n2027-02-30,Nothing\n,Nobody\n"

    page = keeper.post(reverse(f"{DAYS}_load_file"), the_file(raw)).content.decode()

    assert "line 3: date &#x27;2027-02-30&#x27;" in page
    assert "line 4: date &#x27;&#x27;" in page
    assert CalendarDay.objects.count() == 18


def test_the_dialog_sends_files(keeper):
    page = keeper.get(reverse(f"{DAYS}_load_file")).content.decode()

    assert 'hx-encoding="multipart/form-data"' in page
    assert 'type="file"' in page


# --- What the pages show, and to whom ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "warned"), [(datetime(2026, 11, 30, 12, tzinfo=UTC), False), (datetime(2026, 11, 30, 19, tzinfo=UTC), True)]
)
def test_from_december_in_mumbai_on_the_pages_warn_of_a_missing_year(keeper, monkeypatch, now, warned):
    Session.objects.update(expire_date=now + timedelta(hours=1))  # or she would have to log in again by then
    monkeypatch.setattr(pages.timezone, "now", lambda: now)

    shown = [keeper.get(reverse(f"{page}_changelist")).content.decode() for page in (DAYS, YEARS, HOURS)]

    assert ["The calendar of 2027 is not complete" in page for page in shown] == [warned] * 3


def test_the_list_tells_a_session_without_hours_from_one_with_them(keeper):
    page = keeper.get(reverse(f"{DAYS}_changelist")).content.decode()

    assert page.count("Special, hours not known") == 1
    assert "09:15 to 15:30" in page
    assert "SINGLE-SOURCE" in keeper.get(reverse(f"{HOURS}_changelist")).content.decode()


def test_the_history_is_reached_and_read(keeper):
    keeper.post(reverse(f"{DAYS}_add"), a_day())

    assert reverse("admin:risk_calendarchange_changelist") in keeper.get(reverse(f"{DAYS}_changelist")).content.decode()
    assert "State funeral" in keeper.get(reverse("admin:risk_calendarchange_changelist")).content.decode()


def test_who_only_looks_sees_the_calendar_and_changes_nothing(vera):
    day, year, rule = CalendarDay.objects.first(), CalendarYear.objects.first(), SessionRule.objects.first()
    before = calendar.load()

    for page, row in ((DAYS, day), (YEARS, year), (HOURS, rule)):
        assert vera.get(reverse(f"{page}_changelist")).status_code == 200
        shown = vera.get(reverse(f"{page}_change", args=[row.pk])).content.decode()
        assert "by installation" in shown
        assert 'name="reason"' not in shown
        assert vera.post(reverse(f"{page}_change", args=[row.pk]), {"reason": "x"}).status_code == 403
        assert vera.get(reverse(f"{page}_add")).status_code == 403
    assert vera.post(reverse(f"{DAYS}_load_file"), the_file()).status_code == 403
    assert vera.post(reverse(f"{DAYS}_remove", args=[day.pk]), {**SENT, "reason": "x"}).status_code == 403

    assert calendar.load() == before


def test_who_may_change_days_may_not_load_files_without_that_permission(keeper):
    user = Permission.objects.get(codename="load_calendar").user_set.get()
    user.user_permissions.remove(Permission.objects.get(codename="load_calendar"))

    assert keeper.post(reverse(f"{DAYS}_load_file"), the_file()).status_code == 403
    assert not CalendarDay.objects.filter(date__year=2027).exists()
