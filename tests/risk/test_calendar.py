"""The calendar that is loaded: the NSE's 2026 as migrated, what the database refuses, and the door that changes it."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from risk import calendar
from risk.calendar_edits import as_one
from risk.calendar_file import DayRow
from risk.engine.sessions import MUMBAI, DayKind, InstrumentGroup, Phase
from risk.models import CalendarChange, CalendarDay, CalendarYear, SessionRule

from .conftest import NOW

pytestmark = pytest.mark.django_db

INFY, PLAIN, FO = InstrumentGroup.EQ_FNO_UNDERLYING, InstrumentGroup.EQ_NO_FNO, InstrumentGroup.FO
ENTERED = {"entered_by": "rita", "entered_at": NOW}


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MUMBAI)


def day(on: str, kind: str = "HOLIDAY", **more: Any) -> CalendarDay:
    return CalendarDay(date=date.fromisoformat(on), kind=kind, **{"name": "a day", **ENTERED, **more})


def row(on: str, kind: DayKind = DayKind.HOLIDAY, **more: Any) -> DayRow:
    plain: dict[str, Any] = {"opens": None, "closes": None, "name": "a day", "source": "", "note": ""}
    return DayRow(date=date.fromisoformat(on), kind=kind, **{**plain, **more})


def change(edit: Any, **more: Any) -> None:
    calendar.change(edit, what="an edit", by="rita", now=NOW, **more)


@pytest.mark.parametrize(
    ("group", "moment", "phase"),
    [
        (INFY, "2026-11-24 11:00:00", "CLOSED"),  # Guru Nanak
        (PLAIN, "2026-11-24 11:00:00", "CLOSED"),
        (FO, "2026-11-24 11:00:00", "CLOSED"),
        (INFY, "2026-11-23 15:16:00", "AUCTION"),
        (PLAIN, "2026-11-23 15:16:00", "CONTINUOUS"),
        (INFY, "2026-12-07 15:16:00", "CONTINUOUS"),
        (PLAIN, "2026-12-07 15:16:00", "CONTINUOUS"),
        (INFY, "2026-02-01 11:00:00", "CONTINUOUS"),  # a Sunday: the Union budget
        (INFY, "2026-02-01 15:30:00", "CLOSED"),
        (INFY, "2026-01-15 11:00:00", "CLOSED"),  # three days' notice
        (INFY, "2026-08-26 11:00:00", "CONTINUOUS"),  # only clearing was closed
        (INFY, "2026-07-31 15:29:59", "CONTINUOUS"),  # before there was an auction
        (INFY, "2026-08-03 15:29:59", "AUCTION"),
        (FO, "2026-11-23 15:39:59", "CONTINUOUS"),
        (FO, "2026-12-07 15:44:59", "CONTINUOUS"),
        (INFY, "2026-11-08 18:30:00", "CLOSED"),  # Muhurat, whose times are not known
        (INFY, "2027-01-04 11:00:00", "CLOSED"),  # not loaded
    ],
)
def test_the_year_that_is_installed(group, moment, phase):
    assert calendar.phase(group, ist(moment)) == phase


def test_2026_has_246_trading_days_with_known_hours():
    """261 weekdays less 16 holidays, and the budget's Sunday; with the Muhurat session they are the NSE's 247."""
    known = calendar.load()
    days = [date.fromordinal(number) for number in range(date(2026, 1, 1).toordinal(), date(2027, 1, 1).toordinal())]

    trading = [each for each in days if known.trading_day(INFY, each)]

    assert len(trading) == 246


def test_a_year_opens_once_it_is_complete():
    change(lambda: CalendarYear.objects.create(year=2027, complete=True, **ENTERED), word="LOOSEN")

    assert calendar.phase(INFY, ist("2027-01-04 11:00:00")) == Phase.CONTINUOUS
    assert CalendarChange.objects.first().opened == (
        "Fri 01 Jan 2027, Mon 04 Jan 2027, Tue 05 Jan 2027, Wed 06 Jan 2027, Thu 07 Jan 2027 and 256 more days"
    )


def test_what_is_only_confirmed_by_one_source_says_so():
    notes = SessionRule.objects.filter(effective_from=date(2026, 12, 7)).values_list("note", flat=True)

    assert len(notes) == 2
    assert all(note.startswith("SINGLE-SOURCE") for note in notes)


# --- What the database itself refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "bad"),
    [
        ("risk_calendarday_date", lambda: day("2026-11-24")),
        ("calendar_day_kind_is_known", lambda: day("2026-11-25", "HALF")),
        ("calendar_day_has_both_times_or_none", lambda: day("2026-11-25", "SPECIAL", opens=time(9))),
        ("calendar_day_has_both_times_or_none", lambda: day("2026-11-25", "SPECIAL", closes=time(9))),
        ("calendar_day_opens_before_it_closes", lambda: day("2026-11-25", "SPECIAL", opens=time(9), closes=time(9))),
        ("calendar_holiday_has_no_hours", lambda: day("2026-11-25", opens=time(9), closes=time(10))),
        ("risk_calendaryear_year", lambda: CalendarYear(year=2026, **ENTERED)),
        ("calendar_year_is_sensible", lambda: CalendarYear(year=1999, **ENTERED)),
        ("session_rule_once", lambda: rule(effective_from=date(2026, 8, 3))),
        ("session_rule_group_is_known", lambda: rule(group="MCX")),
        ("session_rule_opens_before_it_closes", lambda: rule(continuous_open=time(15, 30))),
        ("session_rule_auction_follows", lambda: rule(auction_close=time(15, 30))),
    ],
)
def test_the_database_refuses_what_no_calendar_can_say(constraint, bad):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        bad().save(force_insert=True)


def rule(**changes: Any) -> SessionRule:
    usual: dict[str, Any] = {
        "group": "EQ_FNO_UNDERLYING",
        "effective_from": date(2027, 1, 1),
        "continuous_open": time(9, 15),
        "continuous_close": time(15, 30),
        **ENTERED,
    }
    return SessionRule(**{**usual, **changes})


def test_the_history_of_the_calendar_cannot_be_rewritten():
    with pytest.raises(DatabaseError, match="Cannot update or delete rows"), transaction.atomic():
        CalendarChange.objects.update(author="nobody")


# --- The door ---------------------------------------------------------------------------------------------------------


def test_what_closes_applies_at_once_and_says_who():
    change(day("2026-11-25").save, reason="state funeral")

    assert calendar.phase(INFY, ist("2026-11-25 11:00:00")) == Phase.CLOSED
    kept = CalendarChange.objects.first()
    assert (kept.author, kept.reason, kept.opened, kept.at) == ("rita", "state funeral", "", NOW)


@pytest.mark.parametrize(
    ("edit", "opens"),
    [
        (lambda: CalendarDay.objects.filter(date="2026-11-24").delete(), "Tue 24 Nov 2026"),
        (
            lambda: CalendarDay.objects.filter(date="2026-11-08").update(opens=time(18), closes=time(19)),
            "Sun 08 Nov 2026",
        ),
        (
            lambda: SessionRule.objects.filter(group="EQ_NO_FNO").update(continuous_close=time(15, 31)),
            "Thu 01 Jan 2026, Fri 02 Jan 2026, Mon 05 Jan 2026, Tue 06 Jan 2026, Wed 07 Jan 2026 and 240 more days",
        ),
        (lambda: CalendarYear.objects.create(year=2027, complete=True, **ENTERED), "Fri 01 Jan 2027"),
    ],
)
def test_what_opens_needs_the_word_and_changes_nothing_without_it(edit, opens):
    before = calendar.load()

    with pytest.raises(calendar.OpensTheMarket, match=opens):
        change(edit)
    with pytest.raises(calendar.OpensTheMarket):
        change(edit, word="loosen")
    assert calendar.load() == before
    assert CalendarChange.objects.count() == 1

    change(edit, word=" LOOSEN ")
    assert calendar.load() != before
    assert CalendarChange.objects.first().opened.startswith(opens)


def test_asking_what_an_edit_would_open_keeps_nothing():
    opened = calendar.opened_by(CalendarDay.objects.filter(date="2026-11-24").delete)

    assert opened == [date(2026, 11, 24)]
    assert calendar.phase(INFY, ist("2026-11-24 11:00:00")) == Phase.CLOSED


def take_over(days: list[DayRow], *, complete: bool = False, word: str = "") -> None:
    edits, what = calendar.of_file(days, complete=complete, source="NSE/CMTR/9")
    change_now = as_one(edits, by="rita", now=NOW)
    calendar.change(change_now, what=what, by="rita", now=NOW, reason="NSE/CMTR/9", word=word)


def test_days_of_a_file_replace_those_of_the_same_dates_and_leave_the_others():
    days = [row("2026-12-25", name="Christmas, moved"), row("2027-01-26", source="NSE/1", note="to be confirmed")]

    take_over(days)

    assert CalendarDay.objects.count() == 19
    christmas, republic = CalendarDay.objects.get(date="2026-12-25"), CalendarDay.objects.get(date="2027-01-26")
    assert (christmas.name, christmas.source, christmas.entered_by) == ("Christmas, moved", "NSE/CMTR/9", "rita")
    assert (republic.source, republic.note) == ("NSE/1", "to be confirmed")
    assert not CalendarYear.objects.filter(year=2027).exists()
    assert CalendarChange.objects.first().what == "2 days of 2026 and 2027 loaded"


def test_a_complete_file_completes_its_years_and_needs_the_word():
    days = [row("2027-01-26"), row("2027-03-22")]

    with pytest.raises(calendar.OpensTheMarket, match="Fri 01 Jan 2027"):
        take_over(days, complete=True)
    assert not CalendarDay.objects.filter(date__year=2027).exists()

    take_over(days, complete=True, word="LOOSEN")

    assert CalendarYear.objects.get(year=2027).complete
    assert calendar.phase(INFY, ist("2027-01-26 11:00:00")) == Phase.CLOSED
    assert calendar.phase(INFY, ist("2027-01-27 11:00:00")) == Phase.CONTINUOUS
