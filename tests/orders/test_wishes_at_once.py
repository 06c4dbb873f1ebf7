"""What loosens a symbol or the calendar, at the same moment: two approvers, a double click, a closure meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from risk import approvals, calendar_approvals, limit_versions
from risk.calendar_approvals import Author
from risk.calendar_edits import RowEdit
from risk.four_eyes import ChangeRefused, House
from risk.models import (
    CalendarChange,
    CalendarDay,
    CalendarWish,
    CalendarYear,
    InstrumentLimit,
    LimitChange,
    SessionRule,
)

from .together import Together, held_up

pytestmark = pytest.mark.django_db(transaction=True)

TWO_PERSONS = House.of(needs="second_person", mode="PAPER", ceilings={})


def user(name: str) -> User:
    made = User.objects.create_user(name, is_staff=True)
    may = ["approve_limits", "change_instrumentlimit", "approve_calendar", "change_calendarday"]
    made.user_permissions.set(Permission.objects.filter(codename__in=may))
    return made


def edit(author: User, row: RowEdit) -> Callable[[], Any]:
    return lambda: calendar_approvals.change(
        [row], what="an edit", author=Author.person(author), reason="x", now=timezone.now(), house=TWO_PERSONS
    )


def a_holiday(**more: Any) -> CalendarDay:
    """Make a day of 2026, which is complete, a holiday."""
    entered = {"entered_by": "rita", "entered_at": timezone.now()}
    return CalendarDay.objects.create(date=date(2026, 12, 30), kind="HOLIDAY", name="a day", **entered, **more)


def refused(results: list[Any]) -> list[str]:
    assert not [each for each in results if isinstance(each, Exception) and not isinstance(each, ChangeRefused)]
    return [str(each) for each in results if isinstance(each, Exception)]


@pytest.fixture
def complete(transactional_db: None) -> None:
    """See to hours and a complete 2026: an earlier test of this kind may have emptied the tables."""
    entered = {"entered_by": "rita", "entered_at": timezone.now()}
    hours = {"continuous_open": time(9, 15), "continuous_close": time(15, 30), **entered}
    CalendarYear.objects.get_or_create(year=2026, defaults={"complete": True, **entered})
    SessionRule.objects.get_or_create(group="EQ_NO_FNO", effective_from=date(2010, 10, 18), defaults=hours)


def test_two_approvers_of_the_calendar_at_once_are_one_approval(complete):
    approvers = [user(name) for name in ("ravi", "meera")]
    wish = edit(user("asha"), RowEdit.removal(a_holiday()))().waiting
    changes = CalendarChange.objects.count()
    answers = [
        partial(calendar_approvals.approve, wish.pk, by=each, reason="read", now=timezone.now()) for each in approvers
    ]

    with held_up("risk_calendarchange") as wait_for:
        both = Together(*answers)
        wait_for(2)
    (refusal,) = refused(both.join())

    assert "it is applied already by" in refusal
    assert CalendarChange.objects.count() == changes + 1
    assert not CalendarDay.objects.filter(date="2026-12-30").exists()


def test_a_double_click_on_the_calendar_waits_once(complete):
    asha, row = user("asha"), RowEdit.removal(a_holiday())

    with held_up("risk_calendarwish") as wait_for:
        both = Together(edit(asha, row), edit(asha, row))
        wait_for(2)
    assert refused(both.join()) == []

    assert CalendarWish.objects.count() == 1


def test_a_closure_and_the_approval_of_an_opening_at_once_never_both_hold_on_what_they_did_not_see(complete):
    ravi = user("ravi")
    wish = edit(user("asha"), RowEdit.removal(a_holiday()))().waiting
    closes = RowEdit.put(CalendarDay(date=date(2026, 12, 31), kind="HOLIDAY", name="another"))

    with held_up("risk_calendarchange") as wait_for:
        both = Together(
            lambda: calendar_approvals.approve(wish.pk, by=ravi, reason="read", now=timezone.now()),
            edit(user("meera"), closes),
        )
        wait_for(2)
    refusals = refused(both.join())

    wish.refresh_from_db()
    opened = not CalendarDay.objects.filter(date="2026-12-30").exists()
    assert CalendarDay.objects.filter(date="2026-12-31").exists()
    assert (wish.status, opened, len(refusals)) in {("APPLIED", True, 0), ("STALE", False, 1)}


def test_two_approvers_of_one_symbols_limit_at_once_are_one_version(transactional_db):
    now, approvers = timezone.now(), [user(name) for name in ("ravi", "meera")]
    tcs = InstrumentLimit(exchange="NSE", symbol="TCS", blocked=True)
    limit_versions.save_instrument(tcs, by="asha", reason="results", now=now)
    free = InstrumentLimit(exchange="NSE", symbol="TCS")
    (change,) = approvals.save_instrument(
        free, author=user("asha"), reason="calm", now=now, house=TWO_PERSONS, version_shown=None
    ).waiting
    version = limit_versions.in_force(now=now).version
    answers = [
        partial(approvals.approve, change.pk, by=each, reason="agreed", now=now, house=TWO_PERSONS)
        for each in approvers
    ]

    with held_up("risk_risksettingsversion") as wait_for:
        both = Together(*answers)
        wait_for(2)
    (refusal,) = refused(both.join())

    assert "it is applied already by" in refusal
    assert limit_versions.in_force(now=now).version == version + 1
    assert (InstrumentLimit.objects.get().blocked, LimitChange.objects.get().status) == (False, "APPLIED")
