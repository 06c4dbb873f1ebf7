"""What opens the market waits on the calendar's pages: for whom, how it is shown, and who answers it."""

from __future__ import annotations

from datetime import date
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from risk import calendar
from risk.models import CalendarChange, CalendarDay, CalendarWish, CalendarYear, Mode, SessionRule

from .staff import SENT, person, told, traces
from .test_calendar import DAYS, HOURS, Phase, a_day, keeper, phase, the_file

__all__ = ["keeper"]

pytestmark = pytest.mark.django_db
INBOX = "/admin/risk/calendarwish/"


@pytest.fixture
def two_persons(settings) -> None:
    settings.LOOSENING_NEEDS = "second_person"


@pytest.fixture
def checker(db: None) -> Client:
    """Adam may look at the calendar and approve what opens it."""
    return person("adam", "view_calendarday", "view_calendarwish", "approve_calendar")


def words(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def removed(client: Client, **more: Any) -> Any:
    day = CalendarDay.objects.get(date="2026-11-24")
    return client.post(reverse(f"{DAYS}_remove", args=[day.pk]), {**SENT, "reason": "it was moved", **more})


def answer(client: Client, action: str) -> Any:
    url = reverse(f"admin:risk_calendarwish_{action}", args=[CalendarWish.objects.get().pk])
    return client.post(url, {**SENT, "reason": "read the circular"})


def test_a_removal_waits_for_a_second_person_who_approves_it(two_persons, keeper, checker):
    asked = removed(keeper)

    assert told(asked) == (
        "Calendar day removed: Tue 24 Nov 2026: Prakash Gurpurb Sri Guru Nanak Dev waits for a second person: "
        "it opens Tue 24 Nov 2026."
    )
    assert phase("2026-11-24 11:00:00") == Phase.CLOSED
    shown = words(checker.get(INBOX))
    assert "Pending" in shown
    assert "Tue 24 Nov 2026" in words(checker.get(reverse("admin:risk_calendarwish_approve", args=[wish().pk])))

    done = answer(checker, "approve")

    assert told(done).startswith("Applied: Calendar day removed")
    assert phase("2026-11-24 11:00:00") == Phase.CONTINUOUS
    assert (CalendarChange.objects.first().author, CalendarChange.objects.first().approved_by) == ("rita", "adam")
    assert traces()[-1].endswith(". read the circular")


def wish() -> CalendarWish:
    return CalendarWish.objects.get()


def test_a_new_session_waits_without_a_row_and_leaves_a_trace(two_persons, keeper):
    page = keeper.get(reverse(f"{DAYS}_add"))
    assert "LOOSEN" not in page.content.decode()

    saved = keeper.post(
        reverse(f"{DAYS}_add"), a_day(date="2026-11-29", kind="SPECIAL", opens="18:00", closes="19:00", name="Mock")
    )

    assert (saved.status_code, saved.url) == (302, reverse(f"{DAYS}_changelist"))
    assert "Calendar day added: Sun 29 Nov 2026: Mock waits for a second person" in told(saved)
    assert not CalendarDay.objects.filter(date="2026-11-29").exists()
    assert len(traces()) == 1
    assert ["opens", "", "18:00:00"] in wish().steps


def test_a_row_that_is_edited_to_open_stays_as_it_was(two_persons, keeper):
    holiday = CalendarDay.objects.get(date="2026-11-24")

    keeper.post(reverse(f"{DAYS}_change", args=[holiday.pk]), a_day(date="2026-11-27", reason="moved"))

    holiday.refresh_from_db()
    assert holiday.date == date(2026, 11, 24)
    assert ["date", "2026-11-24", "2026-11-27"] in wish().steps


def test_a_closure_is_saved_at_once_there_too(two_persons, keeper):
    saved = keeper.post(reverse(f"{DAYS}_add"), a_day())

    assert saved.status_code == 302
    assert CalendarDay.objects.get(date="2026-11-25").entered_by == "rita"
    assert not CalendarWish.objects.exists()


def test_the_pages_name_what_waits_and_the_sidebar_how_much(two_persons, keeper, checker):
    removed(keeper)

    for page in (keeper.get(reverse(f"{DAYS}_changelist")), keeper.get(reverse(f"{HOURS}_changelist"))):
        assert "needs a second person, superusers included" in words(page)
        assert "Now: <b>closed; it would open Tue 24 Nov 2026</b>" in words(page)
        assert "by rita: it was moved" in words(page)
    assert ">1 waiting</span>" in words(checker.get(INBOX))
    answer(checker, "reject")
    assert " waiting</span>" not in words(checker.get(INBOX))


def test_nobody_answers_their_own_wish_or_without_the_right(two_persons, keeper, vera):
    boss = person("boss", superuser=True)
    removed(boss)

    assert "You asked for it yourself" in told(answer(boss, "approve"))
    offered = words(boss.get(f"{INBOX}{wish().pk}/change/"))
    assert "/withdraw" in offered
    assert "/approve" not in offered
    for action in ("approve", "reject"):
        assert answer(keeper, action).status_code == 403
        assert answer(vera, action).status_code == 403
    assert "Withdrawn" in told(answer(keeper, "withdraw"))
    assert phase("2026-11-24 11:00:00") == Phase.CLOSED


def test_of_a_whole_year_the_days_are_loaded_and_the_year_waits(two_persons, keeper, checker):
    done = keeper.post(reverse(f"{DAYS}_load_file"), the_file(complete="on"))

    assert told(done).startswith("1 day of 2027 loaded. | 1 day of 2027 loaded, which is complete waits")
    assert phase("2027-01-25 11:00:00") == Phase.CLOSED
    answer(checker, "approve")
    assert (phase("2027-01-25 11:00:00"), phase("2027-01-26 11:00:00")) == (Phase.CONTINUOUS, Phase.CLOSED)


def test_in_live_the_word_opens_a_minute_later(keeper, settings):
    settings.TRADING_MODE = Mode.LIVE

    done = removed(keeper, word="LOOSEN")

    assert "and can be withdrawn until then: it opens Tue 24 Nov 2026." in told(done)
    assert phase("2026-11-24 11:00:00") == Phase.CLOSED
    assert "and takes effect a minute later" in words(keeper.get(reverse(f"{DAYS}_changelist")))


def test_the_command_line_says_that_a_person_must_answer_in_the_browser(two_persons, checker, tmp_path):
    file, out = tmp_path / "holidays.csv", StringIO()
    file.write_bytes(b"date,name\n2027-01-26,Republic Day\n")

    call_command("load_calendar", str(file), "--complete", stdout=out)

    assert "1 day of 2027 loaded\n" in out.getvalue()
    assert "What opens the market waits for a second person: Fri 01 Jan 2027" in out.getvalue()
    assert "in the browser, on the page Calendar wishes, as asked by command line: " in out.getvalue()
    assert not CalendarYear.objects.filter(year=2027).exists()
    answer(checker, "approve")
    assert CalendarYear.objects.get(year=2027).entered_by.startswith("command line: ")


def test_hours_of_one_source_are_shown_and_confirmed_with_a_reason(keeper):
    rule = SessionRule.objects.get(group="FO", effective_from=date(2026, 12, 7))
    confirm, before = reverse(f"{HOURS}_confirm", args=[rule.pk]), calendar.load()
    assert words(keeper.get(reverse(f"{HOURS}_changelist"))).count("</span>Not confirmed</span>") == 2

    keeper.post(confirm, {**SENT, "reason": " "})
    assert not SessionRule.objects.get(pk=rule.pk).confirmed
    done = keeper.post(confirm, {**SENT, "reason": "NSE/76963 read"})

    assert told(done) == "Futures and options from 07 Dec 2026: confirmed."
    assert (CalendarChange.objects.first().reason, calendar.load()) == ("NSE/76963 read", before)
    assert "confirmed already" in told(keeper.post(confirm, {**SENT, "reason": "again"}))
    assert "/confirm/" not in words(keeper.get(reverse(f"{HOURS}_change", args=[rule.pk])))
