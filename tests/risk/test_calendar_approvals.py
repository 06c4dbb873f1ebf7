"""
Looser needs more for the calendar: what opens waits, what closes does not, who may answer, and what makes it stale.

Asha keeps the calendar, Ravi and Meera may approve. Tue 24 Nov 2026 is a holiday, 25 Nov an ordinary day.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import DatabaseError, transaction

from risk import calendar, calendar_approvals
from risk.audit.who import acting
from risk.calendar_approvals import Author, Kept
from risk.calendar_edits import RowEdit
from risk.calendar_file import DayRow
from risk.engine.sessions import MUMBAI, DayKind, InstrumentGroup, Phase
from risk.four_eyes import ChangeRefused, House
from risk.models import CalendarChange, CalendarDay, CalendarWish, CalendarYear, SessionRule

from .conftest import NOW

pytestmark = pytest.mark.django_db

Status = CalendarWish.Status
TWO_PERSONS = House.of(needs="second_person", mode="PAPER", ceilings={})
LIVE = House.of(needs="confirmation", mode="LIVE", ceilings={})
ON_PAPER = House.of(needs="confirmation", mode="PAPER", ceilings={})
HOLIDAY = date(2026, 11, 24)


@pytest.fixture
def asha(db: None) -> User:
    return permitted("asha", "change_calendarday")


@pytest.fixture
def ravi(db: None) -> User:
    return approver("ravi")


@pytest.fixture
def meera(db: None) -> User:
    return approver("meera")


def approver(name: str) -> User:
    return permitted(name, "approve_calendar", "change_calendarday")


def permitted(name: str, *codenames: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


def change(*edits: RowEdit, by: User | Author, now: datetime = NOW, house: House = TWO_PERSONS, word: str = "") -> Kept:
    author = by if isinstance(by, Author) else Author.person(by)
    return calendar_approvals.change(
        edits, what="an edit", author=author, reason="circular 9", now=now, house=house, word=word
    )


def removal() -> RowEdit:
    return RowEdit.removal(CalendarDay.objects.get(date=HOLIDAY))


def closure(on: date = date(2026, 11, 25)) -> RowEdit:
    return RowEdit.put(CalendarDay(date=on, kind="HOLIDAY", name="State funeral"))


def pending(by: User | Author, *, house: House = TWO_PERSONS, word: str = "") -> CalendarWish:
    kept = change(removal(), by=by, house=house, word=word)
    assert kept.waiting is not None
    return kept.waiting


def approve(wish: CalendarWish, by: User, now: datetime = NOW) -> CalendarWish:
    return calendar_approvals.approve(wish.pk, by=by, reason="I read it too", now=now)


def trades(on: date) -> bool:
    at = datetime.combine(on, time(11), MUMBAI)
    return calendar.phase(InstrumentGroup.EQ_NO_FNO, at) == Phase.CONTINUOUS


# --- What waits, and what does not ------------------------------------------------------------------------------------


@pytest.mark.parametrize("house", [TWO_PERSONS, LIVE, ON_PAPER], ids=["two persons", "live", "paper"])
def test_what_closes_is_done_at_once(asha, house):
    assert change(closure(), by=asha, house=house) == Kept(changed=1, waiting=None)

    kept, day = CalendarChange.objects.first(), CalendarDay.objects.get(date="2026-11-25")
    assert not trades(date(2026, 11, 25))
    assert (kept.author, kept.reason, kept.approved_by, day.entered_by) == ("asha", "circular 9", "", "asha")


@pytest.mark.parametrize(
    ("edit", "opens"),
    [
        (removal, "Tue 24 Nov 2026"),
        (
            lambda: RowEdit.put(
                CalendarDay(date=date(2026, 11, 29), kind="SPECIAL", opens=time(18), closes=time(19), name="Mock")
            ),
            "Sun 29 Nov 2026",
        ),
        (lambda: RowEdit.put(moved_later(SessionRule.objects.get(group="EQ_NO_FNO"))), "Thu 01 Jan 2026"),
        (lambda: RowEdit.put(CalendarYear(year=2027, complete=True)), "Fri 01 Jan 2027"),
        (lambda: RowEdit.removal(SessionRule.objects.get(group="EQ_FNO_UNDERLYING", effective_from="2026-08-03")), ""),
    ],
)
def test_what_opens_waits_for_a_second_person_and_says_what_it_opens(asha, edit, opens):
    before = calendar.load()

    kept = change(edit(), by=asha)

    assert kept.changed == 0
    assert calendar.load() == before
    assert CalendarChange.objects.count() == 1
    assert kept.waiting.opens.startswith(opens)
    assert (kept.waiting.status, kept.waiting.due_at, kept.waiting.author_account) == (Status.PENDING, None, asha.pk)


def moved_later(rule: SessionRule) -> SessionRule:
    rule.continuous_close = time(15, 31)
    return rule


def test_of_a_file_what_opens_nothing_is_loaded_and_the_rest_waits(asha, ravi):
    plain: dict[str, Any] = {"opens": None, "closes": None, "source": "", "note": ""}
    days = [
        DayRow(date=date(2027, 1, 26), kind=DayKind.HOLIDAY, name="Republic Day", **plain),
        DayRow(date=date(2026, 11, 25), kind=DayKind.HOLIDAY, name="State funeral", **plain),
    ]
    edits, what = calendar.of_file(days, complete=True, source="NSE/9")
    assert what == "2 days of 2026 and 2027 loaded, which is complete"

    kept = change(*edits, by=asha)

    assert kept.changed == 3  # the days, and 2026, which is complete already
    assert not trades(date(2026, 11, 25))
    assert CalendarDay.objects.get(date="2027-01-26").name == "Republic Day"
    assert not CalendarYear.objects.filter(year=2027).exists()
    assert list(map(list, kept.waiting.steps)) == [
        ["year", "", "2027"],
        ["complete", "", "True"],
        ["source", "", "NSE/9"],
    ]
    approve(kept.waiting, ravi)
    assert (trades(date(2027, 1, 25)), trades(date(2027, 1, 26))) == (True, False)


def test_the_same_edit_sent_twice_waits_once(asha):
    first = pending(asha)

    assert pending(asha).pk == first.pk
    edits, _ = calendar.of_file([], complete=False, source="x")
    assert (edits, CalendarWish.objects.count()) == ([], 1)


def test_a_file_sent_twice_waits_once(asha):
    day = DayRow(
        date=date(2027, 1, 26), kind=DayKind.HOLIDAY, opens=None, closes=None, name="Republic Day", source="", note=""
    )
    edits, _ = calendar.of_file([day], complete=True, source="NSE/9")
    first, again = change(*edits, by=asha), change(*edits, by=asha)

    assert first.waiting.pk == again.waiting.pk
    assert first.waiting.status == again.waiting.status == Status.PENDING
    assert CalendarChange.objects.count() == 2


# --- The second person ------------------------------------------------------------------------------------------------


def test_a_second_person_carries_it_out_and_both_are_kept(asha, ravi):
    later = NOW + timedelta(hours=1)

    wish = approve(pending(asha), ravi, later)

    kept = CalendarChange.objects.first()
    assert trades(HOLIDAY)
    assert (wish.status, wish.decided_by, wish.note) == (Status.APPLIED, "ravi", "I read it too")
    assert (kept.author, kept.approved_by, kept.opened, kept.at) == ("asha", "ravi", "Tue 24 Nov 2026", later)


def test_nobody_approves_what_he_wished_superuser_or_not(ravi):
    for author in (ravi, User.objects.create_superuser("boss")):
        wish = pending(author)
        for answer in (calendar_approvals.approve, calendar_approvals.reject):
            with pytest.raises(ChangeRefused, match="you asked for it yourself"):
                answer(wish.pk, by=author, reason="mine", now=NOW)

    assert not trades(HOLIDAY)


def test_who_lost_the_right_or_never_had_it_approves_nothing(asha, ravi):
    wish = pending(asha)
    assert ravi.has_perm(calendar_approvals.APPROVE)  # which his session remembers
    ravi.user_permissions.clear()
    limits_only = User.objects.create_user("tom")
    limits_only.user_permissions.add(Permission.objects.get(codename="approve_limits"))

    for person in (ravi, limits_only):
        with pytest.raises(ChangeRefused, match="no permission to approve what opens the market"):
            approve(wish, person)


@pytest.mark.parametrize("closed", [lambda user: user.delete(), lambda user: user.save()], ids=["gone", "inactive"])
def test_a_wish_of_somebody_who_is_gone_is_not_approved(asha, ravi, closed):
    wish = pending(asha)
    asha.is_active = False
    closed(asha)

    with pytest.raises(ChangeRefused, match="the account of asha is gone or inactive"):
        approve(wish, ravi)
    assert calendar_approvals.reject(wish.pk, by=ravi, reason="she left", now=NOW).status == Status.REJECTED


def test_an_answer_given_twice_is_one_answer(asha, ravi, meera):
    wish = approve(pending(asha), ravi)

    for person in (ravi, meera):
        with pytest.raises(ChangeRefused, match="it is applied already by ravi"):
            approve(wish, person)
    assert CalendarChange.objects.count() == 2


def test_a_rejected_or_withdrawn_wish_opens_nothing_and_can_be_asked_again(asha, ravi):
    first = calendar_approvals.reject(pending(asha).pk, by=ravi, reason="not read", now=NOW)
    second = calendar_approvals.withdraw(pending(asha).pk, by=asha, reason="no need", now=NOW)

    assert (first.status, second.status) == (Status.REJECTED, Status.WITHDRAWN)
    assert not trades(HOLIDAY)
    approve(pending(asha), ravi)
    assert trades(HOLIDAY)


def test_what_the_command_line_asked_for_a_person_of_another_name_approves(ravi):
    wish = pending(Author.command_line("ravi"))
    assert (wish.author, wish.author_account) == ("command line: ravi", 0)

    with pytest.raises(ChangeRefused, match="you asked for it yourself, at the command line"):
        approve(wish, ravi)
    approve(wish, approver("nina"))

    assert CalendarChange.objects.first().author == "command line: ravi"
    assert trades(HOLIDAY)


# --- Stale ------------------------------------------------------------------------------------------------------------


def test_any_later_change_of_the_calendar_makes_a_wish_stale_at_once(asha, ravi):
    wish = pending(asha)
    change(closure(), by=ravi)

    wish.refresh_from_db()
    assert (wish.status, wish.note[:40]) == (Status.STALE, "the calendar was changed since asha aske")
    with pytest.raises(ChangeRefused, match="stale already"):
        approve(wish, ravi)
    assert not trades(HOLIDAY)


def test_a_change_behind_our_back_is_noticed_at_the_answer(asha, ravi):
    wish = pending(asha)
    CalendarChange.objects.create(at=NOW, author="somebody", what="by hand")

    with pytest.raises(ChangeRefused, match="the calendar was changed since asha asked"):
        approve(wish, ravi)
    wish.refresh_from_db()
    assert (wish.status, trades(HOLIDAY)) == (Status.STALE, False)


def test_of_two_wishes_the_one_approved_makes_the_other_stale(asha, ravi, meera):
    first = pending(asha)
    second = change(RowEdit.put(CalendarYear(year=2027, complete=True)), by=meera).waiting

    approve(first, ravi)

    with pytest.raises(ChangeRefused, match="stale already"):
        approve(second, ravi)


# --- A typed word -----------------------------------------------------------------------------------------------------


def test_on_paper_the_word_is_enough_at_once(asha):
    with pytest.raises(calendar.OpensTheMarket):
        change(removal(), by=asha, house=ON_PAPER, word="loosen")

    assert change(removal(), by=asha, house=ON_PAPER, word="LOOSEN").waiting is None
    assert trades(HOLIDAY)


def test_in_live_the_word_opens_a_minute_later_to_the_microsecond(asha):
    due, tick = NOW + timedelta(minutes=1), timedelta(microseconds=1)
    with pytest.raises(calendar.OpensTheMarket):
        change(closure(), removal(), by=asha, house=LIVE)
    assert trades(date(2026, 11, 25))
    wish = pending(asha, house=LIVE, word="LOOSEN")

    calendar_approvals.carry_out(now=due - tick)
    assert not trades(HOLIDAY)
    calendar_approvals.carry_out(now=due)
    calendar_approvals.carry_out(now=due)

    wish.refresh_from_db()
    assert trades(HOLIDAY)
    assert (wish.status, wish.due_at, CalendarChange.objects.count()) == (Status.APPLIED, due, 2)


def test_within_the_minute_anybody_takes_it_back_and_not_after(asha, ravi):
    wish = pending(asha, house=LIVE, word="LOOSEN")
    with pytest.raises(ChangeRefused, match="takes effect by itself"):
        approve(wish, ravi)
    calendar_approvals.withdraw(wish.pk, by=ravi, reason="no", now=NOW + timedelta(seconds=59))
    calendar_approvals.carry_out(now=NOW + timedelta(minutes=2))
    assert not trades(HOLIDAY)

    wish = pending(asha, house=LIVE, word="LOOSEN")
    with pytest.raises(ChangeRefused, match="it is applied already"):
        calendar_approvals.withdraw(wish.pk, by=ravi, reason="no", now=NOW + timedelta(seconds=60))
    assert trades(HOLIDAY)


def test_a_closure_within_the_minute_wins(asha, ravi):
    wish = pending(asha, house=LIVE, word="LOOSEN")
    change(closure(), by=ravi, house=LIVE)

    calendar_approvals.carry_out(now=NOW + timedelta(minutes=2))

    wish.refresh_from_db()
    assert (wish.status, trades(HOLIDAY)) == (Status.STALE, False)


# --- Hours of one source ----------------------------------------------------------------------------------------------


def test_confirming_hours_opens_nothing_and_is_kept_once():
    rule = SessionRule.objects.get(group="FO", effective_from="2026-12-07")
    before = calendar.load()
    assert not rule.confirmed

    said = [calendar.confirm_hours(rule.pk, by="ravi", reason="NSE/76963 read", now=NOW) for _ in range(2)]

    kept = CalendarChange.objects.first()
    assert said == [True, False]
    assert calendar.load() == before
    assert (kept.author, kept.reason, kept.opened) == ("ravi", "NSE/76963 read", "")
    assert kept.what == "Futures and options from 07 Dec 2026: confirmed"
    assert [each.group for each in SessionRule.objects.not_confirmed()] == ["EQ_FNO_UNDERLYING"]


# --- What the database itself refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"status": "APPLIED"}, "calendar_wish_needs_four_eyes"),
        ({"status": "APPLIED", "decided_by": "asha", "decided_by_account": 10**6}, "calendar_wish_needs_four_eyes"),
        ({"status": "REJECTED", "decided_by": "x", "decided_by_account": "asha"}, "calendar_wish_needs_four_eyes"),
        ({"status": "ENDED", "decided_by": "ravi", "decided_by_account": 10**6}, "Invalid transition"),
        ({"edits": []}, "Cannot update rows"),
        ({"opens": ""}, "Cannot update rows"),
        ({"author": "somebody"}, "Cannot update rows"),
        ({"due_at": NOW}, "Cannot update rows"),
        ({"based_on_change": 10**6}, "Cannot update rows"),
    ],
)
def test_no_wish_is_rewritten_and_none_carried_out_by_its_author(asha, changes, refusal):
    wish = pending(asha)
    changes = {name: asha.pk if value == "asha" and "account" in name else value for name, value in changes.items()}

    with pytest.raises(DatabaseError, match=refusal), transaction.atomic():
        CalendarWish.objects.filter(pk=wish.pk).update(**changes)


def test_what_ended_stays_ended_and_is_kept(asha, ravi):
    wish = calendar_approvals.reject(pending(asha).pk, by=ravi, reason="no", now=NOW)
    rows = CalendarWish.objects.filter(pk=wish.pk)

    with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
        rows.update(status="PENDING")
    with pytest.raises(DatabaseError, match="Cannot delete rows"), transaction.atomic():
        rows.delete()


# --- Two accounts of one person ---------------------------------------------------------------------------------------


def test_an_account_that_the_author_made_approves_nothing_of_hers(asha):
    with acting("asha"):
        second = approver("asha.two")
    wish = pending(asha)

    with pytest.raises(ChangeRefused, match="asha could be one person"):
        approve(wish, second)


def test_what_was_confirmed_by_who_was_shut_out_meanwhile_opens_nothing(asha):
    wish = pending(asha, house=LIVE, word="LOOSEN")
    asha.user_permissions.clear()

    calendar_approvals.carry_out(now=NOW + timedelta(minutes=1))

    wish.refresh_from_db()
    assert (wish.status, wish.note) == (Status.STALE, "asha has no permission for such a change any more")
    assert CalendarDay.objects.filter(date=HOLIDAY).exists()
